#!/usr/bin/env bash
# moka 0.12.16, `sync::Cache` with `time_to_live`: the memory of expired values in a cache that is not used.
#
# Guess: an expired value is dropped soon after its time, as the cache has it as an option; at the latest by `invalidate_all`.
# Reality: the cache has no thread. Expired values are gone for readers, and stay in memory until a later call on the cache does the work.
# `entry_count` has them too. 1000 values with a time to live of 0.5 s, then nothing for 4 s:
#
#     at                                values in memory    entry_count()    readers find
#     once they are inserted            1000                below 1000       1000
#     4 s after that                    1000                the same         0
#     after `invalidate_all`            1000                the same         0
#     after one `get` of any key        about 20            0                0
#
# Why it matters: a heap profile of a service at night has the day's sessions in it, alive, allocated in the handler that is long over; a gauge
# of `entry_count` shows a full cache and a hit ratio of 0. What the values hold (connections, files, permits, guards that note the end
# of a session when they are dropped) is held as long. Have a task call `run_pending_tasks` every few seconds.
set -euo pipefail
command -v cargo > /dev/null || { echo "moka_idle_cache_keeps.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p sessions/src
cat > sessions/Cargo.toml <<'TOML'
[package]
name = "sessions"
version = "0.0.0"
edition = "2024"
[dependencies]
moka = { version = "=0.12.16", features = ["sync"] }
[workspace]
TOML
cat > sessions/src/main.rs <<'RS'
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::sleep;
use std::time::Duration;

static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);

struct Session;
impl Session {
    fn new() -> Arc<Session> {
        IN_MEMORY.fetch_add(1, SeqCst);
        Arc::new(Session)
    }
}
impl Drop for Session {
    fn drop(&mut self) { IN_MEMORY.fetch_sub(1, SeqCst); }
}

fn main() {
    let cache = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(Duration::from_millis(500)).build();
    (0..1000).for_each(|user: u32| cache.insert(user, Session::new()));
    let show = |what: &str| println!("{what} {} {} {}", IN_MEMORY.load(SeqCst), cache.entry_count(), cache.contains_key(&999));
    show("inserted");
    sleep(Duration::from_secs(4));
    show("idle");
    cache.invalidate_all();
    show("invalidated");
    cache.get(&0);
    show("asked");
}
RS
cargo run --quiet --manifest-path sessions/Cargo.toml --target-dir target > seen
cat seen
awk '
    $1 == "inserted" { good += $2 == 1000 && $4 == "true"; counted = $3 }
    $1 == "idle" || $1 == "invalidated" { good += $2 == 1000 && $3 == counted && counted > 0 && $4 == "false" }
    $1 == "asked" { good += $2 < 200 && $3 == 0 }
    END { exit good != 4 }
' seen || { echo "changed: an idle cache drops expired values" >&2; exit 1; }
