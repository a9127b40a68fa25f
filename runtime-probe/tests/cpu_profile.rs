//! The CPU profile: running code is in it, by its share; waiting code is not.
//!
//! Shares are compared with the program's own measurement between the same two points: on a busy machine the program
//! gets less of the CPU, but the shares stay.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use runtime_probe::runtime::Builder;
use support::burning::*;

mod support {
    #[allow(dead_code, reason = "names and remarks are read elsewhere")]
    pub mod burning;
}

/// How far a share of the samples may be from the truth: four standard deviations of the count, which one run in
/// 15,000 exceeds. The number of samples is halved: when the machine takes the CPU away, several arrive at once.
fn tolerance(share: f64, samples: i64) -> f64 {
    4.0 * (2.0 * share * (1.0 - share) / samples as f64).sqrt()
}

#[test]
fn shares_are_those_that_the_program_measured() {
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    let runtime = two_workers();
    let _stop = burn_in_two_tasks(&runtime, &STOP);
    let spent = || [&SEVEN, &TWO, &ONE].map(|spent| spent.load(Relaxed));
    let (mut before, mut after) = ([0; 3], [0; 3]);
    let mut used = 0;
    let profile = profiled(|| {
        (before, used) = (spent(), process_cpu_ns());
        wait_for_cpu(Duration::from_secs(2));
        (after, used) = (spent(), process_cpu_ns() - used);
    });
    let names = ["::burn_seven", "::burn_two", "::burn_one"];
    let samples = names.map(|name| samples_in(&profile, name));
    let all: i64 = samples.iter().sum();
    let burnt: u64 = (0..3).map(|at| after[at] - before[at]).sum();
    for at in 0..3 {
        let truth = (after[at] - before[at]) as f64 / burnt as f64;
        let seen = samples[at] as f64 / all as f64;
        assert!(
            (truth - seen).abs() <= tolerance(truth, all),
            "{}: {truth} of the time, {seen} of {all} samples",
            names[at]
        );
    }
    // The functions use the shares of their names, so a tenth can be distinguished from seven.
    assert!(3 * (after[2] - before[2]) < after[0] - before[0]);

    // Almost nothing else ran, and each thread's clock is exact: at most one period of each thread is missing.
    let whole: i64 = profile.sample.iter().map(|sample| sample.value[1]).sum();
    assert!(
        whole.abs_diff(used as i64) < used / 5 + 100_000_000,
        "{whole} ns in samples of {used}"
    );
    assert!(!remarks(&profile).contains("in no sample"));
    assert!(all * 10 >= 9 * profile.sample.iter().map(|s| s.value[0]).sum::<i64>());

    // Both tasks have their spawn site, and no other label unless one is requested.
    let mut sites: Vec<&str> = with_function(&profile, "::burn_seven")
        .filter_map(|sample| label(&profile, sample, "spawned_at"))
        .collect();
    sites.sort_unstable();
    sites.dedup();
    assert_eq!(sites.len(), 2, "{sites:?}");
    assert!(sites[0].contains("tests/support/burning.rs:"), "{sites:?}");
    for key in ["task", "thread"] {
        let mut samples = profile.sample.iter();
        assert!(samples.all(|sample| label(&profile, sample, key).is_none()));
    }
}

#[test]
fn only_what_runs_meanwhile_is_in_it() {
    let _alone = alone();
    #[inline(never)]
    fn sleeps_all_the_while(end: &AtomicBool) {
        while !end.load(Relaxed) {
            thread::sleep(Duration::from_millis(300));
        }
    }
    static STOP: AtomicBool = AtomicBool::new(false);
    let stop = Stop(&STOP);
    let sleeper = thread::spawn(|| sleeps_all_the_while(&STOP));
    burn_before(Duration::from_millis(200));
    let profile = profiled(|| burn_thread(Duration::from_millis(500)));
    burn_after(Duration::from_millis(200));
    drop(stop);
    sleeper.join().unwrap();
    assert!(BEFORE.load(Relaxed) > 0 && AFTER.load(Relaxed) > 0);
    let samples = |function| samples_in(&profile, function);
    assert_eq!(samples("::burn_before"), 0);
    assert_eq!(samples("::burn_after"), 0);
    // It wakes three times a second, for microseconds.
    assert!(samples("::sleeps_all_the_while") <= 1);
    // 50 periods at most. The CPU time of a thread since its last tick may be missing. If the machine takes the CPU
    // away for long, several ticks may be missing.
    let burnt = samples("::burn_thread");
    assert!((25..=52).contains(&burnt), "{burnt}");
    // The whole stack of the thread, not only the function that burns. There is no task, so there is no spawn site.
    let mut burning = with_function(&profile, "::burn_thread");
    assert!(burning.all(|sample| label(&profile, sample, "spawned_at").is_none()));
    let in_test = with_function(&profile, "only_what_runs_meanwhile_is_in_it");
    assert!(in_test.map(|sample| sample.value[0]).sum::<i64>() >= burnt);
}

#[test]
fn threads_that_come_meanwhile_are_in_it() {
    let _alone = alone();
    THREAD.store(0, Relaxed);
    NAMED.store(0, Relaxed);
    let profile = profiled(|| {
        // A thread that is found in the list of threads,
        let thread = thread::spawn(|| burn_thread(Duration::from_millis(600)));
        // and one that is known from its first instruction on, by tokio's hook.
        let runtime = two_workers();
        runtime.block_on(async {
            let task = runtime_probe::spawn(async { burn_named(Duration::from_millis(300)) });
            task.await.unwrap();
        });
        thread.join().unwrap();
    });
    let samples = |function| samples_in(&profile, function);
    // For the first thread the time until the next look at the list may be missing, too. On a busy machine that is
    // long.
    let (found, known) = (samples("::burn_thread"), samples("::burn_named"));
    assert!((10..=62).contains(&found), "{found}");
    assert!((15..=32).contains(&known), "{known}");
}

#[test]
fn threads_too_short_to_be_found_are_told_by_their_time() {
    let _alone = alone();
    let profile = profiled(|| {
        for _ in 0..200 {
            let short = thread::spawn(|| burn_thread(Duration::from_millis(3)));
            short.join().unwrap();
        }
    });
    let remarks = remarks(&profile);
    assert!(remarks.contains(" s are in no sample: "), "{remarks}");
}

#[test]
fn the_program_does_what_it_did() {
    let _alone = alone();
    // Sleeps, timed waits and channels are interrupted by signals, and continue.
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let profile = profiled(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..50)
                .map(|_| {
                    runtime_probe::spawn(async {
                        for _ in 0..20 {
                            runtime_probe::time::sleep(Duration::from_millis(2)).await;
                            burn_one(Duration::from_micros(300));
                            TURNS.fetch_add(1, Relaxed);
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
    assert_eq!(TURNS.load(Relaxed), 1000);
    assert!(samples_in(&profile, "::burn_one") > 0);
}
