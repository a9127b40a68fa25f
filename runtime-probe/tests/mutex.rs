//! The mutex profile: which release has the time of which waits, and how much.
//!
//! Times are real: a busy machine makes waits longer, never shorter. Upper bounds are therefore wide, and lower
//! bounds tight.
#![cfg(feature = "full")]

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::Profile;
use runtime_dump_testing::go::Go;
use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use runtime_probe::sync::{Mutex, RwLock, RwLockWriteGuard, oneshot};
use runtime_probe::time::{sleep, timeout};
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

/// The contentions and the time of a function, in all.
fn charged(profile: &Profile, function: &str) -> (i64, Duration) {
    let found = samples(profile, function);
    assert!(found.keys().all(String::is_empty), "a reason: {found:?}");
    found.into_values().next().unwrap_or_default()
}

/// The contentions and the time of a function in the meantime.
struct Since(&'static str, (i64, Duration));

impl Since {
    fn now(function: &'static str) -> Self {
        Since(function, charged(&profile("mutex"), function))
    }

    fn charged(&self) -> (i64, Duration) {
        let (count, delay) = charged(&profile("mutex"), self.0);
        (count - self.1.0, delay - self.1.1)
    }
}

const HELD: Duration = Duration::from_millis(300);

async fn waits_its_turn(lock: Arc<Mutex<()>>) {
    drop(lock.lock().await);
}

/// Returns how long all waiters took to get the lock after the release.
async fn holds_a_lock(waiters: usize) -> Duration {
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().await;
    let waiters: Vec<_> = (0..waiters)
        .map(|_| runtime_probe::spawn(waits_its_turn(lock.clone())))
        .collect();
    all_wait("mutex::waits_its_turn", "sync.Mutex.Lock", waiters.len()).await;
    sleep(HELD).await;
    let released = Instant::now();
    releases(held);
    for waiter in waiters {
        waiter.await.unwrap();
    }
    released.elapsed()
}

/// A separate function, so that the stack distinguishes this release.
#[inline(never)]
fn releases<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

async fn all_wait(function: &str, reason: &str, waiters: usize) {
    while waiting_in(function, reason) < waiters {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Go's rule: one contention of five times the holding time at the unlock. The five waits together have the same time
/// where they wait. The following unlocks have almost none.
#[test]
fn five_waiters_of_a_lock_are_one_contention() {
    let _rate = Rate::of_locks(1);
    let began = Instant::now();
    pprof::set_block_profile_rate(1);
    let release = Since::now("mutex::releases");
    let follow_ups = Since::now("mutex::waits_its_turn");
    let task = Since::now("mutex::holds_a_lock");
    let runtime = runtime();
    let rest = runtime.block_on(runtime.spawn(holds_a_lock(5))).unwrap();
    pprof::set_block_profile_rate(0);

    let (count, delay) = release.charged();
    assert_eq!(count, 1);
    assert!(
        delay >= HELD * 5 && delay < began.elapsed() * 5,
        "{delay:?}"
    );
    assert_eq!(
        task.charged(),
        (count, delay),
        "the stack goes up to the task's root"
    );
    let (count, delay) = follow_ups.charged();
    assert!(count <= 4, "{count}");
    assert!(delay < rest * 4, "{delay:?} of {rest:?}");
    let waits = samples(&profile("block"), "mutex::waits_its_turn");
    let (count, delay) = waits["sync.Mutex.Lock"];
    assert_eq!(count, 5);
    assert!(
        delay >= HELD * 5 && delay < began.elapsed() * 5,
        "{delay:?}"
    );
}

/// The text of a dump about the holder of a lock, as one line.
async fn told_of_the_holder(kind: &str) -> String {
    loop {
        let mut text = Vec::new();
        let goroutine = pprof::lookup("goroutine").unwrap();
        goroutine.write_to(&mut text, 2).unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = text
            .lines()
            .find(|line| line.contains("waits for a ") && line.contains(kind));
        if let Some(line) = line {
            return line.to_owned();
        }
        sleep(Duration::from_millis(1)).await;
    }
}

#[inline(never)]
async fn takes_it_without_a_wait(lock: Arc<RwLock<[u8; 7]>>, taken: oneshot::Sender<()>) {
    let _held = lock.write().await;
    taken.send(()).unwrap();
    std::future::pending().await
}

async fn waits_for_it(lock: Arc<RwLock<[u8; 7]>>) {
    let _held = lock.read().await;
}

/// With a rate, each lock notes where it is taken, also without a wait. Without a rate it does not.
#[test]
fn where_a_lock_was_taken() {
    let runtime = runtime();
    let told = |lock: &Arc<RwLock<[u8; 7]>>| {
        let (taken, is_taken) = oneshot::channel();
        let holder = runtime.spawn(takes_it_without_a_wait(lock.clone(), taken));
        runtime.block_on(is_taken).unwrap();
        let waits = runtime.spawn(waits_for_it(lock.clone()));
        let line = runtime.block_on(told_of_the_holder("RwLock<[u8; 7]>"));
        holder.abort();
        runtime.block_on(waits).unwrap();
        line
    };
    let lock = Arc::new(RwLock::new([0; 7]));
    let with_a_rate = {
        let _rate = Rate::of_locks(1);
        told(&lock)
    };
    let place = "taken at mutex::takes_it_without_a_wait (";
    assert!(with_a_rate.contains(place), "{with_a_rate}");
    let without = {
        // Other tests set a rate meanwhile.
        let _rate = Rate::of_locks(0);
        told(&lock)
    };
    assert!(without.contains("held by goroutine "), "{without}");
    assert!(!without.contains("taken at"), "{without}");
}

/// Go's own profiles of the same program: as many contentions, with the same times, in functions of the same names.
#[test]
fn go_says_the_same_of_five_waiters() {
    let Some(go) = Go::find("go_contention") else {
        return;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/contention.go");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go_contention");
    let began = Instant::now();
    go.run([OsStr::new("run"), source.as_os_str(), folder.as_os_str()]);
    let most = began.elapsed() * 5;
    let theirs = |name: &str, function: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let found = samples(&Profile::decode(&bytes).unwrap(), function);
        found.into_values().next().unwrap_or_default()
    };
    // The same bounds as in `five_waiters_of_a_lock_are_one_contention` for ours.
    let (count, delay) = theirs("mutex", "main.releases");
    assert_eq!(count, 1);
    assert!(delay > HELD * 4 && delay < most, "{delay:?}");
    let (count, delay) = theirs("mutex", "main.waits_its_turn");
    assert!(count <= 4 && delay < HELD * 2, "{count}, {delay:?}");
    let (count, delay) = theirs("block", "main.waits_its_turn");
    assert_eq!(count, 5);
    assert!(delay > HELD * 4 && delay < most, "{delay:?}");
}

#[test]
fn a_lock_without_waiters_is_not_there() {
    let _rate = Rate::of_locks(1);
    let release = Since::now("mutex::releases");
    let lock = Mutex::new(());
    for _ in 0..1000 {
        releases(lock.try_lock().unwrap());
        releases(lock.blocking_lock());
    }
    assert_eq!(release.charged(), (0, Duration::ZERO));
}

#[test]
fn nothing_counts_while_off_and_the_page_says_so() {
    let _rate = Rate::of_locks(0);
    let release = Since::now("mutex::releases");
    let runtime = runtime();
    runtime.block_on(runtime.spawn(holds_a_lock(2))).unwrap();
    assert_eq!(release.charged(), (0, Duration::ZERO));
    let page = get(server(), "/debug/pprof/mutex?debug=1");
    let begin = "--- mutex:\ncycles/second=1000000000\n# mutex profiling is off";
    assert!(page.text().starts_with(begin), "{}", page.text());
    assert!(!page.text().contains("sampling period"));
}

async fn gives_up(lock: Arc<Mutex<()>>) {
    assert!(timeout(HELD, lock.lock()).await.is_err());
}

/// No task waits any more when the lock is released, but one had waited.
#[test]
fn who_gave_up_is_charged_to_the_next_release() {
    let _rate = Rate::of_locks(1);
    let release = Since::now("mutex::releases");
    let runtime = runtime();
    let waited = runtime.block_on(async {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().await;
        let began = Instant::now();
        runtime_probe::spawn(gives_up(lock.clone())).await.unwrap();
        let waited = began.elapsed();
        sleep(HELD * 2).await;
        releases(held);
        releases(lock.lock().await);
        waited
    });
    let (count, delay) = release.charged();
    assert_eq!(count, 1);
    // Its time began a little before it was in the queue.
    assert!(delay > HELD / 2 && delay < waited, "{delay:?}");
}

async fn reads(lock: Arc<RwLock<u32>>) {
    assert_eq!(*lock.read().await, 0);
}

async fn writes(lock: Arc<RwLock<u32>>) {
    *lock.write().await += 1;
}

#[test]
fn readers_wait_for_a_writer() {
    let _rate = Rate::of_locks(1);
    let began = Instant::now();
    let release = Since::now("mutex::releases");
    runtime().block_on(async {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.write().await;
        let readers: Vec<_> = (0..3)
            .map(|_| runtime_probe::spawn(reads(lock.clone())))
            .collect();
        all_wait("mutex::reads", "sync.RWMutex.RLock", 3).await;
        sleep(HELD).await;
        releases(held);
        for reader in readers {
            reader.await.unwrap();
        }
    });
    let (count, delay) = release.charged();
    assert_eq!(count, 1);
    assert!(
        delay >= HELD * 3 && delay < began.elapsed() * 3,
        "{delay:?}"
    );
}

#[inline(never)]
fn lets_readers_in(
    guard: RwLockWriteGuard<'_, u32>,
) -> runtime_probe::sync::RwLockReadGuard<'_, u32> {
    guard.downgrade()
}

#[test]
fn a_downgrade_is_a_release() {
    let _rate = Rate::of_locks(1);
    let began = Instant::now();
    let downgrade = Since::now("mutex::lets_readers_in");
    let release = Since::now("mutex::releases");
    runtime().block_on(async {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.write().await;
        let reader = runtime_probe::spawn(reads(lock.clone()));
        all_wait("mutex::reads", "sync.RWMutex.RLock", 1).await;
        sleep(HELD).await;
        let held = lets_readers_in(held);
        reader.await.unwrap();
        sleep(HELD).await;
        releases(held);
    });
    let (count, delay) = downgrade.charged();
    assert_eq!(count, 1);
    assert!(delay >= HELD && delay < began.elapsed(), "{delay:?}");
    assert_eq!(release.charged().0, 0);
}

#[inline(never)]
fn releases_first<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

/// The release of each reader has the time that was waited since the release before.
#[test]
fn a_writer_waits_for_each_of_two_readers() {
    let _rate = Rate::of_locks(1);
    let began = Instant::now();
    let (first, second) = (
        Since::now("mutex::releases_first"),
        Since::now("mutex::releases"),
    );
    runtime().block_on(async {
        let lock = Arc::new(RwLock::new(0));
        let (one, two) = (lock.read().await, lock.clone().read_owned().await);
        let writer = runtime_probe::spawn(writes(lock.clone()));
        all_wait("mutex::writes", "sync.RWMutex.Lock", 1).await;
        sleep(HELD).await;
        releases_first(one);
        sleep(HELD * 2).await;
        releases(two);
        writer.await.unwrap();
    });
    let (count, one) = first.charged();
    assert_eq!(count, 1);
    let (count, two) = second.charged();
    assert_eq!(count, 1);
    assert!(one >= HELD && two >= HELD * 2, "{one:?}, {two:?}");
    // No time counts twice: there was one waiter.
    assert!(one + two < began.elapsed(), "{one:?}, {two:?}");
}

#[inline(never)]
fn thread_of_its_own<T>(guard: T) {
    std::thread::sleep(HELD);
    releases(guard);
}

/// There is no task at which the stack could end, so it goes to the thread's first function.
#[test]
fn an_owned_guard_is_charged_where_it_is_dropped() {
    let _rate = Rate::of_locks(1);
    let began = Instant::now();
    let thread = Since::now("mutex::thread_of_its_own");
    runtime().block_on(async {
        let lock = Arc::new(Mutex::new([1, 2]));
        let guard = lock.clone().lock_owned().await;
        let guard = runtime_probe::sync::OwnedMutexGuard::map(guard, |pair| &mut pair[1]);
        let waiter = runtime_probe::spawn(async move { lock.lock().await[1] });
        while waiting_in("an_owned_guard", "sync.Mutex.Lock") == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        let thread = std::thread::spawn(move || thread_of_its_own(guard));
        assert_eq!(waiter.await.unwrap(), 2);
        thread.join().unwrap();
    });
    let (count, delay) = thread.charged();
    assert_eq!(count, 1);
    assert!(delay >= HELD && delay < began.elapsed(), "{delay:?}");
}

/// Threads wait, too, in `blocking_lock`.
#[test]
fn a_thread_that_waits_counts() {
    let _rate = Rate::of_locks(1);
    let began = Instant::now();
    let release = Since::now("mutex::releases");
    let lock = Mutex::new(());
    let held = lock.try_lock().unwrap();
    let waited = std::thread::scope(|scope| {
        let (asks, asked) = std::sync::mpsc::channel();
        let lock = &lock;
        scope.spawn(move || {
            asks.send(Instant::now()).unwrap();
            drop(lock.blocking_lock());
        });
        let since = asked.recv().unwrap();
        std::thread::sleep(HELD);
        let waited = since.elapsed();
        releases(held);
        waited
    });
    let (count, delay) = release.charged();
    assert_eq!(count, 1);
    // Half of the time is allowed for the way into the queue.
    assert!(delay > waited / 2 && delay < began.elapsed(), "{delay:?}");
}

async fn wrapped(lock: &Mutex<()>) {
    let held = lock.lock().await;
    sleep(HELD).await;
    releases(held);
}

async fn around() {
    let lock = Arc::new(Mutex::new(()));
    let other = lock.clone();
    let waiter = runtime_probe::spawn(async move {
        sleep(HELD / 3).await;
        drop(other.lock().await);
    });
    pprof::instrument(wrapped(&lock)).await;
    waiter.await.unwrap();
}

#[test]
fn the_stack_of_a_wrapped_future_goes_on_in_the_task() {
    let _rate = Rate::of_locks(1);
    let (inner, outer) = (Since::now("mutex::wrapped"), Since::now("mutex::around"));
    let runtime = runtime();
    runtime.block_on(runtime.spawn(around())).unwrap();
    assert_eq!(inner.charged().0, 1);
    assert_eq!(inner.charged(), outer.charged());
}

async fn takes_turns(lock: Arc<Mutex<u32>>, rounds: u32) {
    for _ in 0..rounds {
        let mut held = lock.lock().await;
        // The waiters are in the queue when the lock is released.
        runtime_probe::task::yield_now().await;
        *held += 1;
    }
}

/// Of 40,000 releases, almost all with a waiter, one in 20 is kept: about 2,000. Their number deviates by sqrt(19 /
/// 40,000) = 2.2 %; 10 % is more than four of that.
#[test]
fn a_fraction_adds_up() {
    const TASKS: u32 = 4;
    const ROUNDS: u32 = 10_000;
    let _rate = Rate::of_locks(20);
    let turns = Since::now("mutex::takes_turns");
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let lock = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| runtime_probe::spawn(takes_turns(lock.clone(), ROUNDS)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*lock.lock().await, TASKS * ROUNDS);
    });
    let (count, delay) = turns.charged();
    let ratio = count as f64 / f64::from(TASKS * ROUNDS);
    assert!((0.9..1.1).contains(&ratio), "{count}");
    assert!(delay > Duration::ZERO);
}

