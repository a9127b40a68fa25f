#!/usr/bin/env bash
# Every check, in one command. By hand a check whose tool is missing is skipped, and the summary says so; with CI in the
# environment what is missing is installed, and what cannot be is a failure. Ends with "N passed, M failed".
#
#   ci/test.sh          the commit tier: what every change has to pass
#   ci/test.sh --all    the release tier, too: other builds, other crates' tests, tokio-console, the patch, counts
#
# Steps that leave out `--cfg tokio_unstable` build in target/stable: RUSTFLAGS in the environment stands for what
# .cargo/config.toml says, and a change of flags rebuilds everything.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTDOCFLAGS "${!RUNTIME_PROBE@}"
# The same inputs for the property tests in every run: what fails here fails on every machine. New ones by hand.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261121}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# A machine that builds everything once has no use for what makes a second build faster: a third of the disk.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

all=
case "$*" in
    '') ;;
    --all) all=1 ;;
    *) echo "test.sh: '$*': --all is the only argument" >&2; exit 2 ;;
esac

features=runtime-probe/full,runtime-probe/test-util,runtime-probe/tower,runtime-probe/lock_api,runtime-probe-axum/hyper,runtime-dump/cli
passed=0
skipped=()
failed_once=()
step=
began=$SECONDS

finish() {
    local status=$?
    if [ "$status" -ne 0 ]; then
        echo
        echo "FAILED: ${step:-before the first step}"
        echo "$passed passed, 1 failed"
        exit "$status"
    fi
}
trap finish EXIT

# Arguments: a name, a command. A failure ends the script.
run() {
    step=$1
    shift
    local start=$SECONDS
    echo
    echo "==> $step: $*"
    "$@"
    passed=$((passed + 1))
    echo "<== $step: $((SECONDS - start)) s"
}

# Arguments: what steps built for themselves, in target. In CI it goes when they are done, so that the disk has to hold one of
# them at a time; by hand it stays, and the next run is faster.
done_with() {
    [ -z "${CI:-}" ] || rm -rf "${@/#/target/}"
}

# Arguments: a name, a reason.
skip() {
    if [ -n "${CI:-}" ]; then
        step=$1
        echo "test.sh: $1: $2" >&2
        exit 1
    fi
    skipped+=("$1: $2")
    echo
    echo "==> $1: SKIPPED: $2"
}

# Without CI's flags: the flags of these steps are empty, and so are those of what they start.
stable() {
    RUSTFLAGS='' CARGO_TARGET_DIR=$PWD/target/stable "$@"
}

# Arguments: a Debian package, a command that succeeds where it is installed.
need() {
    local package=$1
    shift
    "$@" > /dev/null 2>&1 && return
    [ -n "${CI:-}" ] || return 1
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    echo "test.sh: installing $package"
    "${root[@]}" apt-get update -qq > /dev/null || true
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" > /dev/null &&
        "$@" > /dev/null 2>&1
}

# Arguments: a component of the toolchain, its cargo command.
component() {
    cargo "$2" --version > /dev/null 2>&1 ||
        { [ -n "${CI:-}" ] && rustup component add "$1" && cargo "$2" --version > /dev/null; }
}

format() {
    cargo fmt --all --check
    # Packages that are built alone are not in the workspace.
    local manifest
    while read -r manifest; do
        cargo fmt --manifest-path "$manifest" --check
    done < <(find benches/contestants examples/criterion examples/ecosystem runtime-probe/tests -name Cargo.toml -not -path '*/target/*')
}

documentation() {
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --features "$features"
    # The links between private modules, too.
    RUSTDOCFLAGS='-D warnings' cargo doc -p runtime-dump -p runtime-probe -p runtime-probe-axum -p runtime-probe-console --no-deps --features "$features" --document-private-items
}

