#!/usr/bin/env bash
# Feeds made-up bytes to what reads bytes of strangers, and to the encoders. See runtime-probe/tests/fuzz/src/lib.rs.
#
#   ci/fuzz.sh                      every target, FUZZ_SECONDS each (default 10)
#   ci/fuzz.sh NAME..               only these
#   FUZZ_SECONDS=3600 ci/fuzz.sh wire
#
# What is found is written to target/fuzz/found/. An input like that goes into seeds/TARGET, and a unit test beside the
# code says in words what was wrong. `target/fuzz/*/release/TARGET FILE` tries one input.
set -euo pipefail
cd "$(dirname "$0")/.."

package=runtime-probe/tests/fuzz
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
seconds=${FUZZ_SECONDS:-10}
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(sed -n 's|^path = "targets/\(.*\)\.rs"$|\1|p' "$package/Cargo.toml")

# What cargo-fuzz asks of a nightly compiler the stable one has, too: coverage counters in all code. With --target build
# scripts go without, which are linked without libFuzzer.
flags="--cfg tokio_unstable -Cpasses=sancov-module"
for pass in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$pass"
done
RUSTFLAGS=$flags CARGO_TARGET_DIR=$target \
    cargo build --quiet --release --manifest-path "$package/Cargo.toml" --target "$host"

for name in "${names[@]}"; do
    # What was learned in earlier runs here, and the seeds; new inputs go to the first.
    mkdir -p "$target/learned/$name" "$target/found"
    words=()
    [ ! -e "$package/words/$name.txt" ] || words=("-dict=$package/words/$name.txt")
    log=$target/$name.log
    # 25 s for one input is a hang; the longest take milliseconds. Memory is bounded, or it is a finding.
    if ! "$target/$host/release/$name" "$target/learned/$name" "$package/seeds/$name" "${words[@]}" \
        -max_total_time="$seconds" -seed="${FUZZ_SEED:-20261121}" -timeout=25 -rss_limit_mb=1024 -max_len=4096 \
        -artifact_prefix="$target/found/$name-" -print_final_stats=1 > "$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz.sh: $name: an input of $target/found" >&2
        exit 1
    fi
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
done
