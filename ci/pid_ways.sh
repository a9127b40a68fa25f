#!/usr/bin/env bash
# Builds the program with every kind of wait (dump/cli/tests/waits) in the ways that change its debug information, and dumps
# each: `runtime-dump pid` must show the same tasks as for the usual build.
#
#   ci/pid_ways.sh           all ways
#   ci/pid_ways.sh NAME..    only these, by the first word of a row below
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/pid-ways
mkdir -p "$target"
cargo build --quiet --release -p runtime-dump-cli
command=$(realpath "${CARGO_TARGET_DIR:-target}/release/runtime-dump")
ways=("$@") failed=() pid=
trap '[ -z "$pid" ] || kill "$pid"' EXIT

# Arguments: a name, a version of tokio or "newest", then cargo's settings. Each way is built once, and its program is kept.
build() {
    local name=$1 tokio=$2 into=$target/$1
    shift 2
    [ -e "$into/waits" ] && diff -rq -x Cargo.lock -x target dump/cli/tests/waits "$into/source" > /dev/null && return
    rm -rf "$into"
    mkdir -p "$into"
    cp -r dump/cli/tests/waits "$into/source"
    [ "$tokio" = newest ] || cargo update --quiet --manifest-path "$into/source/Cargo.toml" --package tokio --precise "$tokio"
    env RUSTFLAGS= "$@" cargo build --quiet --release --manifest-path "$into/source/Cargo.toml" --target-dir "$into/build"
    mv "$into/build/release/waits" "$into"
    [ ! -e "$into/build/release/waits.dwp" ] || mv "$into/build/release/waits.dwp" "$into"
    rm -rf "$into/build"
}

# The tasks without the parts that differ between two runs and two versions: numbers, addresses, times, lines of libraries.
# The position of a block_on's root on the stack of its thread may be ambiguous, so it is left out; so are std's functions,
# which may be inlined.
plain() {
    grep -v '^#' | grep -v '^goroutine' | grep -v '^	' | grep -v '^std::' | sed 's/0x[0-9a-f]*/0x../g' |
        awk 'BEGIN { RS = ""; FS = "\n" } /waits::/ && !/waits::root/ { gsub("\n", " < "); print }' | sort
}

row() {
    local name=$1
    [[ ${#ways[@]} == 0 || " ${ways[*]} " == *" $name "* ]] || return 0
    local began=$SECONDS
    build "$@"
    local out=$target/$name/out
    # Made here: the shell in the background may open it later than the reader.
    : > "$out.ready"
    "$target/$name/waits" > "$out.ready" &
    pid=$!
    until grep -q ready "$out.ready"; do sleep 0.1; done
    "$command" pid "$pid" > "$out" || true
    kill "$pid"
    wait "$pid" 2> /dev/null || true
    pid=
    plain < "$out" > "$out.plain"
    local tasks
    tasks=$(wc -l < "$out.plain")
    echo "== $name: $tasks tasks ($((SECONDS - began)) s)"
    [ "$name" != newest ] || cp "$out.plain" "$target/expected"
    if ! diff "$target/expected" "$out.plain" || [ "$tasks" -lt 50 ]; then
        failed+=("$name")
    fi
}

row newest newest
# The oldest tokio that is tested.
row oldest 1.47.1
# rustc writes DWARF 4 for Linux by default.
row dwarf5 newest RUSTFLAGS=-Cdwarf-version=5
row lto newest CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_PANIC=abort
row packed newest CARGO_PROFILE_RELEASE_SPLIT_DEBUGINFO=packed
row packed5 newest CARGO_PROFILE_RELEASE_SPLIT_DEBUGINFO=packed RUSTFLAGS=-Cdwarf-version=5

if [ ${#failed[@]} != 0 ]; then
    echo "pid_ways.sh: other tasks than in the usual build: ${failed[*]}" >&2
    exit 1
fi
