#!/usr/bin/env bash
# futures 0.3.34, `join_all` and `try_join_all`: how often the futures are polled.
#
# Guess: a wake says which future can go on, and that one is polled. With `FuturesUnordered` it is so; the cost of N futures is about 2 N polls.
# Reality: up to 30 futures, every wake polls all that are not over yet; from 31 on it is as guessed. Futures that get ready one after the
# other, polls of all together:
#
#     futures                 10     20     30     31    100
#     join_all                65    230    495     62    200
#     try_join_all            65    230    495     62    200
#     FuturesUnordered        20     40     60     62    200
#     tokio::task::JoinSet    20     40     60     62    200    each in a task
#
# Why it matters: thirty requests at once take eight times the polls of thirty-one, each through the whole client below it, in one poll of
# the task that awaits them. A limit that is lowered from 50 to 30 makes it slower. Each of these polls registers the waker anew: what
# watches registrations sees 495 waits where there are 30, and a future that counts or logs its polls is not at fault.
set -euo pipefail
command -v cargo > /dev/null || { echo "futures_join_all_30.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p joins/src
cat > joins/Cargo.toml <<'TOML'
[package]
name = "joins"
version = "0.0.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["rt", "sync"] }
[workspace]
TOML
cat > joins/src/main.rs <<'RS'
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use futures::stream::FuturesUnordered;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

#[derive(Clone, Copy)]
enum How { JoinAll, TryJoinAll, FuturesUnordered, JoinSet }

async fn polls(count: usize, how: How) -> u32 {
    let polls = Arc::new(AtomicU32::new(0));
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| oneshot::channel::<()>()).unzip();
    let counted = polls.clone();
    let futures = receivers.into_iter().map(move |mut receiver| {
        let polls = counted.clone();
        poll_fn(move |context| { polls.fetch_add(1, Relaxed); Pin::new(&mut receiver).poll(context) })
    });
    let joins = async move {
        match how {
            How::JoinAll => { join_all(futures).await; }
            How::TryJoinAll => { try_join_all(futures).await.unwrap(); }
            How::FuturesUnordered => { futures.collect::<FuturesUnordered<_>>().count().await; }
            How::JoinSet => { futures.collect::<JoinSet<_>>().join_all().await; }
        }
    };
    let sends = async {
        yield_now().await;
        yield_now().await;
        for sender in senders {
            sender.send(()).unwrap();
            for _ in 0..4 { yield_now().await }
        }
    };
    let joins = tokio::task::spawn_local(joins);
    sends.await;
    joins.await.unwrap();
    polls.load(Relaxed)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        for (name, how) in [("join_all", How::JoinAll), ("try_join_all", How::TryJoinAll), ("unordered", How::FuturesUnordered), ("join_set", How::JoinSet)] {
            print!("{name}");
            for count in [10, 20, 30, 31, 100] { print!(" {}", polls(count, how).await) }
            println!();
        }
    });
}
RS
cargo run --quiet --manifest-path joins/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the limit of 30, or what is polled below it" >&2; exit 1; }
join_all 65 230 495 62 200
try_join_all 65 230 495 62 200
unordered 20 40 60 62 200
join_set 20 40 60 62 200
TXT
