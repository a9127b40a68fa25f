#!/usr/bin/env bash
# backtrace 0.3.77 (the crate), `backtrace::resolve` of a function's address.
#
# Guess: it names the function that begins there; "symbols yielded represent the execution at the specified `addr`", says its documentation.
# `resolve_frame` is the one that knows frames, whose address is behind the call.
# Reality: both take one byte off the address before they look. What begins at the address is never found: the answer is the function that
# lies before it in the program, with a file and a line, or none where there is padding between the two. The names of five functions:
#
#     address of    debug build    optimised for size    one byte on, both builds
#     charge        nothing        cancel                charge
#     refund        nothing        charge                refund
#     invoice       nothing        report                invoice
#     cancel        nothing        {{closure}}           cancel
#     report        nothing        refund                report
#
# Why it matters: addresses that are no return addresses come from function pointers, vtables, symbol tables, hooks, the registers of a signal
# handler and `poll` functions of futures. A registry of handlers or jobs that names its functions so has names of real neighbours, which
# look right and change with each build. The pc of a sample is off by one instruction, too: at a function's first one, which is where
# breakpoints and interrupts like to be, it names a function that was never called. Add one byte to such an address.
set -euo pipefail
command -v cargo > /dev/null || { echo "backtrace_resolve_pointer.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p names/src
cat > names/Cargo.toml <<'TOML'
[package]
name = "names"
version = "0.0.0"
edition = "2024"
[dependencies]
backtrace = "=0.3.77"
[profile.release]
debug = 2
opt-level = "s"
[workspace]
TOML
cat > names/src/main.rs <<'RS'
use std::ffi::c_void;
use std::hint::black_box;

macro_rules! functions {
    ($($name:ident $by:literal)*) => {
        $(#[inline(never)] fn $name(number: u64) -> u64 { black_box(number) * $by })*
        const FUNCTIONS: &[(&str, fn(u64) -> u64)] = &[$((stringify!($name), $name)),*];
    };
}
functions! { charge 3 refund 5 invoice 7 cancel 9 report 11 }

fn named(address: *mut c_void) -> String {
    let mut name = String::from("nothing");
    backtrace::resolve(address, |symbol| name = symbol.name().unwrap().to_string());
    let mut parts = name.rsplit("::");
    if name.contains("::h") { parts.next(); }
    parts.next().unwrap().to_owned()
}

fn main() {
    for (name, function) in FUNCTIONS {
        let address = *function as *mut c_void;
        let (own, next) = (named(address), named(address.wrapping_byte_add(1)));
        eprintln!("{name}: {own}, one byte on {next}");
        println!("{name}: itself {}, one byte on {next}", own == *name);
    }
}
RS
cargo run --quiet --manifest-path names/Cargo.toml --target-dir target > debug
cargo run --quiet --release --manifest-path names/Cargo.toml --target-dir target > release
cat debug release > seen
diff seen - <<'TXT' || { echo "changed: resolve looks at the address that it is given" >&2; exit 1; }
charge: itself false, one byte on charge
refund: itself false, one byte on refund
invoice: itself false, one byte on invoice
cancel: itself false, one byte on cancel
report: itself false, one byte on report
charge: itself false, one byte on charge
refund: itself false, one byte on refund
invoice: itself false, one byte on invoice
cancel: itself false, one byte on cancel
report: itself false, one byte on report
TXT
