//! All features at once, for `STRESS_SECONDS` (default 5): no wake-up is lost, results are exact, and every known
//! path that a capture used is the path of a full walk.
//!
//! Two runtimes, one of each flavour, are built, loaded and dropped again and again. Meanwhile threads outside of
//! both wake tasks, and one thread takes dumps all the time. If nothing advances for 20 s, a watchdog prints a dump
//! and fails the test.

#![cfg(feature = "full")]
#![allow(missing_docs, reason = "a test")]

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use runtime_probe::pprof::{self, instrument};
use runtime_probe::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use runtime_probe::sync::{Barrier, Mutex, Notify, Semaphore, mpsc, oneshot};
use runtime_probe::task::{self, JoinSet, LocalSet};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex, mpsc as std_mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Verification is a switch of the process, so the two runs exclude each other.
static TURN: StdMutex<()> = StdMutex::new(());
/// Counts finished steps of tasks and threads.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

#[test]
fn every_known_path_is_the_walked_path() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pprof::testing::set_capture_verification(true);
    let before = pprof::capture_counters();
    run();
    let after = pprof::capture_counters();
    eprintln!("{after:?}");
    assert_eq!(after.wrong, 0, "{after:?}");
    // A tenth of the number on a busy machine. valgrind is too slow for that many: the script that runs it sets the
    // number.
    let enough = std::env::var("STRESS_VERIFIED").map_or(10_000, |text| {
        text.parse()
            .expect("STRESS_VERIFIED is a number of captures")
    });
    assert!(after.verified - before.verified > enough, "{after:?}");
}

#[test]
fn nothing_is_lost_without_verification() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pprof::testing::set_capture_verification(false);
    run();
}

fn seconds() -> f64 {
    std::env::var("STRESS_SECONDS").map_or(5.0, |text| {
        text.parse().expect("STRESS_SECONDS is a number of seconds")
    })
}

fn workers() -> usize {
    std::env::var("STRESS_WORKERS").map_or(4, |text| {
        text.parse().expect("STRESS_WORKERS is a number of threads")
    })
}

fn run() {
    let until = Instant::now() + Duration::from_secs_f64(seconds());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&done));
        scope.spawn(|| dump(&done));
        let drivers = [false, true].map(|multi| {
            scope.spawn(move || {
                let mut seed = 1;
                while Instant::now() < until {
                    one_runtime(multi, seed);
                    seed += 1;
                }
            })
        });
        let results = drivers.map(|driver| driver.join());
        done.store(true, Ordering::Relaxed);
        for result in results {
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        }
    });
    // The runtimes are gone, and so are their tasks; wakers that are still kept elsewhere list no task.
    assert_eq!(profile().count(), 0);
}

fn profile() -> pprof::Profile {
    pprof::lookup("goroutine").expect("there is a goroutine profile")
}

fn watch(done: &AtomicBool) {
    let (mut last, mut since) = (0, Instant::now());
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        let now = PROGRESS.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > Duration::from_secs(20) {
            let mut text = Vec::new();
            let _ = profile().write_to(&mut text, 2);
            eprintln!("no progress for 20 s\n{}", String::from_utf8_lossy(&text));
            std::process::abort();
        }
    }
}

