//! The block profile: which waits count, how long they are, and their sums.
//!
//! Times are real: a busy machine makes waits longer, never shorter. Upper bounds are therefore wide, and lower
//! bounds tight.
#![cfg(feature = "full")]

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::Profile;
use runtime_dump_testing::go::Go;
use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use runtime_probe::sync::{Mutex as AsyncMutex, Notify, Semaphore, mpsc};
use runtime_probe::time::sleep;
use support::client::{PATIENCE, ask, get};
use support::contention::{profile, runtime, samples, server, totals, waiting_in};
use support::rate::Rate;

mod support {
    #[allow(dead_code, reason = "nothing is sent byte for byte here")]
    pub mod client;
    pub mod contention;
    #[allow(dead_code, reason = "of one of two profiles")]
    pub mod rate;
}

async fn waits_for_the_lock(lock: Arc<AsyncMutex<()>>) {
    drop(lock.lock().await);
}

const HELD: Duration = Duration::from_millis(300);

/// Holds a lock for a while with five waiters. Returns the least and the most time that they have waited together.
fn hold_a_lock() -> Range<Duration> {
    let runtime = runtime();
    let began = Instant::now();
    runtime.block_on(async {
        let lock = Arc::new(AsyncMutex::new(()));
        let held = lock.lock().await;
        let waiters: Vec<_> = (0..5)
            .map(|_| runtime_probe::spawn(waits_for_the_lock(lock.clone())))
            .collect();
        // All five have registered.
        while waiting_in("waits_for_the_lock", "sync.Mutex.Lock") < 5 {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(HELD).await;
        drop(held);
        for waiter in waiters {
            waiter.await.unwrap();
        }
    });
    HELD * 5..began.elapsed() * 5
}

/// Returns once a function waits, for that reason.
fn waits_in(function: &str, reason: &str) {
    let deadline = Instant::now() + PATIENCE;
    while waiting_in(function, reason) == 0 {
        assert!(Instant::now() < deadline, "{function} does not wait");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Go's test: a lock that is held for a time with five waiters is five contentions of five times that time.
#[test]
fn five_waiters_of_a_lock() {
    let _rate = Rate::of_waits(1);
    let of_the_lock = || {
        let found = samples(&profile("block"), "block::waits_for_the_lock");
        // With the feature `interpose`, waits of a worker for the lock inside tokio's lock may be seen, too.
        let of_threads = "sync.Mutex.Lock, blocks a worker";
        let known = |reason: &String| reason == "sync.Mutex.Lock" || reason == of_threads;
        assert!(found.keys().all(known), "{found:?}");
        found.get("sync.Mutex.Lock").copied().unwrap_or_default()
    };
    let before = of_the_lock();
    let bounds = hold_a_lock();
    let after = of_the_lock();
    assert_eq!(after.0 - before.0, 5);
    let delay = after.1 - before.1;
    assert!(bounds.contains(&delay), "{delay:?} of {bounds:?}");
}

async fn reads_one(mut receiver: mpsc::Receiver<()>) {
    receiver.recv().await.unwrap();
}

async fn selects(notify: Arc<Notify>, semaphore: Arc<Semaphore>) {
    runtime_probe::select! {
        () = notify.notified() => {}
        permit = semaphore.acquire() => drop(permit),
    }
}

async fn only_sleeps() {
    sleep(Duration::from_millis(50)).await;
}

async fn reads_a_socket(stream: std::net::TcpStream) {
    use runtime_probe::io::AsyncReadExt;
    let mut stream = runtime_probe::net::TcpStream::from_std(stream).unwrap();
    stream.read_u8().await.unwrap();
}

async fn yields() {
    for _ in 0..100 {
        runtime_probe::task::yield_now().await;
    }
}

#[test]
fn what_counts_and_what_does_not() {
    use std::io::Write;
    const WAIT: Duration = Duration::from_millis(50);

    let _rate = Rate::of_waits(1);
    let runtime = runtime();
    let began = Instant::now();
    runtime.block_on(async {
        let (sender, receiver) = mpsc::channel(1);
        let (notify, semaphore) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let tasks = [
            runtime_probe::spawn(reads_one(receiver)),
            runtime_probe::spawn(selects(notify.clone(), semaphore)),
            runtime_probe::spawn(only_sleeps()),
            runtime_probe::spawn(reads_a_socket(client)),
            runtime_probe::spawn(yields()),
        ];
        waits_in("block::reads_one", "chan receive");
        waits_in("block::selects", "select");
        waits_in("block::reads_a_socket", "IO wait");
        sleep(WAIT).await;
        sender.send(()).await.unwrap();
        notify.notify_one();
        peer.write_all(b"!").unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let most = began.elapsed();
    let once = |profile: &Profile, function: &str, reason: &str| {
        let found = samples(profile, function);
        assert_eq!(found.keys().collect::<Vec<_>>(), [reason], "{function}");
        let (count, delay) = found[reason];
        assert_eq!(count, 1, "{function}");
        assert!(
            delay > WAIT / 2 && delay < most,
            "{function}: {delay:?} of {most:?}"
        );
    };
    let block = profile("block");
    once(&block, "block::reads_one", "chan receive");
    once(&block, "block::selects", "select");
    for function in ["only_sleeps", "reads_a_socket", "yields"] {
        let found = samples(&block, &format!("block::{function}"));
        assert!(found.is_empty(), "{function}: {found:?}");
    }
    let all = profile("block?include=sleep,io");
    once(&all, "block::only_sleeps", "sleep");
    once(&all, "block::reads_a_socket", "IO wait");
    assert!(samples(&all, "block::yields").is_empty());
    assert!(samples(&profile("block?include=io"), "block::only_sleeps").is_empty());
}

async fn waits_for_ever(notify: Arc<Notify>) {
    notify.notified().await;
}

#[test]
fn a_wait_that_goes_on_is_shown_on_demand() {
    let _rate = Rate::of_waits(1);
    let runtime = runtime();
    let notify = Arc::new(Notify::new());
    let began = Instant::now();
    runtime.spawn(waits_for_ever(notify.clone()));
    waits_in("block::waits_for_ever", "sync.Cond.Wait");
    std::thread::sleep(Duration::from_millis(100));
    assert!(samples(&profile("block"), "block::waits_for_ever").is_empty());
    let (count, delay) =
        samples(&profile("block?ongoing=1"), "block::waits_for_ever")["sync.Cond.Wait"];
    assert_eq!(count, 1);
    assert!(
        delay > Duration::from_millis(100) && delay < began.elapsed(),
        "{delay:?}"
    );
    let text = get(
        server(),
        "/debug/pprof/block?ongoing=1&format=folded&crate=block",
    );
    let stack = "block::waits_for_ever;<tokio::sync::notify::Notified as core::future::future::Future>::poll ";
    let found = text.text().lines().any(|line| line.starts_with(stack));
    assert!(found, "{}", text.text());
}

async fn waited_while_off(mut receiver: mpsc::Receiver<()>) {
    receiver.recv().await.unwrap();
    receiver.recv().await.unwrap();
}

/// As in Go: a wait that began while the rate was 0 is not timed.
#[test]
fn a_wait_that_began_while_off_does_not_count() {
    let _rate = Rate::of_waits(0);
    let runtime = runtime();
    let (sender, receiver) = mpsc::channel(1);
    let task = runtime.spawn(waited_while_off(receiver));
    waits_in("block::waited_while_off", "chan receive");
    std::thread::sleep(Duration::from_millis(300));
    pprof::set_block_profile_rate(1);
    let on = Instant::now();
    sender.blocking_send(()).unwrap();
    // It has taken the first value, and waits for the second.
    while sender.capacity() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    waits_in("block::waited_while_off", "chan receive");
    sender.blocking_send(()).unwrap();
    runtime.block_on(task).unwrap();
    let (count, delay) = samples(&profile("block"), "block::waited_while_off")["chan receive"];
    assert_eq!(count, 1);
    assert!(delay < on.elapsed(), "{delay:?}");
}

async fn outer() {
    pprof::instrument(inner()).await;
}

async fn inner() {
    let notify = Arc::new(Notify::new());
    let other = notify.clone();
    std::thread::spawn(move || {
        waits_in("block::inner", "sync.Cond.Wait");
        other.notify_one();
    });
    notify.notified().await;
}

/// Polls of the task around it do not cut a wait short.
#[test]
fn a_wrapped_futures_wait_goes_on_beside_a_ticker() {
    const WAIT: Duration = Duration::from_millis(300);
    async fn waits_long() {
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        std::thread::spawn(move || {
            waits_in("::waits_long", "sync.Cond.Wait");
            std::thread::sleep(WAIT);
            other.notify_one();
        });
        notify.notified().await;
    }
    let _rate = Rate::of_waits(1);
    let runtime = runtime();
    let task = runtime.spawn(async {
        let mut waits = std::pin::pin!(pprof::instrument(waits_long()));
        loop {
            runtime_probe::select! {
                () = &mut waits => break,
                () = sleep(WAIT / 20) => {}
            }
        }
    });
    runtime.block_on(task).unwrap();
    let (count, delay) = samples(&profile("block"), "::waits_long")["sync.Cond.Wait"];
    assert_eq!(count, 1);
    assert!(delay > WAIT, "{delay:?}");
}

/// The future inside and the task around it are two entries, and one wait.
#[test]
fn a_wrapped_futures_wait_counts_once() {
    let _rate = Rate::of_waits(1);
    let runtime = runtime();
    runtime.block_on(runtime.spawn(outer())).unwrap();
    let profile = profile("block");
    for function in ["block::inner", "block::outer"] {
        let found = samples(&profile, function);
        assert_eq!(found.len(), 1, "{function}: {found:?}");
        assert_eq!(found["sync.Cond.Wait"].0, 1, "{function}");
    }
}

const ROUNDS: u32 = 8_000;

async fn samples_few(mut receiver: mpsc::Receiver<Instant>, back: mpsc::Sender<()>) -> Duration {
    let mut waited = Duration::ZERO;
    loop {
        let began = Instant::now();
        let Some(ended) = receiver.recv().await else {
            return waited;
        };
        waited += ended.saturating_duration_since(began);
        back.send(()).await.unwrap();
    }
}

/// Waits of some hundred microseconds at a rate of one sample a millisecond add up to the total of a stopwatch. Of
/// 8,000 waits at least 800 are kept. Their sum deviates by 1 / sqrt(800) = 4 %: 25 % is six of that. The stopwatch
/// runs from before the wait to before the value that ends it, so it leaves out the run queue, as the profile does.
/// It also measures the code around a wait, a few microseconds in a debug build.
#[test]
fn short_waits_add_up() {
    let _rate = Rate::of_waits(1_000_000);
    let runtime = Builder::new_current_thread().build().unwrap();
    let waited = runtime.block_on(async {
        let (sender, receiver) = mpsc::channel(1);
        let (back, mut echoed) = mpsc::channel(1);
        let task = runtime_probe::spawn(samples_few(receiver, back));
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(100) {
                std::hint::spin_loop();
            }
            sender.send(Instant::now()).await.unwrap();
            echoed.recv().await.unwrap();
        }
        drop(sender);
        task.await.unwrap()
    });
    let (count, delay) = samples(&profile("block"), "block::samples_few")["chan receive"];
    let ratio = delay.as_secs_f64() / waited.as_secs_f64();
    assert!((0.75..1.25).contains(&ratio), "{delay:?} of {waited:?}");
    let ratio = count as f64 / f64::from(ROUNDS);
    assert!((0.75..1.25).contains(&ratio), "{count} of {ROUNDS}");
}

/// The same waits of our tasks and of foreign tasks have the same total, except for the time in the run queue. For
/// foreign tasks that time counts, since no hook tells when they are woken. A stopwatch in each task measures it in
/// both.
#[cfg(tokio_unstable)]
#[test]
fn foreign_tasks_wait_as_long() {
    const TASKS: i64 = 10;
    const ROUNDS: i64 = 100;
    const NAP: Duration = Duration::from_millis(2);
    async fn naps() -> Duration {
        let mut napped = Duration::ZERO;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            sleep(NAP).await;
            napped += began.elapsed();
        }
        napped
    }
    let _rate = Rate::of_waits(100_000);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let (line, [our_time, their_time]) = runtime.block_on(async {
        let ours: Vec<_> = (0..TASKS).map(|_| runtime_probe::spawn(naps())).collect();
        let line = line!() + 1;
        let others: Vec<_> = (0..TASKS).map(|_| tokio::spawn(naps())).collect();
        let mut napped = [Duration::ZERO; 2];
        for (tasks, napped) in [ours, others].into_iter().zip(&mut napped) {
            for task in tasks {
                *napped += task.await.unwrap();
            }
        }
        (line, napped)
    });
    let profile = profile("block?include=sleep");
    let ours = samples(&profile, "foreign_tasks_wait_as_long::naps")["sleep"];
    let theirs = samples(
        &profile,
        &format!("spawned at runtime-probe/tests/block.rs:{line}"),
    );
    let theirs = theirs["unknown"];
    // If a thread is delayed before it starts the sleep, the time is over already: then there is no wait.
    let all = TASKS * ROUNDS;
    for count in [ours.0, theirs.0] {
        assert!((all * 95 / 100..=all).contains(&count), "{count} of {all}");
    }
    // A sleep has at least its length, less the microseconds between its start and the end of the poll.
    let least = NAP * (TASKS * ROUNDS) as u32 * 9 / 10;
    for ((_, delay), time) in [(ours, our_time), (theirs, their_time)] {
        assert!(delay > least && delay < time, "{delay:?} of {time:?}");
    }
    let ratio = theirs.1.as_secs_f64() / their_time.as_secs_f64();
    assert!(ratio > 0.9, "{theirs:?} of {their_time:?}");
}

/// A rate for the seconds of one request. The rate before is in force again afterwards.
#[test]
fn a_rate_for_a_while() {
    const SHORT: Duration = Duration::from_millis(5);
    let _rate = Rate::of_waits(0);
    let runtime = runtime();
    runtime.spawn(async {
        loop {
            let notify = Arc::new(Notify::new());
            let other = notify.clone();
            runtime_probe::spawn(async move {
                sleep(SHORT).await;
                other.notify_one();
            });
            waits_now_and_then(&notify).await;
        }
    });
    let idle = get(server(), "/debug/pprof/block?debug=1");
    assert!(
        idle.text().contains("# block profiling is off"),
        "{}",
        idle.text()
    );
    let rate_is = |rate| {
        let deadline = Instant::now() + PATIENCE;
        while pprof::block_profile_rate() != rate {
            assert!(Instant::now() < deadline, "no rate of {rate}");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    std::thread::scope(|scope| {
        const COARSE: Duration = Duration::from_secs(5);
        let began = Instant::now();
        let coarse = scope.spawn(|| profile("block?seconds=5&rate=1000000"));
        rate_is(1_000_000);
        let fine = scope.spawn(|| profile("block?seconds=1&rate=1"));
        rate_is(1);
        let delta = fine.join().unwrap();
        let (rate, at) = (pprof::block_profile_rate(), began.elapsed());
        // If the machine is too busy to answer one request before the other one ends, this cannot be checked.
        assert!(
            rate == 1 || at > COARSE,
            "the finest holds until the last one ends, not {rate}"
        );
        let (count, delay) = samples(&delta, "block::waits_now_and_then")["sync.Cond.Wait"];
        assert!(count > 0 && delay < at, "{count}, {delay:?}");
        // They come one after the other, each with the sleep that ends it.
        assert!(SHORT * (count as u32 - 1) <= at, "{count} in {at:?}");
        assert!(delta.duration_nanos >= 1_000_000_000);
        coarse.join().unwrap();
    });
    assert_eq!(pprof::block_profile_rate(), 0);
    // While the rate is 0 nothing is added, and nothing is forgotten.
    // A wait that was just being counted has been added by now.
    std::thread::sleep(Duration::from_millis(50));
    let before = profile("block");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(
        samples(&before, "waits_now_and_then"),
        samples(&profile("block"), "waits_now_and_then")
    );
    assert!(profile("block?seconds=1").sample.is_empty());
    let text = get(server(), "/debug/pprof/block?seconds=1&rate=1&debug=1");
    assert!(
        text.text()
            .starts_with("--- contention:\ncycles/second=1000000000\n# change within 1"),
        "{}",
        text.text()
    );
    assert!(
        text.text().contains("block::waits_now_and_then"),
        "{}",
        text.text()
    );
    let folded = get(
        server(),
        "/debug/pprof/block?seconds=1&rate=1&format=folded",
    );
    assert!(
        folded.text().contains("block::waits_now_and_then;"),
        "{}",
        folded.text()
    );
}

async fn waits_now_and_then(notify: &Notify) {
    notify.notified().await;
}

#[test]
fn bad_input_is_told() {
    for (query, says) in [
        ("rate=10", "rate needs seconds"),
        ("seconds=1&rate=0", "\"rate\" - must be a positive integer"),
        ("seconds=1&rate=-5", "\"rate\" - must be a positive integer"),
        (
            "seconds=1&rate=1e3",
            "\"rate\" - must be a positive integer",
        ),
        ("seconds=1&rate=99999999999999999999", "\"rate\" - must be"),
        ("seconds=0", "\"seconds\" - must be a positive integer"),
        (
            "seconds=1&ongoing=1",
            "seconds and ongoing params are incompatible",
        ),
        (
            "debug=1&format=folded",
            "format and debug params are incompatible",
        ),
        ("debug=2", "\"debug\" - must be 0 or 1"),
        ("debug=x", "\"debug\" - must be a non-negative integer"),
        ("include=naps", "\"include\" - must be"),
        ("ongoing=2", "\"ongoing\" - must be 0 or 1"),
        ("rat=1", "unknown parameter \"rat\""),
    ] {
        let answer = get(server(), &format!("/debug/pprof/block?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains(says), "{query}: {}", answer.text());
    }
    assert_eq!(ask(server(), "POST", "/debug/pprof/block", "").status, 405);
}

#[test]
fn pprof_reads_both_forms_to_the_same_totals() {
    let Some(go) = Go::find("pprof_reads_block") else {
        return;
    };
    let _rate = Rate::of_waits(1);
    hold_a_lock();
    // The program is idle, so nothing is added between the two.
    pprof::set_block_profile_rate(0);
    let binary = totals(&go, "block");
    assert!(binary.0 >= 5 && binary.1 >= 1_500_000_000, "{binary:?}");
    assert_eq!(binary, totals(&go, "block?debug=1"));
}

#[test]
fn folded_stacks_have_the_delay() {
    let _rate = Rate::of_waits(1);
    let least = hold_a_lock().start;
    let text = get(server(), "/debug/pprof/block?format=folded");
    let line = text
        .text()
        .lines()
        .find(|line| line.contains("block::waits_for_the_lock"))
        .unwrap_or_else(|| panic!("{}", text.text()))
        .to_owned();
    let (_, delay) = line.rsplit_once(' ').unwrap();
    assert!(delay.parse::<u128>().unwrap() >= least.as_nanos(), "{line}");
}
