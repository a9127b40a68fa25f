#!/usr/bin/env bash
# tokio 1.54.1 with tokio-util 0.7.20, `tokio::fs::File`: how many closures of the blocking pool a file of 16 MiB takes.
#
# Guess: a file reads up to 2 MiB at a time into a buffer of its own (`set_max_buf_size`), so 16 MiB are eight closures. What copies
# or streams the file takes from that buffer.
# Reality: a read of the file is as large as the buffer that the caller brings, and each read is a closure, a thread's wake and a task's wake. What
# copies and streams brings 4 or 8 KiB. Reads of the file, each in a closure but for those of `fs::read`:
#
#     way                                              reads
#     tokio::io::copy                                  2,049
#     BufReader                                        2,049
#     ReaderStream::new, as for a body of axum         4,097
#     read_to_end                                      some 20
#     ReaderStream::with_capacity(1 MiB)               17
#     BufReader::with_capacity(1 MiB)                  17
#     File::read with a buffer of 1 MiB                17
#     tokio::fs::read, one closure                     some 3
#
# `copy` of std reads 2,049 times, too, without a thread in between: 1 ms were seen, and 100 ms and more for tokio's.
#
# Why it matters: a download of 16 MiB is 4,097 turns through the blocking pool, its lock and two threads. A CPU profile has futex calls and the
# scheduler and hardly a read; the pool's queue and its threads grow with clients that download. A dump has the task at the
# blocking pool nearly always, as if the disk were slow. Give the stream or the buffer a capacity of some 100 KiB.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_file_pieces.sh: needs cargo" >&2; exit 2; }
[ -r /proc/self/io ] || { echo "tokio_file_pieces.sh: needs /proc/self/io" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p pieces/src
cat > pieces/Cargo.toml <<'TOML'
[package]
name = "pieces"
version = "0.0.0"
edition = "2024"
[dependencies]
futures-util = { version = "=0.3.34", default-features = false }
tokio = { version = "=1.54.1", features = ["fs", "io-util", "rt-multi-thread"] }
tokio-util = { version = "=0.7.20", features = ["io"] }
[workspace]
TOML
cat > pieces/src/main.rs <<'RS'
use futures_util::StreamExt;
use std::time::Instant;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, copy, sink};
use tokio_util::io::ReaderStream;

const SIZE: usize = 16 << 20;

// Calls of `read` by the process.
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

async fn look(way: &str, expected: std::ops::RangeInclusive<u64>, read: impl Future<Output = usize>) {
    let (before, begin) = (reads(), Instant::now());
    let bytes = read.await;
    let (took, reads) = (begin.elapsed(), reads() - before);
    println!("{way}: {reads} reads, {took:.1?}");
    assert_eq!(bytes, SIZE);
    if !expected.contains(&reads) {
        println!("changed: {way} was expected to read {expected:?} times");
        std::process::exit(1);
    }
}

async fn open() -> File {
    File::open("file").await.unwrap()
}

async fn streamed(mut stream: ReaderStream<File>) -> usize {
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        bytes += piece.unwrap().len();
    }
    bytes
}

async fn buffered(mut reader: BufReader<File>) -> usize {
    let mut bytes = 0;
    loop {
        let piece = reader.fill_buf().await.unwrap().len();
        if piece == 0 {
            return bytes;
        }
        bytes += piece;
        reader.consume(piece);
    }
}

async fn all_ways() {
    // Up to 10 more are those of /proc/self/io itself and of the runtime's wakes.
    look("copy", 2049..=2059, async { copy(&mut open().await, &mut sink()).await.unwrap() as usize }).await;
    look("BufReader::new", 2049..=2059, async { buffered(BufReader::new(open().await)).await }).await;
    look("ReaderStream::new", 4097..=4107, async { streamed(ReaderStream::new(open().await)).await }).await;
    look("read_to_end", 8..=60, async { open().await.read_to_end(&mut Vec::new()).await.unwrap() }).await;
    look("ReaderStream, 1 MiB", 17..=27, async { streamed(ReaderStream::with_capacity(open().await, 1 << 20)).await }).await;
    look("BufReader, 1 MiB", 17..=27, async { buffered(BufReader::with_capacity(1 << 20, open().await)).await }).await;
    look("read, 1 MiB", 17..=27, async {
        let (mut file, mut buffer, mut bytes) = (open().await, vec![0; 1 << 20], 0);
        loop {
            match file.read(&mut buffer).await.unwrap() {
                0 => return bytes,
                read => bytes += read,
            }
        }
    })
    .await;
    look("tokio::fs::read", 1..=12, async { tokio::fs::read("file").await.unwrap().len() }).await;
    look("std's copy", 2049..=2059, async { std::io::copy(&mut std::fs::File::open("file").unwrap(), &mut std::io::sink()).unwrap() as usize }).await;
}

fn main() {
    std::fs::write("file", vec![b'x'; SIZE]).unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(all_ways());
}
RS
cargo run --quiet --manifest-path pieces/Cargo.toml --target-dir target