fn dump(done: &AtomicBool) {
    let mut dumps = 0usize;
    while !done.load(Ordering::Relaxed) {
        let mut out = Vec::new();
        profile()
            .write_to(&mut out, dumps as u32 % 3)
            .expect("a Vec takes everything");
        assert!(!out.is_empty());
        dumps += 1;
        // With two cores, leave CPU time to the tasks.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(dumps > 0);
}

/// The life of a runtime, a fraction of a second. It is dropped while some of its tasks wait for ever.
fn one_runtime(multi: bool, seed: u64) {
    let mut builder = if multi {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    let runtime = builder
        .worker_threads(workers())
        .enable_all()
        .build()
        .expect("threads can be had");
    let outside = Outside::start();
    let rounds = 3;
    for round in 0..rounds {
        runtime.block_on(instrument(everything(
            seed * rounds + round,
            outside.clone(),
        )));
    }
    local_set(&runtime, &outside);
    for _ in 0..10 {
        drop(runtime.spawn(instrument(instrument(pending::<()>()))));
        let notify = Arc::new(Notify::new());
        drop(runtime.spawn(async move { notify.notified().await }));
    }
    runtime.block_on(task::yield_now());
    drop(runtime);
    outside.wake_all_late();
}

async fn everything(seed: u64, outside: Outside) {
    let mut set = JoinSet::new();
    for copy in 0..3 {
        set.spawn(ping_pong(100));
        set.spawn(instrument(unordered(outside.clone(), 30)));
        set.spawn(join_set(outside.clone(), seed + copy));
        set.spawn(instrument(instrument(select(100))));
        set.spawn(join_in_one_task(100));
        set.spawn(block_in_place(outside.clone()));
        set.spawn(moved(outside.clone(), 10));
        set.spawn(instrument(late_wakes(outside.clone())));
        set.spawn(abort_storm(30));
        set.spawn(depths(12));
        set.spawn(locks(10));
    }
    let mut finished = 0;
    while let Some(result) = set.join_next().await {
        result.expect("no task panics");
        PROGRESS.fetch_add(1, Ordering::Relaxed);
        finished += 1;
    }
    assert_eq!(finished, 33);
}

/// A thread outside of the runtimes: it sends values and wakes wakers, as late as possible.
#[derive(Clone)]
struct Outside {
    jobs: std_mpsc::Sender<Box<dyn FnOnce() + Send>>,
    bag: Arc<StdMutex<Vec<Waker>>>,
}

impl Outside {
    fn start() -> Self {
        let (jobs, queue) = std_mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let bag = Arc::new(StdMutex::new(Vec::<Waker>::new()));
        let late = bag.clone();
        std::thread::spawn(move || {
            let mut kept: Vec<Waker> = Vec::new();
            while let Ok(job) = queue.recv() {
                job();
                PROGRESS.fetch_add(1, Ordering::Relaxed);
                // Wakers of earlier polls, of finished tasks, of dropped futures.
                if let Ok(mut late) = late.try_lock() {
                    kept.append(&mut late);
                }
                for (index, waker) in kept.iter().enumerate() {
                    if index % 3 == 0 {
                        waker.clone().wake();
                    } else {
                        waker.wake_by_ref();
                    }
                }
                if kept.len() > 100 {
                    kept.drain(..50).for_each(Waker::wake);
                }
            }
            kept.into_iter().for_each(Waker::wake);
        });
        Outside { jobs, bag }
    }

    fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs
            .send(Box::new(job))
            .expect("the thread runs as long as there are senders");
    }

    fn send<T: Send + 'static>(&self, to: oneshot::Sender<T>, value: T) {
        // The receiver may be gone: aborted.
        self.run(move || drop(to.send(value)));
    }

    fn keep(&self, waker: &Waker) {
        self.bag
            .lock()
            .expect("no holder panics")
            .push(waker.clone());
    }

    fn wake_all_late(&self) {
        let bag = std::mem::take(&mut *self.bag.lock().expect("no holder panics"));
        bag.into_iter().for_each(Waker::wake);
    }
}

async fn ping_pong(rounds: u64) {
    let (to, mut from_there) = mpsc::channel::<u64>(1);
    let (back, mut from_here) = mpsc::channel::<u64>(1);
    let echo = runtime_probe::spawn(async move {
        while let Some(number) = from_there.recv().await {
            back.send(number * 2).await.expect("the other end lives");
        }
    });
    let mut sum = 0;
    for number in 0..rounds {
        to.send(number).await.expect("the other end lives");
        sum += instrument(from_here.recv())
            .await
            .expect("the other end lives");
    }
    drop(to);
    echo.await.expect("echo ends");
    assert_eq!(sum, rounds * (rounds - 1));
}

async fn unordered(outside: Outside, children: u64) {
    let mut all: FuturesUnordered<_> = (0..children)
        .map(|number| {
            let (to, from) = oneshot::channel();
            outside.send(to, number);
            let child = async move {
                if number % 3 == 0 {
                    task::yield_now().await;
                }
                from.await.expect("it is sent")
            };
            instrument(child)
        })
        .collect();
    let mut sum = 0;
    while let Some(number) = all.next().await {
        sum += number;
    }
    assert_eq!(sum, children * (children - 1) / 2);
}

