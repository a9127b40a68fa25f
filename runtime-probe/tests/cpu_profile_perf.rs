//! The CPU profile beside `perf record`, on the same threads at the same time.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use support::burning::*;

mod support {
    #[allow(dead_code, reason = "other tests look closer at a profile")]
    pub mod burning;
}

const NAMES: [&str; 3] = ["::burn_seven", "::burn_two", "::burn_one"];

/// Both count samples. The tolerance is four standard deviations of both counts, which one run in 15,000 exceeds.
/// Each number of samples is halved: when the machine takes the CPU away, several samples arrive at once.
fn tolerance(share: f64, samples: [u64; 2]) -> f64 {
    let variance = |samples: u64| 2.0 * share * (1.0 - share) / samples as f64;
    4.0 * samples.map(variance).iter().sum::<f64>().sqrt()
}

#[test]
fn perf_sees_the_same_shares() {
    if let Err(reason) = perf_works() {
        eprintln!("skipped: {reason}");
        return;
    }
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    let runtime = two_workers();
    let _stop = burn_in_two_tasks(&runtime, &STOP);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("perf.data");
    let mut perf = record(&file);
    let profile = profiled(|| wait_for_cpu(Duration::from_secs(2)));
    stop(&mut perf);

    let seen = NAMES.map(|name| samples_in(&profile, name) as u64);
    let perfs = samples_of_perf(&file);
    let all = [seen, perfs].map(|samples| samples.iter().sum::<u64>());
    assert!(all[0] >= 100 && all[1] >= 100, "{seen:?} {perfs:?}");
    for at in 0..NAMES.len() {
        let share = seen[at] as f64 / all[0] as f64;
        let perfs = perfs[at] as f64 / all[1] as f64;
        assert!(
            (share - perfs).abs() <= tolerance(perfs, all),
            "{}: {share} of {}, by perf {perfs} of {}",
            NAMES[at],
            all[0],
            all[1]
        );
    }
}

/// The error says why perf cannot be used here. Many machines forbid it, and a CI job cannot change that.
fn perf_works() -> Result<(), String> {
    let installed = Command::new("perf").arg("--version").output();
    if installed.is_err() {
        assert!(std::env::var_os("CI").is_none(), "no perf");
        return Err("no perf".to_owned());
    }
    let mut trial = Command::new("perf");
    trial.args([
        "record",
        "--event",
        "cpu-clock",
        "--output",
        "/dev/null",
        "true",
    ]);
    let trial = trial.output().map_err(|error| error.to_string())?;
    if trial.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&trial.stderr);
    Err(format!("perf does not work here: {}", said.trim()))
}

/// Records all threads of this process. Returns when the recording has begun.
fn record(file: &Path) -> Child {
    let _ = fs::remove_file(file);
    let mut perf = Command::new("perf");
    perf.args(["record", "--event", "cpu-clock", "--freq", "99"]);
    perf.args(["--call-graph", "dwarf,4096", "--output"])
        .arg(file);
    perf.args(["--pid", &std::process::id().to_string()]);
    let perf = perf.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let begun = Instant::now();
    while !fs::metadata(file).is_ok_and(|file| file.len() > 100_000) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "perf records nothing"
        );
        thread::sleep(Duration::from_millis(20));
    }
    perf.unwrap()
}

/// Ends the recording by SIGINT, which perf takes as the end.
#[expect(unsafe_code, reason = "std sends no SIGINT")]
fn stop(perf: &mut Child) {
    // SAFETY: no memory is involved; the child is not yet waited for, so the number is its own.
    unsafe { libc::kill(perf.id() as libc::pid_t, libc::SIGINT) };
    perf.wait().unwrap();
}

/// Samples with each of the functions in their stack.
fn samples_of_perf(file: &Path) -> [u64; 3] {
    let mut perf = Command::new("perf");
    perf.args(["script", "--no-inline", "--fields", "ip,sym", "--input"])
        .arg(file);
    let script = perf.stderr(Stdio::null()).output().unwrap();
    let stacks = String::from_utf8_lossy(&script.stdout);
    NAMES.map(|name| {
        let stacks = stacks.split("\n\n").filter(|stack| {
            let mut functions = stack.lines().map(str::trim_end);
            functions.any(|function| function.ends_with(name))
        });
        stacks.count() as u64
    })
}
