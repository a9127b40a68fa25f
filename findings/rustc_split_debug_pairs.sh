#!/usr/bin/env bash
# rustc 1.95.0, `debug = 1` with `split-debuginfo`, the program copied to a place where the file or folder beside it is not.
#
# Guess: what was left behind is missing, and what is shown is right: a backtrace has the names of the symbol table and no lines.
# Reality: the lines stay in the program, the names of inlined functions do not. Each frame pairs the name of the outer function, from
# the symbol table, with the file and line of the innermost inlined one. A backtrace of one program, built with `off`, and with `packed`
# or `unpacked` and copied:
#
#     off                                     packed, unpacked
#     order::leaf         main.rs:3           order::leaf     main.rs:3
#     order::read         main.rs:6           order::main     main.rs:6
#     order::total        main.rs:9
#     order::main         main.rs:12
#
# `std::backtrace::Backtrace` and the command `addr2line` of binutils 2.40 show it alike, without a word. With the `.dwp` beside the
# program the backtrace is whole; the command does not read that file and goes on as before.
#
# Why it matters: the file and line are of a function that is not named. In async programs, where most calls between a task and its
# wait are inlined, the line of the innermost goes with the name of the outermost. A reader finds no such function at that line, and
# a profile by function charges the outer one. Keep the `.dwp` beside the program, or split it by `objcopy --only-keep-debug`.
set -euo pipefail
command -v cargo > /dev/null && command -v addr2line > /dev/null ||
    { echo "rustc_split_debug_pairs.sh: needs cargo and addr2line (Debian: binutils)" >&2; exit 2; }
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
[profile.release]
debug = 1
[profile.packed]
inherits = "release"
split-debuginfo = "packed"
[profile.unpacked]
inherits = "release"
split-debuginfo = "unpacked"
[workspace]
TOML
cat > order/src/main.rs <<'RS'
#[inline(never)]
fn leaf() {
    println!("{}", std::backtrace::Backtrace::force_capture());
    std::hint::black_box(());
}
fn read() { leaf(); std::hint::black_box(()); }
#[inline]
fn total() {
    read(); std::hint::black_box(());
}
fn main() {
    total(); std::hint::black_box(());
}
RS
for profile in release packed unpacked; do
    cargo build --quiet --profile "$profile" --manifest-path order/Cargo.toml --target-dir target
    mkdir "$profile"
    cp "target/$profile/order" "$profile/"
done
mkdir beside
cp target/packed/order target/packed/order.dwp beside/
mv target elsewhere
# The program's frames in its own backtrace: name, file and line.
frames() {
    "$1/order" | awk '/^ +[0-9]+: / { name = $2 } /at .*src\/main.rs:/ { sub(/.*\//, "", $2); split($2, at, ":"); print name, at[1] ":" at[2] }'
}
# What addr2line says of the line in `read` among the addresses of main.
lookup() {
    nm --defined-only --print-size --demangle "$1/order" | awk '$4 == "order::main" { print $1, $2; exit }' | {
        read -r start size
        for ((at = 0x$start; at < 0x$start + 0x$size; at++)); do printf '%#x\n' "$at"; done
    } | addr2line --exe "$1/order" --functions --demangle | paste - - | sed -nE 's/^(order::[a-z]+).*\/(main.rs:6)( .*)?$/\1 \2/p' | sort -u
}
for build in release packed unpacked beside; do
    frames "$build" > "$build.frames"
    echo "$build: $(paste -sd, "$build.frames"); addr2line: $(lookup "$build")"
done | tee seen
cat > expected <<'TXT'
release: order::leaf main.rs:3,order::read main.rs:6,order::total main.rs:9,order::main main.rs:12; addr2line: order::read main.rs:6
packed: order::leaf main.rs:3,order::main main.rs:6; addr2line: order::main main.rs:6
unpacked: order::leaf main.rs:3,order::main main.rs:6; addr2line: order::main main.rs:6
beside: order::leaf main.rs:3,order::read main.rs:6,order::total main.rs:9,order::main main.rs:12; addr2line: order::main main.rs:6
TXT
diff expected seen || { echo "changed" >&2; exit 1; }
