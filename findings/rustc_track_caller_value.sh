#!/usr/bin/env bash
# rustc 1.95.0 with tokio 1.54.1: the spawn location of a task when `tokio::spawn` is passed as a function, not called.
#
# Guess: `#[track_caller]` tells the line of the program that spawns, and `futures.map(tokio::spawn)` is the short form of
# `futures.map(|future| tokio::spawn(future))`.
# Reality: the caller is what the compiler generated around the function, so the location is one of std's or tokio's own, the same
# for all such spawns of the program. `TaskMeta::spawned_at()` of one async fn, spawned in six ways:
#
#     tokio::spawn(order())                               src/main.rs:19:5
#     iterator.map(|future| tokio::spawn(future))         src/main.rs:21:32
#     iterator.map(tokio::spawn)                          /rustc/HASH/library/core/src/ops/function.rs:166:5
#     Some(order()).map(tokio::spawn)                     /rustc/HASH/library/core/src/ops/function.rs:250:5
#     let spawn: fn(_) -> _ = tokio::spawn; spawn(..)     .../tokio-1.54.1/src/task/spawn.rs:174:5
#     iterator.collect::<JoinSet<_>>()                    .../tokio-1.54.1/src/task/join_set.rs:646:17
#
# Why it matters: spawn locations are what tokio-console, task hooks and counts by site tell tasks apart by. Here the tasks of
# unrelated modules are one site, in a file that is none of the program's; a leak there names no line to look at. Write the
# closure: `clippy::redundant_closure` leaves it alone where the function has the attribute.
set -euo pipefail
command -v cargo > /dev/null || { echo "rustc_track_caller_value.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p site/src
cat > site/Cargo.toml <<'TOML'
[package]
name = "site"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt"] }
[workspace]
TOML
cat > site/src/main.rs <<'RS'
use std::cell::RefCell;
use std::iter::once;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

thread_local!(static SPAWNED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

async fn order() {}

fn spawned(way: &str) {
    println!("{way} {}", SPAWNED.take().concat());
}

fn main() {
    let mut builder = Builder::new_current_thread();
    builder.on_task_spawn(|meta| SPAWNED.with_borrow_mut(|spawned| spawned.push(meta.spawned_at().to_string())));
    let runtime = builder.build().unwrap();
    let _entered = runtime.enter();
    tokio::spawn(order());
    spawned("call");
    once(order()).map(|future| tokio::spawn(future)).for_each(drop);
    spawned("closure");
    once(order()).map(tokio::spawn).for_each(drop);
    spawned("iterator");
    Some(order()).map(tokio::spawn);
    spawned("option");
    let spawn: fn(_) -> _ = tokio::spawn;
    spawn(order());
    spawned("pointer");
    let _set: JoinSet<()> = once(order()).collect();
    spawned("collect");
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path site/Cargo.toml --target-dir target > seen
rustc --version
cat seen
sed -E 's, /rustc/[^/]+/, ,; s, /.*/(tokio-1), \1,; s/:[0-9:]+$//' seen > files
diff files - <<'TXT' || { echo "changed: the locations are others" >&2; exit 1; }
call src/main.rs
closure src/main.rs
iterator library/core/src/ops/function.rs
option library/core/src/ops/function.rs
pointer tokio-1.54.1/src/task/spawn.rs
collect tokio-1.54.1/src/task/join_set.rs
TXT
