//! Locks that block their thread: they behave as std's do, and the release that made others wait has their time in
//! the mutex profile.
#![cfg(all(feature = "full", feature = "lock_api", target_os = "linux"))]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use runtime_probe::pprof;
use runtime_probe::sync::blocking::{Mutex, MutexGuard as BlockingGuard, RwLock, Watched};
use support::client::get;
use support::contention::{profile, runtime, samples, server};
use support::rate::Rate;

mod support {
    #[allow(dead_code, reason = "nothing is sent byte for byte here")]
    pub mod client;
    #[allow(dead_code, reason = "threads are no tasks")]
    pub mod contention;
    #[allow(dead_code, reason = "of one of two profiles")]
    pub mod rate;
}

mod of_std {
    use std::sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    };
    include!("std_locks/scenarios.rs");
}

mod ours {
    use runtime_probe::sync::blocking::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    };
    include!("std_locks/scenarios.rs");
}

/// With every wait counted, and without.
#[test]
fn they_do_what_those_of_std_do() {
    for fraction in [0, 1] {
        let _rate = Rate::of_locks(fraction);
        for ((name, theirs), (_, ours)) in of_std::SCENARIOS.iter().zip(ours::SCENARIOS) {
            assert_eq!(ours(), theirs(), "{name}");
        }
    }
}

/// The contentions and the time of all functions of this file with that name.
fn charged(function: &str) -> (i64, Duration) {
    let found = samples(&profile("mutex"), &format!("blocking::{function}"));
    assert!(found.keys().all(String::is_empty), "a reason: {found:?}");
    found.into_values().next().unwrap_or_default()
}

/// A thread that runs a closure, and since when it has waited in it.
struct Waiter {
    thread: thread::JoinHandle<()>,
    id: libc::pid_t,
}

impl Waiter {
    #[expect(unsafe_code, reason = "asks the kernel")]
    fn start(waits: impl FnOnce() + Send + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            // SAFETY: takes nothing and cannot fail.
            sender.send(unsafe { libc::gettid() }).unwrap();
            drop(sender);
            waits();
        });
        let id = receiver.recv().unwrap();
        Waiter { thread, id }
    }

    /// Returns once the thread sleeps: the lock is the only thing that it can sleep in.
    fn is_asleep(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let stat =
                std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.id)).unwrap();
            if stat.rsplit(") ").next().unwrap().starts_with('S') {
                return;
            }
            assert!(Instant::now() < deadline, "it does not wait: {stat}");
            thread::sleep(Duration::from_micros(100));
        }
    }
}

const HELD: Duration = Duration::from_millis(100);

/// Lets five threads wait for a while for the lock of `held`. Returns the least and the most time that they have
/// waited together until the release.
fn five_wait<G>(
    held: G,
    waits: impl Fn() + Clone + Send + 'static,
    release: impl FnOnce(G),
) -> std::ops::Range<Duration> {
    let began = Instant::now();
    let waiters: Vec<Waiter> = (0..5).map(|_| Waiter::start(waits.clone())).collect();
    waiters.iter().for_each(Waiter::is_asleep);
    let all_wait = Instant::now();
    thread::sleep(HELD);
    let least = all_wait.elapsed() * 5;
    release(held);
    let most = began.elapsed() * 5;
    waiters
        .into_iter()
        .for_each(|waiter| waiter.thread.join().unwrap());
    least..most
}

/// Separate functions, so that the stack distinguishes their releases.
macro_rules! releases {
    ($($name:ident)*) => {
        $(
            #[inline(never)]
            fn $name<T>(guard: T) {
                drop(guard);
                std::hint::black_box(stringify!($name));
            }
        )*
    };
}

releases!(unlocks stops_writing stops_reading unlocks_raw stops_writing_raw);

