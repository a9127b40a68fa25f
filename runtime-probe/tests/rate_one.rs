//! Every wait and every release is counted, under load, for `RATE_ONE_SECONDS`: no task loses a wake-up, memory does
//! not grow, and sums never shrink. In a process of its own, as memory and rates are the process's.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use runtime_dump::profile::proto::Profile;
use runtime_probe::pprof;
use runtime_probe::runtime::Runtime;
use runtime_probe::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, blocking, mpsc, oneshot};
use runtime_probe::task::{JoinHandle, yield_now};
use runtime_probe::time::sleep;
use support::memory::resident_kib;

mod support {
    pub mod memory;
}

/// How much memory may grow after the warm-up: malloc keeps an arena for each thread, and reading a profile takes as
/// much as the last one or a little more. A leak of a byte in each wait would be some megabytes in the short form,
/// hundreds of megabytes in ten minutes.
const TOLERANCE_KIB: usize = 4 << 10;

/// A task that has not advanced for so long has lost a wake-up.
const PATIENCE: Duration = Duration::from_secs(30);

static STOPPED: AtomicBool = AtomicBool::new(false);

/// How often a task or a thread has got the result that it waited for.
type Rounds = Arc<AtomicU64>;

fn goes_on(rounds: &Rounds) -> bool {
    rounds.fetch_add(1, Relaxed);
    !STOPPED.load(Relaxed)
}

/// The tasks, and the rounds of each.
struct Load {
    runtime: Runtime,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    threads: Vec<thread::JoinHandle<()>>,
    rounds: Vec<(&'static str, Rounds)>,
}

impl Load {
    fn rounds(&mut self, name: &'static str) -> Rounds {
        let rounds = Rounds::default();
        self.rounds.push((name, rounds.clone()));
        rounds
    }

    fn task<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &'static str,
        task: impl FnOnce(Rounds) -> F,
    ) {
        let rounds = self.rounds(name);
        self.tasks.push((name, self.runtime.spawn(task(rounds))));
    }

    fn thread(&mut self, name: &'static str, thread: impl FnOnce(Rounds) + Send + 'static) {
        let rounds = self.rounds(name);
        self.threads.push(thread::spawn(move || thread(rounds)));
    }

