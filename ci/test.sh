#!/usr/bin/env bash
# Every check, in one command. In a run by hand a check whose tool is missing is skipped, and the summary says so. With CI in
# the environment missing tools are installed, and a tool that cannot be installed is a failure. Ends with "N passed, M
# failed".
#
#   ci/test.sh              the commit tier: what every change has to pass
#   ci/test.sh --since REV  those of its steps whose inputs differ from REV's
#   ci/test.sh --all        the release tier, too: other builds, other crates' tests, tokio-console, the patch, counts
#   ci/test.sh NAME..       single steps, of either tier
#   ci/test.sh --list       the table of the steps
#
# RUSTFLAGS in the environment replaces the flags of .cargo/config.toml. Steps with other flags build in a directory of their
# own below target: cargo keeps the libraries of two sets of flags in one directory, but the programs that scripts start by
# path would replace each other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTDOCFLAGS "${!RUNTIME_PROBE@}"
# The same inputs for the property tests in every run, so that a failure here is one on every machine. Set it for new inputs.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20261121}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# A machine that builds everything once does not need incremental files: a third of the disk.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

probe_features=runtime-probe/full,runtime-probe/test-util,runtime-probe/tower,runtime-probe/tracing-subscriber,runtime-probe/lock_api
features=$probe_features,runtime-probe/decode,runtime-probe-axum/hyper
# Always these packages together: cargo unifies their features, so another choice compiles tokio and its dependents again.
packages=(-p runtime-dump -p runtime-dump-decode -p runtime-probe -p runtime-probe-http -p runtime-probe-axum -p runtime-probe-console -p runtime-dump-cli -p examples -p faults)
# Other features of our packages, and the tests whose outcome they change.
other_features=runtime-probe/flamegraph,runtime-probe/interpose,runtime-probe/tracing,runtime-probe/semaphore
other_tests=(goroutine_parameters interpose threadcreate block watchdog_tracing semaphore trace_blocked)
# Tests whose outcome depends on --cfg tokio_unstable.
flag_tests=(facts running runtimes threads unlisted wire)

