#!/usr/bin/env bash
# Type-checks the probe for aarch64, and runs tests of it on an emulated machine with a Linux of its own. rustup's standard
# library for the target is not needed: Debian's rustc-web and its arm64 standard library, the linker, the machine's kernel
# and its C library are unpacked below target/. apt's lists are there, too, so nothing on this machine is installed,
# replaced or configured.
#
#   ci/aarch64.sh                  the types, and all of the tests below; needs apt-get and dpkg-deb of Debian 12, amd64,
#                                  qemu-system-aarch64, and mke2fs
#   ci/aarch64.sh types            only the types
#   ci/aarch64.sh tests TEST..     only these tests; `lib` are those of the modules, `leaf-table` is optimized code
#
# An emulated processor orders memory as this machine's does. A missing barrier is not found here; loom looks for those.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

target=aarch64-unknown-linux-gnu
into=$PWD/target/aarch64
root=$into/root
machine=$into/machine
own=(-o "Dir::State=$into/apt" -o Dir::State::status=/dev/null -o "Dir::Cache=$into/apt/cache"
    -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
features=full,test-util,tower,tracing-subscriber,lock_api

# Not among them: tests that compare times which an emulated machine multiplies, and those that start cargo, Go's tools,
# perf or a browser. A test with a part for Go's tools passes without that part.
tests=(lib block blocking cpu_profile_http foreign goroutine_parameters holders joins mutex parking_lot queues ready_time
    running runtimes semantics standstill threads untracked wait_hazards leaf-table)

what=${1:-all}
case $what in
    all | types) ;;
    tests) [ $# = 1 ] || tests=("${@:2}") ;;
    *) echo "aarch64.sh: '$what' is neither types nor tests" >&2; exit 1 ;;
esac
export PATH=$PATH:/usr/sbin:/sbin
if [ "$what" != types ]; then
    for tool in qemu-system-aarch64 mke2fs; do
        command -v "$tool" > /dev/null || { echo "aarch64.sh: no $tool" >&2; exit 1; }
    done
fi

# Arguments: a package, the begin of the name of one of its dependencies. Prints the full name.
dependency() {
    apt-cache "${own[@]}" depends "$1" | sed -n "s/^ *Depends: \($2[^ ]*\).*/\1/p" | sed -n 1p
}

# Fetches the lists of packages, once in a run.
update() {
    [ -z "${updated:-}" ] || return 0
    mkdir -p "$into/apt/lists/partial" "$into/apt/cache/archives/partial"
    apt-get -qq "${own[@]}" update
    updated=1
}

