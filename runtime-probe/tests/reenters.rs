//! Foreign wakers whose `clone`, `wake` or `drop` call back into the probe.

#![allow(missing_docs, reason = "a test")]
#![expect(unsafe_code, reason = "a waker by hand")]

use runtime_probe::pprof::{self, instrument};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

thread_local! {
    /// A waker of the probe that the hand-written waker wakes in each clone.
    static INNER: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

static WAKES: AtomicUsize = AtomicUsize::new(0);

fn reenter() {
    // Taken out, so that it is called only once.
    if let Some(inner) = INNER.with(|inner| inner.take()) {
        inner.wake_by_ref();
        INNER.with(|cell| cell.replace(Some(inner)));
    }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        reenter();
        RawWaker::new(data, &VTABLE)
    },
    |_| {
        WAKES.fetch_add(1, Ordering::Relaxed);
        reenter();
    },
    |_| {
        WAKES.fetch_add(1, Ordering::Relaxed);
        reenter();
    },
    |_| reenter(),
);

/// A tracing subscriber that reacts to tokio's waker events does this, for example.
#[test]
fn a_waker_that_wakes_when_it_is_cloned() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(20));
        eprintln!("a wake waits for itself");
        std::process::abort();
    });
    // SAFETY: the functions of the table ignore the data.
    let outer = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) };
    let mut future = Box::pin(instrument(poll_fn(|context| {
        INNER.with(|inner| inner.replace(Some(context.waker().clone())));
        Poll::<()>::Pending
    })));
    let mut context = Context::from_waker(&outer);
    for _ in 0..3 {
        assert!(future.as_mut().poll(&mut context).is_pending());
        let before = WAKES.load(Ordering::Relaxed);
        let inner = INNER.with(|inner| inner.borrow().clone());
        inner.expect("it was polled").wake();
        assert!(WAKES.load(Ordering::Relaxed) > before);
    }
    INNER.with(|inner| inner.take());
}

/// A task that sends to a future of its own does not wait in `send`.
#[test]
fn a_wake_of_a_nested_future_is_no_registration_of_the_task() {
    let runtime = runtime_probe::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let text = runtime.block_on(async {
        let task = runtime_probe::spawn(async {
            let (to, mut from) = runtime_probe::sync::mpsc::channel::<u32>(1);
            let mut nested = Box::pin(instrument(async move {
                while from.recv().await.is_some() {}
                std::future::pending::<()>().await;
            }));
            let mut sent = false;
            poll_fn(move |context| {
                let polled = nested.as_mut().poll(context);
                if !sent {
                    sent = true;
                    sends(&to);
                }
                polled
            })
            .await
        });
        for _ in 0..5 {
            runtime_probe::task::yield_now().await;
        }
        // One poll more than the send caused would be a wake too many.
        let mut text = Vec::new();
        let profile = pprof::lookup("goroutine").expect("there is one");
        profile
            .write_to(&mut text, 2)
            .expect("a Vec takes everything");
        task.abort();
        String::from_utf8(text).expect("text")
    });
    assert!(!text.contains("sends"), "{text}");
}

#[inline(never)]
fn sends(to: &runtime_probe::sync::mpsc::Sender<u32>) {
    to.try_send(1).expect("there is room");
    std::hint::black_box(to);
}
