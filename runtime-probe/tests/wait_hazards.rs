//! Behaviour of leaves of tokio and of other crates that makes it hard to have a stack for every wait, with a test
//! for each. The comment above a test says when it fails.
#![cfg(all(feature = "full", target_os = "linux"))]

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, Notify, mpsc, oneshot};
use runtime_probe::task::JoinHandle;
use std::cell::RefCell;
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn Error>>;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(100_000);
/// A task that is idle for a second is polled a few times, not a million.
const FEW: u64 = 20;
const FROZEN: &str = "a leaf wakes the waker it replaces";
const LOST: &str = "nothing can wake this task";

// Reading one task's block of a dump.

#[derive(Clone, Debug, Default)]
struct Block {
    id: u64,
    text: String,
}

impl Block {
    fn reason(&self) -> &str {
        let inside = self.text.split_once(" [").map_or("", |(_, rest)| rest);
        inside.split([']', ',']).next().unwrap_or_default()
    }

    fn polls(&self) -> u64 {
        let after = self.text.split_once("polls ").map_or("", |(_, rest)| rest);
        let number = after.split([',', '\n']).next().unwrap_or_default();
        number.parse().unwrap_or(u64::MAX)
    }

    fn says(&self, what: &str) -> bool {
        self.text.contains(what)
    }

    fn created_by(&self) -> &str {
        let by = self
            .text
            .lines()
            .find(|line| line.starts_with("created by"));
        by.unwrap_or_default()
    }
}

fn dump() -> Vec<Block> {
    let mut bytes = Vec::new();
    if let Some(profile) = pprof::lookup("goroutine") {
        // A write to a Vec does not fail.
        _ = profile.write_to(&mut bytes, 2);
    }
    let text = String::from_utf8_lossy(&bytes);
    // The head of the dump is before the first block, and may name other tasks.
    let block = |text: &str| Block {
        id: text
            .lines()
            .find_map(|line| line.strip_prefix("goroutine ")?.split_once(' '))
            .and_then(|(id, _)| id.parse().ok())
            .unwrap_or(0),
        text: text.to_owned(),
    };
    text.split("\n\n").map(block).collect()
}

fn id<T>(task: &JoinHandle<T>) -> u64 {
    task.id().to_string().parse().unwrap_or(0)
}

