#!/usr/bin/env bash
# The programs with faults under the patch: a copy of examples/faults without the rename, so with plain tokio, is patched,
# and its tests read the same pages as those of the rename. Argument: --release, for a release build.
# The copy is a workspace of its own in target/patch-faults, with the same path below it as here, because dumps show the
# path.
set -euo pipefail
cd "$(dirname "$0")/.."
source ci/plain_workspace.sh

root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/patch-faults
# The patch decides about the flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

CARGO_TARGET_DIR=$target cargo build --quiet --locked -p runtime-dump-cli

rm -rf "$work/examples" "$work/Cargo.toml" "$work/Cargo.lock" "$work/.cargo" "$work/.runtime-probe"
mkdir -p "$work/examples"
cp -r examples/faults "$work/examples/"
# A program that uses the probe's own API does not compile with plain tokio.
while read -r program; do
    rm "$program"
    sed -i "/name = \"$(basename "$program" .rs)\"/d" "$work/examples/faults/Cargo.toml"
done < <(grep -rl 'tokio::pprof' "$work/examples/faults/src/bin")
plain_workspace "$work" examples/faults
cd "$work"
cargo tree --quiet > /dev/null

"$target/debug/runtime-dump" patch --path "$root/runtime-probe"
"$target/debug/runtime-dump" patch --check
CARGO_TARGET_DIR=$work/target cargo test --locked "$@" -p faults
"$target/debug/runtime-dump" unpatch
