#!/usr/bin/env bash
# tokio-util 0.7.20 with tokio 1.54.1: the memory of a framed connection after one long message.
#
# Guess: the buffer is as large as what is in it, and some KiB more. Once a long line was handed out as a `String`, or written, its room is
# free again, at the latest after many short ones.
# Reality: it depends on how the codec cuts. `LengthDelimitedCodec` gives the room away with the frame. `LinesCodec` copies the line, and its
# read buffer keeps the room as long as the connection lives; every write buffer does so. Live bytes of a connection after 100,000
# short messages, after one of 10 MB, and after 100,000 short ones more:
#
#     direction and codec               before    after the long one    after 100,000 short ones
#     read, LinesCodec                  11 KB     16,780 KB             16,780 KB
#     read, LengthDelimitedCodec        14 KB     14 KB                 14 KB
#     write, LinesCodec                 1 KB      10,003 KB             10,003 KB
#     write, LengthDelimitedCodec       1 KB      10,007 KB             10,007 KB
#
# Why it matters: connections live for days and messages of some MB come once in a while, on one connection after the other. The memory of a
# server grows up to the number of connections times the longest message that each has ever had, with nothing in it: 1,000
# connections are 17 GB. A heap profile has it at the read or the encoder of some request that is long over. Bound it
# (`LinesCodec::new_with_max_length`), or put a new buffer into `read_buffer_mut()`, `write_buffer_mut()` once they are empty.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_lines_buffer_kept.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p kept/src
cat > kept/Cargo.toml <<'TOML'
[package]
name = "kept"
version = "0.0.0"
edition = "2024"
[dependencies]
bytes = "=1.12.2"
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["io-util", "rt"] }
tokio-util = { version = "=0.7.20", features = ["codec"] }
[workspace]
TOML
cat > kept/src/main.rs <<'RS'
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_util::codec::{Decoder, Encoder, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec};

struct Counts;
static LIVE: AtomicUsize = AtomicUsize::new(0);
unsafe impl GlobalAlloc for Counts {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 { LIVE.fetch_add(layout.size(), Relaxed); unsafe { System.alloc(layout) } }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) { LIVE.fetch_sub(layout.size(), Relaxed); unsafe { System.dealloc(block, layout) } }
}
#[global_allocator]
static COUNTS: Counts = Counts;

const LONG: usize = 10_000_000;

/// Live bytes of a connection that reads.
async fn reads<D: Decoder<Error: std::fmt::Debug>>(name: &str, codec: D, message: fn(usize) -> Vec<u8>) {
    let (mut peer, end) = duplex(8192);
    let mut framed = FramedRead::new(end, codec);
    let before = LIVE.load(Relaxed);
    let mut seen = Vec::new();
    for (length, count) in [(10, 100_000), (LONG, 1), (10, 100_000)] {
        let bytes = message(length);
        let sends = async {
            for _ in 0..count { peer.write_all(&bytes).await.unwrap() }
        };
        let receives = async { for _ in 0..count { framed.next().await.unwrap().unwrap(); } };
        futures::join!(sends, receives);
        drop(bytes);
        seen.push((LIVE.load(Relaxed) - before) / 1000);
    }
    println!("read {name} {seen:?}");
}

/// Live bytes of a connection that writes.
async fn writes<E: Encoder<M, Error: std::fmt::Debug>, M>(name: &str, codec: E, message: fn(usize) -> M) {
    let (mut peer, end) = duplex(8192);
    let reader = tokio::spawn(async move {
        let mut buffer = vec![0; 8192];
        while peer.read(&mut buffer).await.unwrap() > 0 {}
    });
    tokio::task::yield_now().await;
    let mut framed = FramedWrite::new(end, codec);
    let before = LIVE.load(Relaxed);
    let mut seen = Vec::new();
    for (length, count) in [(10, 100_000), (LONG, 1), (10, 100_000)] {
        for _ in 0..count { framed.send(message(length)).await.unwrap() }
        seen.push((LIVE.load(Relaxed) - before) / 1000);
    }
    drop(framed);
    reader.await.unwrap();
    println!("write {name} {seen:?}");
}

fn lines() -> LinesCodec { LinesCodec::new() }
fn frames() -> LengthDelimitedCodec { LengthDelimitedCodec::builder().max_frame_length(2 * LONG).new_codec() }

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        reads("lines", lines(), |length| [vec![b'x'; length], vec![b'\n']].concat()).await;
        reads("frames", frames(), |length| [(length as u32).to_be_bytes().to_vec(), vec![b'x'; length]].concat()).await;
        writes("lines", lines(), |length| "x".repeat(length)).await;
        writes("frames", frames(), |length| Bytes::from(vec![b'x'; length])).await;
    });
}
RS
cargo run --quiet --manifest-path kept/Cargo.toml --target-dir target > seen
cat seen
awk '
    function number(text) { gsub(/[^0-9]/, "", text); return text + 0 }
    { first = number($3); long = number($4); last = number($5) }
    first < 100 { good++ }
    $1 " " $2 == "read frames" { good += long < 100 && last < 100; next }
    { good += long > 9000 && last > 9000 }
    END { exit good != 8 }
' seen || { echo "changed: the buffers that keep a long message" >&2; exit 1; }