async fn goes_on_for_ever() {
    let lock = Arc::new(Mutex::new(0));
    takes_turns(lock.clone(), 1).await;
    runtime_probe::spawn(takes_turns(lock.clone(), u32::MAX));
    takes_turns(lock, u32::MAX).await;
}

/// A fraction for the seconds of one request. The fraction before is in force again afterwards.
#[test]
fn a_fraction_for_a_while() {
    let _rate = Rate::of_locks(0);
    let runtime = runtime();
    runtime.spawn(goes_on_for_ever());
    std::thread::scope(|scope| {
        let fine = scope.spawn(|| profile("mutex?seconds=1&fraction=1"));
        let coarse = scope.spawn(|| profile("mutex?seconds=2&fraction=1000"));
        let says = "# fraction: a sample for each 1 contended unlocks";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = get(server(), "/debug/pprof/mutex?debug=1");
            if page.text().contains(says) {
                break;
            }
            assert!(Instant::now() < deadline, "{}", page.text());
        }
        assert_eq!(
            pprof::set_mutex_profile_fraction(-1),
            0,
            "what was set for good"
        );
        let delta = fine.join().unwrap();
        assert!(charged(&delta, "mutex::takes_turns").0 > 100);
        assert!(delta.duration_nanos >= 1_000_000_000);
        coarse.join().unwrap();
    });
    // A release that was just being counted has been added by now.
    std::thread::sleep(Duration::from_millis(50));
    let turns = Since::now("mutex::takes_turns");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(turns.charged(), (0, Duration::ZERO));
    assert!(profile("mutex?seconds=1").sample.is_empty());
    let text = get(server(), "/debug/pprof/mutex?seconds=1&fraction=1&debug=1");
    let head = "--- mutex:\ncycles/second=1000000000\n# change within 1";
    assert!(text.text().starts_with(head), "{}", text.text());
    assert!(
        text.text().contains("mutex::takes_turns"),
        "{}",
        text.text()
    );
}

