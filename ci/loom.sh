#!/usr/bin/env bash
# Explores the interleavings of the lock-free parts. See runtime-probe/tests/loom/main.rs.
set -euo pipefail
cd "$(dirname "$0")/.."

export LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS:-3}
# A target directory of its own: the flag changes every crate.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
RUSTFLAGS="--cfg probe_loom" CARGO_TARGET_DIR=$target/loom \
    cargo test --quiet --release -p runtime-probe --test loom "$@"
