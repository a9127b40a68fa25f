//! The tasks that may cancel a token that a task waits for: those that have it, and those that have a parent of it.
#![cfg(tokio_unstable)]

mod served;
#[path = "served/service.rs"]
mod service;

use served::page_with;
use service::Service;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

const LONG: Duration = Duration::from_secs(3600);

/// Spawns a task as a dependency does, or as the application does.
fn spawn(
    is_foreign: bool,
    future: impl Future<Output = ()> + Send + 'static,
) -> (u64, AbortHandle) {
    let (id, handle) = match is_foreign {
        true => {
            let task = tokio::spawn(future);
            (task.id(), task.abort_handle())
        }
        false => {
            let task = runtime_probe::spawn(future);
            (task.id(), task.abort_handle())
        }
    };
    (id.to_string().parse().unwrap(), handle)
}

async fn holds<T: Send>(held: T) {
    sleep(LONG).await;
    drop(held);
}

async fn works(token: CancellationToken) {
    token.cancelled().await;
}

async fn works_until(token: CancellationToken) {
    token.run_until_cancelled_owned(sleep(LONG)).await;
}

async fn works_beside(token: CancellationToken) {
    tokio::select! {
        () = token.cancelled() => {}
        () = sleep(LONG) => {}
    }
}

async fn works_owned(token: CancellationToken) {
    token.cancelled_owned().await;
}

/// Waits for a child of a token that it has itself.
async fn has_both(parent: CancellationToken) {
    let child = parent.child_token();
    child.cancelled().await;
    drop(parent);
}

#[test]
fn the_tasks_with_a_parent_of_a_token_are_named() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for is_foreign in [false, true] {
        let root = CancellationToken::new();
        let middle = root.child_token();
        let [first, second, third, fourth] = [(); 4].map(|()| middle.child_token());
        let unrelated = CancellationToken::new();
        let guard: DropGuard = unrelated.clone().drop_guard();
        let of_guard = unrelated.child_token();
        let by_name = HashMap::from([("orders".to_owned(), CancellationToken::new())]);
        let of_map = by_name["orders"].child_token();
        let alone = CancellationToken::new();
        let tasks = runtime.block_on(async {
            [
                spawn(is_foreign, holds(root.clone())),
                // This task waits for a token between the root and the workers' tokens.
                spawn(is_foreign, works(middle.clone())),
                spawn(is_foreign, holds(Arc::new(Mutex::new(first.clone())))),
                spawn(is_foreign, works(first)),
                spawn(is_foreign, works_until(second)),
                spawn(is_foreign, works_beside(third)),
                spawn(is_foreign, works_owned(fourth)),
                spawn(is_foreign, holds(guard)),
                spawn(is_foreign, works(of_guard)),
                spawn(is_foreign, holds(by_name)),
                spawn(is_foreign, works(of_map)),
                spawn(is_foreign, has_both(alone)),
            ]
        });
        let ids = tasks.each_ref().map(|(id, _)| *id);
        let [root_of, middle_of, first_of] = [ids[0], ids[1], ids[2]];
        let [guard_of, map_of] = [ids[7], ids[9]];
        let expected = [
            (
                middle_of,
                Some(format!("goroutine {root_of} may notify it")),
            ),
            (
                ids[3],
                Some(format!("goroutine {root_of}, {first_of} may notify it")),
            ),
            (ids[4], Some(format!("goroutine {root_of} may notify it"))),
            (ids[5], Some(format!("goroutine {root_of} may notify it"))),
            (ids[6], Some(format!("goroutine {root_of} may notify it"))),
            (ids[8], Some(format!("goroutine {guard_of} may notify it"))),
            (ids[10], Some(format!("goroutine {map_of} may notify it"))),
            (ids[11], None),
        ];
        let headers: Vec<String> = ids.iter().map(|id| format!("goroutine {id} [")).collect();
        let mut lines: Vec<&str> = headers.iter().map(String::as_str).collect();
        lines.extend(expected.iter().filter_map(|(_, note)| note.as_deref()));
        // The tasks that wait for the first time meanwhile have no notes yet.
        runtime.block_on(async { sleep(Duration::from_millis(300)).await });
        let page = page_with(address, "goroutine?debug=2", &lines);
        for (id, note) in &expected {
            let header = page.find(&format!("goroutine {id} [")).unwrap();
            let notes = page[..header].rsplit("\n\n").next().unwrap();
            assert!(notes.contains("waits for Notify 0x"), "{id} {notes}");
            match note {
                Some(note) => assert!(notes.contains(note), "{note}\n{notes}"),
                None => assert!(!notes.contains("may notify it"), "{notes}"),
            }
        }
        assert!(!page.contains("may be a deadlock"), "{page}");
        drop((root, middle, unrelated));
        for (_, task) in &tasks {
            task.abort();
        }
    }
}

#[test]
fn thousands_of_children_of_one_token_are_read_in_seconds() {
    const TASKS: usize = 10_000;
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let (idle, _) = runtime.block_on(async { spawn(true, holds(0)) });
    page_with(
        address,
        "goroutine?debug=2",
        &[
            "1 of 1 foreign tasks are decoded",
            &format!("goroutine {idle} ["),
        ],
    );
    let mut tasks = Vec::new();
    runtime.block_on(async {
        let parent = CancellationToken::new();
        for _ in 0..TASKS {
            tasks.push(spawn(true, has_both(parent.clone())));
        }
        tasks.push(spawn(true, holds(parent)));
        sleep(Duration::from_secs(1)).await;
    });
    let first = format!("goroutine {}, {}, ", tasks[0].0, tasks[1].0);
    page_with(address, "goroutine?debug=2", &[&first, "may notify it"]);
    for (_, task) in &tasks {
        task.abort();
    }
}
