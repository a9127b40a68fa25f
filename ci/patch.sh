#!/usr/bin/env bash
# Whole-graph mode on services of plain tokio: a copy of examples/ecosystem, and of the shop of the README, without the
# rename and without the probe's own API, is patched and built. In the dumps every task of axum, hyper, tonic, reqwest, sqlx
# and redis has a stack and a spawn location inside the library, and none is foreign. Then the patch is removed.
#
# The redis service needs a redis-server; without one it is left out, and the output says so.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/patch
# The directory of ci/ecosystem.sh, in which the crates that do not depend on tokio are built already.
build=$target/ecosystem
# The patch decides about the flags.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
source ci/services.sh

CARGO_TARGET_DIR=$target cargo build --quiet --locked -p runtime-dump-cli
runtime_dump=$target/debug/runtime-dump

mkdir -p "$work"
copy_plain_services "$work/service"
cd "$work/service"
# Only the packages of the rename leave the lock file.
cargo tree --quiet > /dev/null
before=$(find . -type f -exec sha256sum {} + | sort -k 2)

"$runtime_dump" patch --path "$root/runtime-probe" --unstable
"$runtime_dump" patch --check
began=$SECONDS
CARGO_TARGET_DIR=$build cargo build --quiet --locked
echo "patch.sh: built in $((SECONDS - began)) s"

start_redis
RUNTIME_PROBE_LISTEN=unix:$work/socket start_services 'all have answered' "$build/debug/ecosystem"

# Arguments: the library whose tasks are checked, and the socket of the probe.
dump() {
    await_tasks --unix-socket "$2" 'http://localhost/debug/pprof/goroutine?debug=2&frames=all'
    echo "patch.sh: $1: $(grep -c '^goroutine ' "$work/dump") tasks, none of them foreign"
}

expect() {
    # The spawn location in the library, and a function of the library on the stack.
    task "axum's connection" 'axum-' 'ecosystem::web::goods' '<hyper::server::conn::http1::UpgradeableConnection' 'created by axum::serve::handle_connection'
    task "reqwest's connection" 'hyper-util-' '<hyper::client::conn::http1::upgrades::UpgradeableConnection'
    task "hyper-util's idle connections" 'hyper-util-' 'hyper_util::client::legacy::pool::IdleTask::run'
    task "tonic's connection" 'tonic-' 'h2::server' 'created by tonic::transport::server'
    task "tonic's call" 'hyper-util-' 'tokio::sync::mpsc::bounded::Receiver::recv' 'ecosystem::grpc::restock'
    task "tonic's client" 'hyper-util-' '<hyper::proto::h2::client::ClientTask'
    task "sqlx's pool" 'sqlx-core-' '[sleep]' 'sqlx_core::pool::inner::spawn_maintenance_tasks'
    [[ ! ${REDIS-} ]] || task "redis's connection" 'redis-' 'redis::aio::multiplexed_connection'
    ! grep -q 'foreign task' "$work/dump" || missing+="  no foreign task"$'\n'
}

dump "the services$skipped" "$work/socket"

# With its simulated customers.
RUNTIME_PROBE_LISTEN=unix:$work/shop start_services 'chaos/off' "$build/debug/checkout" --listen 127.0.0.1:0

expect() {
    task "axum's connection" 'axum-' '<hyper::server::conn::http1::UpgradeableConnection' 'created by axum::serve::handle_connection'
    task "a customer" 'checkout/load.rs' 'checkout::load::call' 'created by checkout::load::start'
    task "the mail" '[chan receive]' 'tokio::sync::mpsc::bounded::Receiver::recv' 'checkout::shop::mail_receipts' 'created by checkout::shop::Shop::open'
    ! grep -q 'foreign task' "$work/dump" || missing+="  no foreign task"$'\n'
}

dump "the shop" "$work/shop"

"$runtime_dump" unpatch
[[ $(find . -type f -exec sha256sum {} + | sort -k 2) == "$before" ]] || fail "unpatch left something changed"
echo "patch.sh: taken back"
