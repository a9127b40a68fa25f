//! A guard that was moved to another task or thread is not held by the task that took the lock, so a task that waits for
//! it is in no deadlock.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;

use runtime_probe::runtime::Runtime;
#[cfg(feature = "semaphore")]
use runtime_probe::sync::Semaphore;
use runtime_probe::sync::{Mutex, OwnedMutexGuard, RwLock, mpsc, oneshot};
use runtime_probe::{pprof, spawn, task};
use support::client::get;
use support::dump::until;

mod support {
    #[allow(dead_code, reason = "this test asks in one way only")]
    pub mod client;
    pub mod dump;
}

/// A value with a type of its own, so that each lock is known by its line.
macro_rules! value {
    ($($name:ident)*) => {
        $(#[derive(Debug, Default)]
        struct $name(#[allow(dead_code, reason = "guarded")] u32);)*
    };
}

value!(Sent Closure Spawned Thread Read Joined Static One Other Left Right Moved);

static SHARED: Mutex<Static> = Mutex::const_new(Static(0));

/// Keeps the guard until the end of `end`.
async fn keep<G>(guard: G, end: oneshot::Receiver<()>) {
    end.await.ok();
    drop(guard);
}

/// One process, as a page lists the locks of all tests.
#[test]
fn a_lock_whose_guard_was_moved_is_in_no_deadlock() {
    let runtime = Runtime::new().unwrap();
    let mut ends = Vec::new();
    let mut tasks = Vec::new();
    let mut end = || {
        let (send, receive) = oneshot::channel();
        ends.push(send);
        receive
    };

    let kept = end();
    tasks.push(runtime.spawn(async move {
        let lock = Arc::new(Mutex::new(Sent::default()));
        let (send, mut receive) = mpsc::channel::<OwnedMutexGuard<Sent>>(1);
        spawn(async move { keep(receive.recv().await, kept).await });
        send.send(lock.clone().lock_owned().await).await.unwrap();
        drop(lock.lock().await);
    }));
    let kept = end();
    tasks.push(runtime.spawn(async move {
        let lock = Arc::new(Mutex::new(Closure::default()));
        let guard = lock.clone().lock_owned().await;
        task::spawn_blocking(move || {
            kept.blocking_recv().ok();
            drop(guard);
        });
        drop(lock.lock().await);
    }));
    let kept = end();
    tasks.push(runtime.spawn(async move {
        let lock = Arc::new(Mutex::new(Spawned::default()));
        spawn(keep(lock.clone().try_lock_owned().unwrap(), kept));
        drop(lock.lock().await);
    }));
    let kept = end();
    tasks.push(runtime.spawn(async move {
        let lock = Arc::new(Mutex::new(Thread::default()));
        let guard = lock.clone().lock_owned().await;
        thread::spawn(move || {
            kept.blocking_recv().ok();
            drop(guard);
        });
        drop(lock.lock().await);
    }));
    let kept = end();
    tasks.push(runtime.spawn(async move {
        let lock = Arc::new(RwLock::new(Read::default()));
        spawn(keep(lock.clone().read_owned().await, kept));
        drop(lock.write().await);
    }));
    let kept = end();
    tasks.push(runtime.spawn(async move {
        let lock = Arc::new(Mutex::new(Joined::default()));
        spawn(keep(lock.clone().lock_owned().await, kept));
        let waits = spawn(async move { drop(lock.lock().await) });
        waits.await.unwrap();
    }));
    let kept = end();
    tasks.push(runtime.spawn(async move {
        spawn(keep(SHARED.lock().await, kept));
        drop(SHARED.lock().await);
    }));
    #[cfg(feature = "semaphore")]
    {
        let (first, second) = (end(), end());
        tasks.push(runtime.spawn(async move {
            let connections = Arc::new(Semaphore::new(2));
            for kept in [first, second] {
                let permit = connections.clone().acquire_owned().await.unwrap();
                spawn(keep(permit, kept));
            }
            drop(connections.acquire_owned().await);
        }));
    }

    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let page = until(|text| {
        let waits =
            |task: &task::JoinHandle<()>| text.contains(&format!("goroutine {} [", task.id()));
        tasks.iter().all(waits) && text.matches(", waits for a ").count() >= 7
    });
    for name in ["Sent", "Closure", "Spawned", "Thread", "Static"] {
        let waits = format!("waits for a Mutex<moved_guards::{name}>");
        let line = page.lines().find(|line| line.contains(&waits)).unwrap();
        assert!(line.contains(", taken by this very task"), "{line}");
        assert!(
            line.contains(&format!(", took a Mutex<moved_guards::{name}>")),
            "{line}"
        );
        assert!(
            !line.contains(" held by ") && !line.contains(" holds "),
            "{line}"
        );
    }
    // As long as a cycle that may be one has to last.
    let page = until(|text| text.contains("# may be a deadlock: "));
    assert!(!page.contains("# deadlock: "), "{page}");
    assert!(
        page.contains("; unless a guard was moved to another task or thread\n"),
        "{page}"
    );
    #[cfg(feature = "semaphore")]
    {
        let line = page
            .lines()
            .find(|line| line.contains(", waits for a Semaphore "))
            .unwrap();
        assert!(
            line.contains(", 0 of 2 permits free, taken by this very task "),
            "{line}"
        );
        assert!(
            line.contains(", took 2 of 2 permits of a Semaphore "),
            "{line}"
        );
        let possible = |line: &&str| line.starts_with("# may be ") && line.contains("Semaphore");
        assert_eq!(page.lines().find(possible), None);
    }
    let deadlocks = get(address, "/debug/pprof/deadlocks");
    let deadlocks = deadlocks.text();
    assert!(
        deadlocks.starts_with("# may be a deadlock: "),
        "{deadlocks}"
    );
    assert!(!deadlocks.contains("# no "), "{deadlocks}");
    assert!(!deadlocks.contains("# deadlock: "), "{deadlocks}");
    let leaked = get(address, "/debug/pprof/goroutineleak?debug=1");
    let leaked = leaked.text();
    assert!(
        leaked.contains("goroutineleak profile: total 0"),
        "{leaked}"
    );

    for end in ends {
        end.send(()).unwrap();
    }
    for task in tasks {
        runtime.block_on(task).unwrap();
    }

    tasks_that_hold_what_they_borrow(&runtime);
    tasks_that_hold_what_they_own(&runtime);
    a_future_that_was_moved_waits_for_its_new_task(&runtime);
}

/// Two tasks wait for each other's lock.
macro_rules! crossed {
    ($runtime:expr, $lock:ident, $one:ident, $other:ident) => {{
        let one = Arc::new(Mutex::new($one::default()));
        let other = Arc::new(Mutex::new($other::default()));
        let (first, second) = (one.clone(), other.clone());
        let (has_first, first_is_taken) = oneshot::channel();
        let (has_second, second_is_taken) = oneshot::channel();
        let task = $runtime.spawn(async move {
            let _one = crossed!(@take one, $lock).await;
            has_first.send(()).unwrap();
            second_is_taken.await.unwrap();
            drop(crossed!(@take other, $lock).await);
        });
        let peer = $runtime.spawn(async move {
            first_is_taken.await.unwrap();
            let _two = crossed!(@take second, $lock).await;
            has_second.send(()).unwrap();
            drop(crossed!(@take first, $lock).await);
        });
        [task, peer]
    }};
    (@take $of:ident, lock) => { $of.lock() };
    (@take $of:ident, lock_owned) => { $of.clone().lock_owned() };
}

fn tasks_that_hold_what_they_borrow(runtime: &Runtime) {
    let tasks = crossed!(runtime, lock, One, Other);
    let page = until(|text| text.contains("# deadlock: "));
    assert!(page.contains("<moved_guards::One>"), "{page}");
    assert!(!page.contains("# may be a deadlock: "), "{page}");
    tasks[0].abort();
    until(|text| !text.contains("deadlock: "));
}

fn tasks_that_hold_what_they_own(runtime: &Runtime) {
    let tasks = crossed!(runtime, lock_owned, Left, Right);
    let page = until(|text| text.contains("deadlock: "));
    let line = page
        .lines()
        .find(|line| line.contains("deadlock: "))
        .unwrap();
    assert!(
        line.starts_with("# may be a deadlock: goroutine "),
        "{line}"
    );
    assert_eq!(line.matches(" took, for 1.").count(), 2, "{line}");
    tasks[0].abort();
    until(|text| !text.contains("deadlock: "));
}

/// The future was polled in one task, and is polled in another one since.
fn a_future_that_was_moved_waits_for_its_new_task(runtime: &Runtime) {
    let lock = Arc::new(Mutex::new(Moved::default()));
    let held = lock.clone().blocking_lock_owned();
    let takes = lock.clone();
    let first = runtime.spawn(async move {
        let mut waits = Box::pin(takes.lock_owned());
        let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        let moved = spawn(async move { drop(waits.await) });
        moved.await.unwrap();
    });
    until(|text| {
        let mut lines = text.lines();
        let waits = lines.find(|line| line.contains(", waits for a Mutex<moved_guards::Moved>"));
        waits.is_some()
            && lines.next().is_some_and(|task| {
                task.ends_with(" [sync.Mutex.Lock]:")
                    && !task.starts_with(&format!("goroutine {} ", first.id()))
            })
    });
    drop(held);
    runtime.block_on(first).unwrap();
}
