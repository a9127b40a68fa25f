#!/usr/bin/env bash
# tokio 1.54.1, and 1.53.1 beside it, `Mutex`: two tasks of one worker that lock, count and unlock in a loop, and wait for nothing else.
#
# Guess: one worker polls one task at a time, and no guard lives across an `.await`, so the mutex is always free. A poll is 128 locks
# long, as for one task.
# Reality: once a task of the loop waits, each lock costs a poll, until a task has left. An unlock gives the mutex to the one that has waited
# longest, not back, so the task that unlocked has to wait at its next turn, and so have all others. One hold across an `.await` is
# enough, however short all later ones are. In 1.54 it begins by itself: the 129th call of a poll takes the lock and then yields for want
# of budget. 10,000 locks for each task, and the polls of all together:
#
#     tasks                                                             1.53.1    1.54.1
#     one                                                                   79        79
#     two                                                                  158    19,747
#     four                                                                 316    39,876
#     two, `consume_budget().await` before each `lock()`                   314       314
#     the same, one of them holds its 11th lock across a `yield_now`    19,982    19,982
#     two, `unconstrained`                                                   2         2
#
# Why it matters: the mutex around a map or a counter is the commonest of all. A load test or a hot path with more than one task in it
# becomes a queue of task switches after one slow request, and does not come back while the load lasts. A profile of contention has a
# wait for each lock although each hold takes nanoseconds; a reader looks for a long holder and finds none. Where nothing is awaited
# under the lock, std's mutex does not do so.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_mutex_convoy.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p convoy/src
cat > Cargo.toml <<'TOML'
[package]
name = "convoy"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=VERSION", features = ["rt", "sync"] }
[workspace]
TOML
cat > convoy/src/main.rs <<'RS'
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use tokio::sync::Mutex;
use tokio::task::{LocalSet, coop::unconstrained, consume_budget, spawn_local, yield_now};

#[derive(Clone, Copy, PartialEq)]
enum How { Plain, Consume, ConsumeAndHoldOnce, Unconstrained }

async fn locks(mutex: Rc<Mutex<u32>>, how: How, first: bool) {
    for turn in 0..10_000 {
        if matches!(how, How::Consume | How::ConsumeAndHoldOnce) { consume_budget().await }
        let mut count = mutex.lock().await;
        *count += 1;
        if how == How::ConsumeAndHoldOnce && first && turn == 10 { yield_now().await }
    }
}

fn polls(tasks: u32, how: How) -> u32 {
    let polls = Rc::new(Cell::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mutex = Rc::new(Mutex::new(0));
    LocalSet::new().block_on(&runtime, async {
        let tasks: Vec<_> = (0..tasks).map(|number| {
            let (polls, mutex) = (polls.clone(), mutex.clone());
            spawn_local(async move {
                let mut task = pin!(locks(mutex, how, number == 0));
                let mut task: std::pin::Pin<Box<dyn Future<Output = ()>>> = match how {
                    How::Unconstrained => Box::pin(unconstrained(task)),
                    _ => Box::pin(async move { task.as_mut().await }),
                };
                poll_fn(|context| { polls.set(polls.get() + 1); task.as_mut().poll(context) }).await;
            })
        }).collect();
        for task in tasks { task.await.unwrap() }
    });
    assert_eq!(*mutex.blocking_lock(), tasks * 10_000);
    polls.get()
}

fn main() {
    for tasks in [1, 2, 4] { println!("plain {tasks} {}", polls(tasks, How::Plain)) }
    println!("consume 2 {}", polls(2, How::Consume));
    println!("hold_once 2 {}", polls(2, How::ConsumeAndHoldOnce));
    println!("unconstrained 2 {}", polls(2, How::Unconstrained));
}
RS
for version in 1.53.1 1.54.1; do
    sed "s/VERSION/$version/" Cargo.toml > convoy/Cargo.toml
    rm -f convoy/Cargo.lock
    cargo run --quiet --manifest-path convoy/Cargo.toml --target-dir target | sed "s/^/$version /"
done > seen
cat seen
awk '
    $3 == 1 { good += $4 < 200 }
    $2 == "plain" && $3 > 1 { good += $1 == "1.53.1" ? $4 < 1000 : $4 > 9000 * $3 }
    $2 == "consume" { good += $4 < 1000 }
    $2 == "hold_once" { good += $4 > 18000 }
    $2 == "unconstrained" { good += $4 < 10 }
    END { exit good != 12 }
' seen || { echo "changed: the polls of locks in a loop" >&2; exit 1; }