async fn join_set(outside: Outside, seed: u64) {
    let mut set = JoinSet::new();
    let mut handles = Vec::new();
    for number in 0..30u64 {
        let (to, from) = oneshot::channel();
        handles.push(set.spawn(instrument(async move { from.await.expect("it is sent") })));
        outside.send(to, number);
    }
    for (index, handle) in handles.iter().enumerate() {
        if (seed + index as u64).is_multiple_of(4) {
            handle.abort();
        }
    }
    let (mut ended, mut aborted) = (0, 0);
    while let Some(result) = set.join_next().await {
        match result {
            Ok(_) => ended += 1,
            Err(error) => {
                assert!(error.is_cancelled());
                aborted += 1;
            }
        }
    }
    assert_eq!(ended + aborted, 30);
    assert!(ended >= 22, "only every fourth was aborted");
}

async fn select(each: u64) {
    let (one, mut from_one) = mpsc::unbounded_channel();
    let (two, mut from_two) = mpsc::channel(2);
    runtime_probe::spawn(async move {
        for number in 0..each {
            one.send(number).expect("the other end lives");
            if number % 8 == 0 {
                task::yield_now().await;
            }
        }
    });
    runtime_probe::spawn(async move {
        for number in 0..each {
            two.send(number).await.expect("the other end lives");
        }
    });
    let (mut sum, mut open) = (0, [true, true]);
    while open.contains(&true) {
        runtime_probe::select! {
            number = from_one.recv(), if open[0] => match number {
                Some(number) => sum += number,
                None => open[0] = false,
            },
            number = instrument(from_two.recv()), if open[1] => match number {
                Some(number) => sum += number,
                None => open[1] = false,
            },
            () = pending() => unreachable!(),
        }
    }
    assert_eq!(sum, each * (each - 1));
}

/// Both ends in one task: each wake comes from the task's own poll.
async fn join_in_one_task(count: u64) {
    let (to, mut from) = mpsc::channel(1);
    let sending = instrument(async move {
        for number in 0..count {
            to.send(number).await.expect("the other end lives");
        }
    });
    let receiving = instrument(async move {
        let mut sum = 0;
        while let Some(number) = from.recv().await {
            sum += number;
        }
        sum
    });
    let (_, sum) = runtime_probe::join!(sending, receiving);
    assert_eq!(sum, count * (count - 1) / 2);
}

async fn block_in_place(outside: Outside) {
    if Handle::current().runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    for number in 0..5u64 {
        let (to, from) = oneshot::channel();
        let (back, there) = oneshot::channel();
        runtime_probe::spawn(async move {
            let number: u64 = from.await.expect("it is sent");
            back.send(number + 1).expect("the other end lives");
        });
        outside.send(to, number);
        let sum = task::block_in_place(|| {
            Handle::current().block_on(instrument(async { there.await.expect("it is sent") }))
        });
        assert_eq!(sum, number + 1);
        task::yield_now().await;
    }
}

/// A future that is polled in one task, then in another one: only the waker of the last one counts.
async fn moved(outside: Outside, count: u64) {
    for number in 0..count {
        let (to, from) = oneshot::channel();
        let future: Pin<Box<dyn Future<Output = u64> + Send>> =
            Box::pin(instrument(async move { from.await.expect("it is sent") }));
        let (mut future, mut to, mut result) = (Some(future), Some(to), None);
        for hop in 0..3 {
            if hop == number % 3 {
                outside.send(to.take().expect("once"), number);
            }
            let Some(mut one_poll) = future.take() else {
                break;
            };
            let polled = runtime_probe::spawn(async move {
                let polled = poll_fn(|context| Poll::Ready(one_poll.as_mut().poll(context))).await;
                (polled, one_poll)
            });
            match polled.await.expect("no panic") {
                (Poll::Ready(value), _) => result = Some(value),
                (Poll::Pending, same) => future = Some(same),
            }
        }
        if let Some(future) = future {
            result = Some(runtime_probe::spawn(future).await.expect("no panic"));
        }
        assert_eq!(result, Some(number));
    }
}

