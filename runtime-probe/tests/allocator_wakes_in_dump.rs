//! A dump on a thread that the probe does not know yet, with an allocator that wakes a task in every allocation.

#![allow(missing_docs, reason = "a test")]
#![expect(unsafe_code, reason = "a global allocator")]

use runtime_probe::pprof::{self, instrument};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

thread_local! {
    static ARMED: Cell<*const Waker> = const { Cell::new(std::ptr::null()) };
}

struct Meddling;

// SAFETY: passes every call to the system's allocator; waking uses no memory of these calls.
unsafe impl GlobalAlloc for Meddling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let waker = ARMED.replace(std::ptr::null());
        // SAFETY: null, or a waker that outlives the time in which it is armed.
        if let Some(waker) = unsafe { waker.as_ref() } {
            waker.wake_by_ref();
        }
        ARMED.set(waker);
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Meddling = Meddling;

#[test]
fn a_dump_does_not_wait_for_itself() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("the dump waits for itself");
        std::process::abort();
    });
    let mut kept = None;
    let mut future = Box::pin(instrument(poll_fn(|context| {
        kept = Some(context.waker().clone());
        Poll::<()>::Pending
    })));
    let _ = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    drop(future);
    let waker = kept.expect("it was polled");
    let dump = std::thread::spawn(move || {
        ARMED.set(&raw const waker);
        let mut text = Vec::new();
        let profile = pprof::lookup("goroutine").expect("there is one");
        let written = profile.write_to(&mut text, 1);
        ARMED.set(std::ptr::null());
        written.expect("a Vec takes everything");
        text
    });
    let text = dump.join().expect("no panic");
    assert!(text.starts_with(b"goroutine profile: total "));
}
