#!/usr/bin/env bash
# dashmap 6.2.1, `DashMap::new()`: the memory of an empty map, and of a small one, on small and large machines.
#
# Guess: an empty map allocates nothing, as std's `HashMap`, or a few words; with_capacity(1000) takes as much as std's, and some locks.
# Reality: the map is four shards for each core that the process may use, rounded up to a power of two, each padded to 128 bytes; the room is divided among
# them and rounded up in each. Bytes that live, for u64 keys and values; the last columns are set by `with_shard_amount`, as such a machine has them:
#
#                            std      1 core     2 cores    16 cores    64 cores    128 cores
#     shards                          4          8          64          256         512
#     new()                  0        512        1,024      8,192       32,768      65,536
#     with_capacity(10)      288      848        1,696      13,568      54,272      108,544
#     with_capacity(1000)    34,832   35,392     35,968     44,032      71,680      108,544
#
# Why it matters: a map for each connection, session, room or request ("concurrent, to be safe") is a kilobyte in a container
# with two cores and 32 KB on a host with 64: 10,000 connections are 10 MB or 330 MB, without an entry. A heap profile has it at `new`. Iterating, `len` and
# `clear` take all the locks in turn. The number of cores is read once, when the first map is made. A `Mutex<HashMap>` is for small
# maps, or `with_shard_amount(4)`.
set -euo pipefail
command -v cargo > /dev/null || { echo "dashmap_price_by_cores.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p price/src
cat > price/Cargo.toml <<'TOML'
[package]
name = "price"
version = "0.0.0"
edition = "2024"
[dependencies]
dashmap = "=6.2.1"
[workspace]
TOML
cat > price/src/main.rs <<'RS'
use dashmap::DashMap;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
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

fn alive<T>(make: impl Fn() -> T) -> usize {
    let before = ALIVE.load(Relaxed);
    let made = make();
    let alive = ALIVE.load(Relaxed) - before;
    drop(made);
    alive
}

type Map = DashMap<u64, u64>;

fn main() {
    let cores = std::thread::available_parallelism().unwrap().get();
    drop(Map::new());
    let own = (cores * 4).next_power_of_two();
    let same = alive(Map::new) == alive(|| Map::with_shard_amount(own));
    println!("new() has four shards for each core: {same}");
    let std = |room| alive(|| HashMap::<u64, u64>::with_capacity(room));
    println!("std: {} {} {}", std(0), std(10), std(1000));
    for shards in [4, 8, 64, 256, 512] {
        let room = |room| alive(|| Map::with_capacity_and_shard_amount(room, shards));
        println!("{shards}: {} {} {}", room(0), room(10), room(1000));
    }
}
RS
cargo run --quiet --manifest-path price/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the memory of a map" >&2; exit 1; }
new() has four shards for each core: true
std: 0 288 34832
4: 512 848 35392
8: 1024 1696 35968
64: 8192 13568 44032
256: 32768 54272 71680
512: 65536 108544 108544
TXT