/// A leaf that leaves a waker behind in each poll; another thread wakes them all, some of them much later.
struct Litters {
    outside: Outside,
    left: usize,
}

impl Future for Litters {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        self.outside.keep(context.waker());
        let waker = context.waker().clone();
        self.outside.run(move || waker.wake());
        Poll::Pending
    }
}

async fn late_wakes(outside: Outside) {
    for left in [1, 5, 70] {
        let litters = Litters {
            outside: outside.clone(),
            left,
        };
        instrument(litters).await;
        // Dropped after one poll: the wakers that it left behind wake no future.
        let mut dropped = Box::pin(instrument(Litters {
            outside: outside.clone(),
            left,
        }));
        poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context).is_pending())).await;
    }
}

/// Counts its drops.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn abort_storm(count: usize) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let semaphore = Arc::new(Semaphore::new(1));
    let handles: Vec<_> = (0..count)
        .map(|_| {
            let (guard, semaphore) = (Dropped(dropped.clone()), semaphore.clone());
            runtime_probe::spawn(instrument(async move {
                let _guard = guard;
                loop {
                    let _permit = instrument(semaphore.acquire()).await.expect("never closed");
                    task::yield_now().await;
                }
            }))
        })
        .collect();
    task::yield_now().await;
    let aborts: Vec<_> = handles.iter().map(|handle| handle.abort_handle()).collect();
    std::thread::scope(|scope| {
        for half in aborts.chunks(count / 2) {
            scope.spawn(move || half.iter().for_each(|abort| abort.abort()));
        }
    });
    for handle in handles {
        assert!(
            handle
                .await
                .expect_err("it never ends by itself")
                .is_cancelled()
        );
    }
    assert_eq!(dropped.load(Ordering::Relaxed), count);
    assert_eq!(semaphore.available_permits(), 1);
}

/// Many stacks to one leaf: boxed recursion of every depth, and frames that realign the stack.
async fn depths(most: u32) {
    fn deep(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move {
            match depth {
                0 => {
                    task::yield_now().await;
                    runtime_probe::time::sleep(Duration::from_micros(50)).await;
                    0
                }
                depth if depth % 3 == 0 => Realigned(instrument(deep(depth - 1))).await + 1,
                depth if depth % 3 == 1 => Realigned(deep(depth - 1)).await + 1,
                depth => deep(depth - 1).await + 1,
            }
        })
    }
    for depth in 0..most {
        assert_eq!(deep(depth).await, depth);
    }
}

/// Polls with a local of a large alignment on the stack.
struct Realigned<F>(F);

#[repr(align(128))]
struct Wide([u8; 128]);

impl<F: Future<Output = u32> + Unpin> Future for Realigned<F> {
    type Output = u32;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        let wide = std::hint::black_box(Wide([0; 128]));
        let result = Pin::new(&mut self.0).poll(context);
        std::hint::black_box(&wide.0);
        result
    }
}

async fn locks(tasks: usize) {
    let (counter, barrier) = (Arc::new(Mutex::new(0)), Arc::new(Barrier::new(tasks)));
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let (counter, barrier) = (counter.clone(), barrier.clone());
            runtime_probe::spawn(async move {
                for _ in 0..10 {
                    *counter.lock().await += 1;
                    task::yield_now().await;
                }
                barrier.wait().await;
            })
        })
        .collect();
    for handle in handles {
        handle.await.expect("no panic");
    }
    assert_eq!(*counter.lock().await, tasks * 10);
}

fn local_set(runtime: &Runtime, outside: &Outside) {
    let local = LocalSet::new();
    let sum = local.block_on(runtime, async {
        let handles: Vec<_> = (0..10u64)
            .map(|number| {
                let (to, from) = oneshot::channel();
                outside.send(to, number);
                task::spawn_local(instrument(async move {
                    task::yield_now().await;
                    from.await.expect("it is sent")
                }))
            })
            .collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await.expect("no panic");
        }
        sum
    });
    assert_eq!(sum, 45);
    PROGRESS.fetch_add(1, Ordering::Relaxed);
}
