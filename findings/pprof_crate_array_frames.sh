#!/usr/bin/env bash
# pprof 0.15.0 (the crate, feature `flamegraph`) with inferno 0.11.21: a method of an array type in the flame graph.
#
# Guess: a frame is a frame, whatever characters its name has; the crate knows the frames, it does not parse a text.
# Reality: between the samples and the picture there is a text in which `;` stands between frames, and Rust's array types have one. The name is
# cut in two, and a box that is no function is put below the other. The stack `main`, `<[u8; 32] as Digest>::digest`, `compute`:
#
#     boxes from below      pages::main    <[u8    " 32] as pages::Digest>::digest"    pages::compute
#     frames of the report  pages::main    <[u8; 32] as pages::Digest>::digest         pages::compute
#
# Why it matters: keys, hashes and blocks are arrays, so cryptography and serialisation have such names, as has each future or closure that is
# generic over one (`Table<[u8; 32]>::get`). Methods of all such types share one box `<[u8`, so the picture adds up what does not belong together
# and splits a stack with `[u8; 16]` from one with `[u8; 32]` a level too high. A search for the whole name finds nothing. The protobuf form of
# the same report is whole. Writers of folded stacks have to replace the `;` in a name.
set -euo pipefail
command -v cargo > /dev/null || { echo "pprof_crate_array_frames.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p pages/src
cat > pages/Cargo.toml <<'TOML'
[package]
name = "pages"
version = "0.0.0"
edition = "2024"
[dependencies]
# Writes the picture.
inferno = { version = "=0.11.21", default-features = false }
pprof = { version = "=0.15.0", features = ["flamegraph"] }
[workspace]
TOML
cat > pages/src/main.rs <<'RS'
use std::hint::black_box;
use std::time::{Duration, Instant};

trait Digest {
    fn digest(&self) -> u64;
}
impl Digest for [u8; 32] {
    #[inline(never)]
    fn digest(&self) -> u64 { black_box(compute()) + u64::from(self[0]) }
}

#[inline(never)]
fn compute() -> u64 {
    let begin = Instant::now();
    let mut sum = 1u64;
    while begin.elapsed() < Duration::from_secs(1) {
        for number in 0..10_000 {
            sum = black_box(sum.rotate_left(3) ^ number);
        }
    }
    sum >> 1
}

fn main() {
    let guard = pprof::ProfilerGuard::new(100).unwrap();
    black_box([1; 32].digest());
    let report = guard.report().build().unwrap();
    let mut picture = Vec::new();
    report.flamegraph(&mut picture).unwrap();
    let picture = String::from_utf8(picture).unwrap();
    for title in picture.split("<title>").skip(1) {
        let name = title.split(" (").next().unwrap().replace("&lt;", "<").replace("&gt;", ">");
        if name.contains("u8") || name.contains("Digest") { println!("box \"{name}\"") }
    }
    let names = report.data.keys().flat_map(|stack| stack.frames.iter().flatten()).map(|symbol| symbol.name());
    println!("frame \"{}\"", names.into_iter().find(|name| name.contains("Digest")).unwrap());
}
RS
cargo run --quiet --manifest-path pages/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: an array's type in a flame graph" >&2; exit 1; }
box "<[u8"
box " 32] as pages::Digest>::digest"
frame "<[u8; 32] as pages::Digest>::digest"
TXT
