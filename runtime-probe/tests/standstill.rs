//! A runtime whose timers and I/O stand still says so; a runtime with a worker that drives them does not.
#![cfg(all(feature = "full", target_os = "linux"))]

use runtime_probe::runtime::{Builder, Handle, Runtime};
use runtime_probe::sync::oneshot;
use runtime_probe::{pprof, task, time};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};
use support::dump::{dump, until};

mod support {
    pub mod dump;
}

const TOLD: &str = "# timers and I/O of runtime still stand still since ";

/// Blocks a worker until the sender is dropped.
fn block(runtime: &Runtime) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let (ready, is_ready) = mpsc::channel();
    runtime.spawn(async move {
        ready.send(()).unwrap();
        wait.recv().ok();
    });
    is_ready.recv().unwrap();
    release
}

async fn blink(period: Duration) {
    loop {
        time::sleep(period).await;
    }
}

/// A long poll in a runtime without timers and I/O is reported as a long poll only.
#[test]
fn a_runtime_without_timers_and_io_does_not_stand_still() {
    let bare = Builder::new_multi_thread()
        .worker_threads(1)
        .name("bare")
        .build()
        .unwrap();
    let timed = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .name("timed")
        .build()
        .unwrap();
    let _blocked = [block(&bare), block(&timed)];
    // Both have been blocked for as long.
    let text = until(|text| text.contains("# timers and I/O of runtime timed stand still since "));
    assert!(!text.contains("# timers and I/O of runtime bare"), "{text}");
}

#[test]
fn it_is_told_while_no_worker_is_left_for_timers() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .name("still")
        .build()
        .unwrap();
    // A task that is woken just before the worker blocks is runnable from then on. For a task with a long period that
    // is unlikely.
    for period in [5, 101, 307] {
        runtime.spawn(blink(Duration::from_millis(period)));
    }
    let first = block(&runtime);
    // A wake from outside wakes the other worker, which drives the timers from then on.
    runtime.spawn(async {});
    let began = Instant::now();
    let mut told = 0;
    while began.elapsed() < Duration::from_secs(1) {
        let text = dump();
        told += usize::from(text.contains(TOLD));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(told, 0, "one of two workers has the timers");

    let second = block(&runtime);
    let text = until(|text| text.contains(TOLD));
    let line = text.lines().next().unwrap();
    assert_eq!(line.matches(" polls goroutine ").count(), 2, "{line}");
    let blinks = until(|text| {
        text.contains("its deadline may be past: the timers of its runtime stand still")
    });
    assert!(blinks.contains("standstill::blink(...)"), "{blinks}");

    drop((first, second));
    until(|text| !text.contains(TOLD) && !text.contains("its deadline may be past"));
}

/// tokio hands a worker over through the blocking pool. Fails if a call of `block_in_place` counts as a worker that
/// goes on.
#[test]
fn a_worker_that_no_thread_of_the_pool_takes_over_is_none_for_timers() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .name("handed")
        .build()
        .unwrap();
    let told = "# timers and I/O of runtime handed stand still since ";
    let (release_closure, closure) = mpsc::channel::<()>();
    runtime.spawn_blocking(move || closure.recv().ok());
    runtime.spawn(blink(Duration::from_millis(101)));
    let (release, wait) = mpsc::channel::<()>();
    runtime.spawn(async move {
        task::block_in_place(|| wait.recv().ok());
    });
    until(|text| text.contains(told));
    // A thread of the pool is free, and takes over the worker.
    drop(release_closure);
    until(|text| !text.contains(told));
    drop(release);
}

/// A waker that returns when it is told to.
struct Lasting {
    released: AtomicBool,
    computes: bool,
}

