#!/usr/bin/env bash
# rustc 1.95.0, `std::backtrace::Backtrace` in programs whose debug information is compressed by the linker.
#
# Guess: std reads compressed debug information. It does so with zlib, and zstd is the other value of the linker's
# `--compress-debug-sections`; a program that it could not read would say so.
# Reality: zlib is read, zstd is not. The linker that rustc brings along writes both. With zstd a backtrace has the names of the symbol
# table: inlined functions are missing, and no frame has a file or a line. An optimised program whose `charge` is inlined into
# `serve`, and its section .debug_info:
#
#                    size       backtrace                                   `addr2line` of binutils 2.40
#     none           1,098 KB   app::charge main.rs:4, app::serve :9        app::charge
#     zlib             404 KB   app::charge main.rs:4, app::serve :9        app::charge
#     zstd             331 KB   app::serve, without a line                  app::charge
#
# Why it matters: binaries with debug information are large, so they are compressed, and zstd is the smaller and faster of the two. gdb, perf
# and addr2line go on as before. Panics and errors lose their lines, and the inlined functions, which are most of an async
# program, as if it were built without `-g`; nothing tells that the compression is the cause.
set -euo pipefail
command -v rustc > /dev/null || { echo "std_backtrace_zstd.sh: needs rustc" >&2; exit 2; }
command -v readelf > /dev/null || { echo "std_backtrace_zstd.sh: needs binutils" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > main.rs <<'RS'
#[inline(always)]
fn charge() -> String {
    // The innermost frame.
    std::backtrace::Backtrace::force_capture().to_string()
}

#[inline(never)]
fn serve() -> String {
    charge()
}

fn main() {
    println!("{}", serve());
}
RS
rustc --version
for kind in none zlib zstd; do
    rustc --edition 2024 -O -g main.rs --crate-name app -C link-arg=-Wl,--compress-debug-sections=$kind -o app
    echo "$kind .debug_info $((16#$(readelf -SW app | sed -nE 's/.* \.debug_info +PROGBITS +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) .*/\1/p'))) bytes" >&2
    ./app > backtrace
    shown=$(sed -nE '/app::main/q; s/^ *[0-9]+: (app::.*)/\1/p; s/^ *at .*(main.rs:[0-9]+).*/\1/p' backtrace | tr '\n' ' ')
    echo "$kind: ${shown% }"
done > seen
cat seen
diff seen - <<'TXT' || { echo "changed: std reads zstd, or does not read zlib" >&2; exit 1; }
none: app::charge main.rs:4 app::serve main.rs:9
zlib: app::charge main.rs:4 app::serve main.rs:9
zstd: app::serve
TXT
