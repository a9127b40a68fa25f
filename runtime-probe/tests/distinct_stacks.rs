//! 100,000 distinct stacks of waits, more than the tables can hold. In a process of its own, as the tables stay full.
#![cfg(feature = "full")]

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use support::memory::resident_kib;

mod support {
    pub mod memory;
}

const PATHS: usize = 100_000;
/// The tables keep this many stacks, see `stack/raw.rs`.
const KEPT: u64 = 1 << 16;

/// Waits once, at a stack that its number determines: each bit chooses one of two calls.
struct Way {
    number: usize,
    waker: Arc<Mutex<Option<Waker>>>,
    waited: bool,
}

impl Future for Way {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.waited {
            return Poll::Ready(());
        }
        self.waited = true;
        let waker = fork(self.number | 1 << 17, context);
        *self.waker.lock().unwrap() = Some(waker);
        Poll::Pending
    }
}

#[inline(never)]
fn fork(number: usize, context: &Context<'_>) -> Waker {
    if number == 1 {
        return context.waker().clone();
    }
    // Two call sites, neither of them a tail call.
    if number & 1 == 0 {
        black_box(fork(number >> 1, context))
    } else {
        let waker = fork(black_box(number >> 1), context);
        black_box(waker)
    }
}

#[test]
fn a_hundred_thousand_ways_to_wait() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let before = resident_kib();
    let mut tasks = Vec::new();
    runtime.block_on(async {
        for number in 0..PATHS {
            let waker = Arc::new(Mutex::new(None));
            let way = Way {
                number,
                waker: waker.clone(),
                waited: false,
            };
            let task = runtime_probe::spawn(way);
            while waker.lock().unwrap().is_none() {
                runtime_probe::task::yield_now().await;
            }
            // The last ones go on waiting, for the dump.
            if number + 5 < PATHS {
                waker.lock().unwrap().take().unwrap().wake();
                task.await.unwrap();
            } else {
                tasks.push((task, waker));
            }
        }
    });
    let counters = pprof::capture_counters();
    assert!(
        counters.stacks >= KEPT && counters.stacks < KEPT + 100,
        "{counters:?}"
    );
    assert!(
        counters.overflowed >= PATHS as u64 - KEPT - 100,
        "{counters:?}"
    );
    assert!(counters.evictions > 0, "{counters:?}");
    // A stack of 20 frames takes 160 B, and 400 B as a path; with the table entries less than 1 KiB.
    let grown = resident_kib() - before;
    assert!(grown <= KEPT as usize + (16 << 10), "{grown} KiB");

    let mut text = Vec::new();
    let goroutines = pprof::lookup("goroutine").unwrap();
    goroutines.write_to(&mut text, 2).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(
        text.matches("stack not kept").count(),
        tasks.len(),
        "{text}"
    );
    // Such tasks wait and are woken as usual.
    runtime.block_on(async {
        for (task, waker) in tasks {
            waker.lock().unwrap().take().unwrap().wake();
            task.await.unwrap();
        }
    });
}
