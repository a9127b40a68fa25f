#!/usr/bin/env bash
# Builds the leaf table (runtime-probe/tests/leaf_table) in every way that changes the contents of a dump, and runs each.
#
#   ci/leaf_table.sh           all ways
#   ci/leaf_table.sh --quick   a debug build and what the README asks of a user
#   ci/leaf_table.sh NAME..    only these, by the first word of a row below
set -euo pipefail
cd "$(dirname "$0")/.."

manifest=runtime-probe/tests/leaf_table/Cargo.toml
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/leaf-table
failed=()

# Its leaf of standard input waits for this pipe, which has no bytes and does not end.
exec 3<> <(:)

# Arguments: a name, the cargo profile, the detail of its debug information, cargo's features, then RUSTFLAGS.
#
# The feature `services` (hyper, tower, web sockets) is left out where its leaves would show nothing new, as each way
# compiles its dependencies again.
row() {
    local name=$1 profile=$2 detail=$3 features=$4 flags=${5-"--cfg tokio_unstable"} folder=$2
    wanted "$name" || return 0
    [[ $profile == dev ]] && folder=debug
    local began=$SECONDS
    # Another RUSTFLAGS would rebuild everything in the same directory, so it has a directory of its own.
    local into=$target
    [[ $flags == "--cfg tokio_unstable" ]] || into=$target/$name
    RUSTFLAGS=$flags CARGO_TARGET_DIR=$into \
        cargo build --quiet --manifest-path "$manifest" --profile "$profile" --features "$features"
    local built=$((SECONDS - began)) binary=$into/$folder/leaf-table
    if [[ $name == strip ]]; then
        # As the linker does with `strip = true`.
        cp "$binary" "$binary-stripped"
        binary=$binary-stripped
        strip --strip-all "$binary"
    fi
    echo "== $name (built in ${built}s)"
    timeout 120 "$binary" "$detail" <&3 || failed+=("$name")
}

ways=("$@")
[[ ${1-} == --quick ]] && ways=(dev lines)
wanted() {
    [[ ${#ways[@]} == 0 || " ${ways[*]} " == *" $1 "* ]]
}

row dev dev full services
row devfull dev full ""
row devlines devlines lines ""
row stable dev full "" ""
row lines lines lines services
row debug2 debug2 full ""
row debug1 debug1 full services
row packed packed full ""
row debug0 debug0 symbols ""
row strip debug0 stripped ""
row lto lto lines ""
row abort abort lines ""
row pointers lines lines "" "--cfg tokio_unstable -Cforce-frame-pointers=yes"

if [[ ${#failed[@]} != 0 ]]; then
    echo "leaf_table.sh: failed: ${failed[*]}" >&2
    exit 1
fi
