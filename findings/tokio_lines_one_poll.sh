#!/usr/bin/env bash
# tokio 1.54.1 with tokio-util 0.7.20: how many lines a task reads from a connection within one poll.
#
# Guess: 128. tokio ends a poll after 128 operations that were ready, and `lines.next_line().await` is one, as `receiver.recv().await` is.
# Reality: what counts is the read below it. A line that is in the buffer already is free, so a poll has up to 128 buffers of 8 KiB. A peer
# has sent 1 MiB, lines of 15 bytes:
#
#     reader                                          lines      polls    lines of the longest poll
#     BufReader::lines                                69,905     2        69,905
#     FramedRead with LinesCodec                      69,905     2        69,888
#     mpsc::Receiver::recv, a line a message          69,905     547      128
#     BufReader::lines, `consume_budget` for each     69,905     548      128
#
# Why it matters: line protocols, log shippers and framed messages of a few bytes are read so. One client that has sent ahead keeps a worker
# for tens of thousands of messages at a time, 0.7 s at 10 us each, and the tasks that wait for the worker wait for all of them. The code
# has an `.await` for each line, so a long poll is not looked for there. `tokio::task::consume_budget().await` at each message bounds it.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_lines_one_poll.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p served/src
cat > served/Cargo.toml <<'TOML'
[package]
name = "served"
version = "0.0.0"
edition = "2024"
[dependencies]
futures-util = { version = "=0.3.34", default-features = false }
tokio = { version = "=1.54.1", features = ["io-util", "macros", "rt", "sync"] }
tokio-util = { version = "=0.7.20", features = ["codec"] }
[workspace]
TOML
cat > served/src/main.rs <<'RS'
use futures_util::StreamExt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::consume_budget;
use tokio_util::codec::{FramedRead, LinesCodec};

const LINE: &str = "GET /orders/17\n";
const ROOM: usize = 1 << 20;

/// A connection with 1 MiB of lines, whose peer has closed it.
async fn connection() -> DuplexStream {
    let (mut client, server) = duplex(ROOM);
    client.write_all(LINE.repeat(ROOM / LINE.len()).as_bytes()).await.unwrap();
    server
}

/// Runs a reader, which counts its lines, as a task.
async fn polled(name: &str, lines: Arc<AtomicUsize>, reader: impl Future<Output = ()> + Send + 'static) {
    let counted = lines.clone();
    let (polls, longest) = tokio::spawn(async move {
        let mut reader = pin!(reader);
        let (mut polls, mut longest) = (0, 0);
        poll_fn(|context| {
            let before = lines.load(Ordering::Relaxed);
            let poll = reader.as_mut().poll(context);
            polls += 1;
            longest = longest.max(lines.load(Ordering::Relaxed) - before);
            poll
        })
        .await;
        (polls, longest)
    })
    .await
    .unwrap();
    println!("{name} lines {} polls {polls} longest {longest}", counted.load(Ordering::Relaxed));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count = || Arc::new(AtomicUsize::new(0));
    for budgeted in [false, true] {
        let (all, server) = (count(), connection().await);
        let lines = all.clone();
        let name = if budgeted { "lines_with_budget" } else { "lines" };
        polled(name, all, async move {
            let mut reader = BufReader::new(server).lines();
            while reader.next_line().await.unwrap().is_some() {
                lines.fetch_add(1, Ordering::Relaxed);
                if budgeted {
                    consume_budget().await;
                }
            }
        })
        .await;
    }
    let (all, server) = (count(), connection().await);
    let lines = all.clone();
    polled("framed", all, async move {
        let mut reader = FramedRead::new(server, LinesCodec::new());
        while reader.next().await.is_some() {
            lines.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let all = count();
    let lines = all.clone();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for _ in 0..ROOM / LINE.len() {
        sender.send(LINE).unwrap();
    }
    drop(sender);
    polled("recv", all, async move {
        while receiver.recv().await.is_some() {
            lines.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
}
RS
cargo run --quiet --manifest-path served/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a poll reads another number of lines" >&2; exit 1; }
lines lines 69905 polls 2 longest 69905
lines_with_budget lines 69905 polls 548 longest 128
framed lines 69905 polls 2 longest 69888
recv lines 69905 polls 547 longest 128
TXT
