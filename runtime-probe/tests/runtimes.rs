//! Several runtimes in one process: a dump names the runtime that polls each task. With one runtime it names none.
//!
//! The list of runtimes is the process's, so this is one test.

mod dump_text;

use dump_text::{Dump, Task};
use runtime_probe::runtime::{Builder, LocalRuntime, Runtime};
use runtime_probe::task::LocalSet;
use runtime_probe::{pprof, spawn, task};
use std::future::pending;
use std::sync::mpsc;

#[test]
fn each_task_says_its_runtime_where_there_are_several() {
    let alone = Builder::new_multi_thread()
        .worker_threads(1)
        .name("alone")
        .build()
        .unwrap();
    let first = on_a_worker(&alone);
    assert_eq!(runtime_of(&first), None);

    // Named by its own name, whatever its threads are called; by the name of its threads; by its number; and one of
    // the other kind.
    let both = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("both-threads")
        .name("both")
        .thread_name("both-worker")
        .build()
        .unwrap();
    let threads = Builder::new_current_thread()
        .thread_name("threads")
        .build()
        .unwrap();
    let unnamed = Builder::new_current_thread().build().unwrap();
    let local = Builder::new_current_thread()
        .name("local")
        .build_local(Default::default())
        .unwrap();
    assert_eq!(runtime_of(&first), Some("alone".to_owned()));
    assert_eq!(runtime_of(&on_a_worker(&both)), Some("both".to_owned()));
    for (runtime, name) in [(&threads, "threads"), (&unnamed, "runtime-4")] {
        in_a_root(runtime, name);
        in_a_root_of_tokio(runtime, name);
    }
    in_a_local_root(&local, "local");
    one_inside_the_other(&both, &unnamed);
    a_closure(&both, "both");

    // Threads of one runtime are another runtime's afterwards.
    in_a_root(&threads, "threads");

    // A builder of tokio, with hooks, before and after the first time that the runtime is idle.
    let mut plain = tokio::runtime::Builder::new_current_thread();
    pprof::Hooks::new()
        .runtime_name("hooked")
        .install(&mut plain);
    let hooked = plain.build().unwrap();
    let spawned = || async {
        let handle = spawn(pending::<()>());
        task::yield_now().await;
        handle.abort_handle()
    };
    let before = hooked.block_on(spawned());
    if cfg!(tokio_unstable) {
        assert_eq!(runtime_of(&before.id().to_string()), Some("hooked".into()));
    }
    hooked.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
    let after = hooked.block_on(spawned());
    assert_eq!(runtime_of(&after.id().to_string()), Some("hooked".into()));
    // A task's handle keeps the part of its runtime that tokio keeps.
    drop((before, after, plain, hooked));
    drop((both, threads, unnamed, local));
    assert_eq!(runtime_of(&first), None, "one is left");
    let again = Builder::new_current_thread().build().unwrap();
    in_a_root(&again, "runtime-2");
}

/// The id of a task that a worker has polled.
fn on_a_worker(runtime: &Runtime) -> String {
    let (polled, is_polled) = mpsc::channel();
    let handle = runtime.spawn(async move {
        polled.send(()).unwrap();
        pending::<()>().await;
    });
    is_polled.recv().unwrap();
    handle.id().to_string()
}

/// The root, tasks, and tasks of a set, in a `block_on` of ours.
fn in_a_root(runtime: &Runtime, name: &str) {
    let expected = Some(name.to_owned());
    let set = LocalSet::new();
    let inside = set.spawn_local(pending::<()>());
    set.block_on(runtime, async {
        let handle = spawn(pending::<()>());
        task::yield_now().await;
        assert_eq!(runtime_of(&handle.id().to_string()), expected);
        assert_eq!(runtime_of(&inside.id().to_string()), expected);
        let roots = Dump::take().0.into_iter();
        let roots = roots.filter(|task| task.text.contains("root of a block_on"));
        let roots: Vec<_> = roots.collect();
        assert!(
            roots.iter().any(|task| said(task) == expected),
            "{:?}",
            roots.iter().map(|task| &task.text).collect::<Vec<_>>()
        );
        #[cfg(tokio_unstable)]
        {
            let foreign = tokio::spawn(pending::<()>());
            assert_eq!(runtime_of(&foreign.id().to_string()), expected);
        }
    });
}

/// The same in a `block_on` of tokio, of which the thread has no note.
fn in_a_root_of_tokio(runtime: &Runtime, name: &str) {
    let plain: &tokio::runtime::Runtime = runtime;
    plain.block_on(async {
        let handle = spawn(pending::<()>());
        task::yield_now().await;
        assert_eq!(runtime_of(&handle.id().to_string()), Some(name.to_owned()));
    });
}

fn in_a_local_root(runtime: &LocalRuntime, name: &str) {
    let handle = runtime.spawn_local(pending::<()>());
    runtime.block_on(task::yield_now());
    assert_eq!(runtime_of(&handle.id().to_string()), Some(name.to_owned()));
}

/// A worker that drives another runtime inside a poll belongs to its own runtime again afterwards.
fn one_inside_the_other(outer: &Runtime, inner: &Runtime) {
    let nested = inner.handle().clone();
    let (inside, outside) = outer.block_on(async move {
        let running = spawn(async move {
            let inside = task::block_in_place(|| {
                let plain = Builder::new_current_thread()
                    .name("inside")
                    .build()
                    .unwrap();
                let handle = plain.block_on(async {
                    let handle = spawn(pending::<()>());
                    task::yield_now().await;
                    runtime_of(&handle.id().to_string())
                });
                nested.block_on(async {});
                handle
            });
            (inside, spawn(pending::<()>()))
        });
        running.await.unwrap()
    });
    assert_eq!(inside, Some("inside".to_owned()));
    outer.block_on(async {
        while runtime_of(&outside.id().to_string()).is_none() {
            task::yield_now().await;
        }
    });
    assert_eq!(runtime_of(&outside.id().to_string()), Some("both".into()));
}

fn a_closure(runtime: &Runtime, name: &str) {
    let (started, has_started) = mpsc::channel();
    let (ends, end) = mpsc::channel::<()>();
    let handle = runtime.spawn_blocking(move || {
        started.send(()).unwrap();
        let _ = end.recv();
    });
    has_started.recv().unwrap();
    assert_eq!(runtime_of(&handle.id().to_string()), Some(name.to_owned()));
    drop(ends);
}

fn runtime_of(id: &str) -> Option<String> {
    said(Dump::take().task(id))
}

/// The text of the line above the header.
fn said(task: &Task) -> Option<String> {
    let remark = task
        .text
        .lines()
        .find(|line| line.starts_with("# ") && line.contains(", polls "))?;
    let name = remark.split(", runtime ").nth(1)?;
    Some(name.split(',').next().unwrap_or_default().to_owned())
}