/// The first dump in which a task is as expected; after ten seconds an error with the last dump.
fn when(id: u64, is: impl Fn(&Block) -> bool) -> Result<Block, Box<dyn Error>> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let block = dump().into_iter().find(|block| block.id == id);
        let block = block.unwrap_or_default();
        if is(&block) {
            return Ok(block);
        }
        if Instant::now() > end {
            return Err(format!("after ten seconds still:\n{}", block.text).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn waits(block: &Block) -> bool {
    !matches!(block.reason(), "" | "running" | "runnable")
}

fn runtime(workers: usize) -> Result<Runtime, Box<dyn Error>> {
    let mut builder = Builder::new_multi_thread();
    Ok(builder.worker_threads(workers).enable_all().build()?)
}

/// Checks a task for a second in which it should be idle.
fn idle_second(id: u64) -> Result<Block, Box<dyn Error>> {
    thread::sleep(Duration::from_secs(1));
    let block = when(id, |block| block.id == id)?;
    assert!(block.polls() < FEW, "polled for ever: {}", block.text);
    Ok(block)
}

// Leaves that wake the waker they replace. Fails without freezing the generation.

#[test]
fn want_is_not_polled_for_ever() -> Outcome {
    let runtime = runtime(2)?;
    let (mut giver, _taker) = want::new();
    let task = runtime.spawn(async move {
        // The sleep causes the second poll, in which `want` replaces the waker of the first one.
        let wanted = poll_fn(|context| giver.poll_want(context));
        _ = runtime_probe::join!(wanted, short_sleep());
    });
    let block = idle_second(id(&task))?;
    assert!(block.says(FROZEN), "{}", block.text);
    assert!(block.says("want::Giver::poll_want"), "{}", block.text);
    Ok(())
}

#[test]
fn ready_of_hyper_is_not_polled_for_ever() -> Outcome {
    let runtime = runtime(2)?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Accepts, and never answers.
    let server = thread::spawn(move || listener.accept());
    let task = runtime.spawn(async move {
        let stream = runtime_probe::net::TcpStream::connect(address).await?;
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        runtime_probe::spawn(connection);
        sender.ready().await?;
        let _answer = sender.send_request(hyper::Request::new(String::new()));
        // One request at a time: this waits for the answer.
        let (ready, ()) = runtime_probe::join!(sender.ready(), short_sleep());
        ready?;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    });
    let block = idle_second(id(&task))?;
    // The place of the wait depends on the time of the freeze. If that was in the first `ready`, the second one has
    // the waker already and does not register. The mark says so.
    assert!(block.says(FROZEN), "{}", block.text);
    drop(server);
    Ok(())
}

#[test]
fn a_leaf_that_wakes_what_it_replaces_is_not_polled_for_ever() -> Outcome {
    #[derive(Default)]
    struct Replaces(Option<Waker>);
    impl Future for Replaces {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let old = self.0.replace(context.waker().clone());
            if let Some(old) = old
                && !old.will_wake(context.waker())
            {
                old.wake();
            }
            Poll::Pending
        }
    }
    let runtime = runtime(2)?;
    let task = runtime.spawn(async { runtime_probe::join!(Replaces::default(), short_sleep()) });
    let block = idle_second(id(&task))?;
    assert!(block.says(FROZEN), "{}", block.text);
    Ok(())
}

/// Fails if a poll of a frozen task drops the leaves of earlier polls, which do not register again: the sleep is such
/// a leaf.
#[test]
fn a_leaf_that_a_frozen_task_waits_in_stays_in_sight() -> Outcome {
    async fn sleeps() {
        short_sleep().await;
        // Begins before the freeze and ends after it.
        short_sleep().await;
    }
    let runtime = runtime(2)?;
    let (mut giver, _taker) = want::new();
    let task = runtime.spawn(async move {
        let wanted = poll_fn(|context| giver.poll_want(context));
        _ = runtime_probe::join!(wanted, sleeps());
    });
    let block = idle_second(id(&task))?;
    assert!(block.says(FROZEN), "{}", block.text);
    assert!(block.says("want::Giver::poll_want"), "{}", block.text);
    Ok(())
}

/// Fails if a thread that captures for the first time drops the leaves of earlier polls.
#[test]
fn a_frozen_task_that_comes_to_another_thread_stays_in_sight() -> Outcome {
    const POLLS: usize = 6;
    let (mut giver, _taker) = want::new();
    let mut entry = Box::pin(pprof::instrument(async move {
        let wanted = poll_fn(|context| giver.poll_want(context));
        let mut kept = None;
        let registers_each_time = poll_fn(|context| {
            kept = Some(context.waker().clone());
            Poll::<()>::Pending
        });
        _ = runtime_probe::join!(wanted, registers_each_time);
    }));
    let mut poll = move || {
        let polled = entry.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    };
    for _ in 1..POLLS {
        poll();
    }
    let (tell, told) = std_mpsc::channel();
    let (end, ended) = std_mpsc::channel::<()>();
    let other = thread::spawn(move || {
        poll();
        _ = tell.send(());
        // The entry is dropped with `poll`.
        _ = ended.recv();
        drop(poll);
    });
    told.recv_timeout(Duration::from_secs(10))?;
    let of_this = |block: &Block| block.says("that_comes_to_another_thread");
    let block = dump().into_iter().find(of_this).unwrap_or_default();
    drop(end);
    assert!(other.join().is_ok());
    assert!(block.says(FROZEN), "{}", block.text);
    assert_eq!(block.polls(), POLLS as u64, "{}", block.text);
    assert!(block.says("want::Giver::poll_want"), "{}", block.text);
    Ok(())
}

/// The waits of a frozen task before it went on are over.
#[test]
fn a_frozen_task_goes_on() -> Outcome {
    let runtime = runtime(2)?;
    let (mut giver, taker) = want::new();
    let task = runtime.spawn(async move {
        let wanted = poll_fn(|context| giver.poll_want(context));
        _ = runtime_probe::join!(wanted, short_sleep());
        runtime_probe::time::sleep(LONG).await;
    });
    let id = id(&task);
    when(id, |block| block.says(FROZEN))?;
    // With that, `poll_want` is over.
    drop(taker);
    let block = when(id, |block| {
        block.reason() == "sleep" && !block.says("poll_want")
    })?;
    assert!(block.says(FROZEN), "{}", block.text);
    Ok(())
}

/// A freeze needs several such polls in a row: a task that sends to itself now and then keeps its generations.
#[test]
fn a_task_that_wakes_itself_now_and_then_is_not_frozen() -> Outcome {
    let runtime = runtime(2)?;
    let task = runtime.spawn(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for round in 0..20 {
            // The handler wakes the waker that the receiver registered in an earlier poll.
            runtime_probe::select! {
                biased;
                () = short_sleep() => drop(sender.send(round)),
                _ = receiver.recv() => {}
            }
        }
        pending::<()>().await;
    });
    let block = when(id(&task), |block| block.says(LOST))?;
    assert!(!block.says(FROZEN), "{}", block.text);
    Ok(())
}