#[test]
fn the_previous_fraction_is_returned() {
    let _rate = Rate::of_locks(7);
    assert_eq!(pprof::set_mutex_profile_fraction(-1), 7);
    assert_eq!(pprof::set_mutex_profile_fraction(i32::MIN), 7);
    assert_eq!(pprof::set_mutex_profile_fraction(i32::MAX), 7);
    assert_eq!(pprof::set_mutex_profile_fraction(0), i32::MAX);
    assert_eq!(pprof::set_mutex_profile_fraction(3), 0);
}

#[test]
fn bad_input_is_told() {
    let fraction = "\"fraction\" - must be a positive integer: contended unlocks";
    for (query, says) in [
        ("fraction=10", "fraction needs seconds"),
        ("seconds=1&fraction=0", fraction),
        ("seconds=1&fraction=-5", fraction),
        ("seconds=1&fraction=1e3", fraction),
        ("seconds=1&fraction=2147483648", fraction),
        ("seconds=0", "\"seconds\" - must be a positive integer"),
        (
            "debug=1&format=folded",
            "format and debug params are incompatible",
        ),
        ("debug=2", "\"debug\" - must be 0 or 1"),
        ("rate=1", "unknown parameter \"rate\""),
    ] {
        let answer = get(server(), &format!("/debug/pprof/mutex?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains(says), "{query}: {}", answer.text());
    }
    assert_eq!(ask(server(), "POST", "/debug/pprof/mutex", "").status, 405);
}

#[test]
fn pprof_reads_both_forms_to_the_same_totals() {
    let Some(go) = Go::find("pprof_reads_mutex") else {
        return;
    };
    // Not 1: readers of Go's own text scale it twice.
    let fraction = Rate::of_locks(2);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let lock = Arc::new(Mutex::new(0));
        let other = runtime_probe::spawn(takes_turns(lock.clone(), 1000));
        takes_turns(lock, 1000).await;
        other.await.unwrap();
    });
    // The program is idle, so nothing is added between the two.
    pprof::set_mutex_profile_fraction(0);
    let binary = totals(&go, "mutex");
    assert!(binary.0 >= 500 && binary.1 > 0, "{binary:?}");
    assert_eq!(binary, totals(&go, "mutex?debug=1"));
    drop(fraction);
}