# Arguments: those of cargo test. What fails is run once more, one test at a time: a neighbour on a shared machine can hold
# up a test of threads and clocks for longer than it has patience, and a fault fails both times. The summary names it.
cargo_test() {
    local log=target/test.log targets target
    mkdir -p target
    cargo test --no-fail-fast "$@" 2>&1 | tee "$log" && return
    # As cargo lists them at the end; nothing there where the build failed.
    mapfile -t targets < <(sed -n 's/^    `\(-p .*\)`$/\1/p' "$log")
    [ ${#targets[@]} -gt 0 ]
    failed_once+=("$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log" | paste -sd ' ')")
    for target in "${targets[@]}"; do
        echo "test.sh: once more, one at a time: $target"
        # Words of cargo's: a package, and a target of it.
        # shellcheck disable=SC2086
        cargo test "$@" $target -- --test-threads=1
    done
}

# Without --cfg tokio_unstable only the tests in whose files the flag occurs can differ.
test_without_flag() {
    local files tests
    mapfile -t files < <(grep -l tokio_unstable runtime-probe/tests/*.rs)
    tests=("${files[@]##*/}")
    tests=("${tests[@]/#/--test=}")
    cargo_test -p runtime-probe --features runtime-probe/full,runtime-probe/test-util,runtime-probe/tower,runtime-probe/lock_api --lib "${tests[@]%.rs}"
}

test_crates() {
    cargo_test -p runtime-dump -p runtime-probe -p runtime-probe-axum -p runtime-probe-console --features "$features"
    # What a feature of ours adds, and without it, above, what is said in its place.
    cargo_test -p runtime-probe --features "${features%,runtime-probe-axum/*},flamegraph,interpose,tracing" --test goroutine_parameters --test interpose --test threadcreate --test block --test watchdog_tracing
}

examples() {
    cargo build -p examples --all-targets
    cargo test -p examples
    cargo_test -p faults
    bash ci/rename.sh
}

instructions() {
    cargo build --release -p benches
    cargo run --release -p benches -- instructions
}

echo "$(cargo --version), $(rustc --version), $(nproc) processors, ${CI:+in CI, }$(uname -srm), $(df -h --output=avail . | tail -1 | tr -d ' ') of disk free"

if component rustfmt fmt; then run "format" format; else skip "format" "no rustfmt"; fi
if component clippy clippy; then
    run "clippy" cargo clippy --workspace --all-targets --features "$features" -- -D warnings
    run "clippy, interpose" cargo clippy -p runtime-probe --all-targets --features "${features%,runtime-probe-axum/*},flamegraph,interpose,tracing" -- -D warnings
    # Only where `cfg(tokio_unstable)` occurs: the dependencies of the rest take longer than all of ours.
    run "clippy, stable" stable cargo clippy -p runtime-probe --all-targets --features runtime-probe/full,runtime-probe/test-util,runtime-probe/tower -- -D warnings
else
    skip "clippy" "no clippy"
fi
run "documentation" documentation
done_with doc

# The tests that ask Go's tools find them where go.sh installs them; without them they say that they skip.
if need python3-venv python3 -c 'import ensurepip, venv' && go=$(bash ci/go.sh); then
    export RUNTIME_PROBE_GO=$go
    run "Go's tools" "$go" version
else
    skip "Go's tools" "no go command, so no test of ours asks it"
fi
# One test holds our CPU profile against perf's, where the kernel lets it. It is in Debian's package, or else in Ubuntu's.
need linux-perf perf --version || need linux-tools-generic perf --version ||
    skip "perf" "no perf, so no test of ours asks it"
run "tests" test_crates
if [ -n "$all" ]; then
    run "tests, stable" stable test_crates
else
    run "tests, stable" stable test_without_flag
fi
done_with stable
run "examples" examples
done_with rename-plain

# The commit tier: the way of building that decides most beside full debug information, which the tests have.
scripts=(leaf_table loom)
ways=(devlines)
if [ -n "$all" ]; then
    scripts=(features tokio_versions package leaf_table loom fuzz memcheck)
    ways=(devlines lines debug0 strip)
fi
for script in "${scripts[@]}"; do
    [ -e "ci/$script.sh" ] || continue
    if [ "$script" = memcheck ] && ! need valgrind valgrind --version; then
        skip "$script" "no valgrind"
        continue
    fi
    chosen=()
    # The ways that are left out (debug = 1 and 2, LTO, panic=abort, ..) take three times as long again: by hand.
    [ "$script" != leaf_table ] || chosen=("${ways[@]}")
    run "$script" bash "ci/$script.sh" "${chosen[@]}"
    done_with "$script" leaf-table docs.rs
done

if need curl curl --version; then run "checkout" bash ci/checkout.sh; else skip "checkout" "no curl"; fi

if [ -n "$all" ]; then
    # tokio with its tracing, so everything is built again.
    run "console-subscriber" cargo_test -p runtime-probe-console --features subscriber --test subscriber
    if ! need curl curl --version; then
        skip "console" "no curl"
    elif ! need tmux tmux -V; then
        skip "console" "no tmux"
    elif ! need python3 python3 --version; then
        skip "console" "no python3"
    else
        run "console" bash ci/console.sh
        done_with tokio-console
    fi
    # tokio's tests of what the facade shadows; the others, and those of other crates, by hand.
    upstream=(async_send_sync join_handle_panic rt_basic rt_handle rt_handle_block_on rt_local rt_metrics sync_mutex
        sync_mutex_owned sync_rwlock task_abort task_blocking task_builder task_hooks task_id task_join_set task_local
        task_local_set task_panic unwindsafe)
    run "upstream" env QUICK=1 bash ci/upstream.sh tokio "${upstream[@]}"
    done_with upstream
    if need curl curl --version; then
        need redis-server redis-server --version || skip "ecosystem, redis" "no redis-server"
        run "ecosystem" bash ci/ecosystem.sh
        run "patch" bash ci/patch.sh
        done_with ecosystem patch
    else
        skip "ecosystem" "no curl"
        skip "patch" "no curl"
    fi
    if need valgrind valgrind --version; then
        run "instructions" instructions
    else
        skip "instructions" "no valgrind"
    fi
    if [ "$(uname -m)" = x86_64 ] && [ -e /etc/debian_version ]; then
        run "aarch64" bash ci/aarch64.sh
        done_with aarch64
    else
        skip "aarch64" "no Debian on x86_64"
    fi
fi

echo
if [ ${#skipped[@]} -gt 0 ]; then
    echo "######## ${#skipped[@]} SKIPPED ########"
    printf '######## %s\n' "${skipped[@]}"
fi
if [ ${#failed_once[@]} -gt 0 ]; then
    echo "######## FAILED ONCE, PASSED ALONE ########"
    printf '######## %s\n' "${failed_once[@]}"
fi
echo "$((SECONDS - began)) s"
echo "$passed passed, 0 failed"