async fn long_sleep() {
    runtime_probe::time::sleep(LONG).await;
}

async fn short_sleep() {
    runtime_probe::time::sleep(Duration::from_millis(20)).await;
}

// Registrations.

/// Fails if every registration of a poll counts as a wait.
#[test]
fn a_registration_that_is_past_is_no_wait() -> Outcome {
    let runtime = runtime(2)?;
    let task = runtime.spawn(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (notify, mutex) = (Notify::new(), Mutex::new(()));
        let _held = mutex.lock().await;
        _ = sender.send(1);
        loop {
            runtime_probe::select! {
                biased;
                () = notify.notified() => {}
                _ = receiver.recv() => drop(mutex.lock().await),
            }
        }
    });
    let block = when(id(&task), waits)?;
    assert_eq!(block.reason(), "sync.Mutex.Lock", "{}", block.text);
    assert!(
        !block.says("notify::Notified") && !block.says("recv"),
        "{}",
        block.text
    );
    Ok(())
}

/// A leaf whose waker is in a place that other threads can reach.
#[derive(Clone, Default)]
struct Knock(Arc<std::sync::Mutex<Option<Waker>>>);

impl Knock {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if let Ok(mut waker) = self.0.lock() {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn knock(&self) {
        let waker = self.0.lock().ok().and_then(|mut waker| waker.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Polls a future through a clone of the waker, which it drops.
struct Through<F>(F);

impl<F: Future + Unpin> Future for Through<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let waker = context.waker().clone();
        Pin::new(&mut self.0).poll(&mut Context::from_waker(&waker))
    }
}

// Fails if a clone that was dropped is taken for the wait of a hand-written future, and the timer that registered after it for
// one that has fired.
#[test]
fn what_waits_through_a_clone_of_the_waker_is_shown() -> Outcome {
    let runtime = runtime(1)?;
    let timer = runtime.spawn(async { Through(Box::pin(long_sleep())).await });
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let channel = runtime.spawn(async move { Through(Box::pin(receiver.recv())).await });
    when(id(&timer), |block| waits(block) && block.says("Sleep as "))?;
    let block = when(id(&channel), waits)?;
    assert_eq!(block.reason(), "chan receive", "{block:?}");
    drop(sender);
    Ok(())
}

/// Fails with two generations: the waker of a leaf that was not polled once looks like one of the second poll after
/// it.
#[test]
fn a_leaf_that_sat_out_a_poll_registers_again() -> Outcome {
    let runtime = runtime(2)?;
    let knock = Knock::default();
    let inside = knock.clone();
    let task = runtime.spawn(async move {
        let notify = Notify::new();
        let mut notified = pin!(notify.notified());
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            if polls != 2 {
                _ = notified.as_mut().poll(context);
            }
            inside.poll(context)
        })
        .await;
    });
    for polls in 1..=3 {
        let is = |block: &Block| waits(block) && block.polls() == polls;
        let block = when(id(&task), is)?;
        let polled = polls != 2;
        assert_eq!(
            block.says("notify::Notified"),
            polled,
            "poll {polls}: {}",
            block.text
        );
        assert!(block.says("Knock::poll"), "poll {polls}: {}", block.text);
        knock.knock();
    }
    Ok(())
}

