//! CPU profiles of benchmarks: `cargo bench -- --profile-time 5` writes one for each benchmark, as `go test
//! -cpuprofile` does.
//!
//! A macro defines the type that implements criterion's trait, in the crate that depends on criterion. So this crate
//! needs no dependency and no feature. The trait has been the same since criterion 0.3, and other crates have it as
//! well (codspeed's).

use super::{start_cpu_profile, stop_cpu_profile};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The file in a benchmark's directory.
pub const FILE_NAME: &str = "cpu.pb.gz";

/// Makes a profiler for `Criterion::with_profiler`. The calling crate depends on criterion, or names the replacing
/// crate: `profiler!(codspeed_criterion_compat)`.
///
/// ```ignore (needs criterion, which this crate does not depend on)
/// use criterion::{Criterion, criterion_group, criterion_main};
///
/// criterion_group! {
///     name = benches;
///     config = Criterion::default().with_profiler(runtime_probe::pprof::criterion::profiler!());
///     targets = orders
/// }
/// criterion_main!(benches);
/// ```
///
/// ```text
/// $ cargo bench -- --profile-time 5
/// $ go tool pprof -top target/criterion/orders/profile/cpu.pb.gz
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __criterion_profiler {
    () => {
        $crate::pprof::criterion::profiler!(::criterion)
    };
    ($($criterion:tt)+) => {{
        struct Profiler;

        impl $($criterion)+::profiler::Profiler for Profiler {
            fn start_profiling(&mut self, _id: &str, directory: &::std::path::Path) {
                $crate::pprof::criterion::start(directory);
            }

            fn stop_profiling(&mut self, _id: &str, _directory: &::std::path::Path) {
                $crate::pprof::criterion::stop();
            }
        }

        Profiler
    }};
}

#[doc(inline)]
pub use __criterion_profiler as profiler;

/// Starts a profile, before a benchmark. [`stop`] writes it to [`FILE_NAME`] in this directory.
///
/// # Panics
/// If the profile or the file cannot be begun: otherwise the benchmark would run for nothing.
pub fn start(directory: &Path) {
    let started = fs::create_dir_all(directory)
        .and_then(|()| File::create(directory.join(FILE_NAME)))
        .and_then(|file| start_cpu_profile(io::BufWriter::new(file)));
    if let Err(error) = started {
        panic!("no CPU profile in {}: {error}", directory.display());
    }
}

/// Ends the profile, after the benchmark.
///
/// # Panics
/// If the profile cannot be written.
pub fn stop() {
    if let Err(error) = stop_cpu_profile() {
        panic!("the CPU profile was not written: {error}");
    }
}