#[test]
fn folded_stacks_have_the_delay_and_lookup_finds_it() {
    let _rate = Rate::of_locks(1);
    let runtime = runtime();
    runtime.block_on(runtime.spawn(holds_a_lock(1))).unwrap();
    let text = get(server(), "/debug/pprof/mutex?format=folded");
    let text = text.text();
    let line = text
        .lines()
        .find(|line| line.contains("mutex::holds_a_lock;mutex::releases"))
        .unwrap_or_else(|| panic!("{text}"));
    let (_, delay) = line.rsplit_once(' ').unwrap();
    assert!(delay.parse::<u128>().unwrap() >= HELD.as_nanos(), "{line}");
    let text = get(server(), "/debug/pprof/mutex?format=folded&crate=other");
    // Only the unlock is left: no other frame belongs to that crate.
    let found = text
        .text()
        .lines()
        .any(|line| line.starts_with("mutex::releases "));
    assert!(found, "{}", text.text());
    let mutex = pprof::lookup("mutex").unwrap();
    assert!(mutex.count() >= 1);
    let mut bytes = Vec::new();
    mutex.write_to(&mut bytes, 0).unwrap();
    let (count, _) = charged(&Profile::decode(&bytes).unwrap(), "mutex::releases");
    assert!(count >= 1);
}

/// Taking a free lock uses the coop budget as tokio's lock does: a task that only locks lets other tasks run.
#[test]
fn locking_gives_way() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let other = runtime_probe::spawn(async {});
        let lock = Mutex::new(());
        for _ in 0..1000 {
            drop(lock.lock().await);
        }
        assert!(other.is_finished());
    });
}
