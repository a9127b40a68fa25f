#!/usr/bin/env bash
# tokio 1.54.1: in which order one thread of the blocking pool runs closures, with the sharded queue.
#
# Guess: in the order in which they were spawned. The documentation of `enable_sharded_blocking_queue` tells of contention only, and
# with `max_blocking_threads(1)` there is nothing beside which a closure could run.
# Reality: so it is with the default queue. With TOKIO_UNSTABLE_SHARDED_BLOCKING_QUEUE=1, which a build without
# `--cfg tokio_unstable` obeys as well, each closure goes to one of 16 shards by chance, and the thread empties them in a fixed order
# of shards. Of 40 closures that were spawned while the only thread was busy:
#
#     default    0 1 2 3 4 5 6 7 8 9 10 ...
#     sharded    15 6 29 36 39 10 18 22 5 8 ...     another order in each run
#
# Why it matters: code that serialises writes by a pool of one thread is out of order once the variable is set for the
# process; the first closure of a queue may be one of the last that run; and a tool that takes the place in a queue for a time of
# waiting tells a wrong one.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_sharded_blocking_order.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS TOKIO_UNSTABLE_SHARDED_BLOCKING_QUEUE

mkdir -p order/src
cat > order/Cargo.toml <<'TOML'
[package]
name = "order"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt"] }
[workspace]
TOML
cat > order/src/main.rs <<'RS'
use std::sync::mpsc::channel;
use tokio::runtime::Builder;

fn main() {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let (release, released) = channel::<()>();
    let (begin, has_begun) = channel();
    let (run, runs) = channel::<u32>();
    // The only thread is busy until all closures are in the queue.
    runtime.spawn_blocking(move || {
        begin.send(()).unwrap();
        released.recv().ok();
    });
    has_begun.recv().unwrap();
    for number in 0..40 {
        let run = run.clone();
        runtime.spawn_blocking(move || run.send(number).unwrap());
    }
    drop((release, run));
    let order: Vec<String> = runs.iter().map(|number| number.to_string()).collect();
    println!("{}", order.join(" "));
}
RS
cargo build --quiet --manifest-path order/Cargo.toml
spawned=$(seq -s ' ' 0 39)
for round in 1 2 3 4 5; do
    default=$(order/target/debug/order)
    sharded=$(TOKIO_UNSTABLE_SHARDED_BLOCKING_QUEUE=1 order/target/debug/order)
    # All of them run, once each. That 40 are in order by chance is out of the question.
    [ "$default" = "$spawned" ] && [ "$sharded" != "$spawned" ] &&
        [ "$(tr ' ' '\n' <<< "$sharded" | sort -n | tr '\n' ' ')" = "$spawned " ] ||
        { echo "tokio_sharded_blocking_order.sh: tokio behaves otherwise now: $default / $sharded" >&2; exit 1; }
done
printf 'default    %s\nsharded    %s\nas found\n' "$default" "$sharded"