/// As for `sync::Mutex`, and as in Go: one contention, with the time of all five waits.
#[test]
fn five_waiters_are_one_contention() {
    let _rate = Rate::of_locks(1);

    let lock = Arc::new(Mutex::new(0));
    let (held, other) = (lock.lock().unwrap(), lock.clone());
    let bounds = five_wait(held, move || *other.lock().unwrap() += 1, unlocks);
    one_contention("unlocks", bounds);
    assert_eq!(*lock.lock().unwrap(), 5);

    let lock = Arc::new(RwLock::new(0));
    let (held, other) = (lock.write().unwrap(), lock.clone());
    let bounds = five_wait(
        held,
        move || assert_eq!(*other.read().unwrap(), 0),
        stops_writing,
    );
    one_contention("stops_writing", bounds);

    let (held, other) = (lock.read().unwrap(), lock.clone());
    let bounds = five_wait(held, move || *other.write().unwrap() += 1, stops_reading);
    one_contention("stops_reading", bounds);
    assert_eq!(*lock.read().unwrap(), 5);

    type RawMutex = Watched<parking_lot::RawMutex>;
    type RawRwLock = Watched<parking_lot::RawRwLock>;
    static LOCK: lock_api::Mutex<RawMutex, u8> = lock_api::Mutex::new(0);
    let bounds = five_wait(LOCK.lock(), || *LOCK.lock() += 1, unlocks_raw);
    one_contention("unlocks_raw", bounds);
    assert_eq!(*LOCK.lock(), 5);

    static SHARED: lock_api::RwLock<RawRwLock, u8> = lock_api::RwLock::new(0);
    let reads = || assert_eq!(*SHARED.read(), 0);
    let bounds = five_wait(SHARED.write(), reads, stops_writing_raw);
    one_contention("stops_writing_raw", bounds);
}

fn one_contention(function: &str, bounds: std::ops::Range<Duration>) {
    let (count, delay) = charged(function);
    assert_eq!(count, 1, "{function}");
    assert!(
        bounds.contains(&delay),
        "{function}: {delay:?} of {bounds:?}"
    );
}

#[inline(never)]
fn unlocks_in_vain<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

#[test]
fn a_lock_without_waiters_is_not_there() {
    let _rate = Rate::of_locks(1);
    let (mutex, lock) = (Mutex::new(()), RwLock::new(()));
    let raw = lock_api::Mutex::<Watched<parking_lot::RawMutex>, ()>::new(());
    for _ in 0..1000 {
        unlocks_in_vain(mutex.lock());
        unlocks_in_vain(lock.read());
        unlocks_in_vain(lock.write());
        unlocks_in_vain(raw.lock());
    }
    assert_eq!(charged("unlocks_in_vain"), (0, Duration::ZERO));
}

#[inline(never)]
fn unlocks_while_off<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

#[test]
fn nothing_counts_while_off() {
    let _rate = Rate::of_locks(0);
    let lock = Arc::new(Mutex::new(()));
    let (held, other) = (lock.lock().unwrap(), lock.clone());
    five_wait(held, move || drop(other.lock()), unlocks_while_off);
    assert_eq!(charged("unlocks_while_off"), (0, Duration::ZERO));
}

#[inline(never)]
fn unlocks_too_late<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

/// The time of a wait that was given up counts, too: it goes to the next release.
#[test]
fn who_gave_up_is_charged_to_the_next_release() {
    let _rate = Rate::of_locks(1);
    static LOCK: lock_api::Mutex<Watched<parking_lot::RawMutex>, ()> = lock_api::Mutex::new(());
    let held = LOCK.lock();
    let waited = thread::spawn(|| {
        let began = Instant::now();
        assert!(LOCK.try_lock_for(HELD).is_none());
        began.elapsed()
    });
    let waited = waited.join().unwrap();
    thread::sleep(HELD);
    unlocks_too_late(held);
    unlocks_too_late(LOCK.lock());
    let (count, delay) = charged("unlocks_too_late");
    assert_eq!(count, 1);
    assert!(delay >= HELD && delay <= waited, "{delay:?} of {waited:?}");
}

#[inline(never)]
fn upgrades(guard: lock_api::RwLockUpgradableReadGuard<'_, Watched<parking_lot::RawRwLock>, u8>) {
    *lock_api::RwLockUpgradableReadGuard::upgrade(guard) += 1;
}

#[inline(never)]
fn stops_reading_last<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

/// A writer waits for readers.
#[test]
fn an_upgrade_waits_for_readers() {
    let _rate = Rate::of_locks(1);
    static LOCK: lock_api::RwLock<Watched<parking_lot::RawRwLock>, u8> = lock_api::RwLock::new(0);
    let reader = LOCK.read();
    let began = Instant::now();
    let waiter = Waiter::start(|| upgrades(LOCK.upgradable_read()));
    waiter.is_asleep();
    let asleep = Instant::now();
    thread::sleep(HELD);
    let least = asleep.elapsed();
    stops_reading_last(reader);
    one_contention("stops_reading_last", least..began.elapsed());
    waiter.thread.join().unwrap();
    assert_eq!(*LOCK.read(), 1);
}

async fn unlocks_in_a_task(lock: Arc<Mutex<()>>, locked: Arc<Barrier>, waits: Arc<Barrier>) {
    let held = lock.lock();
    locked.wait();
    waits.wait();
    unlocks_below_a_task(held);
}

