#!/usr/bin/env bash
# rustc 1.95.0, an optimised program with `debug = "line-tables-only"`: the names of inlined async functions.
#
# Guess: the setting drops variables and types; a backtrace has its functions, files and lines, as `debug = 1` has them.
# Reality: an inlined function keeps only the last part of its name, and every async function has the same last part:
#
#     line-tables-only                       debug = 1
#     {async_fn#0}    served.rs:12           served::rows::read::{{closure}}      served.rs:12
#     {async_fn#0}    served.rs:9            served::stock::reserve::{{closure}}  served.rs:9
#     {async_fn#0}    served.rs:6            served::orders::total::{{closure}}   served.rs:6
#
# The debug information of the first has neither a linkage name nor the modules around the function. A function that was not
# inlined is named in full from the symbol table, so one backtrace holds both kinds.
#
# Why it matters: in optimised async code nearly all frames between a task and what it waits for are inlined. Whatever groups
# by the function's name (`go tool pprof -top`, a flame graph, an alarm for each function) puts all async functions of a
# program into one row. File and line are right: group by them, or build with `debug = 1`.
set -euo pipefail
command -v rustc > /dev/null || { echo "rustc_line_tables_async.sh: needs rustc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > served.rs <<'RS'
use std::backtrace::Backtrace;
use std::future::Future;
use std::task::{Context, Waker};

mod orders {
    pub async fn total(order: u64) -> u64 { crate::stock::reserve(order).await + 1 }
}
mod stock {
    pub async fn reserve(order: u64) -> u64 { crate::rows::read(order).await + 1 }
}
mod rows {
    pub async fn read(order: u64) -> u64 { crate::show(); order }
}
#[inline(never)]
fn show() { print!("{}", Backtrace::force_capture()) }

fn main() {
    let mut total = std::pin::pin!(orders::total(std::hint::black_box(1)));
    let _ = total.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}
RS
# The frames of async functions in a backtrace: "NAME LINE".
frames() {
    rustc --edition 2024 -C opt-level=3 -C debuginfo="$1" -o "served-$1" served.rs
    "./served-$1" | grep -B 1 -E 'served.rs:(6|9|12):' \
        | sed -nE '/^ +[0-9]+: /{s/^ +[0-9]+: //;h;n;s/.*served\.rs:([0-9]+):.*/\1/;H;x;s/\n/ /;p;}'
}
rustc --version
lines_only=$(frames line-tables-only)
limited=$(frames 1)
printf 'line-tables-only:\n%s\ndebug = 1:\n%s\n' "$lines_only" "$limited"
expected='{async_fn#0} 12
{async_fn#0} 9
{async_fn#0} 6'
[ "$lines_only" = "$expected" ] || { echo "changed: line-tables-only names its functions otherwise" >&2; exit 1; }
for name in served::rows::read: served::stock::reserve: served::orders::total:; do
    grep -qF "$name" <<< "$limited" || { echo "changed: debug = 1 does not name $name" >&2; exit 1; }
done
