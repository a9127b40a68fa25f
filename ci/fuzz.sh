#!/usr/bin/env bash
# Feeds made-up bytes to what reads bytes of strangers, and to the encoders. See runtime-probe/tests/fuzz/src/lib.rs.
#
#   ci/fuzz.sh                      every target, FUZZ_SECONDS each (default 7)
#   ci/fuzz.sh NAME..               only these
#   FUZZ_SECONDS=3600 ci/fuzz.sh wire
#   FUZZ_THOROUGH=1 ci/fuzz.sh      with std's assertions, and libFuzzer told what is compared with what: at a third of the
#                                   pace it finds words and numbers that the lists in words/ do not have, for all later runs
#
# What is found is written to target/fuzz/found/. An input like that goes into seeds/TARGET, and a unit test beside the
# code says in words what was wrong. `target/fuzz/*/release/TARGET FILE` tries one input.
set -euo pipefail
cd "$(dirname "$0")/.."

package=runtime-probe/tests/fuzz
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
seconds=${FUZZ_SECONDS:-7}
names=("$@")
[ $# -gt 0 ] || mapfile -t names < <(sed -n 's|^path = "targets/\(.*\)\.rs"$|\1|p' "$package/Cargo.toml")

# What cargo-fuzz asks of a nightly compiler the stable one has, too: coverage counters in all code. With --target build
# scripts go without, which are linked without libFuzzer.
passes=(level=4 inline-8bit-counters pc-table)
if [ -n "${FUZZ_THOROUGH:-}" ]; then
    passes+=(trace-compares)
    export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true
fi
flags="--cfg tokio_unstable -Cpasses=sancov-module ${passes[*]/#/-Cllvm-args=-sanitizer-coverage-}"
RUSTFLAGS=$flags CARGO_TARGET_DIR=$target \
    cargo build --quiet --release --manifest-path "$package/Cargo.toml" --target "$host"

# Targets that read the same share seeds and words. Where a longer input only takes longer it is bounded in size: a filter
# fits into some hundred bytes, 64 headers into 260.
declare -A like=([answers]=wire [query]=parameters [pages]=parameters [texts]=dumps [profiles]=dumps)
declare -A longest=([wire]=1024 [answers]=1024 [query]=400 [parameters]=400 [pages]=400 [durations]=100 [names]=400
    [texts]=512 [profiles]=512 [decoder]=4096 [parsers]=4096)

# An allocator that gives memory back to the system after each input fetches it again for the next.
export MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=268435456

for name in "${names[@]}"; do
    kin=${like[$name]:-$name}
    # What was learned in earlier runs here, and the seeds; new inputs go to the first.
    mkdir -p "$target/learned/$name" "$target/found"
    words=()
    [ ! -e "$package/words/$kin.txt" ] || words=("-dict=$package/words/$kin.txt")
    log=$target/$name.log
    # 25 s for one input is a hang; the longest take milliseconds. Memory is bounded, or it is a finding.
    if ! "$target/$host/release/$name" "$target/learned/$name" "$package/seeds/$kin" "${words[@]}" \
        -max_total_time="$seconds" -seed="${FUZZ_SEED:-20261121}" -timeout=25 -rss_limit_mb=1024 -max_len="${longest[$name]}" \
        -artifact_prefix="$target/found/$name-" -print_final_stats=1 > "$log" 2>&1; then
        tail -n 40 "$log"
        echo "fuzz.sh: $name: an input of $target/found" >&2
        exit 1
    fi
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
done
