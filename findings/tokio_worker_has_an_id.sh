#!/usr/bin/env bash
# tokio 1.54.1: between two tasks `tokio::task::try_id()` on a worker is the worker's own id, which no hook has announced, and not `None`.
#
# Guess: it is "the id of the currently running task, or `None` if called outside of a task", as documented. In `on_before_task_poll` it is the id
# of the task that is about to run, or none; in `on_thread_park`, and in a waker that the driver calls, there is no task.
# Reality: a worker of a multi_thread runtime is itself a closure of the blocking pool, and so a task with an id. One task, spawned by the root of
# `block_on`:
#
#     try_id() in                          multi_thread, 1 worker    current_thread
#     the task                             the task                  the task
#     a task that it spawns, and its hook  that task, the spawner    that task, the spawner
#     on_before_task_poll, on_after_...    the worker                None
#     on_task_terminate                    the worker                None
#     on_thread_park, on_thread_unpark     the worker                None
#     a waker that a timer calls           the worker                None
#     the root                             None                      None
#
# Why it matters: "am I inside a task" by `try_id().is_some()` is always true on a worker, so an allocator, a panic hook or a logger that charges
# work by that id has one busy task that was never spawned, has no name and ends with the runtime; for one-threaded runtimes the same work has
# no id. A hook has to take the id from its argument.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_worker_has_an_id.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p ids/src
cat > ids/Cargo.toml <<'TOML'
[package]
name = "ids"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > ids/src/main.rs <<'RS'
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::{self, Id};
use tokio::time::sleep;

static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static SPAWNED: Mutex<Vec<(Id, &str)>> = Mutex::new(Vec::new());

fn name(id: Option<Id>) -> &'static str {
    let Some(id) = id else { return "none" };
    let spawned = SPAWNED.lock().unwrap();
    spawned.iter().find(|(known, _)| *known == id).map_or("no spawned task", |(_, name)| name)
}

fn note(place: &str) {
    let seen = format!("{place}: {}", name(task::try_id()));
    SEEN.lock().unwrap().insert(seen);
}

struct Notes;

impl Wake for Notes {
    fn wake(self: Arc<Self>) {
        note("waker");
    }
}

fn main() {
    for kind in ["multi", "current"] {
        let mut builder = if kind == "multi" { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        let runtime = builder
            .worker_threads(1)
            .enable_time()
            .on_thread_park(|| note("park"))
            .on_thread_unpark(|| note("unpark"))
            .on_task_spawn(|task| {
                let mut spawned = SPAWNED.lock().unwrap();
                let name = if spawned.is_empty() { "first" } else { "second" };
                spawned.push((task.id(), name));
                drop(spawned);
                note(&format!("spawn of {name}"));
            })
            .on_before_task_poll(|task| note(&format!("before a poll of {}", name(Some(task.id())))))
            .on_after_task_poll(|task| note(&format!("after a poll of {}", name(Some(task.id())))))
            .on_task_terminate(|task| {
                let name = name(Some(task.id()));
                if name != "no spawned task" {
                    note(&format!("end of {name}"));
                }
            })
            .build()
            .unwrap();
        runtime.block_on(async {
            note("root");
            let first = task::spawn(async {
                note("in first");
                task::spawn(async { note("in second") }).await.unwrap();
                let mut timer = pin!(sleep(Duration::from_millis(20)));
                let waker = Waker::from(Arc::new(Notes));
                assert!(timer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                sleep(Duration::from_millis(100)).await;
            });
            first.await.unwrap();
            sleep(Duration::from_millis(100)).await;
        });
        drop(runtime);
        for line in std::mem::take(&mut *SEEN.lock().unwrap()) {
            println!("{kind}: {line}");
        }
        SPAWNED.lock().unwrap().clear();
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path ids/Cargo.toml --target-dir target | tee seen
{
    for kind in multi current; do
        between=none
        [ $kind = current ] || between='no spawned task'
        cat <<TXT
$kind: after a poll of first: $between
$kind: after a poll of second: $between
$kind: before a poll of first: $between
$kind: before a poll of second: $between
$kind: end of first: $between
$kind: end of second: $between
$kind: in first: first
$kind: in second: second
$kind: park: $between
$kind: root: none
$kind: spawn of first: none
$kind: spawn of second: first
$kind: unpark: $between
$kind: waker: $between
TXT
    done
} > expected
diff expected seen || { echo "changed: another id between two tasks" >&2; exit 1; }
