#!/usr/bin/env bash
# futures 0.3.34 with tokio 1.54.1, `FutureExt::shared()`: how often the inner future and its waiters are polled.
#
# Guess: the inner future is polled when it is woken, by one of the waiters; the others are woken once, when the result is there. So N waiters
# cost one poll each more than one.
# Reality: each wake of the inner future wakes all waiters, and each of them polls the inner future again, though nothing has happened since the
# first. A future that sleeps 100 times, and the same in a task whose handle is shared:
#
#     waiters                               1      10       100
#     polls of the future, shared         101    1001    10,001
#     polls of the waiters, shared        101    1010    10,100
#     polls of the future, in a task      101     101       101
#     polls of the waiters, its handle      2      20       200
#
# Why it matters: one load of a cache that all requests wait for is what `shared` is for. A load with many steps, such as a streamed response, is
# polled by all requests at each step, so the more requests wait the slower it gets, and the CPU time is that of the load, in the task of each
# waiter. The load is polled with a waker of its own, so a dump that is made from wakers has all of these tasks in `Shared` and not what the load
# waits for. Share the handle of a task: the load then goes on if its first caller leaves, too.
set -euo pipefail
command -v cargo > /dev/null || { echo "futures_shared_polls_all.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p share/src
cat > share/Cargo.toml <<'TOML'
[package]
name = "share"
version = "0.0.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
# Has `Shared`; `futures` names it again.
futures-util = { version = "=0.3.34", default-features = false }
tokio = { version = "=1.54.1", features = ["rt", "time"] }
[workspace]
TOML
cat > share/src/main.rs <<'RS'
use futures::FutureExt;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{LocalSet, spawn_local};

async fn count<F: Future>(polls: Rc<Cell<u32>>, future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(move |context| {
        polls.set(polls.get() + 1);
        future.as_mut().poll(context)
    })
    .await
}

async fn load() -> bool {
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

async fn run<F: Future<Output = bool> + Clone + 'static>(what: &str, waiters: u32, future: F, inner: &Cell<u32>) {
    let outer = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..waiters).map(|_| spawn_local(count(outer.clone(), future.clone()))).collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    println!("{what} waiters {waiters} future {} waiters_polls {}", inner.get(), outer.get());
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        for waiters in [1, 10, 100] {
            let inner = Rc::new(Cell::new(0));
            run("shared", waiters, count(inner.clone(), load()).shared(), &inner).await;
            let inner = Rc::new(Cell::new(0));
            run("task", waiters, spawn_local(count(inner.clone(), load())).map(|end| end.is_ok()).shared(), &inner).await;
        }
    });
}
RS
cargo run --quiet --manifest-path share/Cargo.toml --target-dir target > seen
cat seen
awk '
    # The number of polls of one waiter alone is 101, or one more where a timer fires before its time.
    $1 == "shared" { good += $5 > 95 * $3 && $7 > 95 * $3 }
    $1 == "task" { good += $5 < 150 && $7 == 2 * $3 }
    END { exit good != 6 }
' seen || { echo "changed: how often a shared future is polled" >&2; exit 1; }
