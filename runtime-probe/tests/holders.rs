//! The holder of a lock, as the waiting tasks name it: for every way to take a lock, and never a wrong one.
#![cfg(feature = "full")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, OnceCell, OwnedMutexGuard, RwLock, oneshot};
use runtime_probe::{task, time};
use support::client::get;
use support::dump::{dump, until};

mod support {
    #[allow(dead_code, reason = "two ways to ask are not used here")]
    pub mod client;
    pub mod dump;
}

/// Each test has types of its own, since a dump has the tasks of all tests.
macro_rules! value {
    ($name:ident) => {
        #[derive(Debug, Default)]
        struct $name(#[allow(dead_code, reason = "guarded")] u32);
    };
}

/// The line of a dump that has both words, as soon as there is one.
fn line_of(lock: &str, words: &str) -> String {
    let has = |line: &&str| line.contains(lock) && line.contains(words);
    let text = until(|text| text.lines().any(|line| has(&line)));
    text.lines().find(has).unwrap().to_owned()
}

/// Since how many milliseconds the holder in such a line has the lock.
fn held_ms(line: &str) -> f64 {
    let since = line.split(", held by goroutine ").nth(1).unwrap();
    let (_id, since) = since.split_once(" since ").unwrap();
    let after = since.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let (value, unit) = since.split_at(since.len() - after.len());
    let value: f64 = value.parse().unwrap();
    match unit.starts_with("ms") {
        true => value,
        false => value * 1000.0,
    }
}

/// The page of one lock, as JSON and as text.
#[test]
fn the_page_of_the_locks() {
    value!(Paged);
    let runtime = Runtime::new().unwrap();
    let created = line!() + 1;
    let lock = Arc::new(Mutex::new(Paged::default()));
    let first = lock.blocking_lock();
    let takes = Arc::clone(&lock);
    let taken = line!() + 2;
    let holder = runtime.spawn(async move {
        let _value = takes.lock().await;
        std::future::pending::<()>().await;
    });
    until(|text| text.contains("::Paged> created at"));
    drop(first);
    until(|text| !text.contains("::Paged> created at"));
    let waits = [(); 3].map(|()| {
        let lock = Arc::clone(&lock);
        runtime.spawn(async move { drop(lock.lock().await) })
    });
    until(|text| text.matches("::Paged> created at").count() == 4);

    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let json = get(address, "/debug/pprof/locks?format=json");
    let json: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    let locks = json["locks"].as_array().unwrap();
    let is_this = |lock: &&serde_json::Value| lock["type"].as_str().unwrap().contains("::Paged>");
    let lock = locks.iter().find(is_this).unwrap();
    assert_eq!(
        lock["created_at"],
        format!("runtime-probe/tests/holders.rs:{created}")
    );
    let at = lock["taken_at"].as_str().unwrap();
    assert!(at.ends_with(&format!("holders.rs:{taken})")), "{at}");
    assert!(lock["holder"]["task"].is_u64(), "{lock}");
    assert!(lock["since_ns"].as_u64().unwrap() > 0, "{lock}");
    assert_eq!(lock["waits"], 1, "{lock}");
    assert!(lock["waited_ns"].as_u64().unwrap() > 0, "{lock}");
    assert!(lock["given_to"].is_null(), "{lock}");
    let waiters = lock["waiters"].as_array().unwrap();
    assert_eq!(waiters.len(), 3, "{lock}");
    let ids = waits.each_ref().map(|task| task.id().to_string());
    for waiter in waiters {
        assert!(ids.contains(&waiter["who"]["task"].to_string()), "{waiter}");
        let at = waiter["who"]["at"].as_str().unwrap();
        assert!(
            at.contains("holders.rs:") && at.ends_with(" [sync.Mutex.Lock]"),
            "{at}"
        );
    }

    let page = get(address, "/debug/pprof/locks");
    let text = page
        .text()
        .split("\n\n")
        .find(|text| text.contains("::Paged>"))
        .unwrap();
    assert!(text.contains("\n\theld by goroutine "), "{text}");
    assert!(text.contains("\n\t3 wait, the first for "), "{text}");
    assert!(
        text.contains("\n\t1 wait for it has ended since its first, after "),
        "{text}"
    );
    assert!(text.contains("\n\t\t3 at "), "{text}");
    holder.abort();
}

/// The lock with this text in its type, by the page.
fn shown(name: &str) -> serde_json::Value {
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let json = get(address, "/debug/pprof/locks?format=json");
    let json: serde_json::Value = serde_json::from_str(json.text()).unwrap();
    let mut locks = json["locks"].as_array().unwrap().iter();
    let is_this = |lock: &&serde_json::Value| lock["type"].as_str().unwrap().contains(name);
    locks.find(is_this).unwrap().clone()
}

/// Tasks on several threads wait for one lock, and some give up. Each wait is counted once, and none is left behind.
#[test]
fn each_wait_of_a_contended_lock_is_counted_once() {
    value!(Contended);
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build().unwrap();
    let lock = Arc::new(Mutex::new(Contended::default()));
    let tasks = [0, 1, 2, 3, 4, 5].map(|number| {
        let lock = Arc::clone(&lock);
        runtime.spawn(async move {
            let mut waits = 0;
            for turn in 0..5_000 {
                let gives_up = (turn + number) % 3 == 0;
                let (mut wait, mut has_waited) = (pin!(lock.lock()), false);
                let guard = poll_fn(|context| match wait.as_mut().poll(context) {
                    Poll::Pending => {
                        has_waited = true;
                        if gives_up {
                            Poll::Ready(None)
                        } else {
                            Poll::Pending
                        }
                    }
                    Poll::Ready(guard) => Poll::Ready(Some(guard)),
                });
                if let Some(_guard) = guard.await {
                    task::yield_now().await;
                }
                waits += u64::from(has_waited);
            }
            waits
        })
    });
    let waits: u64 = runtime.block_on(async {
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert!(waits > 1_000, "{waits}");

    let guard = lock.blocking_lock();
    let waiter = runtime.spawn({
        let lock = Arc::clone(&lock);
        async move { drop(lock.lock().await) }
    });
    until(|text| text.matches("::Contended> created at").count() == 1);
    let shown = shown("::Contended>");
    assert_eq!(shown["waits"], waits, "{shown}");
    let waiters = shown["waiters"].as_array().unwrap();
    assert_eq!(waiters.len(), 1, "{shown}");
    assert_eq!(
        waiters[0]["who"]["task"].to_string(),
        waiter.id().to_string()
    );
    drop(guard);
    runtime.block_on(waiter).unwrap();
}

#[test]
fn the_task_that_took_it_and_what_waits() {
    value!(Stock);
    let runtime = Runtime::new().unwrap();
    let lock = Arc::new(Mutex::new(Stock::default()));
    let (ready, is_ready) = oneshot::channel();
    let holder = runtime.spawn({
        let lock = Arc::clone(&lock);
        async move {
            let _stock = lock.lock().await;
            ready.send(task::id()).unwrap();
            std::future::pending::<()>().await;
        }
    });
    let holder_id = runtime.block_on(is_ready).unwrap();
    for _ in 0..3 {
        let lock = Arc::clone(&lock);
        runtime.spawn(async move { drop(lock.lock().await) });
    }
    let name = "Mutex<holders::the_task_that_took_it_and_what_waits::Stock>";
    let waits = format!("waits for a {name} created at runtime-probe/tests/holders.rs:");
    let text = until(|text| text.matches(&waits).count() == 3);
    let held = format!(
        ", held by goroutine {holder_id} (holders::the_task_that_took_it_and_what_waits); 2 more wait for it"
    );
    assert_eq!(text.matches(&held).count(), 3, "{text}");
    let holds = format!("holds a {name} created at ");
    assert_eq!(text.matches(&holds).count(), 1, "{text}");
    assert!(text.contains(": 3 wait for it, the first for "), "{text}");

    // After the release the waiters take the lock one after the other, and the dump has no line on it any more.
    holder.abort();
    until(|text| !text.contains(name));
}

/// `lock()` without coop budget takes a free lock and returns `Pending`. The task has no guard until its next poll.
#[test]
fn the_task_that_took_it_without_budget() {
    value!(Ledger);
    let runtime = Builder::new_current_thread().build().unwrap();
    let lock = Arc::new(Mutex::new(Ledger::default()));
    let takes = Arc::clone(&lock);
    let first = runtime.spawn(async move {
        for _ in 0..128 {
            task::consume_budget().await;
        }
        drop(takes.lock().await);
    });
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let keeps_the_thread = runtime.spawn(async move { goes_on.recv().unwrap() });
    let (first_id, thread) = (
        first.id(),
        std::thread::spawn(move || {
            runtime.block_on(async {
                keeps_the_thread.await.unwrap();
                first.await.unwrap();
            });
        }),
    );
    let name = "Mutex<holders::the_task_that_took_it_without_budget::Ledger>";
    let waits = format!("waits for a {name} created at runtime-probe/tests/holders.rs:");
    until(|text| text.matches(&waits).count() == 1);
    assert!(lock.try_lock().is_err());

    let other = Runtime::new().unwrap();
    other.spawn(async move { drop(lock.lock().await) });
    let line = line_of(name, &format!(", on its way to goroutine {first_id}; "));
    assert!(line.ends_with("; 1 more waits for it"), "{line}");
    let own = line_of(name, ", on its way to this very task; ");
    assert!(own.starts_with("# runnable "), "{own}");

    go_on.send(()).unwrap();
    thread.join().unwrap();
    until(|text| !text.contains(name));
}

/// `lock()` of a free lock returned `Pending`, but there was nothing to wait for.
#[test]
fn a_free_lock_that_was_taken_without_budget_was_not_waited_for() {
    value!(Free);
    value!(Shared);
    let runtime = Builder::new_current_thread().build().unwrap();
    let (lock, shared) = (Mutex::new(Free::default()), RwLock::new(Shared::default()));
    let listed = runtime.block_on(async {
        for _ in 0..3 {
            consume_all().await;
            drop(returns_pending(lock.lock()).await);
            consume_all().await;
            drop(returns_pending(shared.write()).await);
            consume_all().await;
            drop(returns_pending(shared.read()).await);
            consume_all().await;
            let mut dropped = Box::pin(lock.lock());
            assert!(waits_after_a_poll(&mut dropped).await);
        }
        let (held, written) = (lock.lock().await, shared.write().await);
        let (mut waits, mut reads) = (Box::pin(lock.lock()), Box::pin(shared.read()));
        assert!(waits_after_a_poll(&mut waits).await && waits_after_a_poll(&mut reads).await);
        let listed = [shown("::Free>"), shown("::Shared>")];
        drop((held, written));
        listed
    });
    for lock in listed {
        assert_eq!((&lock["waits"], &lock["waited_ns"]), (&0.into(), &0.into()));
        assert_eq!(lock["waiters"].as_array().unwrap().len(), 1, "{lock}");
    }
}

/// The lock seems free, as the task that it was given to has not taken it yet.
#[test]
fn a_wait_without_budget_behind_another_is_one() {
    value!(Given);
    let runtime = Builder::new_current_thread().build().unwrap();
    let lock = Mutex::new(Given::default());
    let listed = runtime.block_on(async {
        let held = lock.lock().await;
        let mut first = Box::pin(lock.lock());
        assert!(waits_after_a_poll(&mut first).await);
        drop(held);
        consume_all().await;
        let mut second = Box::pin(lock.lock());
        assert!(waits_after_a_poll(&mut second).await);
        task::yield_now().await;
        drop(first.await);
        let _second = second.await;
        let mut third = Box::pin(lock.lock());
        assert!(waits_after_a_poll(&mut third).await);
        shown("::Given>")
    });
    assert_eq!(listed["waits"], 2, "{listed}");
}

/// Takes the whole coop budget of the task.
async fn consume_all() {
    while task::coop::has_budget_remaining() {
        task::coop::consume_budget().await;
    }
}

/// Awaits a future whose first poll returns `Pending`.
async fn returns_pending<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    assert!(waits_after_a_poll(&mut future).await);
    future.await
}

/// The task that makes the value is cancelled, and the next one makes it.
#[test]
fn the_task_that_makes_a_value() {
    value!(Config);
    let runtime = Runtime::new().unwrap();
    let cell = Arc::new(OnceCell::new());
    let made = Arc::new(runtime_probe::sync::Notify::new());
    let wait = || {
        let (cell, made) = (Arc::clone(&cell), Arc::clone(&made));
        let make = async move || {
            made.notified().await;
            Config(7)
        };
        runtime.spawn(async move { cell.get_or_init(make).await.0 })
    };
    let first = wait();
    until(|text| text.contains(&format!("\ngoroutine {} [sync.Cond.Wait]", first.id())));
    let second = wait();
    let by = |id: task::Id| format!("being made by goroutine {id} (holders::the_task_that_makes_");
    line_of("waits for a OnceCell<", &by(first.id()));
    // The call in the program, not the call inside ours.
    assert!(dump().contains("\ntokio::sync::once_cell::OnceCell::get_or_init(...)\n"));
    let makes = line_of("makes the value of a OnceCell<", "1 waits for it");
    assert!(makes.contains("::Config> created at "), "{makes}");
    first.abort();
    let third = wait();
    line_of("waits for a OnceCell<", &by(second.id()));
    assert!(!dump().contains("was given a OnceCell"));
    made.notify_one();
    assert_eq!(runtime.block_on(second).unwrap(), 7);
    assert_eq!(runtime.block_on(third).unwrap(), 7);
    assert!(!dump().contains("OnceCell"));
}

#[test]
fn a_guard_that_went_to_another_task_is_of_the_one_that_took_it() {
    value!(Sent);
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let lock = Arc::new(Mutex::new(Sent::default()));
    let (hand_over, handed) = oneshot::channel::<(OwnedMutexGuard<Sent>, _)>();
    let took = Arc::clone(&lock);
    runtime.spawn(async move {
        let guard = took.lock_owned().await;
        hand_over.send((guard, task::id())).ok();
    });
    let (guard, taker) = runtime.block_on(handed).unwrap();
    let waits = Arc::clone(&lock);
    runtime.spawn(async move { drop(waits.lock().await) });
    until(|text| {
        text.contains(&format!(
            "::Sent> created at runtime-probe/tests/holders.rs:{line}, taken by goroutine {taker}, which has ended or is not listed"
        ))
    });
    drop(guard);
    until(|text| !text.contains("::Sent>"));
}

#[test]
fn a_thread_that_has_it_is_named() {
    value!(Blocked);
    let runtime = Runtime::new().unwrap();
    let lock = Arc::new(Mutex::new(Blocked::default()));
    let guard = lock.blocking_lock();
    let waits = Arc::clone(&lock);
    runtime.spawn(async move { drop(waits.lock().await) });
    let text = until(|text| text.contains("::Blocked> created at"));
    let holder = text.split("::Blocked> created at ").nth(1).unwrap();
    assert!(holder.contains(", held by thread "), "{text}");
    drop(guard);
}

/// A thread forgets its guard and ends.
#[test]
fn a_thread_that_has_ended_is_said_to_have_ended() {
    value!(Forsaken);
    let runtime = Runtime::new().unwrap();
    let lock = Arc::new(Mutex::new(Forsaken::default()));
    let takes = Arc::clone(&lock);
    std::thread::spawn(move || std::mem::forget(takes.blocking_lock()))
        .join()
        .unwrap();
    runtime.spawn(async move { drop(lock.lock().await) });
    let line = line_of("::Forsaken>", ", taken by thread ");
    assert!(line.contains(", which has ended"), "{line}");
}

#[test]
fn readers_and_a_writer() {
    value!(Read);
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let lock = Arc::new(RwLock::new(Read::default()));
    let (ready, is_ready) = oneshot::channel();
    let reads = Arc::clone(&lock);
    let reader = runtime.spawn(async move {
        let _value = reads.read().await;
        ready.send(task::id()).unwrap();
        std::future::pending::<()>().await;
    });
    let reader_id = runtime.block_on(is_ready).unwrap();
    let writes = Arc::clone(&lock);
    runtime.spawn(async move { drop(writes.write().await) });
    until(|text| {
        text.contains(&format!("::Read> created at runtime-probe/tests/holders.rs:{line}, taken for reading by goroutine {reader_id}"
        ))
    });
    // A reader that has finished is no holder: now the writer has the lock.
    reader.abort();
    until(|text| !text.contains("::Read>"));
}

/// A task waited for a lock, released it, and took it again without a wait: since when it holds the lock is not
/// known, and the old time is not shown.
#[test]
fn a_lock_that_was_taken_again_is_not_held_since_the_first_time() {
    value!(Again);
    let runtime = Runtime::new().unwrap();
    let lock = Arc::new(Mutex::new(Again::default()));
    let first = lock.blocking_lock();
    let (ready, is_ready) = oneshot::channel();
    let takes = Arc::clone(&lock);
    runtime.spawn(async move {
        drop(takes.lock().await);
        let _again = takes.lock().await;
        ready.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    until(|text| text.contains("::Again> created at"));
    drop(first);
    runtime.block_on(is_ready).unwrap();
    let waits = Arc::clone(&lock);
    runtime.spawn(async move { drop(waits.lock().await) });
    let line = line_of("::Again>", ", held by goroutine ");
    assert!(!line.contains(" since "), "{line}");
}

/// For a holder that waited for the lock, the time since when it has held it is known.
#[test]
fn a_lock_that_was_waited_for_is_held_since_then() {
    value!(Since);
    let runtime = Runtime::new().unwrap();
    let lock = Arc::new(Mutex::new(Since::default()));
    let first = lock.blocking_lock();
    let takes = Arc::clone(&lock);
    let line = line!() + 2;
    runtime.spawn(async move {
        let _value = takes.lock().await;
        std::future::pending::<()>().await;
    });
    until(|text| text.contains("::Since> created at"));
    let let_go = Instant::now();
    drop(first);
    until(|text| !text.contains("::Since> created at"));
    std::thread::sleep(Duration::from_millis(100));
    let waits = Arc::clone(&lock);
    runtime.spawn(async move { drop(waits.lock().await) });
    let text = line_of("::Since>", ", held by goroutine ");
    let ms = held_ms(&text);
    // To a tenth of the printed unit. In a process's first moments the rate of the counter is known to some percent
    // only.
    let most = let_go.elapsed().as_secs_f64() * 1000.0 + 100.0;
    assert!((90.0..most).contains(&ms), "{text}");
    // The place is known, too: the task has waited there.
    let place = ", taken at holders::a_lock_that_was_waited_for_is_held_since_then (";
    assert!(text.contains(place), "{text}");
    assert!(text.ends_with(&format!("holders.rs:{line})")), "{text}");
}

/// A plain runtime has no hooks of the probe, so its thread has no stamp of the time at which it goes on.
#[test]
fn a_task_of_a_plain_runtime_holds_a_lock_since_it_got_it() {
    value!(Plain);
    let lock = Arc::new(Mutex::new(Plain::default()));
    let first = lock.blocking_lock();
    let (holds, is_held) = std::sync::mpsc::channel();
    let takes = Arc::clone(&lock);
    std::thread::spawn(move || {
        let plain = tokio::runtime::Builder::new_current_thread();
        let runtime = { plain }.enable_all().build().unwrap();
        runtime.block_on(async {
            let task = runtime_probe::spawn(async move {
                let _value = takes.lock().await;
                holds.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            task.await.unwrap();
        });
    });
    until(|text| text.contains("::Plain> created at"));
    std::thread::sleep(Duration::from_millis(400));
    drop(first);
    is_held.recv().unwrap();
    let got = Instant::now();
    let runtime = Runtime::new().unwrap();
    runtime.spawn(async move { drop(lock.lock().await) });
    let line = line_of("::Plain>", ", held by goroutine ");
    // Printed to a tenth of its unit, and the rate of the counter is known to some percent.
    let most = got.elapsed().as_secs_f64() * 1100.0 + 100.0;
    assert!(held_ms(&line) < most, "{line}, after {most} ms");
}

/// A task that computes before and after it releases a lock: the next one has not had the chance to run, and the lock is free
/// since the release, not since the begin of the poll.
#[test]
fn a_lock_that_was_just_released_is_not_said_to_be_left() {
    value!(Left);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let lock = Arc::new(Mutex::new(Left::default()));
    let (goes, may_go) = oneshot::channel::<()>();
    let (released, is_released) = std::sync::mpsc::channel();
    let (has, has_it) = oneshot::channel();
    let holds = Arc::clone(&lock);
    runtime.spawn(async move {
        let value = holds.lock().await;
        has.send(()).unwrap();
        may_go.await.unwrap();
        std::thread::sleep(Duration::from_millis(200));
        drop(value);
        released.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(80));
    });
    runtime.block_on(has_it).unwrap();
    let waits = Arc::clone(&lock);
    runtime.spawn(async move {
        let mut value = pin!(waits.lock());
        let mut polls = 0;
        // The second poll is of another future.
        poll_fn(|context| {
            polls += 1;
            if polls == 2 {
                return Poll::Pending;
            }
            context.waker().wake_by_ref();
            value.as_mut().poll(context).map(drop)
        })
        .await;
    });
    until(|text| text.contains("::Left> created at"));
    // Until its second poll.
    std::thread::sleep(Duration::from_millis(50));
    goes.send(()).unwrap();
    is_released.recv().unwrap();
    let text = dump();
    let given = text.lines().find(|line| line.contains("was given"));
    assert_eq!(given.filter(|line| line.contains("::Left>")), None);
}

/// A task that waits for a lock or something else is in no deadlock, even if the lock is never released.
#[test]
fn a_wait_under_a_time_limit_is_no_deadlock() {
    value!(Limited);
    let runtime = Runtime::new().unwrap();
    let locks = [(); 2].map(|()| Arc::new(Mutex::new(Limited::default())));
    for at in 0..2 {
        let (own, other) = (Arc::clone(&locks[at]), Arc::clone(&locks[1 - at]));
        runtime.spawn(async move {
            let _own = own.lock().await;
            time::sleep(Duration::from_millis(50)).await;
            time::timeout(Duration::from_secs(3600), other.lock())
                .await
                .ok();
        });
    }
    let text = until(|text| text.matches("::Limited> created at").count() == 4);
    let deadlocks = text.lines().filter(|line| line.starts_with("# deadlock: "));
    assert!(
        !deadlocks
            .into_iter()
            .any(|line| line.contains("::Limited>")),
        "{text}"
    );
}

/// The children of `join_all` wait at one place of the code. One of them has the lock, and waits for a timer beside them.
#[test]
fn a_timer_beside_equal_waits_for_a_lock_is_no_deadlock() {
    value!(Beside);
    value!(Around);
    let runtime = Runtime::new().unwrap();
    let lock = Arc::new(Mutex::new(Beside::default()));
    let child = |lock: Arc<Mutex<Beside>>| async move {
        let _held = lock.lock().await;
        time::sleep(Duration::from_secs(3600)).await;
    };
    runtime.spawn(join_all((0..4).map(move |_| child(Arc::clone(&lock)))));
    // The same waits without a timer are one.
    let lock = Arc::new(Mutex::new(Around::default()));
    runtime.spawn(async move {
        let _held = lock.lock().await;
        join_all((0..3).map(|_| lock.lock())).await.len()
    });
    let is_deadlock = |line: &&str| line.starts_with("# deadlock: ");
    let text = until(|text| {
        let mut deadlocks = text.lines().filter(is_deadlock);
        deadlocks.any(|line| line.contains("::Around>")) && text.contains("::Beside> created at")
    });
    let mut deadlocks = text.lines().filter(is_deadlock);
    assert!(!deadlocks.any(|line| line.contains("::Beside>")), "{text}");
}

/// The lock is dropped before its future: the future was forgotten, so its entry stays.
#[test]
fn a_forgotten_wait_for_a_lock_that_is_gone_is_not_shown() {
    value!(Forgotten);
    let runtime = Runtime::new().unwrap();
    let lock = Mutex::new(Forgotten::default());
    let guard = lock.try_lock().unwrap();
    runtime.block_on(async {
        let mut waits = Box::pin(lock.lock());
        assert!(waits_after_a_poll(&mut waits).await);
        std::mem::forget(waits);
    });
    drop(guard);
    // At another address, and free again.
    let moved = Box::new(lock);
    dump();
    drop(moved);
    assert!(!dump().contains("::Forgotten>"));
}

/// Polls a future once. Returns whether it waits.
async fn waits_after_a_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        let waits = std::pin::Pin::new(&mut *future).poll(context).is_pending();
        std::task::Poll::Ready(waits)
    })
    .await
}

/// Many tasks and many locks, all released: no entry stays, and no task is shown as waiting that does not wait.
#[test]
fn nothing_is_left_when_all_have_had_their_locks() {
    value!(Busy);
    let runtime = Runtime::new().unwrap();
    let locks: Vec<_> = (0..4)
        .map(|_| Arc::new(Mutex::new(Busy::default())))
        .collect();
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let locks = locks.clone();
            runtime.spawn(async move {
                for round in 0..200 {
                    let mut value = locks[(number + round) % 4].lock().await;
                    value.0 += 1;
                    if round % 7 == 0 {
                        task::yield_now().await;
                    }
                    drop(value);
                    // Some tasks give up waiting.
                    let limit = Duration::from_micros(50);
                    time::timeout(limit, locks[round % 4].lock()).await.ok();
                }
            })
        })
        .collect();
    let mut dumps = 0;
    while tasks.iter().any(|task| !task.is_finished()) {
        let text = dump();
        let deadlocks = text.lines().filter(|line| line.starts_with("# deadlock: "));
        assert!(
            !deadlocks.into_iter().any(|line| line.contains("::Busy>")),
            "{text}"
        );
        dumps += 1;
    }
    assert!(dumps > 0);
    assert!(!dump().contains("::Busy>"));
}
