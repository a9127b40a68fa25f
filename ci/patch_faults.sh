#!/usr/bin/env bash
# The programs with faults under the patch: a copy of examples/faults without the rename, so with plain tokio, is patched, and its
# tests read the same pages as those of the rename do. Argument: --release, if the build should be one.
#
# The copy is a workspace of its own in target/patch-faults: the root's manifest and lock file with one member, at the path
# that it has here, because dumps show it.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/patch-faults
# The patch says which flags count.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

tokio=$(awk '/^name = /{name=$3} /^version = / && name=="\"tokio\""{print $3}' Cargo.lock | tr -d '"')
[[ $tokio =~ ^[0-9.]+$ ]] || { echo "patch_faults.sh: Cargo.lock must name one tokio, found: '$tokio'" >&2; exit 1; }

CARGO_TARGET_DIR=$target cargo build --quiet --locked -p runtime-dump-cli

rm -rf "$work/examples" "$work/Cargo.toml" "$work/Cargo.lock" "$work/.cargo" "$work/.runtime-probe"
mkdir -p "$work/examples"
cp -r examples/faults "$work/examples/"
cp Cargo.lock "$work/"
sed -E '/^members = /s/=.*/= ["examples\/faults"]/; /^(default-members|exclude) = /d' Cargo.toml > "$work/Cargo.toml"
sed -i -E "s|package = \"runtime-probe\", path = \"[^\"]*\"|version = \"=$tokio\"|" "$work/examples/faults/Cargo.toml"
cd "$work"
if grep -rn 'pprof\|runtime[-_]probe' examples/faults/src examples/faults/Cargo.toml | grep -v '//'; then
    echo "patch_faults.sh: the programs still know the probe" >&2
    exit 1
fi
cargo tree --quiet > /dev/null

"$target/debug/runtime-dump" patch --path "$root/runtime-probe"
"$target/debug/runtime-dump" patch --check
CARGO_TARGET_DIR=$work/target cargo test --locked "$@" -p faults
"$target/debug/runtime-dump" unpatch
