#!/usr/bin/env bash
# addr2line 0.26.1 (the crate), `Loader::new` on a program whose debug information is in a file beside it: guess and reality.
#
# Guess: like the command `addr2line` of GNU binutils, it follows `.gnu_debuglink` to PROGRAM.debug in the same folder.
# Reality: the loader finds no function name and no line for any address; it says so by `None`, not by an error. Given the
# debug file itself it names both. The command of binutils names both from the stripped program.
#
# Why it matters: distributions and many release builds ship programs so. A tool that resolves addresses with this loader shows
# such a program as one without debug information, and no error tells that a file with the names lies beside it.
set -euo pipefail
for tool in cargo rustc objcopy strip nm addr2line; do
    command -v "$tool" > /dev/null || { echo "addr2line_debuglink.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > served.rs <<'RS'
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn serve_order(order: u64) -> u64 { std::hint::black_box(order) + 1 }
fn main() { println!("{}", serve_order(1)); }
RS
rustc --edition 2024 -g served.rs
address=0x$(nm served | awk '$3 == "serve_order" { print $1 }')
objcopy --only-keep-debug served served.debug
strip --strip-all served
objcopy --add-gnu-debuglink=served.debug served

mkdir -p reader/src
cat > reader/Cargo.toml <<'TOML'
[package]
name = "reader"
version = "0.0.0"
edition = "2024"
[dependencies]
addr2line = { version = "=0.26.1", features = ["loader"] }
[workspace]
TOML
cat > reader/src/main.rs <<'RS'
fn main() {
    let [_, path, address] = &std::env::args().collect::<Vec<_>>()[..] else { panic!("PATH ADDRESS") };
    let address = u64::from_str_radix(address.trim_start_matches("0x"), 16).unwrap();
    let loader = addr2line::Loader::new(path).unwrap();
    let line = loader.find_location(address).unwrap().and_then(|at| at.line);
    println!("symbol {:?}, line {line:?}", loader.find_symbol(address));
}
RS
cargo build --quiet --manifest-path reader/Cargo.toml --target-dir target
stripped=$(target/debug/reader served "$address")
separate=$(target/debug/reader served.debug "$address")
binutils=$(addr2line -f -e served "$address" | paste -sd ' ')
echo "addr2line 0.26.1, the stripped program: $stripped"
echo "addr2line 0.26.1, its debug file:       $separate"
echo "$(addr2line --version | sed -n 1p), the stripped program: $binutils"
[ "$stripped" = 'symbol None, line None' ] || { echo "changed: the loader finds the debug file" >&2; exit 1; }
[ "$separate" = 'symbol Some("serve_order"), line Some(3)' ] || { echo "changed: $separate" >&2; exit 1; }
[[ $binutils == "serve_order "*"served.rs:3" ]] || { echo "changed: $binutils" >&2; exit 1; }
