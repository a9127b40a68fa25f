#!/usr/bin/env bash
# rustc 1.95.0, release: `#[inline(never)]` on an async function.
#
# Guess: the function stays one of its own in the optimised program, as it does without `async`; so it is in the symbol table, and a
# profile without debug information has its name.
# Reality: the attribute is for the function that makes the future, which does nothing but move its arguments. The body is the future's
# `poll`, which is inlined as if there were no attribute. Functions of the release program, and its backtrace from inside:
#
#     in the source                                     in the symbol table            in the backtrace
#     #[inline(never)] async fn charge()                order::charge, the maker       nothing
#     #[inline(never)] async fn handle(), awaits it     order::handle, the maker       nothing
#     #[inline(never)] async fn stored(), in a box      order::stored::{{closure}}     order::stored::{{closure}}
#     #[inline(never)] fn work()                        order::work                    order::work
#
# The program still has symbols of the first two names; no sample ever falls into them while the bodies run.
#
# Why it matters: the attribute is the usual way to keep a function visible in profiles of programs without debug information, and for
# an async function it does nothing, without a warning. What does keep a body: a `Box::pin` as a `dyn Future`, or the work in a
# function without `async`, with the attribute.
set -euo pipefail
command -v cargo > /dev/null && command -v nm > /dev/null ||
    { echo "rustc_inline_never_async.sh: needs cargo and nm (Debian: binutils)" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
rustc --version

mkdir -p order/src
cat > order/Cargo.toml <<'TOML'
[package]
name = "order"
version = "0.0.0"
edition = "2024"
[workspace]
TOML
cat > order/src/main.rs <<'RS'
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};

#[inline(never)]
fn work(n: u64) -> u64 {
    println!("{}", std::backtrace::Backtrace::force_capture());
    black_box(n + 1)
}

#[inline(never)]
async fn charge(n: u64) -> u64 { black_box(work(black_box(n))) }

#[inline(never)]
async fn handle(n: u64) -> u64 { black_box(charge(black_box(n)).await) }

#[inline(never)]
async fn stored(n: u64) -> u64 { black_box(handle(black_box(n)).await) }

async fn all(n: u64) -> u64 {
    let stored: Pin<Box<dyn Future<Output = u64>>> = Box::pin(stored(n));
    black_box(stored).await
}

fn main() {
    let all = pin!(all(black_box(1)));
    assert!(all.poll(&mut Context::from_waker(Waker::noop())).is_ready());
}
RS
cargo build --quiet --release --manifest-path order/Cargo.toml --target-dir target
functions=$(nm --defined-only --demangle target/release/order | awk '$3 ~ /^order::/ { print $3 }' | sort | paste -sd' ')
echo "functions: $functions" | tee seen
echo "backtrace:" "$(target/release/order | sed -nE 's/^ +[0-9]+: (order::.*)$/\1/p' | paste -sd' ')" | tee -a seen
for expected in 'functions: .*order::charge order::handle .*order::stored order::stored::\{\{closure\}\} order::work$' \
    'backtrace: order::work order::stored::\{\{closure\}\} order::main$'; do
    grep -Eq "$expected" seen || { echo "changed: $expected expected" >&2; exit 1; }
done
! grep -E 'order::(charge|handle)::' seen || { echo "changed: the body is a function of its own" >&2; exit 1; }
