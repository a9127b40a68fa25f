#!/usr/bin/env bash
# The effect of the patch on a crate's own tests: ci/upstream.sh CRATE [TEST..]
#
# Takes the crate from cargo's registry, builds its tests twice, on plain tokio and on a graph patched by `runtime-dump
# patch`, runs both and prints each test whose outcome differs. A test that fails on either side is run again, alone, five
# times on both, to distinguish a flaky test from one that the patch breaks.
# Arguments after the crate are test binaries (`rt_common`, or `lib` for those in its source); without any, all of them.
#
# Exit code 1 if a test passes less than half as often with the patch, except for those in `known`. Run by hand, with the
# result in benches/records; CI runs a part of tokio's. Environment: STABLE=1 leaves out `--cfg tokio_unstable`, JOBS is
# cargo's -j, and QUICK=1 leaves out plain tokio, on which all tests should pass in their crates' own CI.
#
# Always left out: documentation tests (they compile the same code as the others), benchmarks, tests of other platforms, and
# tests that need files of the crate's repository that its package does not have.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Crate, version, features, and whether its dependencies are those of its own lock file, or the newest: some lock files do
# not build, and crates that share dependencies build faster.
crates='
tokio             locked  shipped full,test-util,tracing
tokio-stream      0.1.19  shipped full
tokio-util        0.7.20  shipped full
axum              0.8.9   newest  default,http2,macros,multipart,ws,axum-macros/__private
bb8               0.9.1   newest  default
deadpool          0.13.1  newest  default,rt_tokio_1
h2                0.4.20  newest  stream,unstable
hyper             1.12.0  newest  full
hyper-util        0.1.21  newest  full
quinn             0.11.12 newest  bloom,log,runtime-tokio,rustls-ring
redis             1.8.1   newest  default,cluster-async,connection-manager,tokio-comp
reqwest           0.13.5  newest  blocking,brotli,charset,cookies,form,gzip,http2,json,multipart,query,stream
tokio-tungstenite 0.29.0  newest  default
tonic             0.14.9  newest  default,deflate,gzip
tower             0.5.3   newest  full,log
'

# Crate, test, and why its outcome must differ from plain tokio.
known='
tokio tracing_task::task_spawn_creates_span a poll of ours clones the waker, and with the feature `tracing` tokio tells of each clone
tokio tracing_task::task_spawn_sizes_recorded the wrapper is part of the size
tokio tracing_task::task_big_spawn_sizes_recorded the wrapper is part of the size
'

# They ask hosts on the internet, or read files that h2's package does not have.
left_out='--skip io_driver_fd_count --skip io_driver_ready_count --skip test_socks_v5_with_locally_resolved_domain_works
    --skip hpack::test::fixture'

name=${1:?a crate}
shift
root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tests=("$@")
read -r version lock features < <(awk -v name="$name" '$1 == name { print $2, $3, $4 }' <<< "$crates") ||
    { echo "upstream.sh: no version of $name is known here" >&2; exit 1; }
tokio=$(awk '/^name = /{name=$3} /^version = / && name=="\"tokio\""{print $3}' Cargo.lock | tr -d '"')
[[ $version != locked ]] || version=$tokio

work=$target/upstream/$name
export CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0
cargo build --quiet --locked -p runtime-dump-cli
runtime_dump=$target/debug/runtime-dump

# The dependencies of both sides are built once, without debug information: some hundred programs.
export CARGO_TARGET_DIR=$target/upstream/build CARGO_PROFILE_DEV_DEBUG=0 CARGO_TERM_COLOR=never
export RUSTFLAGS='--cfg tokio_unstable' RUST_BACKTRACE=0
[[ ! ${STABLE-} ]] || RUSTFLAGS=
unset CARGO_ENCODED_RUSTFLAGS "${!RUNTIME_PROBE@}"
jobs=${JOBS:+-j$JOBS}

# Arguments: plain or patched. Unpacks the crate into a workspace of its own.
unpack() {
    local place=$work/$1 source
    mkdir -p "$place/source/src"
    printf '[package]\nname = "source"\nversion = "0.0.0"\n[workspace]\n[dependencies]\n%s = "=%s"\n' "$name" "$version" > "$place/source/Cargo.toml"
    : > "$place/source/src/lib.rs"
    source=$(cargo metadata --format-version 1 --manifest-path "$place/source/Cargo.toml" | grep -o "[^\"]*/$name-$version/Cargo.toml" | head -1)
    rm -r "$place/source"
    cp -r "${source%/Cargo.toml}/." "$place"
    chmod -R u+w "$place"
    cd "$place"
    printf '\n[workspace]\n' >> Cargo.toml
    if [[ $name == tokio ]]; then
        # Its tests only, in a package that depends on tokio as others do: a package that is tokio itself cannot be patched.
        rm -r src
        mkdir src
        : > src/lib.rs
        sed -i '0,/^name = "tokio"/s//name = "tests-of-tokio"/; /^\[lib\]/,/^$/s/^name = .*/name = "tests_of_tokio"/' Cargo.toml
        printf '\n[dependencies.tokio]\nversion = "=%s"\nfeatures = ["%s"]\n' "$version" "${features//,/\", \"}" >> Cargo.toml
    fi
    leave_out_unused
    [[ $lock == shipped ]] || rm -f Cargo.lock
    cargo update --quiet --package tokio --precise "$tokio"
    [[ $1 == plain ]] || "$runtime_dump" patch --path "$root/runtime-probe" > /dev/null
}