# The steps, in the order in which they run: name, tier, inputs, what it covers, command. A step of the release tier says
# after "first:" which file of the commit tier's tests notices the same kind of fault first, if one does.
#
# Inputs are words: rust (code, manifests, toolchain), text (Markdown), or paths.
table() {
    cat << 'TABLE'
format              | commit  | rust ci            | formatting and lock files of all packages; this table             | format
clippy              | commit  | rust               | lints, with every feature that goes with plain tokio              | lint
documentation       | commit  | rust text          | links and examples of public and private items                    | documentation
tests               | commit  | rust text          | all tests: packages, examples, programs with faults; Go's tools, perf, Prometheus | test_packages
runbook             | commit  | rust text ci/runbook.py | each command of the runbook, on the fault that it is for      | runbook
tests-other         | commit  | rust               | the tests of what interpose, flamegraph and tracing change        | test_other
tests-stable        | commit  | rust               | the tests that expect otherwise without --cfg tokio_unstable      | stable test_flag
loom                | commit  | rust ci/loom.sh    | interleavings of the lock-free parts, with two preemptions        | bash ci/loom.sh
checkout            | commit  | rust ci/checkout.sh | the shop of the README and its faults                            | checkout
loom-deep           | release | rust ci/loom.sh    | the same with three preemptions; first: step loom                 | bash ci/loom.sh 3
clippy-other        | release | rust               | lints with interpose, flamegraph and tracing; first: step tests-other, whose warnings are errors | lint_other
clippy-stable       | release | rust               | lints without --cfg tokio_unstable; first: step tests-stable, whose warnings are errors | stable lint_stable
oldest-rust         | release | rust               | the oldest Rust that the manifest names compiles the packages; first: step clippy, by incompatible_msrv | oldest_rust
rename              | release | rust ci/rename.sh  | the rename changes nothing that a program prints; first: examples/tests/rename_paused.rs | rename
tests-without-flag  | release | rust text          | all tests without --cfg tokio_unstable; first: runtime-probe/tests/facts.rs | stable test_packages
checkout-release    | release | rust ci/checkout.sh | the same shop, a release build; first: ci/checkout.sh             | checkout --release
faults-release      | release | rust               | the programs with faults, a release build; first: examples/faults/tests/faults/main.rs | cargo_test --release -p faults
features            | release | rust ci/features.sh | every feature alone and with others; first: runtime-probe/tests/facade_complete.rs | bash ci/features.sh
tokio-versions      | release | rust ci/tokio_versions.sh | the oldest and the newest tokio; first: runtime-probe/tests/facade_complete.rs | bash ci/tokio_versions.sh
package             | release | rust text ci/package.sh | what would be published, documentation by docs.rs's settings; first: none | package
licences            | release | rust deny.toml     | licences, and crates in two versions, by cargo deny; first: runtime-probe/tests/dependencies.rs | licences
leaf-table          | release | rust ci/leaf_table.sh | every leaf of tokio: debug and release builds, split debug information, symbols only, stripped; first: runtime-probe/tests/semantics.rs | leaf_table
pid-ways            | release | rust ci/pid_ways.sh | dumps of a process: the oldest tokio, fat LTO, DWARF 5, packed split debug information; first: dump/cli/tests/pid.rs | pid_ways
pid-services        | release | rust ci/pid_services.sh ci/services.sh | dumps of processes: axum, tonic, reqwest, sqlx, redis, and the shop under load, 100 times; first: dump/cli/tests/pid.rs | pid_services
trace-readers       | release | rust ci/trace_readers.sh | traces of the tests, read by Go 1.23 to 1.26; first: runtime-probe/tests/trace.rs | bash ci/trace_readers.sh
fuzz                | release | rust ci/fuzz.sh    | made-up bytes for what reads strangers' bytes; first: dump/tests/arbitrary.rs | bash ci/fuzz.sh
memcheck            | release | rust ci/memcheck.sh | a stress run under valgrind; first: runtime-probe/tests/stress.rs | memcheck
console-subscriber  | release | rust               | what we send beside what console-subscriber sends; first: runtime-probe/console/tests/many.rs | cargo_test -p runtime-probe-console --features subscriber --test subscriber
console             | release | rust ci/console.sh ci/terminal.sh | tokio-console on a terminal; first: runtime-probe/console/tests/attach.rs | console
top                 | release | rust ci/top.sh ci/terminal.sh | runtime-dump top and watch on a terminal; first: dump/cli/tests/ask.rs | top
upstream            | release | rust ci/upstream.sh | tokio's own tests of what the facade shadows; first: runtime-probe/tests/facade_complete.rs | upstream
ecosystem           | release | rust ci/ecosystem.sh ci/services.sh | services of axum, tonic, reqwest, sqlx, redis by the rename; first: runtime-probe/axum/tests/mounted.rs | ecosystem
patch               | release | rust ci/patch.sh ci/services.sh | the same services, and the shop, under the patch; first: dump/cli/tests/patch.rs | services_patched
faults-patched      | release | rust ci/patch_faults.sh | the programs with faults under the patch; first: examples/faults/tests/faults/main.rs | faults_patched
instructions        | release | rust               | instruction counts of the hot paths; first: none | instructions
aarch64             | release | rust ci/aarch64.sh | tests, and every leaf in optimized code, of tokio and of services, on an emulated aarch64 machine; first: none | aarch64
TABLE
}

