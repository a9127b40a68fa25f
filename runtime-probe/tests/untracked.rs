//! Tasks of an untracked thread are in no dump and no page; tasks of other threads are.

use runtime_probe::pprof::{self, TaskFacts, TaskKind, TaskState};
use runtime_probe::runtime::Builder;
use std::future::pending;
use std::panic::Location;
use std::sync::mpsc;
use std::time::Duration;

/// Longer than any step takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tasks that were spawned in this file, from `first` to `last`.
fn spawned_between(first: u32, last: u32) -> Vec<TaskFacts> {
    let here = |task: &TaskFacts| {
        let place = task.location;
        place.is_some_and(|place| place.file() == file!() && (first..last).contains(&place.line()))
    };
    pprof::task_facts().into_iter().filter(here).collect()
}

#[test]
fn a_runtime_that_is_left_out_is_not_listed() {
    for workers in [0, 2] {
        let first = line!();
        let (begun, told) = mpsc::channel();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            pprof::untracked(|| {
                let mut builder = match workers {
                    0 => Builder::new_current_thread(),
                    workers => {
                        let mut builder = Builder::new_multi_thread();
                        builder.worker_threads(workers);
                        builder
                    }
                };
                let runtime = builder.name("left out").build().unwrap();
                runtime.block_on(async {
                    let child = runtime_probe::spawn(async move {
                        runtime_probe::spawn(pending::<()>());
                        runtime_probe::task::spawn_blocking(|| ()).await.unwrap();
                        begun.send(()).unwrap();
                        pending::<()>().await;
                    });
                    ended.await.unwrap();
                    child.abort();
                });
            });
            // From here on the thread is tracked again.
            let runtime = Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { spawned_between(first, line!() + 1).len() })
        });
        told.recv_timeout(PATIENCE).unwrap();
        let last = line!();
        assert_eq!(spawned_between(first, last).len(), 0, "{workers} workers");
        let mut index = Vec::new();
        let threads = pprof::lookup("threads").unwrap();
        threads.write_to(&mut index, 1).unwrap();
        assert!(!String::from_utf8_lossy(&index).contains("left out"));
        end.send(()).unwrap();
        assert_eq!(
            thread.join().unwrap(),
            1,
            "the root of the block_on after it"
        );
    }
}

#[test]
fn a_task_has_the_facts_of_its_spawn_and_of_its_polls() {
    async fn wakes_itself_twice() {
        for _ in 0..2 {
            let mut woken = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                match std::mem::replace(&mut woken, true) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            })
            .await;
        }
        let kept = [0u8; 100];
        pending::<()>().await;
        std::hint::black_box(&kept);
    }

    let runtime = Builder::new_current_thread().build().unwrap();
    let future = wakes_itself_twice();
    let size = size_of_val(&future);
    runtime.block_on(async {
        let task = runtime_probe::task::Builder::new()
            .name("facts")
            .spawn(future);
        let (task, place): (_, &Location<'_>) = (task.unwrap(), Location::caller());
        let look = || {
            let all = pprof::task_facts().into_iter();
            let named = |task: &TaskFacts| task.name.as_deref() == Some("facts");
            all.filter(named).collect::<Vec<_>>()
        };
        let [fresh] = &look()[..] else {
            panic!("{:?}", look())
        };
        assert_eq!((fresh.state, fresh.polls), (TaskState::Runnable, 0));
        while look()[0].state != TaskState::Waiting {
            runtime_probe::task::yield_now().await;
        }
        let [facts] = &look()[..] else {
            panic!("{:?}", look())
        };
        assert_eq!(facts.id, task.id());
        assert_eq!((facts.kind, facts.size), (TaskKind::Task, Some(size)));
        assert_eq!(facts.location.map(Location::file), Some(place.file()));
        assert!(facts.type_name.unwrap().contains("wakes_itself_twice"));
        let root = facts.parent.expect("the root of the block_on");
        assert!(
            pprof::task_facts()
                .iter()
                .any(|task| task.id == root && task.kind == TaskKind::BlockOn)
        );
        // The first poll of each leaf wakes the task. So does the second poll, which then waits.
        assert_eq!(
            (facts.polls, facts.self_wakes, facts.wakers),
            (4, 3, Some(0))
        );
        assert!(
            facts.since <= facts.age && facts.busy <= facts.age,
            "{facts:?}"
        );
    });
}
