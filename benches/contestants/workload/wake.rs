//! The two operations of a waker by themselves, within one poll: the parts of `poll`.

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::report::Line;
use crate::runtimes;

const WARM_UP: u64 = 10_000;

/// Wakes a task that is woken already, through one clone.
pub fn wake_again(wakes: u64) -> Line {
    let runtime = runtimes::current_thread();
    let elapsed = runtimes::timed(&runtime, WARM_UP, wakes, async |count| {
        let mut elapsed = None;
        poll_fn(|context| {
            if let Some(elapsed) = elapsed {
                return Poll::Ready(elapsed);
            }
            let waker = context.waker().clone();
            let start = Instant::now();
            for _ in 0..count {
                black_box(&waker).wake_by_ref();
            }
            elapsed = Some(start.elapsed());
            Poll::Pending
        })
        .await
    });
    Line::time(elapsed, wakes)
}

/// Clones the waker within the task's own poll, as a leaf does that registers, and drops the clone.
pub fn clone_and_drop(clones: u64) -> Line {
    let runtime = runtimes::current_thread();
    let elapsed = runtimes::timed(&runtime, WARM_UP, clones, async |count| {
        poll_fn(|context| {
            let start = Instant::now();
            for _ in 0..count {
                drop(black_box(context.waker().clone()));
            }
            Poll::<Duration>::Ready(start.elapsed())
        })
        .await
    });
    Line::time(elapsed, clones)
}
