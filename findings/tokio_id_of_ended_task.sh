#!/usr/bin/env bash
# tokio 1.54.1: `tokio::task::id()` is the id of a task that has ended, while its output is dropped with its `JoinHandle`.
#
# Guess: it is the task that runs. A value that task B drops, wherever it is from, is dropped under B's id; a task that has ended has no code left
# to run, so its id is not seen again.
# Reality: an output that is dropped with its `JoinHandle` is dropped under the id of the task that returned it, on the thread and inside the poll
# of the one that drops the handle. Task-locals are those of the latter. Task B, and A, which has ended before:
#
#     B does with A's handle       task::id()    a task-local    task that is polled
#     drops it                     A             B's             B
#     awaits it, drops the value   B             B's             B
#     drops a JoinSet with it      A             B's             B
#     drops that of a closure      A, closure's  B's             B
#
# Why it matters: an allocator, a logger or a lock that charges its work to `task::try_id()` charges it to a task whose end was reported; a table
# that drops its entries at the end gets an unknown id or makes the entry anew, for good. id and task-local of one moment name two
# tasks. B's slow poll, in which a large result is freed, looks like work of A.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_id_of_ended_task.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p ended/src
cat > ended/Cargo.toml <<'TOML'
[package]
name = "ended"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt-multi-thread", "time"] }
[workspace]
TOML
cat > ended/src/main.rs <<'RS'
use std::cell::RefCell;
use std::sync::Mutex;
use std::time::Duration;
use tokio::task::{self, Id, JoinSet};

tokio::task_local! { static NAME: &'static str; }

// The ids of A and B, as the destructor is to name them.
static A: Mutex<Option<Id>> = Mutex::new(None);
static B: Mutex<Option<Id>> = Mutex::new(None);
thread_local! { static POLLED: RefCell<&'static str> = const { RefCell::new("none") }; }

struct Output(&'static str);

impl Drop for Output {
    fn drop(&mut self) {
        let id = task::try_id();
        let id = match id {
            _ if id == *A.lock().unwrap() => "A",
            _ if id == *B.lock().unwrap() => "B",
            _ => "other",
        };
        let local = NAME.try_with(|name| *name).unwrap_or("none");
        println!("{}: id {id} local {local} polled {}", self.0, POLLED.with_borrow(|name| *name));
    }
}

async fn output(how: &'static str) -> Output {
    *A.lock().unwrap() = task::try_id();
    Output(how)
}

async fn b() {
    *B.lock().unwrap() = task::try_id();
    let ends = || tokio::time::sleep(Duration::from_millis(100));

    let dropped = tokio::spawn(NAME.scope("A", output("handle dropped")));
    ends().await;
    POLLED.set("B");
    assert!(dropped.is_finished());
    drop(dropped);

    let awaited = tokio::spawn(NAME.scope("A", output("awaited")));
    let value = awaited.await.unwrap();
    POLLED.set("B");
    drop(value);

    let mut set = JoinSet::new();
    set.spawn(NAME.scope("A", output("set dropped")));
    ends().await;
    POLLED.set("B");
    drop(set);

    let closure = task::spawn_blocking(|| {
        *A.lock().unwrap() = task::try_id();
        Output("closure's handle dropped")
    });
    ends().await;
    POLLED.set("B");
    assert!(closure.is_finished());
    drop(closure);
}

fn main() {
    // Only B sets POLLED, right before each drop and in the same poll; an output of A that A drops says "none" on another thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async { tokio::spawn(NAME.scope("B", b())).await.unwrap() });
}
RS
cargo run --quiet --manifest-path ended/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: another id in the destructor" >&2; exit 1; }
handle dropped: id A local B polled B
awaited: id B local B polled B
set dropped: id A local B polled B
closure's handle dropped: id A local B polled B
TXT