/// Fails if a clone has another generation than its original, or if two polls have the same one.
#[test]
fn a_clone_will_wake_and_the_next_polls_waker_is_another() -> Outcome {
    let runtime = runtime(2)?;
    let knock = Knock::default();
    let inside = knock.clone();
    let (tell, told) = std_mpsc::channel();
    runtime.spawn(async move {
        let mut last: Option<Waker> = None;
        poll_fn(|context| {
            let waker = context.waker().clone();
            let same = waker.will_wake(context.waker())
                && context.waker().will_wake(&waker)
                && waker.clone().will_wake(&waker);
            let other = last
                .take()
                .is_none_or(|last| !last.will_wake(&waker) && !waker.will_wake(&last));
            last = Some(waker);
            _ = tell.send((same, other));
            inside.poll(context)
        })
        .await;
    });
    for _ in 0..5 {
        assert_eq!(told.recv_timeout(Duration::from_secs(10))?, (true, true));
        // The leaf registers right after it has told.
        while knock.0.lock().map_err(|_| "poisoned")?.is_none() {
            thread::yield_now();
        }
        knock.knock();
    }
    Ok(())
}

// A runnable task does not wait.

/// Occupies the only worker until it is dropped, from the end of the spawning task's poll on.
fn hog() -> Hog {
    let (end, ended) = std_mpsc::channel::<()>();
    // A task that a worker's own task spawns runs next on that worker.
    runtime_probe::spawn(async move { _ = ended.recv() });
    Hog(end)
}

