//! The cost of one poll that ends in `Pending`: a task that wakes itself again and again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::report::Line;
use crate::runtimes;

const WARM_UP: u64 = 10_000;

/// The leaf clones the waker into its own state and wakes that clone, as nearly every waiting leaf does: poll, clone
/// and wake.
pub fn stored(polls: u64) -> Line {
    let runtime = runtimes::current_thread();
    let elapsed = runtimes::timed(&runtime, WARM_UP, polls, async |count| {
        let start = Instant::now();
        Stored {
            left: count,
            waker: None,
        }
        .await;
        start.elapsed()
    });
    Line::time(elapsed, polls)
}

/// The leaf wakes by reference and clones nothing: poll and wake only.
pub fn by_ref(polls: u64) -> Line {
    let runtime = runtimes::current_thread();
    let elapsed = runtimes::timed(&runtime, WARM_UP, polls, async |count| {
        let start = Instant::now();
        ByRef { left: count }.await;
        start.elapsed()
    });
    Line::time(elapsed, polls)
}

struct Stored {
    left: u64,
    waker: Option<Waker>,
}

impl Future for Stored {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        self.waker = Some(context.waker().clone());
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Poll::Pending
    }
}

struct ByRef {
    left: u64,
}

impl Future for ByRef {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
