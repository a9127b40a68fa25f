#!/usr/bin/env bash
# Sets of features that tokio allows compile: none, each alone, all, and combinations that share code. With and without
# `--cfg tokio_unstable`, and without a warning.
set -euo pipefail
cd "$(dirname "$0")/.."

# Features of tokio that need `tokio_unstable`, and below the features without which they are empty (tokio 1.54.1 itself does
# not compile with io-uring and fs but without sync).
unstable=(io-uring schedule-latency taskdump)
# Features of tokio that only switch on an optional dependency of that name: no code here depends on them.
implied=(bytes libc mio signal-hook-registry socket2 tokio-macros windows-sys)
# All other features, ours included.
mapfile -t alone < <(sed -n '/^\[features\]/,/^\[d/s/^\([a-z0-9_-]*\) = .*/\1/p' runtime-probe/Cargo.toml |
    grep -vxF -e default -e full "${unstable[@]/#/-e}" "${implied[@]/#/-e}")
[ ${#alone[@]} -gt 15 ] || { echo "features.sh: no list of features in Cargo.toml" >&2; exit 1; }
together=(
    rt,fs rt,macros rt,net rt,parking_lot rt,process rt,signal rt,sync rt,test-util rt,time
    rt-multi-thread,macros rt-multi-thread,time rt-multi-thread,net macros,sync time,sync
    full full,test-util,decode,flamegraph,interpose,lock_api,metrics,semaphore,tower,tracing,tracing-subscriber
)
unstable_together=(
    rt,schedule-latency rt,taskdump rt,tracing rt,fs,sync,io-uring rt-multi-thread,tracing,taskdump
    full,test-util,io-uring,schedule-latency,taskdump,decode,flamegraph,interpose,lock_api,metrics,semaphore,tower,tracing,tracing-subscriber
)

# A target directory for each set of flags, as a change of flags rebuilds everything. RUSTFLAGS replaces the flags of
# .cargo/config.toml. Cargo caps the warnings of dependencies, so only warnings in our code are errors.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/features
check_all() {
    local name=$1 flags=$2 features failed=0
    shift 2
    for features in "" "$@"; do
        if CARGO_TARGET_DIR=$target/$name RUSTFLAGS=$flags \
            cargo check --quiet --package runtime-probe --lib --no-default-features --features "$features"; then
            printf 'features.sh: %-8s %s\n' "$name" "${features:-(none)}"
        else
            printf 'features.sh: %-8s %s DOES NOT COMPILE\n' "$name" "${features:-(none)}"
            failed=1
        fi
    done
    return "$failed"
}

# The two halves share no files, so they run at the same time.
check_all stable "-D warnings" "${alone[@]}" "${together[@]}" &
stable=$!
check_all unstable "-D warnings --cfg tokio_unstable" \
    "${alone[@]}" "${together[@]}" "${unstable[@]}" "${unstable_together[@]}" &
unstable=$!
status=0
wait "$stable" || status=1
wait "$unstable" || status=1
exit "$status"