impl Wake for Lasting {
    fn wake(self: Arc<Self>) {
        while !self.released.load(Ordering::Relaxed) {
            match self.computes {
                true => std::hint::spin_loop(),
                false => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// The driver of a runtime soon wakes that waker. The timer MUST be kept as long.
fn wake_by_timer(runtime: &Handle, waker: &Arc<Lasting>) -> Pin<Box<time::Sleep>> {
    let _entered = runtime.enter();
    let mut timer = Box::pin(time::sleep(Duration::from_millis(20)));
    let waker = Waker::from(waker.clone());
    let is_due = timer.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(is_due.is_pending());
    timer
}

/// Fails if the other workers count: the worker in the wake has the driver.
#[test]
fn a_wake_by_the_driver_is_told_though_another_worker_goes_on() {
    for computes in [false, true] {
        let name = format!("woken-{computes}");
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().name(&*name);
        let runtime = builder.build().unwrap();
        let released = AtomicBool::new(false);
        let waker = Arc::new(Lasting { released, computes });
        let timer = wake_by_timer(runtime.handle(), &waker);
        let (handle, done) = (runtime.handle().clone(), waker.clone());
        let works = std::thread::spawn(move || {
            while !done.released.load(Ordering::Relaxed) {
                handle.spawn(async {});
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let told = format!("# timers and I/O of runtime {name} stand still since ");
        let text = until(|text| text.contains(&told));
        let line = text.lines().find(|line| line.starts_with(&told)).unwrap();
        assert!(line.contains(" is in a wake by the driver, in "), "{line}");
        assert!(line.contains("standstill::Lasting as "), "{line}");
        waker.released.store(true, Ordering::Relaxed);
        until(|text| !text.contains(&told));
        works.join().unwrap();
        drop(timer);
    }
}

#[test]
fn a_runtime_of_one_thread_may_be_in_a_wake_too() {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().name("one").build().unwrap();
    let told = "# timers and I/O of runtime one stand still since ";
    // The runtime has no I/O, so its thread sleeps in a futex, as a waker may. It sleeps long, and is not reported.
    let waker = Arc::new(Lasting {
        released: AtomicBool::new(false),
        computes: false,
    });
    let handle = runtime.handle().clone();
    let asks = std::thread::spawn(move || {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(500) {
            let text = dump();
            assert!(!text.contains(told), "{text}");
        }
        let timer = wake_by_timer(&handle, &waker);
        let text = until(|text| text.contains(told));
        assert!(text.contains(" is in a wake by the driver, in "), "{text}");
        waker.released.store(true, Ordering::Relaxed);
        until(|text| !text.contains(told));
        drop(timer);
    });
    let (ends, end) = oneshot::channel();
    let asked = std::thread::spawn(move || {
        let asked = asks.join();
        ends.send(()).unwrap();
        asked
    });
    runtime.block_on(end).unwrap();
    asked.join().unwrap().unwrap();
}

#[test]
fn one_thread_in_a_long_poll_is_enough_for_a_runtime_of_one() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .name("alone")
        .build()
        .unwrap();
    let told = "# timers and I/O of runtime alone stand still since ";
    let asked = std::thread::spawn(move || until(|text| text.contains(told)));
    let text = runtime.block_on(async {
        time::sleep(Duration::from_millis(10)).await;
        asked.join().unwrap()
    });
    let line = text.lines().find(|line| line.starts_with(told)).unwrap();
    assert!(line.contains(" polls goroutine 9000000000000"), "{line}");
}

#[test]
fn a_task_of_a_runtime_that_is_in_no_block_on_says_so() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let wake = runtime.block_on(async {
        let (wake, woken) = oneshot::channel::<()>();
        runtime_probe::spawn(left_behind(woken));
        runtime_probe::task::yield_now().await;
        wake
    });
    wake.send(()).unwrap();
    let text =
        until(|text| text.contains("its runtime has one thread and is in no block_on since"));
    assert!(text.contains("standstill::left_behind("), "{text}");
    // The runtime is run again.
    runtime.block_on(runtime_probe::task::yield_now());
}

async fn left_behind(woken: oneshot::Receiver<()>) {
    woken.await.ok();
}

#[test]
fn a_wrapped_future_that_is_not_polled_says_so() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (wake, woken) = oneshot::channel::<()>();
    runtime.spawn(async move {
        let mut inside = Box::pin(pprof::instrument(left_behind(woken)));
        // It wakes once, and never again: the fault.
        std::future::poll_fn(|context| {
            assert!(inside.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        std::future::pending::<()>().await;
    });
    until(|text| text.contains("wrapped future inside another task"));
    wake.send(()).unwrap();
    until(|text| text.contains("the task around it has not polled it since"));
}
