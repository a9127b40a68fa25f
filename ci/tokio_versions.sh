#!/usr/bin/env bash
# The oldest tokio that Cargo.toml allows, and the newest one, unless they are the one in Cargo.lock, which every other check
# uses. In a copy, because cargo has one lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

requirement=$(sed -n 's/^tokio = { version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cd "$copy"

locked() {
    sed -n '/^name = "tokio"$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock
}

# The tests for both: the state of a task, the hooks, the served pages. New ways to spawn are tested with the newest only.
check() {
    local version
    version=$(locked)
    echo "tokio_versions.sh: $1: tokio $version"
    if [ "$version" = "$known" ]; then
        echo "tokio_versions.sh: the one in Cargo.lock: checked already"
        return
    fi
    shift
    # One target directory for both, as only tokio differs.
    CARGO_TARGET_DIR=$target/tokio_versions cargo test --package runtime-probe --features full,test-util \
        --test semantics --test foreign --test runtimes --test wire "$@"
    RUSTFLAGS='' CARGO_TARGET_DIR=$target/tokio_versions/stable cargo check --package runtime-probe --features full,test-util
}

known=$(locked)
# "1.54" allows 1.54.0.
oldest=$requirement
while [ "$(tr -dc . <<< "$oldest")" != .. ]; do oldest+=.0; done
cargo update --package tokio --precise "$oldest"
check oldest
cargo update --package tokio
check newest --test facade_complete