# Programs that none of the selected tests uses are not built.
leave_out_unused() {
    local sources=() test dependency
    [[ ! -d tests/support ]] || sources+=(tests/support)
    for test in "${tests[@]}"; do
        if [[ $test == lib ]]; then sources+=(src); else sources+=("tests/$test"*); fi
    done
    if [[ ${#tests[@]} == 0 ]]; then
        sources=(src)
        [[ ! -d tests ]] || sources+=(tests)
    fi
    sed -nE 's/^\[(target\..*\.)?dev-dependencies\.(.*)\]$/\2/p' Cargo.toml | sort -u | while read -r dependency; do
        grep -rqw "${dependency//-/_}" "${sources[@]}" || echo "$dependency"
    done > unused
    awk 'FILENAME == "unused" { unused[$0]; next }
        /^\[/ { name = $0; sub(/.*\./, "", name); sub(/\]$/, "", name); out = /dev-dependencies\./ && name in unused }
        !out' unused Cargo.toml > Cargo.toml.used
    mv Cargo.toml.used Cargo.toml
}

# Prints a line for each test program: its name, and the program.
build() {
    local selected=(--lib --tests) test
    if [[ ${#tests[@]} -gt 0 ]]; then
        selected=()
        for test in "${tests[@]}"; do
            if [[ $test == lib ]]; then selected+=(--lib); else selected+=(--test "$test"); fi
        done
    fi
    # shellcheck disable=SC2086
    cargo test --no-run --locked $jobs --no-default-features --features "$features" "${selected[@]}" 2> build.log || { cat build.log >&2; exit 1; }
    sed -n 's|^ *Executable \(unittests \)\?\([^ ]*\).* (\(.*\))$|\2 \3|p' build.log | sed 's|^src/lib.rs |lib |; s|^tests/||; s|\.rs /| /|; s|/main /| /|'
}

# Arguments: a test program's name, the program. A line for each test: its name and its outcome.
run() {
    local program=$1 executable=$2 test
    # shellcheck disable=SC2086
    timeout -k 5 300 "$executable" $left_out > "$program.log" 2>&1 < /dev/null || true
    if grep -q '^test result: ' "$program.log"; then
        sed -nE "s/^test (.*) \.\.\. (ok|FAILED|ignored).*/$program::\1 \2/p" "$program.log" | sed 's/ - should panic / /'
        return
    fi
    # The output of a test binary that crashes or hangs does not name the test.
    "$executable" $left_out --list --format terse | sed -n 's/: test$//p' | while read -r test; do
        if passes "$executable" "$test"; then echo "$program::$test ok"; else echo "$program::$test FAILED"; fi
    done
}

# Arguments: a program, one of its tests, which is run alone.
passes() {
    timeout -k 5 60 "$1" --exact "$2" > alone.log 2>&1 < /dev/null
}

# Argument: a side.
all() {
    local program executable
    rm -rf "${work:?}/$1"
    unpack "$1"
    build > programs
    while read -r program executable; do
        run "$program" "$executable"
    done < programs | LC_ALL=C sort -u > outcomes
}

# Arguments: a side, a test. Prints how often of five times it passes, alone. If that side was not built it counts as
# passing.
again() {
    local program=${2%%::*} test=${2#*::} executable passed=0
    cd "$work/$1"
    executable=$(awk -v program="$program" '$1 == program { print $2 }' programs)
    [[ $executable ]] || { echo 5; return; }
    for _ in 1 2 3 4 5; do
        ! passes "$executable" "$test" || passed=$((passed + 1))
    done
    echo "$passed"
}

sides=(plain patched)
[[ ! ${QUICK-} ]] || sides=(patched)
for side in "${sides[@]}"; do
    began=$SECONDS
    (all "$side")
    echo "upstream.sh: $name $version ($features), $side: $(wc -l < "$work/$side/programs") programs, $(wc -l < "$work/$side/outcomes") tests, $((SECONDS - began)) s"
done

cd "$work"
if [[ ${QUICK-} ]]; then
    mkdir -p plain
    : > plain/programs
    sed 's/ FAILED$/ ok/' patched/outcomes > plain/outcomes
fi
LC_ALL=C join -a 1 -a 2 -e - -o 0,1.2,2.2 plain/outcomes patched/outcomes > both
broken=0 same=0 ignored=0
while read -r test plain patched <&3; do
    case "$plain $patched" in
        'ok ok') same=$((same + 1)); continue ;;
        'ignored ignored') ignored=$((ignored + 1)); continue ;;
    esac
    plain=$(again plain "$test")
    patched=$(again patched "$test")
    reason=$(awk -v crate="$name" -v test="$test" '$1 == crate && $2 == test { $1 = $2 = ""; print substr($0, 3) }' <<< "$known")
    if [[ $reason ]]; then
        verdict="cannot be the same: $reason"
    elif [[ $((patched * 2)) -lt $plain ]]; then
        verdict=DIFFERS
        broken=$((broken + 1))
    else
        verdict='the same, alone'
    fi
    echo "  $test: passes $plain of 5 times on plain tokio, $patched under the patch: $verdict"
done 3< both
echo "upstream.sh: $name: $same pass on both, $ignored are ignored by the crate, $broken differ"
[[ $broken == 0 ]]
