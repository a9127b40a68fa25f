//! Waits of threads for locks of std and parking_lot in execution traces, with the feature `interpose`: read by `go
//! tool trace`, checked by Go's own validator, and by Perfetto's own reader.
#![cfg(all(feature = "full", feature = "interpose", target_os = "linux"))]

use runtime_dump_testing::go::Go;
use runtime_dump_testing::perfetto::Perfetto;
use runtime_probe::pprof::trace::FlightRecorder;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::{pprof, spawn, task};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use support::client::get;
use support::regions::{Region, Regions};

mod support {
    #[allow(dead_code, reason = "other tests need more")]
    pub mod client;
    #[allow(dead_code, reason = "other tests need more")]
    pub mod regions;
}

/// There is one recorder at a time. The wait for the turn is no part of any trace.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

const HOLD: Duration = Duration::from_millis(20);
const ROUNDS: usize = 5;

const BY_A_LOCK: &str = "thread blocked by a lock";

/// The regions of threads that wait.
fn blocked(regions: &Regions) -> Vec<Region> {
    let all = regions.ended.iter();
    let blocked = all.filter(|region| region.name.starts_with("thread blocked"));
    blocked.cloned().collect()
}

/// Those of them that waited for the whole hold. Short waits for locks of an allocator or of tokio may be there at any
/// time.
fn long(regions: &Regions) -> Vec<Region> {
    let mut long = blocked(regions);
    long.retain(|region| region.length_ms() > 15.0);
    long
}

/// The waiters that are about to lock. No lock and no channel: waits for these would be regions, too.
#[derive(Clone, Default)]
struct Ready(Arc<AtomicUsize>);