usage() {
    echo "test.sh: $1" >&2
    sed -n 's/^#   /  /p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

names=() tiers=() inputs=() covers=() commands=()
while IFS='|' read -r name tier input cover command; do
    names+=("${name%% *}")
    read -r tier <<< "$tier"
    read -r input <<< "$input"
    read -r cover <<< "$cover"
    read -r command <<< "$command"
    tiers+=("$tier") inputs+=("$input") covers+=("$cover") commands+=("$command")
done < <(table)

all='' since='' chosen=()
while [ $# -gt 0 ]; do
    case $1 in
        --all) all=1 ;;
        --since)
            [ $# -gt 1 ] || usage "--since needs a revision"
            since=$(git rev-parse --verify --quiet "$2^{commit}") || usage "--since: '$2' is no revision"
            shift
            ;;
        --list)
            for at in "${!names[@]}"; do
                printf '%-18s  %-7s  %s\n%29s%s\n' "${names[at]}" "${tiers[at]}" "${covers[at]}" '' "${commands[at]}"
            done
            exit
            ;;
        -*) usage "'$1' is no option" ;;
        *)
            [[ " ${names[*]} " == *" $1 "* ]] || usage "'$1' is no step; --list has them"
            chosen+=("$1")
            ;;
    esac
    shift
