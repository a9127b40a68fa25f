#!/usr/bin/env bash
# rustc 1.95.0, release, `debug = 2`: two futures whose `poll` has the same body.
#
# Guess: with full debug information each function has its own name and lines, so a stack says which future was polled.
# Reality: at opt-level 2 and above LLVM makes one function of the two. A stack inside `invoices::Next` then says `orders::Next`
# and a line of its source, and the symbol table does not have the other at all:
#
#     polled          named at opt-level 1          named at opt-level 3
#     orders::Next    orders::Next, line 15         orders::Next, line 15
#     invoices::Next  invoices::Next, line 22       orders::Next, line 15
#
# It takes equal machine code in one codegen unit. `cargo build --release` without any setting did it to this program too, and an
# async function that is generic over two newtypes of one layout becomes one function likewise.
#
# Why it matters: profiles, task dumps and backtraces name a type that never ran, and nothing in the binary says so. The
# address of `poll` identifies no type either; `std::any::type_name`, taken at the spawn, does.
set -euo pipefail
for tool in rustc nm; do
    command -v "$tool" > /dev/null || { echo "rustc_merged_polls.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > served.rs <<'RS'
use std::backtrace::Backtrace;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

mod orders {
    pub struct Next(pub u64);
}
mod invoices {
    pub struct Next(pub u64);
}
impl Future for orders::Next {
    type Output = u64;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        show();
        Poll::Ready(self.0 + 1)
    }
}
impl Future for invoices::Next {
    type Output = u64;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u64> {
        show();
        Poll::Ready(self.0 + 1)
    }
}
#[inline(never)]
fn show() { print!("{}", Backtrace::force_capture()) }

fn main() {
    let tasks: [(&str, Pin<Box<dyn Future<Output = u64>>>); 2] =
        [("orders", Box::pin(orders::Next(1))), ("invoices", Box::pin(invoices::Next(2)))];
    for (name, mut task) in tasks {
        println!("polled {name}");
        let _ = std::hint::black_box(task.as_mut()).poll(&mut Context::from_waker(Waker::noop()));
    }
}
RS
# "polled NAME: MODULE LINE" for each of the two.
seen() {
    rustc --edition 2024 -C opt-level="$1" -C codegen-units=1 -g -o "served-$1" served.rs
    "./served-$1" | sed -nE 's/^polled (.*)/\1/p; s/.*for served::([a-z]+)::Next>::poll.*/\1/p;
        s/.*served\.rs:(15|22):.*/\1;/p' | tr '\n' ' '
}
rustc --version
plain=$(seen 1)
optimised=$(seen 3)
echo "polled, named, line at opt-level 1: $plain"
echo "polled, named, line at opt-level 3: $optimised"
symbols=$(nm -C served-3 | grep -oE 'for served::[a-z]+::Next>::poll')
echo "in the symbol table at opt-level 3: $symbols"
[ "$plain" = 'orders orders 15; invoices invoices 22; ' ] || { echo "changed: $plain" >&2; exit 1; }
[ "$optimised" = 'orders orders 15; invoices orders 15; ' ] || { echo "changed: the two are told apart" >&2; exit 1; }
[ "$symbols" = 'for served::orders::Next>::poll' ] || { echo "changed: $symbols" >&2; exit 1; }
