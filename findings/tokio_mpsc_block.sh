#!/usr/bin/env bash
# tokio 1.54.1, the memory of `mpsc::channel(1)`.
#
# Guess: a bounded channel has room for as many messages as its bound, allocated when it is created or as messages come; one of room
# for one message is the smallest there is.
# Reality: messages lie in blocks of 32, whatever the bound, and the first block is allocated with the channel. Bytes of an empty
# channel for messages of 4096 bytes:
#
#     tokio::sync::mpsc::channel(1)                    131616
#     tokio::sync::mpsc::channel(100)                  131616
#     tokio::sync::mpsc::unbounded_channel()           131616
#     tokio::sync::broadcast::channel(1)                 4264
#     std::sync::mpsc::sync_channel(1)                   4744
#     futures_channel::mpsc::channel(1)                  4272
#
# Why it matters: a channel for each connection or request, `channel(1)` to be thrifty, with an enum of messages that holds a buffer or
# a request by value: 1,000 connections are 130 MB that never held a message. A heap profile has it at the line that creates the channel,
# where a reader looks for a bound that is too large. A `Box` around the message makes it 8 bytes a place.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_mpsc_block.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p block/src
cat > block/Cargo.toml <<'TOML'
[package]
name = "block"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["sync"] }
futures-channel = "=0.3.34"
[workspace]
TOML
cat > block/src/main.rs <<'RS'
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

type Message = [u8; 4096];

struct Counting;
static ALIVE: AtomicUsize = AtomicUsize::new(0);
#[global_allocator]
static COUNTING: Counting = Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALIVE.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

fn show<T>(name: &str, make: impl FnOnce() -> T) {
    let before = ALIVE.load(Relaxed);
    let made = make();
    let bytes = ALIVE.load(Relaxed) - before;
    drop(made);
    println!("{name} {bytes}");
}

fn main() {
    show("tokio_1", || tokio::sync::mpsc::channel::<Message>(1));
    show("tokio_100", || tokio::sync::mpsc::channel::<Message>(100));
    show("tokio_unbounded", tokio::sync::mpsc::unbounded_channel::<Message>);
    show("tokio_boxed", || tokio::sync::mpsc::channel::<Box<Message>>(1));
    show("broadcast_1", || tokio::sync::broadcast::channel::<Message>(1));
    show("std_1", || std::sync::mpsc::sync_channel::<Message>(1));
    show("futures_1", || futures_channel::mpsc::channel::<Message>(1));
}
RS
cargo run --quiet --manifest-path block/Cargo.toml --target-dir target > seen
cat seen
awk '$1 ~ /^tokio_(1|100|unbounded)$/ && ($2 < 32 * 4096 || $2 > 33 * 4096) { exit 1 } $1 !~ /^tokio/ && $2 > 2 * 4096 { exit 1 }
    $1 == "tokio_boxed" && $2 > 4096 { exit 1 }' seen || { echo "changed: a channel allocates something else" >&2; exit 1; }
