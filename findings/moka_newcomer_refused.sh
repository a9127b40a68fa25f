#!/usr/bin/env bash
# moka 0.12.16, `sync::Cache` with `max_capacity(1000)`: what becomes of a value that is put into a full cache.
#
# Guess: it is in the cache, and an old value leaves for it: the one that was not used for the longest time, or was used least.
# Reality: the old ones stay, and the new one is dropped, with the cache's next maintenance, which calls like `insert` do. Its key has to have
# been asked for more often than that of the value that would leave, of late; a value that was never read wins against a new one that was
# not read either. 1000 old values, then 1000 new ones:
#
#     policy                           old values left    new values left
#     default (TinyLFU)                1000               0
#     EvictionPolicy::lru()            0                  1000
#
# The old ones were read three times each, and are never asked for again. Of 1000 new keys, each asked for once in each round and inserted when
# it is not there, the hits are
#
#     policy                           round 1    round 2      round 5       round 30
#     default (TinyLFU)                0          about 500    550 to 730    about 1000
#     EvictionPolicy::lru()            0          1000         1000          1000
#
# Why it matters: a table of sessions, tokens, uploads or connections is written as a cache with a bound. When it is full each login is
# forgotten at once, while sessions of the morning stay: the service fails for the new users only, and a restart cures it. The eviction
# listener tells of it with `RemovalCause::Size`, as for old values. Put `EvictionPolicy::lru()` where each value has to be found once more.
set -euo pipefail
command -v cargo > /dev/null || { echo "moka_newcomer_refused.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p refused/src
cat > refused/Cargo.toml <<'TOML'
[package]
name = "refused"
version = "0.0.0"
edition = "2024"
[dependencies]
moka = { version = "=0.12.16", features = ["sync"] }
[workspace]
TOML
cat > refused/src/main.rs <<'RS'
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::ops::Range;

const OLD: Range<u32> = 0..1000;
const NEW: Range<u32> = 1000..2000;

fn cache(policy: EvictionPolicy) -> Cache<u32, u32> {
    Cache::builder().max_capacity(1000).eviction_policy(policy).build()
}

fn left(policy: EvictionPolicy) -> (usize, usize) {
    let cache = cache(policy);
    for key in OLD.chain(NEW) {
        cache.insert(key, key);
        cache.run_pending_tasks();
    }
    let count = |keys: Range<u32>| keys.filter(|key| cache.contains_key(key)).count();
    (count(OLD), count(NEW))
}

fn hits(policy: EvictionPolicy) -> Vec<usize> {
    let cache = cache(policy);
    for key in OLD {
        cache.insert(key, key);
        for _ in 0..3 {
            cache.get(&key);
        }
    }
    cache.run_pending_tasks();
    let round = |_| {
        let hits = NEW.filter(|key| cache.get(key).is_some() || { cache.insert(*key, *key); false }).count();
        cache.run_pending_tasks();
        hits
    };
    (1..=30).map(round).collect()
}

fn main() {
    let (default, lru) = (left(EvictionPolicy::default()), left(EvictionPolicy::lru()));
    println!("left, old and new: default {default:?}, lru {lru:?}");
    let (default_hits, lru_hits) = (hits(EvictionPolicy::default()), hits(EvictionPolicy::lru()));
    println!("hits of 30 rounds: default {default_hits:?}, lru {lru_hits:?}");
    if default != (1000, 0) || lru != (0, 1000) || default_hits[1] > 900 || lru_hits[1] != 1000 {
        println!("changed: which values a full cache keeps");
        std::process::exit(1);
    }
}
RS
cargo run --quiet --manifest-path refused/Cargo.toml --target-dir target
