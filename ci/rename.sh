#!/usr/bin/env bash
# The rename changes no output: the rename_* programs of examples/ are built and run with `tokio = { package =
# "runtime-probe" }`, then the same sources with plain tokio, and both must print the same.
# The plain build is a workspace of its own in target/rename-plain.
set -euo pipefail
cd "$(dirname "$0")/.."
source ci/plain_workspace.sh

bins=(rename_axum rename_current_thread)
test=rename_paused

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
plain=$target/rename-plain

tokio=$(locked_tokio)

rm -rf "$plain/examples" "$plain/Cargo.toml" "$plain/Cargo.lock"
mkdir -p "$plain/examples/src/bin" "$plain/examples/tests"
for bin in "${bins[@]}"; do cp "examples/src/bin/$bin.rs" "$plain/examples/src/bin/"; done
cp "examples/tests/$test.rs" "$plain/examples/tests/"
# Programs that read profiles are left out, and so is the shop, which uses more of the probe's API.
sed -E '/^runtime-(dump|probe-console)|^ *\{ name = "(checkout|scraper)"/d; /^tokio = /s/, "(metrics|tower)"//g' examples/Cargo.toml > "$plain/examples/Cargo.toml"
plain_workspace "$plain" examples

# Arguments: the workspace, its target directory, the file for the output.
run() {
    local manifest=$1/Cargo.toml output=$3
    export CARGO_TARGET_DIR=$2
    # Runs from the root in both cases, so that .cargo/config.toml applies to both.
    cargo build --quiet --manifest-path "$manifest" -p examples "${bins[@]/#/--bin=}"
    cargo test --quiet --manifest-path "$manifest" -p examples --test "$test" --no-run
    {
        cargo tree --quiet --manifest-path "$manifest" -p examples -i "tokio@$tokio" --depth 0 -f '{p}, features {f}'
        for bin in "${bins[@]}"; do
            echo "== $bin"
            "$CARGO_TARGET_DIR/debug/$bin"
        done
        echo "== $test"
        # One thread keeps the order; only backtraces and the run's length may differ.
        RUST_BACKTRACE=0 cargo test --quiet --manifest-path "$manifest" -p examples --test "$test" \
            -- --nocapture --test-threads=1 --format=pretty 2> "$output.stderr" | sed 's/; finished in .*//' ||
            { cat "$output.stderr" >&2; return 1; }
    } > "$output"
}

echo "rename.sh: with the rename"
run . "$target" "$plain/renamed.txt"
echo "rename.sh: with plain tokio $tokio"
run "$plain" "$plain/target" "$plain/plain.txt"

if cargo tree --quiet --manifest-path "$plain/Cargo.toml" -p examples | grep runtime-probe; then
    echo "rename.sh: runtime-probe is in the plain build" >&2
    exit 1
fi
diff "$plain/plain.txt" "$plain/renamed.txt" || { echo "rename.sh: the rename changes what the programs print" >&2; exit 1; }
echo "rename.sh: $(wc -l < "$plain/plain.txt") lines of output, the same in both"
