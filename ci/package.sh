#!/usr/bin/env bash
# The packages as they would be published: each can be packed without a warning, with a README and the texts of its licenses,
# and docs.rs can build its documentation with the settings in its manifest.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
packages=(--workspace --exclude examples --exclude faults --exclude benches --exclude runtime-dump-testing)

log=$(cargo package "${packages[@]}" --no-verify --allow-dirty 2>&1) || { echo "$log"; exit 1; }
echo "$log"
if grep -q '^warning' <<< "$log"; then
    echo "package.sh: a warning" >&2
    exit 1
fi

mapfile -t packed < <(sed -n 's/^ *Packaging \([^ ]*\) v\([^ ]*\) .*/\1-\2/p' <<< "$log")
for package in "${packed[@]}"; do
    files=$(tar --list --file "$target/package/$package.crate")
    for file in README.md LICENSE-APACHE LICENSE-MIT; do
        if ! grep -qx "$package/$file" <<< "$files"; then
            echo "package.sh: $package has no $file" >&2
            exit 1
        fi
    done
done

for manifest in $(git ls-files '*Cargo.toml'); do
    grep -q '^\[package.metadata.docs.rs\]$' "$manifest" || continue
    echo "package.sh: documentation of $manifest"
    # A list on one line, below the header of the settings.
    features=$(sed -n '/^\[package.metadata.docs.rs\]$/,/^$/s/^features = \[\(.*\)\]$/\1/p' "$manifest" | tr -d '" ')
    RUSTFLAGS='--cfg tokio_unstable' RUSTDOCFLAGS='--cfg tokio_unstable -D warnings' CARGO_TARGET_DIR=$target/docs.rs \
        cargo doc --no-deps --manifest-path "$manifest" --features "$features"
done