type Hogs = std_mpsc::Receiver<Hog>;
struct Hog(#[expect(dead_code, reason = "ends the task when dropped")] std_mpsc::Sender<()>);

/// Fails if a wake is stamped for the poll after the one in which it happened.
#[test]
fn a_wake_from_another_thread_during_a_poll_leaves_it_runnable() -> Outcome {
    let (tell, hogs): (_, Hogs) = std_mpsc::channel();
    let runtime = runtime(1)?;
    let task = runtime.spawn(async move {
        let mut first = true;
        poll_fn(|context| {
            if !std::mem::replace(&mut first, false) {
                return Poll::Ready(());
            }
            let waker = context.waker().clone();
            assert!(thread::spawn(move || waker.wake()).join().is_ok());
            _ = tell.send(hog());
            Poll::Pending
        })
        .await;
    });
    let hog = hogs.recv_timeout(Duration::from_secs(10))?;
    let block = when(id(&task), |block| block.reason() != "running")?;
    assert_eq!(block.reason(), "runnable", "{}", block.text);
    assert!(block.says("woken by "), "{}", block.text);
    drop(hog);
    runtime.block_on(task)?;
    Ok(())
}

/// A task that a long poll has woken is in none of tokio's queues, and an idle worker does not take it.
#[test]
fn a_task_that_a_long_poll_woke_is_runnable() -> Outcome {
    let runtime = runtime(2)?;
    let (wake, woken) = oneshot::channel::<()>();
    let task = runtime.spawn(async move { _ = woken.await });
    when(id(&task), waits)?;
    let (end, ended) = std_mpsc::channel::<()>();
    let long = runtime.spawn(async move {
        _ = wake.send(());
        _ = ended.recv();
    });
    let is_runnable = |block: &Block| block.reason() == "runnable";
    let block = when(id(&task), is_runnable)?;
    let by = format!("woken by goroutine {}", id(&long));
    assert!(block.says(&by), "{}", block.text);
    thread::sleep(Duration::from_millis(300));
    let block = when(id(&task), |block| block.id != 0)?;
    assert!(is_runnable(&block), "{}", block.text);
    drop(end);
    runtime.block_on(task)?;
    Ok(())
}

/// Fails if tokio's deferred wakes count as waits: tokio registers the waker and wakes it when the worker has time.
#[test]
fn yield_now_and_an_exhausted_budget_are_runnable() -> Outcome {
    let (tell, hogs): (_, Hogs) = std_mpsc::channel();
    let runtime = runtime(1)?;
    let yielding = tell.clone();
    let task = runtime.spawn(async move {
        _ = yielding.send(hog());
        runtime_probe::task::yield_now().await;
    });
    let hog_of_yield = hogs.recv_timeout(Duration::from_secs(10))?;
    let block = when(id(&task), |block| block.reason() != "running")?;
    assert_eq!(block.reason(), "runnable", "{}", block.text);
    assert!(block.says("# runnable "), "{}", block.text);
    drop(hog_of_yield);
    runtime.block_on(task)?;

    let task = runtime.spawn(async move {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        (0..10_000).for_each(|number| _ = sender.send(number));
        _ = tell.send(hog());
        for _ in 0..10_000 {
            receiver.recv().await;
        }
    });
    let hog_of_budget = hogs.recv_timeout(Duration::from_secs(10))?;
    let block = when(id(&task), |block| block.reason() != "running")?;
    assert_eq!(block.reason(), "runnable", "{}", block.text);
    assert!(block.says("# runnable "), "{}", block.text);
    drop(hog_of_budget);
    runtime.block_on(task)?;
    Ok(())
}

// Lost wakers.

/// Fails if wakers are not counted.
#[test]
fn a_task_whose_waker_was_dropped_is_said_to_be_lost() -> Outcome {
    let runtime = runtime(2)?;
    let drops = runtime.spawn(poll_fn(|context| {
        drop(context.waker().clone());
        Poll::<()>::Pending
    }));
    let keeps = runtime.spawn(long_sleep());
    when(id(&drops), |block| waits(block) && block.says(LOST))?;
    let block = when(id(&keeps), waits)?;
    assert!(!block.says(LOST), "{}", block.text);
    Ok(())
}

/// Fails if the waker of the surrounding task that a nested future keeps counts as one that may still wake that task.
#[test]
fn a_task_whose_waker_only_a_dead_future_holds_is_lost() -> Outcome {
    let runtime = runtime(2)?;
    let dead = runtime.spawn(async { pprof::instrument(pending::<()>()).await });
    let alive = runtime.spawn(async { pprof::instrument(long_sleep()).await });
    when(id(&dead), |block| waits(block) && block.says(LOST))?;
    let block = when(id(&alive), waits)?;
    assert!(!block.says(LOST), "{}", block.text);
    Ok(())
}

// Nested futures.

/// Children of the task with this id: wrapped futures inside it.
fn nested_in(parent: u64) -> Vec<Block> {
    let by = format!("in goroutine {parent}");
    let mut all = dump();
    all.retain(|block| block.says("wrapped future") && block.created_by().ends_with(&by));
    all
}

/// Fails without separate entries: such a set gives its children wakers of its own, and the stack ends there.
#[test]
fn wrapped_children_of_a_set_are_entries() -> Outcome {
    async fn child(notify: Arc<Notify>) {
        notify.notified().await;
    }
    let runtime = runtime(2)?;
    let notify = Arc::new(Notify::new());
    let inside = notify.clone();
    let task = runtime.spawn(async move {
        let children = (0..3).map(|_| pprof::instrument(child(inside.clone())));
        let mut children: FuturesUnordered<_> = children.collect();
        while children.next().await.is_some() {}
    });
    let block = when(id(&task), waits)?;
    assert!(block.says("FuturesUnordered"), "{}", block.text);
    let children = nested_in(id(&task));
    assert_eq!(children.len(), 3);
    for child in children {
        assert_eq!(child.reason(), "sync.Cond.Wait", "{}", child.text);
        assert!(
            child.says("wrapped_children_of_a_set_are_entries::child("),
            "{}",
            child.text
        );
    }
    notify.notify_waiters();
    runtime.block_on(task)?;
    Ok(())
}

/// Fails if the two stacks are not joined.
#[test]
fn a_wrapped_futures_stack_goes_on_in_the_task_around_it() -> Outcome {
    async fn outer(receiver: oneshot::Receiver<()>) {
        pprof::instrument(inner(receiver)).await;
    }
    async fn inner(receiver: oneshot::Receiver<()>) {
        _ = receiver.await;
    }
    let runtime = runtime(2)?;
    let (sender, receiver) = oneshot::channel();
    let task = runtime.spawn(outer(receiver));
    when(id(&task), waits)?;
    let nested = nested_in(id(&task));
    let [nested] = &nested[..] else {
        return Err(format!("one wrapped future, not {}", nested.len()).into());
    };
    let at = |name: &str| nested.text.find(&format!("task_around_it::{name}("));
    let (inner, outer) = (at("inner"), at("outer"));
    assert!(inner.is_some() && inner < outer, "{}", nested.text);
    assert_eq!(nested.reason(), "chan receive", "{}", nested.text);
    assert!(!nested.says("runtime_probe"), "{}", nested.text);
    drop(sender);
    runtime.block_on(task)?;
    Ok(())
}

/// Fails if the current entry is reset after a poll and not by a guard.
#[test]
fn a_panic_in_a_wrapped_future_restores_the_task_around_it() -> Outcome {
    let runtime = runtime(2)?;
    let task = runtime.spawn(async {
        let panics = pprof::instrument(async {
            if true {
                std::panic::resume_unwind(Box::new("expected"));
            }
        });
        assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
        let child = runtime_probe::spawn(pending::<()>());
        let child = id(&child);
        // Registrations go to the right task again, too.
        let (_sender, receiver) = oneshot::channel::<()>();
        _ = runtime_probe::join!(receiver, async {
            runtime_probe::spawn(leave_id(child)).await
        });
    });
    let block = when(id(&task), waits)?;
    assert!(block.says("oneshot::Receiver"), "{}", block.text);
    let by = format!("in goroutine {}", id(&task));
    let children = || {
        dump()
            .into_iter()
            .filter(|block| block.created_by().ends_with(&by))
    };
    assert_eq!(
        children().count(),
        2,
        "{:?}",
        children().collect::<Vec<_>>()
    );
    Ok(())
}

async fn leave_id(id: u64) -> u64 {
    pending::<()>().await;
    id
}

// Wakers that outlive their task.

/// Fails (with a sanitizer, or by a crash) if a record is given back while wakers of it exist.
#[test]
fn a_waker_is_harmless_after_its_task_and_its_runtime() -> Outcome {
    fn use_up(waker: &Waker) {
        waker.wake_by_ref();
        waker.clone().wake();
        drop(waker.clone());
    }
    let runtime = runtime(1)?;
    let (tell, told) = std_mpsc::channel();
    let task = runtime.spawn(poll_fn(move |context| {
        _ = tell.send(context.waker().clone());
        Poll::Ready(())
    }));
    let task_id = id(&task);
    let waker = told.recv_timeout(Duration::from_secs(10))?;
    runtime.block_on(task)?;
    use_up(&waker);
    assert!(
        dump().iter().all(|block| block.id != task_id),
        "a task that is over is in the dump"
    );
    // Records are reused: a late wake must not reach the next task.
    let spawn_many = async { [(); 64].map(|()| id(&runtime_probe::spawn(long_sleep()))) };
    let many = runtime.block_on(runtime.spawn(spawn_many))?;
    for next in many {
        when(next, waits)?;
    }
    (0..100).for_each(|_| use_up(&waker));
    thread::sleep(Duration::from_millis(20));
    for next in many {
        let block = when(next, waits)?;
        assert_eq!(block.polls(), 1, "{}", block.text);
    }
    drop(runtime);
    use_up(&waker);
    drop(waker);
    Ok(())
}

/// Fails if capturing or counting uses a thread-local that is gone.
#[test]
fn a_waker_is_harmless_while_its_thread_is_torn_down() -> Outcome {
    struct UsedAtTheEnd(Waker);
    impl Drop for UsedAtTheEnd {
        fn drop(&mut self) {
            self.0.wake_by_ref();
            self.0.clone().wake();
            // A capture on a thread whose thread-locals are gone.
            let leaf = poll_fn(|context| {
                drop(context.waker().clone());
                Poll::Ready(())
            });
            let wrapped = pin!(pprof::instrument(leaf));
            _ = wrapped.poll(&mut Context::from_waker(Waker::noop()));
        }
    }
    thread_local! {
        static LAST: RefCell<Vec<UsedAtTheEnd>> = const { RefCell::new(Vec::new()) };
    }
    let runtime = runtime(2)?;
    let (tell, told) = std_mpsc::channel();
    let task = runtime.spawn(poll_fn(move |context| {
        match tell.send(context.waker().clone()) {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }));
    let waker = told.recv_timeout(Duration::from_secs(10))?;
    let first = thread::spawn(move || {
        LAST.with(|last| last.borrow_mut().push(UsedAtTheEnd(waker)));
        // On this thread the probe's thread-locals are created later, so they are dropped first.
        _ = Builder::new_current_thread().build().map(|runtime| {
            runtime.block_on(pprof::instrument(runtime_probe::task::yield_now()));
        });
    });
    assert!(first.join().is_ok());
    told.recv_timeout(Duration::from_secs(10))?;
    drop(told);
    // The waker of the second poll was dropped with the channel. Nothing can wake the task, and the dump says so.
    let block = when(id(&task), |block| block.id == 0 || block.says(LOST))?;
    assert!(block.id == 0 || waits(&block), "{}", block.text);
    Ok(())
}

// The spawning function and task.

/// Fails without the address of the spawning function, or without the current entry.
#[test]
fn created_by_names_the_function_and_the_parent() -> Outcome {
    async fn spawns_it() -> u64 {
        id(&runtime_probe::spawn(pending::<()>()))
    }
    let runtime = runtime(2)?;
    let parent = runtime.spawn(spawns_it());
    let parent_id = id(&parent);
    let child = runtime.block_on(parent)?;
    let block = when(child, waits)?;
    let by = "created by wait_hazards::created_by_names_the_function_and_the_parent::spawns_it";
    assert_eq!(
        block.created_by(),
        format!("{by} in goroutine {parent_id}"),
        "{}",
        block.text
    );
    Ok(())
}

// Futures that move, and roots that move.

/// Fails if a record keeps its first waker: the wake then goes to the task in which the future was before.
#[test]
fn a_future_that_moved_to_another_task_wakes_that_one() -> Outcome {
    type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
    fn moved(wrap: impl FnOnce(oneshot::Receiver<()>) -> Boxed) -> Outcome {
        let runtime = runtime(2)?;
        let (sender, receiver) = oneshot::channel();
        let mut future = wrap(receiver);
        runtime.block_on(async {
            let first = runtime_probe::spawn(async move {
                let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
                assert!(polled.is_pending());
                (future,)
            });
            let (future,) = first.await?;
            let second = runtime_probe::spawn(future);
            runtime_probe::task::yield_now().await;
            runtime_probe::time::sleep(Duration::from_millis(20)).await;
            _ = sender.send(());
            runtime_probe::time::timeout(Duration::from_secs(10), second).await??;
            Ok(())
        })
    }
    moved(|receiver| Box::pin(receiver.map(drop)))?;
    moved(|receiver| Box::pin(pprof::instrument(receiver.map(drop))))
}

/// Counts its wakes.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Fails if the slot of the task's own waker is read during a write, or written too late.
#[test]
fn a_wake_reaches_the_waker_of_the_last_poll_while_it_changes() -> Outcome {
    let knock = Knock::default();
    let inside = knock.clone();
    let mut entry = pin!(pprof::instrument(poll_fn(
        move |context| inside.poll(context)
    )));
    let wakers: Vec<Arc<Counting>> = (0..2).map(|_| Arc::default()).collect();
    let stop = AtomicBool::new(false);
    let mut lost = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    knock.knock();
                    thread::yield_now();
                }
            });
        }
        for round in 0..2_000 {
            let counting = &wakers[round % 2];
            let waker = Waker::from(counting.clone());
            let before = counting.0.load(Ordering::SeqCst);
            assert!(
                entry
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            let end = Instant::now() + Duration::from_secs(10);
            while counting.0.load(Ordering::SeqCst) == before && Instant::now() < end {
                thread::yield_now();
            }
            lost += usize::from(counting.0.load(Ordering::SeqCst) == before);
            if lost > 0 {
                break;
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(lost, 0);
    Ok(())
}

/// A current-thread runtime hands its core from one `block_on` to the next one, and the waker of the root changes.
#[test]
fn no_message_is_lost_while_the_root_of_a_block_on_moves() -> Outcome {
    const MESSAGES: u64 = 2_000;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (end, ended) = oneshot::channel::<()>();
    let sum = thread::scope(|scope| {
        let driver = scope.spawn(|| runtime.block_on(ended.map(drop)));
        thread::sleep(Duration::from_millis(20));
        let root = scope.spawn(|| {
            runtime.block_on(async {
                let mut sum = 0;
                while let Some(number) = receiver.recv().await {
                    sum += number;
                }
                sum
            })
        });
        let mut end = Some(end);
        for number in 0..MESSAGES {
            if number == MESSAGES / 2 {
                drop(end.take());
            }
            _ = sender.send(number);
            if number % 8 == 0 {
                thread::sleep(Duration::from_micros(50));
            }
        }
        drop(sender);
        _ = driver.join();
        root.join()
    });
    assert_eq!(
        sum.map_err(|_| "the root panicked")?,
        MESSAGES * (MESSAGES - 1) / 2
    );
    Ok(())
}