done
[ -z "$all" ] || [ -z "$since" ] || usage "--all runs every step, so it does not go with --since"
[ -z "$all" ] || [ ${#chosen[@]} = 0 ] || usage "--all runs every step, so it does not go with a name"

passed=0
skipped=() notes=() failed_once=() times=() unchanged=()
step='' step_skipped=''
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
    step=$1 step_skipped=
    shift
    local start=$SECONDS
    echo
    echo "==> $step: $*"
    "$@"
    local took=$((SECONDS - start))
    [ -n "$step_skipped" ] || passed=$((passed + 1))
    times+=("$took $step")
    echo "<== $step: $took s"
}

# Argument: the part of this step that cannot be done, and why. A failure in CI.
lacks() {
    if [ -n "${CI:-}" ]; then
        echo "test.sh: $step: $1" >&2
        exit 1
    fi
    skipped+=("$step: $1")
    echo "==> $step: SKIPPED: $1"
}

# Skips a whole step.
skip() {
    lacks "$1"
    step_skipped=1
}

# Argument: a check that no machine is required to be able to do; the summary names it.
note() {
    notes+=("$step: $1")
    echo "test.sh: $step: $1"
}

# Arguments: the directories in target that steps built for themselves. In CI they are removed after the steps, so that the
# disk has only one of them at a time. In a run by hand they stay, and the next run is faster.
done_with() {
    [ -z "${CI:-}" ] || rm -rf "${@/#/target/}"
}

# Without the flags of .cargo/config.toml, here and in programs that are started from here.
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

# The tools of the tests besides cargo: Go's tools, Perfetto's messages, perf, with which one test compares our CPU profile,
# dwz, Prometheus, a browser, a validator of JSON Schema.
peers() {
    if [ -z "${PROBE_TEST_GO:-}" ]; then
        if need python3-venv python3 -c 'import ensurepip, venv' && PROBE_TEST_GO=$(bash ci/go.sh); then
            export PROBE_TEST_GO
            "$PROBE_TEST_GO" version
            # Go compiles its tools at their first use: once here, and not in each test that waits for them.
            "$PROBE_TEST_GO" tool -n pprof
        else
            lacks "no go command, so no test of ours asks it"
        fi
    fi
    if [ -z "${PROBE_TEST_PERFETTO:-}" ]; then
        if need python3-venv python3 -c 'import ensurepip, venv' && PROBE_TEST_PERFETTO=$(bash ci/perfetto.sh); then
            export PROBE_TEST_PERFETTO
        else
            lacks "no messages of Perfetto's, so no test of ours asks them"
        fi
    fi
    # In Debian's package, or else in Ubuntu's.
    need linux-perf perf --version || need linux-tools-generic perf --version ||
        lacks "no perf, so no test of ours asks it"
    need dwz dwz --version || lacks "no dwz, so no test of ours reads what it makes"
    need prometheus prometheus --version || lacks "no prometheus, so no test of ours asks it"
    need chromium chromium --version || lacks "no chromium, so no test of ours looks at pages as a browser does"
    need python3-jsonschema python3 -c 'import jsonschema' || lacks "no Python package jsonschema, so no test of ours asks it"
}

format() {
    local manifest first
    while read -r first; do
        [ -e "$first" ] || { echo "test.sh: the table names $first, which does not exist" >&2; return 1; }
    done < <(table | sed -n 's/.*; first: \([^ ]*\/[^ ]*\) .*/\1/p')
    component rustfmt fmt || { skip "no rustfmt"; return; }
    cargo fmt --all --check
    # Packages that are built alone are not in the workspace.
    while read -r manifest; do
        cargo fmt --manifest-path "$manifest" --check
        # An outdated lock file stops a build with --locked; a step of the release tier has such a build.
        [ ! -e "${manifest%toml}lock" ] || cargo update --workspace --locked --quiet --manifest-path "$manifest"
    done < <(find benches/contestants dump/cli/tests examples/criterion examples/ecosystem runtime-probe/tests -name Cargo.toml -not -path '*/target/*')
}

lint() {
    component clippy clippy || { skip "no clippy"; return; }
    cargo clippy --workspace --all-targets --features "$features" -- -D warnings
}

lint_other() {
    component clippy clippy || { skip "no clippy"; return; }
    cargo clippy -p runtime-probe --lib "${other_tests[@]/#/--test=}" --features "$probe_features,$other_features" -- -D warnings
}

# Only packages in which `cfg(tokio_unstable)` occurs: the dependencies of the others take longer to build than all of ours.
lint_stable() {
    component clippy clippy || { skip "no clippy"; return; }
    cargo clippy -p runtime-probe --lib "${flag_tests[@]/#/--test=}" --features "${probe_features%,*}" -- -D warnings
}

documentation() {
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --features "$features"
    # Also the links between private modules.
    RUSTDOCFLAGS='-D warnings' cargo doc "${packages[@]:0:14}" --no-deps --features "$features" --document-private-items
    done_with doc
}

# Whether the compiler had warnings, as `warning: `runtime-probe` (lib) generated 1 warning`.
warned() { grep '^warning: .* generated [0-9]* warning' target/test.log; }

# Arguments: those of cargo test. Failed tests are run once more, one at a time: other load on a shared machine can delay a test of
# threads and clocks beyond its time limit, and a real fault fails both times. The summary names such a test.
# cargo-nextest, if installed, runs tests of several programs at the same time, all but the examples in comments: one more
# than there are processors, because a third of their time is waiting.
nextest=
! cargo nextest --version > /dev/null 2>&1 || nextest=$(($(nproc) + 1))
cargo_test() {
    local log=target/test.log failed target
    mkdir -p target
    if [ -n "$nextest" ]; then
        if ! cargo nextest run --no-fail-fast --no-tests=pass --test-threads "$nextest" "$@" 2>&1 | tee "$log"; then
            # As nextest lists them at the end; empty if the build failed.
            mapfile -t failed < <(sed -n '/^ *Summary \[/,$s/^ *\(FAIL\|TIMEOUT\|SIG[A-Z]*\|ABORT\|LEAK-FAIL\) \[[^]]*\] \(([^)]*) \)\?\([^ ]*\) \([^ ]*\).*/\3 \4/p' "$log" | sort -u)
            [ ${#failed[@]} -gt 0 ]
            failed_once+=("${failed[@]}")
            for target in "${failed[@]}"; do
                echo "test.sh: once more, alone: $target"
                cargo nextest run "$@" --test-threads 1 -E "binary_id(=${target% *}) & test(=${target#* })"
            done
        fi
        return
    fi
    cargo test --no-fail-fast "$@" 2>&1 | tee "$log" && return
    # As cargo lists them at the end; empty if the build failed.
    mapfile -t failed < <(sed -n 's/^    `\(-p .*\)`$/\1/p' "$log")
    [ ${#failed[@]} -gt 0 ]
    mapfile -t -O "${#failed_once[@]}" failed_once < <(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$log")
    for target in "${failed[@]}"; do
        echo "test.sh: once more, one at a time: $target"
        # Words for cargo: a package, and a target of it.
        # shellcheck disable=SC2086
        cargo test "$@" $target -- --test-threads=1
    done
}

test_packages() {
    peers
    cargo_test "${packages[@]}" --features "$features"
    [ -z "$nextest" ] || cargo test --doc "${packages[@]:0:12}" --features "$features"
}

test_other() {
    cargo_test "${packages[@]}" --features "$features,$other_features" "${other_tests[@]/#/--test=}"
    ! warned
}

# With a test of the examples, so that the programs of the step checkout are built with the same set of features.
stable_builds=(-p runtime-probe -p examples --features "$probe_features" "${flag_tests[@]/#/--test=}" --test=rename_paused)
test_flag() {
    cargo_test "${stable_builds[@]}"
    ! warned
}

# No registry has toolchains: rustup may have it already, or fetch it from its own server.
oldest_rust() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! cargo "+$oldest" --version > /dev/null 2>&1 &&
        ! { [ -n "${CI:-}" ] && timeout 60 env RUSTUP_MAX_RETRIES=0 rustup toolchain install "$oldest" --profile minimal > /dev/null 2>&1; }; then
        note "DID NOT RUN: no Rust $oldest here. clippy's incompatible_msrv and the dependencies' rust-version are all that was looked at"
        step_skipped=1
        return
    fi
    CARGO_TARGET_DIR=target/oldest cargo "+$oldest" check "${packages[@]:0:14}" --features "$features"
    done_with oldest
}

rename() {
    bash ci/rename.sh
    done_with rename-plain
}

# Arguments: those of cargo build.
checkout() {
    need curl curl --version || { skip "no curl"; return; }
    if [ $# = 0 ]; then
        stable cargo test --quiet --no-run "${stable_builds[@]}"
        bash ci/checkout.sh target/stable/debug
    else
        bash ci/checkout.sh "$@"
    fi
    [ -n "$all" ] || done_with stable
}

package() {
    bash ci/package.sh
    done_with docs.rs package
}

# A program, not a library: installed in target if it is missing, in CI.
licences() {
    local into=target/cargo-deny
    export PATH=$PWD/$into/bin:$PATH
    if ! cargo deny --version > /dev/null 2>&1; then
        [ -n "${CI:-}" ] || { skip "no cargo-deny; cargo install cargo-deny"; return; }
        cargo install --quiet --locked --root "$into" cargo-deny
    fi
    cargo deny --all-features --exclude-dev --exclude examples --exclude faults --exclude benches check licenses bans sources
}

# The other ways (debug = 1 and 2, LTO, panic=abort, ..) take three times as long again: run them by hand.
leaf_table() {
    bash ci/leaf_table.sh devfull lines packed debug0 strip
    done_with leaf-table
}

pid_ways() {
    bash ci/pid_ways.sh
    done_with pid-ways
}

pid_services() {
    need curl curl --version || { skip "no curl"; return; }
    need redis-server redis-server --version || lacks "no redis-server, so no service of redis"
    bash ci/pid_services.sh
    done_with pid-services
}

memcheck() {
    need valgrind valgrind --version || { skip "no valgrind"; return; }
    bash ci/memcheck.sh
}

console() {
    need curl curl --version || { skip "no curl"; return; }
    need tmux tmux -V || { skip "no tmux"; return; }
    need python3 python3 --version || { skip "no python3"; return; }
    bash ci/console.sh
    done_with tokio-console
}

runbook() {
    need python3 python3 --version || { skip "no python3"; return; }
    # Tests build the programs of their packages, with the same set of features as in the step tests.
    cargo test --quiet --no-run "${packages[@]}" --features "$features" --test=ask --test=faults --test=rename_paused
    python3 ci/runbook.py
}

top() {
    need curl curl --version || { skip "no curl"; return; }
    need tmux tmux -V || { skip "no tmux"; return; }
    bash ci/top.sh
}

# tokio's tests of the shadowed items. The others, and those of other crates, are run by hand.
upstream() {
    QUICK=1 bash ci/upstream.sh tokio async_send_sync join_handle_panic rt_basic rt_handle rt_handle_block_on rt_local \
        rt_metrics sync_mutex sync_mutex_owned sync_once_cell sync_rwlock sync_semaphore sync_semaphore_owned task_abort task_blocking task_builder task_hooks task_id \
        task_join_set task_local task_local_set task_panic unwindsafe
    done_with upstream
}

ecosystem() {
    need curl curl --version || { skip "no curl"; return; }
    need redis-server redis-server --version || lacks "no redis-server, so no service of redis"
    bash ci/ecosystem.sh
}

services_patched() {
    need curl curl --version || { skip "no curl"; return; }
    bash ci/patch.sh
    done_with ecosystem patch
}

faults_patched() {
    bash ci/patch_faults.sh
    done_with patch-faults
}

instructions() {
    need valgrind valgrind --version || { skip "no valgrind"; return; }
    cargo build --release -p benches
    cargo run --release -p benches -- instructions
}

aarch64() {
    { [ "$(uname -m)" = x86_64 ] && [ -e /etc/debian_version ]; } || { skip "no Debian on x86_64"; return; }
    if need qemu-system-arm qemu-system-aarch64 --version; then
        bash ci/aarch64.sh
    else
        lacks "no qemu-system-aarch64, so no test ran; only the types were checked"
        bash ci/aarch64.sh types
    fi
    done_with aarch64
}

# Argument: the index of a step. Whether one of its inputs differs from the revision, new files included.
changed() {
    local paths=(ci/test.sh) word
    for word in ${inputs[$1]}; do
        case $word in
            rust) paths+=('*.rs' '*.toml' Cargo.lock .cargo dump runtime-probe examples benches ':!*.md') ;;
            text) paths+=('*.md') ;;
            *) paths+=("$word") ;;
        esac
    done
    ! git diff --quiet "$since" -- "${paths[@]}" || [ -n "$(git ls-files --others --exclude-standard -- "${paths[@]}")" ]
}

echo "$(cargo --version), $(rustc --version), $(nproc) processors, ${CI:+in CI, }$(uname -srm), $(df -h --output=avail . | tail -1 | tr -d ' ') of disk free"

for at in "${!names[@]}"; do
    name=${names[at]}
    if [ ${#chosen[@]} -gt 0 ]; then
        [[ " ${chosen[*]} " == *" $name "* ]] || continue
    else
        [ -n "$all" ] || [ "${tiers[at]}" = commit ] || continue
    fi
    if [ -n "$since" ] && ! changed "$at"; then
        unchanged+=("$name")
        continue
    fi
    # Words of the table, without quotes.
    # shellcheck disable=SC2086
    run "$name" ${commands[at]}
done
step=

# Arguments: a heading, then the lines below it.
section() {
    local heading=$1
    shift
    [ $# -gt 0 ] || return 0
    echo "######## $heading ########"
    printf '######## %s\n' "$@"
}

echo
section "${#skipped[@]} SKIPPED" "${skipped[@]}"
section "NOTED" "${notes[@]}"
section "FAILED ONCE, PASSED ALONE" "${failed_once[@]}"
[ ${#unchanged[@]} = 0 ] || echo "unchanged since ${since:0:12}: ${unchanged[*]}"
echo "the slowest: $(printf '%s\n' "${times[@]}" | sort -rn | head -n 5 | sed 's/\(.*\) \(.*\)/\2 \1 s/' | paste -sd , | sed 's/,/, /g')"
echo "$((SECONDS - began)) s"
echo "$passed passed, 0 failed"
