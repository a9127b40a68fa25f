//! A global allocator that clones, wakes and drops wakers in each call. Captures that it starts inside of a capture
//! are left out, and no code waits for itself.

#![allow(missing_docs, reason = "a test")]
#![expect(unsafe_code, reason = "an allocator")]

use runtime_probe::pprof::{self, instrument};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

struct Meddling;

thread_local! {
    /// The waker that the allocator uses, while it is armed.
    static ARMED: Cell<*const Waker> = const { Cell::new(null()) };
}

static MEDDLED: AtomicUsize = AtomicUsize::new(0);

fn meddle() {
    // Disarmed meanwhile, as the allocator's own calls are not part of the test.
    let waker = ARMED.replace(null());
    // SAFETY: armed only while the waker lives, by `armed`.
    if let Some(waker) = unsafe { waker.as_ref() } {
        MEDDLED.fetch_add(1, Ordering::Relaxed);
        clone_from_here(waker);
        clone_from_there(waker);
        waker.wake_by_ref();
        waker.clone().wake();
    }
    ARMED.set(waker);
}

#[inline(never)]
fn clone_from_here(waker: &Waker) {
    drop(std::hint::black_box(waker.clone()));
}

#[inline(never)]
fn clone_from_there(waker: &Waker) {
    let wide = std::hint::black_box([0u8; 500]);
    drop(std::hint::black_box(waker.clone()));
    std::hint::black_box(&wide);
}

/// Runs `f` with the allocator armed.
fn armed<R>(waker: &Waker, f: impl FnOnce() -> R) -> R {
    struct Disarm;
    impl Drop for Disarm {
        fn drop(&mut self) {
            ARMED.set(null());
        }
    }
    ARMED.set(waker);
    let _disarm = Disarm;
    f()
}

// SAFETY: System's, with detours that return.
unsafe impl GlobalAlloc for Meddling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        meddle();
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        meddle();
        // SAFETY: passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Meddling = Meddling;

#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Registers `leaves` times at different places, with the allocator armed.
struct Leaf {
    polls: usize,
    kept: Vec<Waker>,
}

impl Future for Leaf {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let waker = context.waker();
        self.kept.clear();
        self.kept.reserve(10);
        let kept = &mut self.kept;
        armed(waker, || {
            kept.push(register_one(waker));
            kept.push(register_two(waker));
            kept.push(register_one(waker));
        });
        self.polls += 1;
        if self.polls == 300 {
            return Poll::Ready(self.polls);
        }
        Poll::Pending
    }
}

#[inline(never)]
fn register_one(waker: &Waker) -> Waker {
    let wide = std::hint::black_box([0u8; 64]);
    let clone = waker.clone();
    std::hint::black_box(&wide);
    clone
}

#[inline(never)]
fn register_two(waker: &Waker) -> Waker {
    let wide = std::hint::black_box([0u8; 640]);
    let clone = waker.clone();
    std::hint::black_box(&wide);
    clone
}

fn drive() {
    let counting = Arc::new(Counting::default());
    let waker = Waker::from(counting.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = Box::pin(instrument(async {
        instrument(Leaf {
            polls: 0,
            kept: Vec::new(),
        })
        .await
    }));
    let mut polls = 0;
    let result = loop {
        polls += 1;
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            break result;
        }
    };
    assert_eq!((result, polls), (300, 300));
    drop(future);
    drop(waker);
    // All wakers are gone, so the record dropped its reference to this one.
    assert_eq!(Arc::strong_count(&counting), 1);
}

#[test]
fn a_meddling_allocator_is_only_a_gap() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("something waits for itself");
        std::process::abort();
    });
    // On threads that the probe does not know yet: their tables are made in the first capture.
    for _ in 0..4 {
        std::thread::spawn(drive).join().unwrap();
    }
    let counters = pprof::capture_counters();
    assert!(MEDDLED.load(Ordering::Relaxed) > 0);
    assert!(counters.reentered > 0, "{counters:?}");
    assert_eq!(counters.wrong, 0);
}
