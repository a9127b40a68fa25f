#!/usr/bin/env bash
# rustc 1.95.0: an async closure has two bodies; the one that runs if it is called by value is named `{{synthetic}}`, or as the closure around it.
#
# Guess: an async closure is a closure with an async block in it. Its body is one function, `main::{{closure}}::{{closure}}`, and its future is one
# type, as for an async function, however it is called.
# Reality: a closure that may be called more than once has two bodies and two futures: one borrows what the closure captured, the other takes it and
# runs if the closure is called by value (`impl AsyncFnOnce`). The second body has another name, and with v0 mangling that of the closure around it:
#
#     called           legacy names                          v0 names
#     by reference     main::{{closure}}::{{closure}}        main::{closure#0}::{closure#0}::<i16>
#     by value         main::{{closure}}::{{synthetic}}      main::{closure#0}
#     by value, and    main::{{closure}}::{{closure}}        main::{closure#1}::{closure#0}::<i32>
#     only so
#
# All three have the lines of the source. In the debug information the functions are {async_closure#0} and {synthetic#0}; both futures of the first
# closure are structs of the same full name, main::{closure#0}::{async_closure_env#0}, of which one is 32 bytes and the other 48 here.
#
# Why it matters: a retry helper that takes `AsyncFn` and one that takes `AsyncFnOnce` split the samples of one closure into two rows. A filter that
# takes `{{closure}}` off the end to show an async function's name leaves `{{synthetic}}`. A debugger or a dump that finds the type of a future by
# its name may read the fields of the other one at wrong offsets; the entry of the poll function has the right type.
set -euo pipefail
for needed in rustc readelf; do
    command -v "$needed" > /dev/null || { echo "rustc_async_closure_twice.sh: needs $needed" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > shop.rs <<'RS'
use std::backtrace::Backtrace;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

/// Prints the name and the line of its caller.
#[inline(never)]
fn show(how: &str) {
    let trace = Backtrace::force_capture().to_string();
    let mut frames = trace.lines().skip_while(|line| !line.contains("shop::show")).skip(2);
    let (name, place) = (frames.next().unwrap(), frames.next().unwrap());
    let line = place.rsplit(':').nth(1).unwrap();
    println!("{how}: {} line {line}", name.split_once("shop::").unwrap().1);
}
fn run(future: impl Future<Output = ()>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
}
async fn by_reference(step: &mut impl AsyncFnMut(&str)) { step("reference").await }
async fn by_value(step: impl AsyncFnOnce(&str), how: &str) { step(how).await }

fn main() {
    let mut tries = [0_u8; 100];
    let mut step = async |how: &str| { tries[0] += 1; show(how) };
    run(by_reference(&mut step));
    run(by_value(step, "value"));
    let text = String::from("text");
    run(by_value(async move |how: &str| { show(how); drop(text) }, "value only"));
}
RS
rustc --version
for level in 0 3; do
    for mangling in default v0; do
        flags=()
        # Stable rustc has v0 as an option; the default is the legacy mangling.
        [ $mangling = default ] || flags=(-C symbol-mangling-version=v0)
        rustc --edition 2024 -g -C opt-level=$level "${flags[@]}" -o shop shop.rs
        ./shop | sed "s/^/$mangling $level: /"
    done
    readelf --debug-dump=info shop > info 2> /dev/null
    sed -nE 's/.*DW_AT_name .*: (\{(synthetic|async_closure)#0\})$/\1/p' info | LC_ALL=C sort -u | paste -sd' '
    grep -A1 -E 'DW_AT_name .*: \{async_closure_env#0\}$' info | sed -nE 's/.*DW_AT_byte_size *: ([0-9]+)$/\1/p' | sort -nu | paste -sd' '
done | tee seen
for level in 0 3; do
    cat <<TXT
default $level: reference: main::{{closure}}::{{closure}} line 23
default $level: value: main::{{closure}}::{{synthetic}} line 23
default $level: value only: main::{{closure}}::{{closure}} line 27
v0 $level: reference: main::{closure#0}::{closure#0}::<i16> line 23
v0 $level: value: main::{closure#0} line 23
v0 $level: value only: main::{closure#1}::{closure#0}::<i32> line 27
{async_closure#0} {synthetic#0}
32 48
TXT
done > expected
diff expected seen || { echo "changed: the body called by value has another name" >&2; exit 1; }
