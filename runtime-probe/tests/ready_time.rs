//! Ready times, and that they are added up only while a reader asks for them. In a process of its own, as one reader
//! switches it on for all tasks.
#![cfg(feature = "full")]

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use runtime_probe::pprof::{self, TaskFacts, TaskState};
use runtime_probe::runtime::Builder;
use runtime_probe::task;

/// How long the only thread is kept busy while a task is ready.
const KEPT: Duration = Duration::from_millis(20);

fn facts(id: task::Id) -> TaskFacts {
    let of_it = |facts: &TaskFacts| facts.id == id;
    let found = pprof::task_facts().into_iter().find(of_it);
    found.expect("a task that is alive")
}

#[test]
fn they_are_summed_up_while_they_are_asked_for() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (round, mut rounds) = tokio::sync::mpsc::unbounded_channel::<()>();
        let late = runtime_probe::spawn(async move { while rounds.recv().await.is_some() {} });
        task::yield_now().await;
        let grown = async || {
            let before = facts(late.id());
            round.send(()).unwrap();
            thread::sleep(KEPT);
            task::yield_now().await;
            let after = facts(late.id());
            assert_eq!(after.polls, before.polls + 1);
            // The estimate of the clock's rate improves, so a sum may even shrink.
            let grown = after.ready.saturating_sub(before.ready);
            (grown, after.age)
        };

        assert_eq!(grown().await.0, Duration::ZERO, "they are not asked for");
        let (one, other) = (pprof::track_ready_time(), pprof::track_ready_time());
        for sum in [Some(one), Some(other)] {
            let (delay, age) = grown().await;
            assert!((KEPT.mul_f64(0.95)..age).contains(&delay), "{delay:?}");
            drop(sum);
        }
        assert!(grown().await.0 < KEPT / 10, "they are not any more");
        assert!(facts(late.id()).ready >= KEPT.mul_f64(1.9));
    });
}

#[test]
fn of_a_closure_it_is_always_known() {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, released) = mpsc::channel::<()>();
    let first = runtime.spawn_blocking(move || released.recv().unwrap());
    let (end, ended) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel::<()>();
    let second = runtime.spawn_blocking(move || {
        begun.send(()).unwrap();
        ended.recv().unwrap();
    });
    thread::sleep(KEPT);
    let waiting = facts(second.id());
    assert_eq!(
        (waiting.state, waiting.ready),
        (TaskState::Runnable, Duration::ZERO)
    );
    release.send(()).unwrap();
    begins.recv().unwrap();
    let running = facts(second.id());
    assert_eq!(running.state, TaskState::Running);
    assert!(
        (KEPT.mul_f64(0.95)..=running.age).contains(&running.ready),
        "{running:?}"
    );
    end.send(()).unwrap();
    runtime.block_on(async {
        first.await.unwrap();
        second.await.unwrap();
    });
}
