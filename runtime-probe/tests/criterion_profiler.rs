//! The profiler for criterion: a trait like criterion's is all that the macro needs.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::fs;
use std::path::Path;
use std::time::Duration;

use runtime_dump::profile::proto::Profile;
use runtime_probe::pprof::criterion::{FILE_NAME, profiler};
use support::burning::{burn_one, burn_two, remarks, samples_in};

mod support {
    #[allow(dead_code, reason = "two functions burn here")]
    pub mod burning;
}

/// As in criterion 0.3 to 0.8.
mod criterion_like {
    pub mod profiler {
        use std::path::Path;

        pub trait Profiler {
            fn start_profiling(&mut self, benchmark_id: &str, benchmark_dir: &Path);
            fn stop_profiling(&mut self, benchmark_id: &str, benchmark_dir: &Path);
        }
    }
}

/// As criterion's `with_profiler` takes it.
fn run(mut profiler: impl criterion_like::profiler::Profiler + 'static, directory: &Path) {
    for (id, burn) in [("one", burn_one as fn(Duration)), ("two", burn_two)] {
        let directory = directory.join(id).join("profile");
        profiler.start_profiling(id, &directory);
        burn(Duration::from_millis(500));
        profiler.stop_profiling(id, &directory);
    }
}

#[test]
fn each_benchmark_leaves_a_profile_of_its_own() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion_profiler");
    let _ = fs::remove_dir_all(&directory);
    run(profiler!(criterion_like), &directory);
    for (id, own, other) in [
        ("one", "::burn_one", "::burn_two"),
        ("two", "::burn_two", "::burn_one"),
    ] {
        let bytes = fs::read(directory.join(id).join("profile").join(FILE_NAME)).unwrap();
        let profile = Profile::decode(&bytes).unwrap();
        let told = remarks(&profile);
        assert!(samples_in(&profile, own) > 0, "{id}: {told}");
        assert_eq!(samples_in(&profile, other), 0, "{id}");
    }
}