impl Ready {
    fn tell(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// Holds a lock until so many waiters of `waits` are about to wait, and for [`HOLD`] after that.
fn holds<G>(lock: impl FnOnce() -> G, waiters: usize, waits: impl FnOnce(Ready)) {
    let (held, ready) = (lock(), Ready::default());
    waits(ready.clone());
    let deadline = Instant::now() + Duration::from_secs(10);
    while ready.0.load(Ordering::Acquire) < waiters && Instant::now() < deadline {
        std::hint::spin_loop();
    }
    thread::sleep(HOLD);
    drop(held);
}

#[test]
fn a_wait_for_a_lock_is_a_region_as_long_as_the_hold() {
    let Some(go) = Go::find("trace_blocked_locks") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let recorder = FlightRecorder::new().start().unwrap();
    let mutex = Arc::new(Mutex::new(()));
    let lock = Arc::new(RwLock::new(()));
    let of_parking_lot = Arc::new(parking_lot::Mutex::new(()));
    let mut expected = 0;
    for _ in 0..ROUNDS {
        // A task, a closure, and a thread outside of any task.
        let (of_task, of_thread) = (Arc::clone(&mutex), Arc::clone(&mutex));
        let mut started = None;
        holds(
            || mutex.lock().unwrap(),
            2,
            |ready| {
                let also = ready.clone();
                let task = runtime.spawn(async move {
                    ready.tell();
                    drop(of_task.lock().unwrap());
                });
                let thread = thread::spawn(move || {
                    also.tell();
                    drop(of_thread.lock().unwrap());
                });
                started = Some((task, thread));
            },
        );
        let (task, thread) = started.unwrap();
        runtime.block_on(task).unwrap();
        thread.join().unwrap();
        let of_closure = Arc::clone(&lock);
        let mut closure = None;
        holds(
            || lock.write().unwrap(),
            1,
            |ready| {
                let waits = move || {
                    ready.tell();
                    drop(of_closure.read().unwrap());
                };
                closure = Some(runtime.spawn(async { task::spawn_blocking(waits).await.unwrap() }));
            },
        );
        runtime.block_on(closure.unwrap()).unwrap();
        let of_task = Arc::clone(&of_parking_lot);
        let mut started = None;
        holds(
            || of_parking_lot.lock(),
            1,
            |ready| {
                started = Some(runtime.spawn(async move {
                    ready.tell();
                    drop(of_task.lock());
                }));
            },
        );
        runtime.block_on(started.unwrap()).unwrap();
        expected += 4;
        // A lock that is free blocks no thread.
        drop(mutex.lock().unwrap());
    }
    let (regions, text) = Regions::with_text(&recorder, &go);
    drop(runtime);
    // A task's region has the stack of the wait.
    let stack = text.split("RegionBegin").find(|event| {
        event.contains(BY_A_LOCK) && event.contains("std::sync::poison::mutex::Mutex::lock")
    });
    assert!(stack.is_some(), "{text}");
    let long = long(&regions);
    let named: Vec<&str> = long.iter().map(|region| &*region.name).collect();
    assert_eq!(named, vec![BY_A_LOCK; named.len()], "{long:?}");
    // On a busy machine the whole hold may pass while parking_lot still yields its CPU, before it waits.
    let of_std = expected - ROUNDS;
    assert!((of_std + 1..=expected).contains(&named.len()), "{long:?}");
    // The truth: the hold, to 1 ms, in most rounds of a loaded machine.
    let exact = long
        .iter()
        .filter(|region| (19.0..23.0).contains(&region.length_ms()));
    assert!(exact.count() * 2 > expected, "{long:?}");
    // One in four is of a thread.
    let of_threads = long.iter().filter(|region| region.by > 1 << 62);
    assert_eq!(of_threads.count(), ROUNDS, "{long:?}");
    // By Go's states, a thread outside of any task waits.
    let waits = "Running->Waiting Reason=\"sync.Mutex.Lock\"";
    assert!(text.matches(waits).count() >= ROUNDS, "{text}");
    assert!(regions.older.is_empty(), "{:?}", regions.older);
}

#[test]
fn other_waits_of_a_thread_have_their_reason() {
    let Some(go) = Go::find("trace_blocked_reasons") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let recorder = FlightRecorder::new().start().unwrap();
    runtime.block_on(async {
        spawn(async {
            let (sender, receiver) = mpsc::channel();
            let sends = thread::spawn(move || {
                thread::sleep(HOLD);
                sender.send(()).unwrap();
            });
            receiver.recv().unwrap();
            sends.join().unwrap();
            let pair = (Mutex::new(false), Condvar::new());
            // It times out.
            let held = pair.0.lock().unwrap();
            drop(pair.1.wait_timeout(held, HOLD).unwrap());
            // tokio's own locks that block, and ours, which are regions of their own.
            let lock = Arc::new(runtime_probe::sync::blocking::Mutex::new(()));
            let held = lock.lock().unwrap();
            let waiting = Arc::clone(&lock);
            let waits = thread::spawn(move || drop(waiting.lock().unwrap()));
            thread::sleep(HOLD);
            drop(held);
            waits.join().unwrap();
        })
        .await
        .unwrap();
        // Idle workers, an idle thread of the pool, and this thread between polls.
        task::spawn_blocking(|| ()).await.unwrap();
        runtime_probe::time::sleep(5 * HOLD).await;
    });
    let regions = Regions::of(&recorder, &go);
    let mut names: Vec<String> = long(&regions)
        .into_iter()
        .map(|region| region.name)
        .collect();
    names.sort();
    let expected = [
        BY_A_LOCK,
        "thread blocked: chan receive",
        "thread blocked: sync.Cond.Wait",
    ];
    assert_eq!(names, expected, "{:?}", blocked(&regions));
    // The threads of the runtime wait for work for longer.
    let open = regions
        .open
        .iter()
        .filter(|name| name.starts_with("thread blocked"));
    assert_eq!(open.count(), 0, "{:?}", regions.open);
    drop(runtime);
}

/// Threads that spawn closures at the same time wait for a lock of the pool.
#[test]
fn a_lock_inside_of_tokio_is_a_lock() {
    let Some(go) = Go::find("trace_blocked_inside") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let recorder = FlightRecorder::new().start().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        drop(runtime.spawn_blocking(|| ()));
                    }
                });
            }
        });
        let (regions, text) = Regions::with_text(&recorder, &go);
        drop(recorder);
        let names: Vec<String> = blocked(&regions)
            .into_iter()
            .map(|region| region.name)
            .collect();
        for name in ["waiting", "runnable", "join"] {
            let name = format!("thread blocked: {name}");
            assert!(!names.contains(&name), "{names:?}");
        }
        let mut begins = text.split("RegionBegin").skip(1);
        if begins.any(|begin| {
            let stack = begin.split("\n\n").next().unwrap();
            begin.contains(BY_A_LOCK) && stack.contains("spawn_blocking")
        }) {
            return;
        }
        assert!(Instant::now() < deadline, "{names:?}");
    }
}