#[inline(never)]
fn unlocks_below_a_task<T>(guard: T) {
    drop(guard);
    std::hint::black_box(());
}

/// Inside a task the stack is the task's, down to its root.
#[test]
fn a_task_that_unlocks_is_charged() {
    let _rate = Rate::of_locks(1);
    let runtime = runtime();
    let lock = Arc::new(Mutex::new(()));
    let (locked, waits) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let task = runtime.spawn(unlocks_in_a_task(
        lock.clone(),
        locked.clone(),
        waits.clone(),
    ));
    locked.wait();
    let waiter = Waiter::start(move || drop(lock.lock()));
    waiter.is_asleep();
    thread::sleep(HELD);
    waits.wait();
    runtime.block_on(task).unwrap();
    waiter.thread.join().unwrap();
    let (count, delay) = charged("unlocks_below_a_task");
    assert_eq!(count, 1);
    assert!(delay >= HELD, "{delay:?}");
    let text = get(server(), "/debug/pprof/mutex?format=folded");
    let stack = text
        .text()
        .lines()
        .find(|line| line.contains("unlocks_below_a_task"))
        .unwrap_or_else(|| panic!("{}", text.text()));
    let begin = "blocking::unlocks_in_a_task;blocking::unlocks_below_a_task";
    assert!(stack.starts_with(begin), "{stack}");
}

/// Releases a lock so often, each time while a thread sleeps waiting for it.
fn contend(rounds: u32, release: fn(BlockingGuard<'_, ()>)) {
    static LOCK: Mutex<()> = Mutex::new(());
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    static ASKED: AtomicU32 = AtomicU32::new(0);
    static GOT: AtomicU32 = AtomicU32::new(0);
    // Neither thread sleeps except in the lock.
    let wait_for = |number: &AtomicU32, round| {
        while number.load(Ordering::Acquire) != round {
            thread::yield_now();
        }
    };
    for number in [&TAKEN, &ASKED, &GOT] {
        number.store(0, Ordering::Release);
    }
    let waiter = Waiter::start(move || {
        for round in 1..=rounds {
            wait_for(&TAKEN, round);
            ASKED.store(round, Ordering::Release);
            drop(LOCK.lock());
            GOT.store(round, Ordering::Release);
        }
    });
    for round in 1..=rounds {
        let held = LOCK.lock().unwrap();
        TAKEN.store(round, Ordering::Release);
        wait_for(&ASKED, round);
        waiter.is_asleep();
        release(held);
        // Otherwise the lock may be taken again before the waiter has it.
        wait_for(&GOT, round);
    }
    waiter.thread.join().unwrap();
}

#[inline(never)]
fn unlocks_often(guard: BlockingGuard<'_, ()>) {
    drop(guard);
    std::hint::black_box(1);
}

/// Of 400 releases one in three is kept: about 133. Their number deviates by sqrt(2 / 400) = 7.1 %; 32 % is more than
/// four of that.
#[test]
fn a_fraction_adds_up() {
    const ROUNDS: u32 = 400;
    let _rate = Rate::of_locks(3);
    contend(ROUNDS, unlocks_often);
    let (count, delay) = charged("unlocks_often");
    let ratio = count as f64 / f64::from(ROUNDS);
    assert!((0.68..1.32).contains(&ratio), "{count}");
    assert!(delay > Duration::ZERO);
}

#[inline(never)]
fn unlocks_as_ever(guard: BlockingGuard<'_, ()>) {
    drop(guard);
    std::hint::black_box(2);
}

/// The stack of a release on a thread that polls nothing reaches down to the thread's first function. The second such
/// stack is a known path. Each stack is compared with a full walk, and none differs.
#[test]
fn a_known_release_walks_no_stack() {
    const ROUNDS: u32 = 100;
    let _rate = Rate::of_locks(1);
    let before = pprof::capture_counters();
    contend(ROUNDS, unlocks_as_ever);
    let walks = pprof::capture_counters().walks - before.walks;
    assert!(walks < 20, "{walks} walks");
    pprof::testing::set_capture_verification(true);
    contend(ROUNDS, unlocks_as_ever);
    pprof::testing::set_capture_verification(false);
    let after = pprof::capture_counters();
    assert!(after.verified - before.verified >= u64::from(ROUNDS) - 20);
    assert_eq!(after.wrong, before.wrong);
    assert_eq!(charged("unlocks_as_ever").0, i64::from(2 * ROUNDS));
    // The placeholder of the root in the probe's records is no function of the program.
    let text = get(server(), "/debug/pprof/mutex?format=folded");
    assert!(!text.text().contains("WholeThread"), "{}", text.text());
}
