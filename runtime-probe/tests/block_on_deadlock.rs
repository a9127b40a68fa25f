//! The caller of a `block_on` holds a lock that its root waits for: a deadlock, whether a task, a closure or a thread is the caller.
#![cfg(feature = "full")]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use runtime_probe::runtime::{Builder, Handle};
use runtime_probe::sync::Mutex;
use runtime_probe::{task, time};
use support::dump::until;

mod support {
    pub mod dump;
}

/// Of the deadlocks of a dump: those that name this lock.
fn deadlocks_of<'t>(text: &'t str, lock: &str) -> Vec<&'t str> {
    let lines = text.lines().filter(|line| line.starts_with("# deadlock: "));
    lines.filter(|line| line.contains(lock)).collect()
}

#[test]
fn a_caller_that_holds_what_its_root_waits_for() {
    #[derive(Debug, Default)]
    struct OfTask;
    #[derive(Debug, Default)]
    struct OfClosure;
    #[derive(Debug, Default)]
    struct OfThread;
    #[derive(Debug, Default)]
    struct Limited;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();

    let lock = Arc::new(Mutex::new(OfTask));
    runtime.spawn(async move {
        let _held = lock.lock().await;
        task::block_in_place(|| Handle::current().block_on(async { drop(lock.lock().await) }));
    });
    let lock = Arc::new(Mutex::new(OfClosure));
    runtime.spawn_blocking(move || {
        let _held = lock.blocking_lock();
        Handle::current().block_on(async { drop(lock.lock().await) });
    });
    // Over a task between them.
    let (lock, handle) = (Arc::new(Mutex::new(OfThread)), runtime.handle().clone());
    let named = thread::Builder::new().name("holds-it".to_owned());
    named
        .spawn(move || {
            let _held = lock.blocking_lock();
            let other = Arc::clone(&lock);
            let waits = handle.spawn(async move { drop(other.lock().await) });
            handle.block_on(waits).unwrap();
        })
        .unwrap();
    // The root goes on after an hour.
    let lock = Arc::new(Mutex::new(Limited));
    runtime.spawn_blocking(move || {
        let _held = lock.blocking_lock();
        let limit = Duration::from_secs(3600);
        Handle::current().block_on(async { time::timeout(limit, lock.lock()).await.is_ok() })
    });

    let text = until(|text| {
        let all = ["::OfTask>", "::OfClosure>", "::OfThread>"];
        let found = all.iter().all(|lock| !deadlocks_of(text, lock).is_empty());
        found && text.contains("::Limited> created at")
    });
    for (lock, words) in [
        (
            "::OfTask>",
            "a_caller_that_holds_what_its_root_waits_for::{closure}",
        ),
        ("::OfClosure>", "to end, for "),
        ("::OfThread>", " (holds-it) waits for goroutine "),
    ] {
        let [line] = deadlocks_of(&text, lock)[..] else {
            panic!("one deadlock of {lock}: {text}")
        };
        assert!(
            line.contains(words) && line.contains(" to end, for "),
            "{line}"
        );
    }
    assert_eq!(deadlocks_of(&text, "::Limited>"), [""; 0], "{text}");
    // Its threads never end.
    runtime.shutdown_background();
}
