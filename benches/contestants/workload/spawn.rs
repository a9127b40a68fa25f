//! The cost of a task from `spawn` to the result of its `JoinHandle`.

use std::hint::black_box;
use std::time::Instant;

use crate::report::Line;
use crate::runtimes;

const WARM_UP: u64 = 10_000;

/// Tasks alive at once in [`in_batches`].
const BATCH: u64 = 1_000;

/// Spawns a task and awaits it before the next one.
pub fn one_by_one(tasks: u64) -> Line {
    let runtime = runtimes::current_thread();
    let elapsed = runtimes::timed(&runtime, WARM_UP, tasks, async |count| {
        let start = Instant::now();
        for number in 0..count {
            tokio::spawn(async move { black_box(number) })
                .await
                .expect("a trivial task");
        }
        start.elapsed()
    });
    Line::time(elapsed, tasks)
}

/// Spawns a thousand tasks, then awaits them all; the count is rounded up to whole batches.
pub fn in_batches(tasks: u64) -> Line {
    let runtime = runtimes::current_thread();
    let batches = tasks.div_ceil(BATCH);
    let elapsed = runtimes::timed(&runtime, WARM_UP / BATCH, batches, async |count| {
        let mut handles = Vec::with_capacity(BATCH as usize);
        let start = Instant::now();
        for _ in 0..count {
            handles.extend((0..BATCH).map(|number| tokio::spawn(async move { black_box(number) })));
            for handle in handles.drain(..) {
                handle.await.expect("a trivial task");
            }
        }
        start.elapsed()
    });
    Line::time(elapsed, batches * BATCH)
}