# Arguments: a directory, packages. Unpacks them there.
unpack() {
    local where=$1 deb debs=$into/debs
    shift
    echo "aarch64.sh: unpacking $* below $into"
    rm -rf "$where" "$debs"
    mkdir -p "$where" "$debs"
    (cd "$debs" && apt-get -qq "${own[@]}" download "$@")
    for deb in "$debs"/*.deb; do
        dpkg-deb --extract "$deb" "$where"
    done
    rm -rf "$debs"
    touch "$where.unpacked"
}

compiler() {
    local library llvm
    if [ ! -e "$root.unpacked" ]; then
        update
        library=$(dependency libstd-rust-web-dev libstd-rust-web-)
        llvm=$(dependency "$library" libllvm)
        # The compiler is this machine's; the standard libraries of both targets are there, as build scripts and macros run
        # on this machine. The linker and the C library are for programs of the target.
        unpack "$root" rustc-web "$library" "$llvm" libstd-rust-web-dev libstd-rust-web-dev:arm64 \
            {gcc-12,cpp-12,binutils}-aarch64-linux-gnu libc6{,-dev}-arm64-cross lib{gcc-12-dev,gcc-s1}-arm64-cross
    fi
    export RUSTC=$root/usr/bin/rustc LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu CARGO_INCREMENTAL=0
    # Without a workspace's compiler wrapper or another toolchain's documentation tool.
    unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
    "$RUSTC" --version
    # A compiler that was not installed does not know where it is.
    cat > "$into/gcc" << END
#!/bin/sh
exec $root/usr/bin/aarch64-linux-gnu-gcc-12 --sysroot=$root -B$root/usr/bin/aarch64-linux-gnu- \\
    -L$root/usr/aarch64-linux-gnu/lib -L$root/usr/lib/gcc-cross/aarch64-linux-gnu/12 "\$@"
END
    chmod +x "$into/gcc"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$into/gcc
}

types() {
    local flags
    for flags in '' '--cfg tokio_unstable'; do
        echo "== RUSTFLAGS='$flags'"
        RUSTFLAGS="$flags -Dwarnings" CARGO_TARGET_DIR=$into/check \
            cargo check --quiet --target "$target" -p runtime-probe --features "$features" --lib --tests
    done
    echo "aarch64.sh: runtime-probe is well typed for $target"
}

# Builds the tests; cargo would run them, but copies each into $into/programs.
build() {
    local name chosen=() table=runtime-probe/tests/leaf_table/Cargo.toml
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="cp -t $into/programs" CARGO_TARGET_DIR=$into/tests
    rm -rf "$into/programs"
    mkdir -p "$into/programs"
    for name in "${tests[@]}"; do
        case $name in
            lib) chosen+=(--lib) ;;
            leaf-table)
                RUSTFLAGS='--cfg tokio_unstable' \
                    cargo build --target "$target" --manifest-path "$table" --profile lines --features services
                cp "$into/tests/$target/lines/leaf-table" "$into/programs/"
                ;;
            *) chosen+=(--test="$name") ;;
        esac
    done
    [ ${#chosen[@]} = 0 ] ||
        RUSTFLAGS='--cfg tokio_unstable' cargo test --target "$target" -p runtime-probe --features "$features" "${chosen[@]}"
}

# The file system of the machine: the programs, the sources that some of them read, and a first program that runs them.
disk() {
    local tree=$into/tree
    if [ ! -e "$machine.unpacked" ]; then
        update
        # NVMe disks and ext4 are no modules of this kernel.
        unpack "$machine" "$(dependency linux-image-6.12-cloud-arm64:arm64 linux-image-6.12)" \
            {busybox-static,libc6,libgcc-s1,bash,libtinfo6}:arm64
    fi
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,etc,lib,proc,programs,sys,tmp} "$tree$PWD"
    cp "$machine/bin/busybox" "$machine/bin/bash" "$tree/bin/"
    cp -a "$machine/lib/aarch64-linux-gnu" "$machine/lib/ld-linux-aarch64.so.1" "$tree/lib/"
    [ ! -d "$machine/usr/lib/aarch64-linux-gnu" ] || cp -a "$machine/usr/lib/aarch64-linux-gnu/." "$tree/lib/aarch64-linux-gnu/"
    tar --exclude target --create runtime-probe | tar --extract --directory "$tree$PWD"
    mv "$into/programs" "$tree/"
    echo 'root:x:0:0:root:/:/bin/sh' > "$tree/etc/passwd"
    echo '127.0.0.1 localhost' > "$tree/etc/hosts"
    # A test that fails is run once more, one at a time, as on other machines.
    cat > "$tree/init" << END
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin RUST_BACKTRACE=0
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ip link set lo up
dmesg -n 1
cd $PWD/runtime-probe
# A pipe without bytes that does not end, for the leaf of standard input.
mkfifo /tmp/input
exec 3<> /tmp/input
for program in /programs/*; do
    name=\${program##*/}
    echo "== \$name"
    if [ \$name = leaf-table ]; then
        timeout 300 "\$program" lines <&3 2>&1
    else
        timeout 900 "\$program" 2>&1 || { echo; echo "== once more, alone: \$name"; timeout 900 "\$program" --test-threads=1 2>&1; }
    fi
    status=\$?
    echo
    echo "aarch64.sh: \$name ends with \$status"
done
echo "aarch64.sh: all ran"
poweroff -f
END
    chmod +x "$tree/init"
    local mib
    mib=$(du --summarize --block-size=1M "$tree" | cut -f 1)
    rm -f "$into/disk"
    mke2fs -q -t ext4 -d "$tree" "$into/disk" "$((mib + mib / 4 + 200))M"
    rm -rf "$tree"
}

boot() {
    local kernel log=$into/console
    kernel=$(echo "$machine"/boot/vmlinuz-*)
    # Pointer authentication by the fast cipher: the architected one takes most of the emulator's time.
    LD_LIBRARY_PATH='' timeout 2400 qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on -smp 2 -m 3G -nographic -no-reboot \
        -kernel "$kernel" -append 'console=ttyAMA0 root=/dev/nvme0n1 rw init=/init quiet panic=-1' \
        -drive "file=$into/disk,format=raw,if=none,id=disk" -device nvme,drive=disk,serial=1 -net none < /dev/null 2>&1 |
        tr -d '\r' | tee "$log" | grep --line-buffered -E '^(==|aarch64.sh:|leaf-table:|test result|test .*FAILED|thread .*panicked)' || true
    rm -f "$into/disk"
    if [ "$(grep -cE '^aarch64.sh: .* ends with 0$' "$log")" != ${#tests[@]} ]; then
        echo "aarch64.sh: failed; the end of the console:" >&2
        tail -n 60 "$log" >&2
        return 1
    fi
    echo "aarch64.sh: ${#tests[@]} programs of tests passed on $(basename "$kernel"), $(grep -c '^== once more' "$log") of them at the second run"
}

compiler
[ "$what" = tests ] || types
[ "$what" != types ] || exit 0
build
disk
boot