    /// Waits until each of them has advanced once more. Returns the rounds of all since the start.
    fn everybody_comes_on(&self) -> u64 {
        for (name, rounds) in &self.rounds {
            let (before, deadline) = (rounds.load(Relaxed), Instant::now() + PATIENCE);
            while rounds.load(Relaxed) == before {
                assert!(Instant::now() < deadline, "{name}: stands at {before}");
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.rounds
            .iter()
            .map(|(_, rounds)| rounds.load(Relaxed))
            .sum()
    }

    fn stop(self) {
        STOPPED.store(true, Relaxed);
        for (name, task) in self.tasks {
            let ended = async { runtime_probe::time::timeout(PATIENCE, task).await };
            let ended = self.runtime.block_on(ended);
            ended
                .unwrap_or_else(|_| panic!("{name}: does not end"))
                .unwrap();
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
    }

    fn start() -> Self {
        let mut load = Load {
            runtime: Runtime::new().unwrap(),
            tasks: Vec::new(),
            threads: Vec::new(),
            rounds: Vec::new(),
        };
        for _ in 0..2 {
            let (sender, receiver) = mpsc::channel(1);
            let (back, echoed) = mpsc::channel(1);
            load.task("serves", |rounds| serves(receiver, back, rounds));
            load.task("asks", |rounds| asks(sender, echoed, rounds));
        }
        let lock = Arc::new(Mutex::new(0));
        for _ in 0..4 {
            load.task("takes turns", |rounds| takes_turns(lock.clone(), rounds));
        }
        let lock = Arc::new(RwLock::new(0));
        load.task("writes", |rounds| writes(lock.clone(), rounds));
        for _ in 0..3 {
            load.task("reads", |rounds| reads(lock.clone(), rounds));
        }
        let notify = Arc::new(Notify::new());
        load.task("selects", |rounds| selects(notify.clone(), rounds));
        load.task("notifies", |rounds| notifies(notify, rounds));
        let semaphore = Arc::new(Semaphore::new(1));
        for _ in 0..3 {
            load.task("spawns", |rounds| spawns(semaphore.clone(), rounds));
        }
        load.task("joins", joins);
        let lock = Arc::new(blocking::Mutex::new(0));
        for _ in 0..2 {
            let lock = lock.clone();
            load.thread("locks", move |rounds| locks(&lock, &rounds));
        }
        load
    }
}

async fn asks(sender: mpsc::Sender<u64>, mut echoed: mpsc::Receiver<u64>, rounds: Rounds) {
    while goes_on(&rounds) {
        sender.send(1).await.unwrap();
        echoed.recv().await.unwrap();
    }
}

async fn serves(mut receiver: mpsc::Receiver<u64>, back: mpsc::Sender<u64>, rounds: Rounds) {
    while let Some(message) = receiver.recv().await {
        goes_on(&rounds);
        back.send(message).await.unwrap();
    }
}

async fn takes_turns(lock: Arc<Mutex<u64>>, rounds: Rounds) {
    while goes_on(&rounds) {
        let mut held = lock.lock().await;
        yield_now().await;
        *held += 1;
    }
}

async fn writes(lock: Arc<RwLock<u64>>, rounds: Rounds) {
    while goes_on(&rounds) {
        let mut held = lock.write().await;
        yield_now().await;
        *held += 1;
    }
}

async fn reads(lock: Arc<RwLock<u64>>, rounds: Rounds) {
    while goes_on(&rounds) {
        let held = lock.read().await;
        yield_now().await;
        std::hint::black_box(*held);
    }
}

async fn selects(notify: Arc<Notify>, rounds: Rounds) {
    while goes_on(&rounds) {
        runtime_probe::select! {
            () = notify.notified() => {}
            () = sleep(Duration::from_millis(1)) => {}
        }
    }
}

async fn notifies(notify: Arc<Notify>, rounds: Rounds) {
    while goes_on(&rounds) {
        notify.notify_one();
        sleep(Duration::from_millis(1)).await;
    }
}

/// Short-lived tasks, and answers that never come because the sender is dropped.
async fn spawns(semaphore: Arc<Semaphore>, rounds: Rounds) {
    while goes_on(&rounds) {
        let (sender, receiver) = oneshot::channel::<()>();
        let semaphore = semaphore.clone();
        let task = runtime_probe::spawn(async move {
            let _permit = semaphore.acquire().await.unwrap();
            yield_now().await;
            drop(sender);
        });
        assert!(receiver.await.is_err());
        task.await.unwrap();
    }
}

/// Wrapped futures in a task, with wakers of their own, that wait for each other.
async fn joins(rounds: Rounds) {
    while goes_on(&rounds) {
        let barrier = Barrier::new(3);
        let children: FuturesUnordered<_> =
            (0..3).map(|_| pprof::instrument(barrier.wait())).collect();
        assert_eq!(children.count().await, 3);
    }
}

fn locks(lock: &blocking::Mutex<u64>, rounds: &Rounds) {
    while goes_on(rounds) {
        let mut held = lock.lock().unwrap();
        thread::sleep(Duration::from_micros(200));
        *held += 1;
        drop(held);
        // Otherwise the other task never gets it.
        thread::sleep(Duration::from_micros(50));
    }
}

/// Contentions and nanoseconds by profile and sample.
type Sums = BTreeMap<(&'static str, String), [i64; 2]>;

/// The current sums.
fn sums() -> Sums {
    let mut sums = BTreeMap::new();
    for name in ["block", "mutex"] {
        let mut bytes = Vec::new();
        pprof::lookup(name)
            .unwrap()
            .write_to(&mut bytes, 0)
            .unwrap();
        let profile = Profile::decode(&bytes).unwrap();
        for sample in &profile.sample {
            let addresses: Vec<u64> = sample
                .location_id
                .iter()
                .map(|id| profile.location[*id as usize - 1].address)
                .collect();
            let reason = sample.label.first().map(|label| profile.string(label.str));
            let sum = sums
                .entry((name, format!("{addresses:x?} {reason:?}")))
                .or_default();
            let [count, delay]: &mut [i64; 2] = sum;
            *count += sample.value[0];
            *delay += sample.value[1];
        }
    }
    sums
}

#[test]
fn nothing_is_lost_and_nothing_grows() {
    let seconds = std::env::var("RATE_ONE_SECONDS").map_or(8, |text| {
        text.parse()
            .expect("RATE_ONE_SECONDS is a number of seconds")
    });
    pprof::set_block_profile_rate(1);
    pprof::set_mutex_profile_fraction(1);
    let load = Load::start();
    let end = Instant::now() + Duration::from_secs(seconds);
    let warm = Instant::now() + Duration::from_secs(seconds / 4);
    let mut before: Sums = BTreeMap::new();
    let (mut rounds, mut least) = (0, None);
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(500));
        rounds = load.everybody_comes_on();
        let now = sums();
        for (place, [count, delay]) in &before {
            let [more, longer] = now
                .get(place)
                .unwrap_or_else(|| panic!("{place:?} is gone"));
            assert!(
                more >= count && longer >= delay,
                "{place:?} has become less"
            );
        }
        before = now;
        if least.is_none() && Instant::now() >= warm {
            least = Some(resident_kib());
        }
    }
    let (least, after) = (least.expect("it was warm once"), resident_kib());
    load.stop();
    let counters = pprof::capture_counters();
    let contentions: i64 = before.values().map(|[count, _]| count).sum();
    eprintln!(
        "{seconds} s: {rounds} rounds, {contentions} contentions at {} places, {least} KiB resident when warm, {after} KiB \
         at the end, {counters:?}",
        before.len()
    );
    assert!(
        after <= least + TOLERANCE_KIB,
        "{least} KiB, then {after} KiB"
    );
    assert_eq!((counters.overflowed, counters.reentered), (0, 0));
    assert!(counters.stacks < 500, "{counters:?}");
    assert!(contentions > 10_000, "{contentions}");
}
