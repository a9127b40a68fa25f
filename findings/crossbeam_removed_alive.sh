#!/usr/bin/env bash
# crossbeam-skiplist 0.1.3 with crossbeam-epoch 0.9.21: when the value of a removed entry is dropped.
#
# Guess: by `remove`, or soon after it, once no other thread can be reading the entry, which takes microseconds. What is left then goes with
# the map.
# Reality: removed values wait in a list of the thread for other removals, of any map of the process. Time, reads and the drop of the map do
# not bring them out. One thread, no reader, all entries removed; values not yet dropped:
#
#     entries removed                     10     100    1000
#     after `remove` of all               10     100      84
#     1 s later                           10     100      84
#     after 10,000 calls of `get`         10      37      21
#     after the drop of the map           10      37      21
#     after 1000 removals in another map   0       0       0
#
# Each value had a sender. While one is alive the receiver says "empty", not "disconnected".
#
# Why it matters: entries of a table are connections, senders, permits and guards. One that is removed from it holds its permit, and the receiver
# of its channel waits as if the sender were there, until others are removed: in a quiet hour, for ever. A dump has a task that waits for
# a sender which no task and no table has; a heap profile has the blocks at the insertion. What has to end with the entry must be
# ended by hand, or taken out of it before the removal.
set -euo pipefail
command -v cargo > /dev/null || { echo "crossbeam_removed_alive.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p alive/src
cat > alive/Cargo.toml <<'TOML'
[package]
name = "alive"
version = "0.0.0"
edition = "2024"
[dependencies]
crossbeam-epoch = "=0.9.21"
crossbeam-skiplist = "=0.1.3"
[workspace]
TOML
cat > alive/src/main.rs <<'RS'
use crossbeam_skiplist::SkipMap;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::thread::sleep;
use std::time::Duration;

static ALIVE: AtomicI32 = AtomicI32::new(0);

struct Value { _sender: Sender<()> }

impl Value {
    fn new(sender: &Sender<()>) -> Value { ALIVE.fetch_add(1, Relaxed); Value { _sender: sender.clone() } }
}

impl Drop for Value {
    fn drop(&mut self) { ALIVE.fetch_sub(1, Relaxed); }
}

fn main() {
    for entries in [10, 100, 1000] {
        let mut alive = Vec::new();
        let (sender, receiver) = channel();
        let map = SkipMap::new();
        for key in 0..entries { map.insert(key, Value::new(&sender)); }
        drop(sender);
        for key in 0..entries { map.remove(&key); }
        alive.push(ALIVE.load(Relaxed));
        sleep(Duration::from_secs(1));
        alive.push(ALIVE.load(Relaxed));
        for _ in 0..10_000 { map.get(&0); }
        alive.push(ALIVE.load(Relaxed));
        drop(map);
        alive.push(ALIVE.load(Relaxed));
        let waits = receiver.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty);
        let other = SkipMap::new();
        for key in 0..1000 { other.insert(key, ()); other.remove(&key); }
        alive.push(ALIVE.load(Relaxed));
        println!("{entries} {alive:?} receiver waits {waits}");
    }
}
RS
cargo run --quiet --manifest-path alive/Cargo.toml --target-dir target > seen
cat seen
tr -d '[],' < seen | awk '
    { good += $2 == $3 && $3 >= ($1 == 10 ? 10 : 30) && $4 == $5 && $5 > 0 && $6 == 0 && $NF == "true" }
    $1 == 10 { good += $5 == 10 }
    END { exit good != 4 }
' || { echo "changed: removed values are dropped without further removals" >&2; exit 1; }
