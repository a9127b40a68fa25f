#!/usr/bin/env bash
# rustc 1.95.0, debug and release: the size of the future of an async function that has a large argument by value.
#
# Guess: the argument is in the future once; an async function that only passes it on and awaits adds a byte or two for its state.
# Reality: it is there twice, as what the future was made with and as the variable of the body, and once more for each async function that
# it is passed through: the optimiser changes no layout. `async move` in a plain function has it once. [u8; 1024] as the argument, in bytes:
#
#     async fn save(b)                    2050
#     async fn order(b), awaits save      3075
#     async fn handle(b), awaits order    4100
#     fn save(b) -> impl Future, async move { .. }                                        1026
#     fn handle(b) -> impl Future, returns order(b), which returns that of save(b)        1026
#     async fn save(b: Box<[u8; 1024]>)                                                   24
#
# Why it matters: the futures of handlers are built of layers (middleware, retry, time-out) that take the request, a configuration or another
# future by value. 4 KB per task for 1 KB of data, times 100,000 connections, is in a heap profile as `tokio::spawn`, with no line that says
# which variable; the copies are in a CPU profile as memcpy below `poll`. The names of the variables do not show it: each level has one.
set -euo pipefail
command -v rustc > /dev/null || { echo "rustc_arguments_twice.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rustc --version

cat > sizes.rs <<'RS'
use std::future::{Future, ready};
use std::mem::size_of_val;

type Bytes = [u8; 1024];

mod functions {
    use super::*;
    pub async fn save(bytes: Bytes) -> u8 {
        ready(()).await;
        bytes[0]
    }
    pub async fn order(bytes: Bytes) -> u8 { save(bytes).await }
    pub async fn handle(bytes: Bytes) -> u8 { order(bytes).await }
}
mod blocks {
    use super::*;
    pub fn save(bytes: Bytes) -> impl Future<Output = u8> {
        async move {
            ready(()).await;
            bytes[0]
        }
    }
    pub fn order(bytes: Bytes) -> impl Future<Output = u8> { save(bytes) }
    pub fn handle(bytes: Bytes) -> impl Future<Output = u8> { order(bytes) }
}
async fn boxed(bytes: Box<Bytes>) -> u8 {
    ready(()).await;
    bytes[0]
}

fn main() {
    let bytes = [0; 1024];
    print!("async fn {} {} {}", size_of_val(&functions::save(bytes)), size_of_val(&functions::order(bytes)),
        size_of_val(&functions::handle(bytes)));
    print!(", async move {} {}", size_of_val(&blocks::save(bytes)), size_of_val(&blocks::handle(bytes)));
    println!(", boxed {}", size_of_val(&boxed(Box::new(bytes))));
}
RS
for level in 0 3; do
    rustc --edition 2024 -C opt-level=$level -o sizes-$level sizes.rs
    sizes=$(./sizes-$level)
    echo "opt-level $level: $sizes"
    [ "$sizes" = 'async fn 2050 3075 4100, async move 1026 1026, boxed 24' ] || { echo "changed: other sizes" >&2; exit 1; }
done
