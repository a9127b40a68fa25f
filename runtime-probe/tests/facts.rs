//! `pprof::task_facts` at moments that are easy to get wrong.
#![cfg(feature = "full")]

use std::future::ready;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use runtime_probe::pprof::{self, TaskFacts, TaskKind, TaskState};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::{task, time};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A time that does not belong to the task.
const BEFORE: Duration = Duration::from_millis(500);

fn facts(id: &str) -> TaskFacts {
    let found = pprof::task_facts()
        .into_iter()
        .find(|facts| facts.id.to_string() == id);
    found.expect("a task that is alive")
}

#[test]
fn a_future_that_has_returned_is_no_task_any_more() {
    let wrapped = || {
        let all = pprof::task_facts();
        let wrapped = |facts: &&TaskFacts| facts.kind == TaskKind::Instrumented;
        all.iter().filter(wrapped).count()
    };
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut future = pin!(pprof::instrument(ready(1)));
        assert_eq!(wrapped(), 1);
        assert_eq!(future.as_mut().await, 1);
        // The task is not dropped yet, and nothing will wake it.
        assert_eq!(wrapped(), 0);
    });
}

/// A task that waits for a message, on a runtime that no thread drives any more.
fn stranded() -> (Runtime, String, UnboundedSender<()>) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (sender, mut receiver) = unbounded_channel();
    let task = runtime.spawn(async move { while receiver.recv().await.is_some() {} });
    runtime.block_on(task::yield_now());
    runtime.block_on(task::yield_now());
    let id = task.id().to_string();
    assert_eq!(facts(&id).state, TaskState::Waiting);
    (runtime, id, sender)
}

/// The task has been runnable since the wake, by the program's own clock.
fn is_runnable_since(id: &str, before_the_wake: Instant) {
    let facts = facts(id);
    assert_eq!(facts.state, TaskState::Runnable);
    let at_most = before_the_wake.elapsed();
    // A wake inside of a poll counts from the begin of that poll, which is some microseconds before.
    let most = at_most.mul_f64(1.05) + Duration::from_millis(1);
    assert!(facts.since <= most, "{facts:?} {at_most:?}");
}

#[test]
fn a_task_is_ready_since_the_wake_of_a_closure_that_ran_before() {
    let (_stranded, id, sender) = stranded();
    let runtime = Builder::new_current_thread().build().unwrap();
    let woken = runtime.spawn_blocking(move || {
        thread::sleep(BEFORE);
        let before = Instant::now();
        sender.send(()).unwrap();
        (before, sender)
    });
    let (before, _sender) = runtime.block_on(woken).unwrap();
    is_runnable_since(&id, before);
}

#[test]
fn a_task_is_ready_since_the_wake_of_a_root_that_slept_before() {
    let (_stranded, id, sender) = stranded();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let before = runtime.block_on(async {
        time::sleep(BEFORE).await;
        let before = Instant::now();
        sender.send(()).unwrap();
        before
    });
    is_runnable_since(&id, before);
}

#[cfg(tokio_unstable)]
#[test]
fn a_task_that_a_dependency_spawns_too_late_is_none() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let late = runtime.handle().clone();
    let line = line!() + 3;
    drop(runtime);
    for _ in 0..10 {
        late.block_on(async { drop(tokio::spawn(std::future::pending::<()>())) });
    }
    let here = |facts: &TaskFacts| {
        let place = facts.location.expect("a location");
        place.file() == file!() && place.line() == line
    };
    let left: Vec<_> = pprof::task_facts().into_iter().filter(here).collect();
    assert!(left.is_empty(), "{left:?}");
}