/// A trace that is written in parts, and ends while a thread waits.
#[test]
fn a_wait_is_in_the_trace_before_it_ends() {
    let Some(go) = Go::find("trace_blocked_parts") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let (short, endless) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let [held, held_on] = [&short, &endless].map(|lock| lock.lock().unwrap());
    let waits_for = |lock: &Arc<Mutex<()>>| {
        let lock = Arc::clone(lock);
        runtime.spawn_blocking(move || drop(lock.lock().unwrap()))
    };
    // This one waits when the trace begins.
    let before = waits_for(&short);
    thread::sleep(5 * HOLD);
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let traced = thread::spawn(move || get(address, "/debug/pprof/trace?seconds=4"));
    thread::sleep(Duration::from_millis(500));
    let over_parts = waits_for(&short);
    let for_ever = waits_for(&endless);
    thread::sleep(Duration::from_millis(1500));
    drop(held);
    let answer = traced.join().unwrap();
    drop(held_on);
    for closure in [before, over_parts, for_ever] {
        runtime.block_on(closure).unwrap();
    }
    let file = go.file("blocked.trace", &answer.body);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let regions = Regions::read(&go.trace(&["-d=parsed"], &file));
    // The place is known from the end on.
    assert_eq!(regions.open, ["thread blocked"], "{:?}", regions.ended);
    let over_parts = regions.all("thread blocked");
    let lengths: Vec<f64> = over_parts.iter().map(Region::length_ms).collect();
    assert!(
        matches!(lengths[..], [length] if (1400.0..3000.0).contains(&length)),
        "{lengths:?}"
    );
    // A wait that began before the trace is not in it.
    assert!(regions.older.is_empty(), "{:?}", regions.older);
}

#[test]
fn perfetto_has_the_same_waits() {
    let Some(perfetto) = Perfetto::find("trace_blocked_perfetto") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let path = "/debug/pprof/trace?seconds=1&format=perfetto";
    let traced = thread::spawn(move || get(address, path));
    let mutex = Arc::new(Mutex::new(()));
    thread::sleep(Duration::from_millis(300));
    for _ in 0..ROUNDS {
        let waiting = Arc::clone(&mutex);
        let mut task = None;
        holds(
            || mutex.lock().unwrap(),
            1,
            |ready| {
                task = Some(runtime.spawn(async move {
                    ready.tell();
                    drop(waiting.lock().unwrap());
                }));
            },
        );
        runtime.block_on(task.unwrap()).unwrap();
    }
    let answer = traced.join().unwrap();
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("blocked.pftrace");
    std::fs::write(&file, &answer.body).unwrap();
    let read: serde_json::Value = serde_json::from_str(&perfetto.read(&[file]).unwrap()).unwrap();
    let ms = |slice: &serde_json::Value| {
        (slice["end"].as_u64().unwrap() - slice["begin"].as_u64().unwrap()) as f64 / 1e6
    };
    let slices = read["slices"].as_array().unwrap().iter();
    let lengths: Vec<f64> = slices
        .filter(|slice| slice["name"] == BY_A_LOCK)
        .map(ms)
        .filter(|length| *length > 15.0)
        .collect();
    assert_eq!(lengths.len(), ROUNDS, "{lengths:?}");
    let exact = lengths
        .iter()
        .filter(|length| (19.0..23.0).contains(*length));
    assert!(exact.count() * 2 > ROUNDS, "{lengths:?}");
}
