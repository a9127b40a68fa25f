//! Ten million short tasks leave no memory behind (`SOAK_TASKS`; fewer in a debug build). In a process of its own, as
//! its memory is measured.

#![cfg(all(feature = "full", target_os = "linux"))]
#![allow(missing_docs, reason = "a test")]

use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use support::memory::resident_kib;

mod support {
    pub mod memory;
}

/// Tasks that are alive at once.
const BATCH: usize = 1000;
/// How much memory may grow after the warm-up. Records come in chunks of 32 KiB, threads keep up to two magazines of
/// them (18 KiB), tables of stacks and of threads grow by doubling, and malloc keeps an arena for each thread. All of
/// that is bounded by the tasks that are alive at once, and all but a few hundred KiB is reached in the warm-up. A
/// leak of one record (144 B) in a hundred tasks would be 14 MB, of one byte a task 10 MB.
const TOLERANCE_KIB: usize = 4 << 10;

#[test]
fn ten_million_tasks_leave_nothing_behind() {
    let tasks = std::env::var("SOAK_TASKS").map_or(
        if cfg!(debug_assertions) {
            200_000
        } else {
            10_000_000
        },
        |text| text.parse().expect("SOAK_TASKS is a number of tasks"),
    );
    let runtimes = [
        Builder::new_current_thread().enable_all().build(),
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build(),
    ]
    .map(|runtime| runtime.expect("threads can be had"));
    run(&runtimes, (tasks / 2).min(500_000));
    let before = resident_kib();
    run(&runtimes, tasks);
    let after = resident_kib();
    eprintln!("{tasks} tasks: {before} KiB resident before, {after} KiB after");
    assert!(
        after <= before + TOLERANCE_KIB,
        "{before} KiB before, {after} KiB after"
    );
    assert_eq!(
        pprof::lookup("goroutine").map(|profile| profile.count()),
        Some(0)
    );
    let counters = pprof::capture_counters();
    assert_eq!(counters.overflowed, 0);
    // Every task takes one of a few paths.
    assert!(counters.stacks < 100, "{counters:?}");
}

/// `tasks` tasks, alternating between the runtimes: half of them end in their first poll, half wait once.
fn run(runtimes: &[Runtime], tasks: usize) {
    for batch in 0..tasks.div_ceil(BATCH) {
        let runtime = &runtimes[batch % runtimes.len()];
        let sum = runtime.block_on(async {
            let handles: Vec<_> = (0..BATCH)
                .map(|number| {
                    runtime_probe::spawn(async move {
                        if number % 2 == 0 {
                            runtime_probe::task::yield_now().await;
                        }
                        number
                    })
                })
                .collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.expect("no task panics");
            }
            sum
        });
        assert_eq!(sum, BATCH * (BATCH - 1) / 2);
    }
}
