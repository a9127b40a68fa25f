#!/usr/bin/env bash
# `runtime-dump pid` on unprepared services: a copy of examples/ecosystem, and of the shop of the README, on plain tokio is
# built at debug = 2. In the dumps each connection of axum, hyper, tonic, reqwest, sqlx and redis leads down to the handler
# or to the leaf that it waits for. For the shop under load with its faults on, 100 dumps have every task.
#
# The redis service needs a redis-server; without one it is left out, and the output says so.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/pid-services
build=$work/build
mkdir -p "$work"
source ci/services.sh

cargo build --quiet --release -p runtime-dump-cli
runtime_dump=$target/release/runtime-dump
copy_plain_services "$work/service"
cd "$work/service"
# Only the packages of the rename leave the lock file.
cargo tree --quiet > /dev/null
began=$SECONDS
# The profile has line tables only; built without --cfg tokio_unstable, as most services are.
CARGO_TARGET_DIR=$build CARGO_PROFILE_DEV_DEBUG=2 RUSTFLAGS='' cargo build --quiet --locked
cd "$root"
echo "pid_services.sh: built in $((SECONDS - began)) s"

# No chain ends before its leaf.
is_whole() {
    ! grep -nE 'could not be followed|cannot be read|is not in the debug information|beyond the bound|places on the stack' "$work/dump" > "$work/cuts" || {
        cat "$work/cuts" "$work/dump" >&2
        fail "$1: not all is decoded"
    }
}

# Arguments: how many deadlocks the dump must report, and a description.
told_deadlocks() {
    [[ $(grep --count '^# may be a deadlock: ' "$work/dump") == "$1" ]] || {
        cat "$work/dump" >&2
        fail "$2: not $1 deadlocks"
    }
}

start_redis
start_services 'all have answered' "$build/debug/ecosystem"
expect() {
    task "the root" 'root of block_on' 'ecosystem::main'
    task "axum's accept loop" '[IO wait]' 'TcpListener' 'ecosystem::web::serve'
    task "axum's busy connection" '[select]' 'tokio::sync::semaphore::Semaphore::acquire_many' 'ecosystem::web::goods' 'axum::serve::handle_connection'
    task "reqwest's request" 'reqwest::' 'ecosystem::fetch::buy'
    task "reqwest's connection" 'hyper::client::'
    task "hyper's idle connection" 'hyper::proto::h1::dispatch::Server' 'ecosystem::wire::serve'
    task "hyper's busy connection" 'tokio::sync::watch::Receiver' 'ecosystem::wire::answer' 'ecosystem::wire::serve'
    task "hyper's client" 'hyper::client::' 'ecosystem::wire::ask'
    task "tonic's accept loop" 'tonic::transport::server' 'ecosystem::grpc::serve'
    task "tonic's call" '[chan receive]' 'tokio::sync::mpsc::bounded::Receiver::recv' 'ecosystem::grpc::restock'
    task "tonic's client" 'tonic::client::grpc::Grpc' 'ecosystem::grpc::reserve'
    task "sqlx's transaction" '[sleep]' 'ecosystem::ledger::approval' 'ecosystem::ledger::audit'
    task "sqlx's pool" 'tokio::sync::semaphore::Semaphore::acquire' 'sqlx_core::pool' 'ecosystem::ledger::book'
    task "sqlx's own task" '[sleep]' 'sqlx_core::pool::inner::spawn_maintenance_tasks'
    [[ ! ${REDIS-} ]] || task "redis's request" 'redis::' 'ecosystem::cache::next_job'
    [[ ! ${REDIS-} ]] || task "redis's connection" 'redis::aio::multiplexed_connection'
}
await_tasks_of "$runtime_dump" pid "${started[-1]}"
is_whole "the services"
# Libraries keep many channels without a deadlock. One call of the service waits for a message whose sender it keeps itself.
told_deadlocks 1 "the services"
echo "pid_services.sh: the services$skipped: $(grep -c '^goroutine ' "$work/dump") tasks, each down to its leaf"

: > "$work/output"
start_services 'chaos/off' "$build/debug/checkout" --listen 127.0.0.1:0
shop=${started[-1]}
address=$(sed -n 's/^The shop listens on \([0-9.:]*\).*/\1/p' "$work/output")
for fault in leak deadlock lost-waker contention block-worker; do
    curl --silent --show-error --fail --max-time 10 "http://$address/chaos/$fault" > "$work/reply"
done
expect() {
    task "the blocked worker" '[running]' 'checkout::chaos::Printer::wait' 'checkout::chaos::print_receipt'
}
# For 10 seconds at most.
await_tasks_of "$runtime_dump" pid "$shop"
expect() {
    task "a request" 'checkout::order' 'axum::serve::handle_connection'
    task "the leak" '[chan receive]' 'checkout::chaos::refund_when_approved'
    task "the deadlock" 'cycle' '[sync.Mutex.Lock]' 'checkout::chaos::audit_books'
    task "the lost waker" 'nothing can wake it' 'checkout::chaos::ship_when_paid'
}
await_tasks_of "$runtime_dump" pid "$shop"
for _ in {1..100}; do
    "$runtime_dump" pid "$shop" > "$work/dump"
    is_whole "the shop"
    told_deadlocks 1 "the shop"
done
kill -0 "$shop" || fail "the shop has ended"
echo "pid_services.sh: the shop: $(grep -c '^goroutine ' "$work/dump") tasks, each down to its leaf and the one deadlock alone in 100 of 100 dumps"
