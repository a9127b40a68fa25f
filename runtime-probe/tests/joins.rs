//! Whose end a task waits for, as a dump says it: of tasks, of closures and of sets, and never one that it does not wait for.
#![cfg(feature = "full")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use runtime_probe::runtime::Runtime;
use runtime_probe::sync::{Notify, mpsc};
use runtime_probe::task::{self, JoinSet};
use runtime_probe::time;
use support::dump::{dump, until};

mod support {
    pub mod dump;
}

/// The remarks on a task, once they have these words.
fn remarks(id: task::Id, words: &str) -> String {
    let block = format!("\ngoroutine {id} [");
    let of = |text: &str| {
        let before = text.split(&block).next().filter(|before| *before != text);
        before
            .and_then(|before| before.lines().last())
            .unwrap_or_default()
            .to_owned()
    };
    of(&until(|text| of(text).contains(words)))
}

#[test]
fn tasks_closures_and_sets_are_named() {
    let runtime = Runtime::new().unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    async fn awaited() {
        pending().await
    }
    let task = runtime.spawn(awaited());
    let closure = runtime.spawn_blocking(move || released.recv().ok());
    let (task_id, closure_id) = (task.id(), closure.id());
    let limited = runtime.spawn(async move { time::timeout(Duration::from_secs(600), task).await });
    let blocked = runtime.spawn(closure);
    let (tell, told) = std::sync::mpsc::channel();
    let drains = runtime.spawn(async move {
        let mut set = JoinSet::new();
        for _ in 0..7 {
            tell.send(set.spawn(awaited()).id()).unwrap();
        }
        set.join_next().await.is_some()
    });
    let mut members: Vec<task::Id> = told.iter().take(7).collect();
    members.sort_by_key(|id| id.to_string().parse::<u64>().unwrap());

    let text = remarks(limited.id(), "waits for ");
    let name = "joins::tasks_closures_and_sets_are_named::awaited";
    let told = format!("waits for goroutine {task_id} ({name}) to end");
    assert!(text.contains(&told), "{text}");
    // `spawn` of a handle: the wrapper's future is tokio's own.
    let text = remarks(blocked.id(), "waits for ");
    let told = format!(
        "waits for goroutine {closure_id} (joins::tasks_closures_and_sets_are_named) to end"
    );
    assert!(text.contains(&told), "{text}");
    let text = remarks(drains.id(), "waits for ");
    let named: Vec<String> = members[..5]
        .iter()
        .map(|id| format!("goroutine {id} ({name})"))
        .collect();
    let told = format!(
        "waits for one of 7 tasks of a JoinSet to end: {}, 2 more",
        named.join(", ")
    );
    assert!(text.contains(&told), "{text}");
    release.send(()).unwrap();
    limited.abort();
    drains.abort();
}

/// A handle keeps the waker of the poll in which it was polled last, whose generation comes again every 64 polls.
#[test]
fn a_handle_that_is_not_polled_any_more_is_not_named() {
    let runtime = Runtime::new().unwrap();
    let (kept, awaited) = (
        runtime.spawn(pending::<()>()),
        runtime.spawn(pending::<()>()),
    );
    let (kept_id, awaited_id) = (kept.id(), awaited.id());
    let again = Arc::new(Notify::new());
    let (polled, mut polls) = mpsc::unbounded_channel();
    let notified = Arc::clone(&again);
    let waits = runtime.spawn(async move {
        let (mut kept, mut awaited) = (kept, awaited);
        time::timeout(Duration::from_millis(1), &mut kept)
            .await
            .unwrap_err();
        loop {
            polled.send(()).unwrap();
            task::unconstrained(async {
                runtime_probe::select! {
                    _ = &mut awaited => unreachable!(),
                    () = notified.notified() => {}
                }
            })
            .await;
        }
    });
    for _ in 0..130 {
        polls.blocking_recv().unwrap();
        assert!(!dump().contains(&format!("waits for goroutine {kept_id} ")));
        again.notify_one();
    }
    // Neither is the other one: a waker of the task is where none is awaited.
    assert!(!dump().contains(&format!("waits for goroutine {awaited_id} ")));
    waits.abort();
}

/// Each waits for the other, and one for a time only; one of a set ends.
#[test]
fn what_goes_on_is_no_deadlock() {
    let runtime = Runtime::new().unwrap();
    let (give, given) = runtime_probe::sync::oneshot::channel::<task::JoinHandle<()>>();
    let first = runtime.spawn(async move {
        let other = given.await.unwrap();
        time::timeout(Duration::from_secs(600), other).await.ok();
    });
    let (first_id, waits_for) = (first.id(), "waits for ");
    let other = runtime.spawn(async move { first.await.unwrap() });
    let other_id = other.id();
    give.send(other).unwrap();

    let lock = Arc::new(runtime_probe::sync::Mutex::new(()));
    let drains = runtime.spawn(async move {
        let _held = lock.lock().await;
        let mut set = JoinSet::new();
        let needs = Arc::clone(&lock);
        set.spawn(async move { drop(needs.lock().await) });
        set.spawn(time::sleep(Duration::from_secs(600)));
        set.join_next().await.is_some()
    });
    for id in [first_id, other_id, drains.id()] {
        remarks(id, waits_for);
    }
    for _ in 0..20 {
        let text = dump();
        assert!(!text.contains("# deadlock: "), "{text}");
    }
    drains.abort();
}
