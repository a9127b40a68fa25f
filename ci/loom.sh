#!/usr/bin/env bash
# Explores the interleavings of the lock-free parts. See runtime-probe/tests/loom/src/lib.rs. Argument: the most preemptions
# of an interleaving, 2 by default.
set -euo pipefail
cd "$(dirname "$0")/.."

export LOOM_MAX_PREEMPTIONS=${1:-2}
# A package and a target directory of their own: the flag changes every crate, and only loom has to be built.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
RUSTFLAGS="--cfg probe_loom" CARGO_TARGET_DIR=$target/loom \
    cargo test --quiet --release --manifest-path runtime-probe/tests/loom/Cargo.toml
