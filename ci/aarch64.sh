#!/usr/bin/env bash
# Type-checks the probe for aarch64, without rustup's standard library for the target: Debian's rustc-web and its arm64
# standard library are unpacked below target/. apt's lists are there, too, so nothing on the machine is installed, replaced
# or configured.
#
#   ci/aarch64.sh          needs apt-get and dpkg-deb of Debian 12, amd64
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

target=aarch64-unknown-linux-gnu
into=$PWD/target/aarch64
root=$into/root
own=(-o "Dir::State=$into/apt" -o Dir::State::status=/dev/null -o "Dir::Cache=$into/apt/cache"
    -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o Debug::NoLocking=1 -o APT::Sandbox::User=root)

# Arguments: a package, the begin of the name of one of its dependencies. Prints the full name.
dependency() {
    apt-cache "${own[@]}" depends "$1" | sed -n "s/^ *Depends: \($2[^ ]*\).*/\1/p" | sed -n 1p
}

if ! [ -e "$into/unpacked" ]; then
    echo "aarch64.sh: unpacking rustc-web and libstd-rust-web-dev:arm64 below $into"
    rm -rf "$root"
    mkdir -p "$root" "$into/apt/lists/partial" "$into/apt/cache/archives/partial" "$into/debs"
    apt-get -qq "${own[@]}" update
    library=$(dependency libstd-rust-web-dev libstd-rust-web-)
    llvm=$(dependency "$library" libllvm)
    # The compiler is the machine's; the standard libraries of both targets are there, as build scripts and macros run on
    # this machine.
    (
        cd "$into/debs"
        apt-get -qq "${own[@]}" download rustc-web "$library" "$llvm" libstd-rust-web-dev libstd-rust-web-dev:arm64
    )
    for deb in "$into"/debs/*.deb; do
        dpkg-deb --extract "$deb" "$root"
    done
    rm -rf "$into/debs"
    touch "$into/unpacked"
fi

export RUSTC=$root/usr/bin/rustc LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu
# Without a workspace's compiler wrapper or another toolchain's documentation tool.
unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
"$RUSTC" --version
for flags in '' '--cfg tokio_unstable'; do
    echo "== RUSTFLAGS='$flags'"
    RUSTFLAGS="$flags -Dwarnings" CARGO_TARGET_DIR=$into/check \
        cargo check --quiet --target "$target" -p runtime-probe --features full,test-util,tower,tracing-subscriber,lock_api --lib --tests
done
echo "aarch64.sh: runtime-probe is well typed for $target"
