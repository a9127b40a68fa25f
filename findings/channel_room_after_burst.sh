#!/usr/bin/env bash
# flume 0.12.0, kanal 0.1.1, crossbeam-channel 0.5.17 and async-channel 2.5.0, beside std (rustc 1.95.0), tokio 1.54.1 and futures 0.3.34: the
# memory of an empty channel, before and after a burst.
#
# Guess: an unbounded channel grows with its messages, and gives the room back as they are taken. A bound is a limit; what is allocated is what
# the messages need.
# Reality: flume and kanal keep the room of the longest queue that there ever was, until the channel is dropped; flume does so with a bound,
# too. A bound is allocated in full when the channel is made by crossbeam, async-channel, kanal and tokio's `broadcast`. 100,000 messages of 128
# bytes are sent, then all are taken, then as many go through one by one; live MB at these times:
#
#     channel                                          made    full    empty    later
#     unbounded: tokio                                 0.0     12.9    0.0      0.0
#     unbounded: std, crossbeam, async-channel         0.0     13.6    0.0      0.0
#     unbounded: futures                               0.0     14.4    0.0      0.0
#     unbounded: flume, kanal                          0.0     16.8    16.8     16.8
#     bound of 200,000: tokio                          0.0     12.9    0.0      0.0
#     bound of 200,000: flume                          0.0     16.8    16.8     16.8
#     bound of 200,000: crossbeam, async-channel       27.2    27.2    27.2     27.2
#     bound of 200,000: kanal                          25.6    25.6    25.6     25.6
#     bound of 131,072: tokio's `broadcast`            21.0    21.0    21.0     21.0
#
# Why it matters: events, log lines and jobs queue up once, when the receiver stands still, and the memory of that minute stays for the life of
# the service with nothing in the queue: `len()` is 0, and a heap profile has the bytes alive at a `send` of long ago. A large bound that is set as
# "practically none" costs its room for each channel from the start. To change the crate for the faster one changes this, too.
set -euo pipefail
command -v cargo > /dev/null || { echo "channel_room_after_burst.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p room/src
cat > room/Cargo.toml <<'TOML'
[package]
name = "room"
version = "0.0.0"
edition = "2024"
[dependencies]
async-channel = "=2.5.0"
crossbeam-channel = "=0.5.17"
flume = "=0.12.0"
futures-channel = "=0.3.34"
kanal = "=0.1.1"
tokio = { version = "=1.54.1", features = ["sync"] }
[workspace]
TOML
cat > room/src/main.rs <<'RS'
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

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

type Message = [u8; 128];
const BURST: usize = 100_000;
const BOUND: usize = 200_000;

fn look<S, R>(name: &str, make: impl Fn() -> (S, R), send: impl Fn(&S, Message), take: impl Fn(&mut R) -> bool) {
    let before = ALIVE.load(Relaxed);
    let megabytes = || (ALIVE.load(Relaxed) - before) as f64 / 1e6;
    let (sender, mut receiver) = make();
    let made = megabytes();
    for _ in 0..BURST {
        send(&sender, [0; 128]);
    }
    let full = megabytes();
    for _ in 0..BURST {
        assert!(take(&mut receiver));
    }
    let empty = megabytes();
    for _ in 0..BURST {
        send(&sender, [0; 128]);
        assert!(take(&mut receiver));
    }
    println!("{name}: {made:.1} {full:.1} {empty:.1} {:.1}", megabytes());
}

fn main() {
    use tokio::sync::{broadcast, mpsc};
    look("std", std::sync::mpsc::channel, |to, message| to.send(message).unwrap(), |from| from.try_recv().is_ok());
    look("tokio", mpsc::unbounded_channel, |to, message| to.send(message).unwrap(), |from| from.try_recv().is_ok());
    look("crossbeam", crossbeam_channel::unbounded, |to, message| to.send(message).unwrap(), |from| from.try_recv().is_ok());
    look("async-channel", async_channel::unbounded, |to, message| to.try_send(message).unwrap(), |from| from.try_recv().is_ok());
    look("futures", futures_channel::mpsc::unbounded, |to, message| to.unbounded_send(message).unwrap(), |from| from.try_recv().is_ok());
    look("flume", flume::unbounded, |to, message| to.send(message).unwrap(), |from| from.try_recv().is_ok());
    look("kanal", kanal::unbounded, |to, message| to.send(message).unwrap(), |from| matches!(from.try_recv(), Ok(Some(_))));
    look("tokio, bound", || mpsc::channel(BOUND), |to, message| to.try_send(message).unwrap(), |from| from.try_recv().is_ok());
    look("flume, bound", || flume::bounded(BOUND), |to, message| to.send(message).unwrap(), |from| from.try_recv().is_ok());
    look("crossbeam, bound", || crossbeam_channel::bounded(BOUND), |to, message| to.send(message).unwrap(), |from| from.try_recv().is_ok());
    look("async-channel, bound", || async_channel::bounded(BOUND), |to, message| to.try_send(message).unwrap(), |from| from.try_recv().is_ok());
    look("kanal, bound", || kanal::bounded(BOUND), |to, message| to.send(message).unwrap(), |from| matches!(from.try_recv(), Ok(Some(_))));
    look("broadcast of 131,072", || broadcast::channel(131_072), |to, message| assert_eq!(to.send(message).unwrap(), 1), |from| from.try_recv().is_ok());
}
RS
rustc --version
cargo run --quiet --manifest-path room/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the room of a channel" >&2; exit 1; }
std: 0.0 13.6 0.0 0.0
tokio: 0.0 12.9 0.0 0.0
crossbeam: 0.0 13.6 0.0 0.0
async-channel: 0.0 13.6 0.0 0.0
futures: 0.0 14.4 0.0 0.0
flume: 0.0 16.8 16.8 16.8
kanal: 0.0 16.8 16.8 16.8
tokio, bound: 0.0 12.9 0.0 0.0
flume, bound: 0.0 16.8 16.8 16.8
crossbeam, bound: 27.2 27.2 27.2 27.2
async-channel, bound: 27.2 27.2 27.2 27.2
kanal, bound: 25.6 25.6 25.6 25.6
broadcast of 131,072: 21.0 21.0 21.0 21.0
TXT
