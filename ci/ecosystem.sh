#!/usr/bin/env bash
# The probe with services of the ecosystem: builds examples/ecosystem, in which `tokio` is this crate, runs it, and checks in
# a dump where each of its services waits. Each has answered a request before.
#
# The redis service needs a redis-server; without one it is left out, and the last line says so.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/ecosystem
work=$(mktemp -d)
source ci/services.sh
trap 'end_services; rm -rf "$work"' EXIT

began=$SECONDS
CARGO_TARGET_DIR=$target RUSTFLAGS="--cfg tokio_unstable" \
    cargo build --quiet --locked --manifest-path examples/ecosystem/Cargo.toml
echo "ecosystem.sh: built in $((SECONDS - began)) s"

start_redis
start_services "^curl '" "$target/debug/ecosystem"

foreign='foreign task: a dependency spawned it with plain tokio'
expect() {
    task "axum's accept loop" '[IO wait]' 'TcpListener' 'ecosystem::web::serve'
    task "axum's connection" 'axum-' "$foreign"
    task "axum's request" '"GET /goods/2"' '[semacquire]' 'tokio::sync::semaphore::Semaphore::acquire_many' 'ecosystem::web::goods'
    task "reqwest's request" '[IO wait]' 'hyper::client::conn::http1::SendRequest' 'reqwest::' 'ecosystem::fetch::buy'
    task "reqwest's connection" 'hyper-util-' "$foreign"
    task "hyper's idle connection" '[IO wait]' 'TcpStream' '<hyper::server::conn::http1::Connection' 'ecosystem::wire::serve'
    task "hyper's busy connection" 'tokio::sync::watch::Receiver::changed' 'ecosystem::wire::answer' '<hyper::server::conn::http1::Connection' 'ecosystem::wire::serve'
    task "hyper's client" '[IO wait]' 'hyper::client::conn::http1::SendRequest::send_request' 'ecosystem::wire::ask'
    task "tonic's accept loop" '[IO wait]' 'tonic::transport::server' 'ecosystem::grpc::serve'
    task "tonic's connection" 'tonic-' "$foreign"
    task "tonic's call" '# warehouse' '[chan receive]' 'tokio::sync::mpsc::bounded::Receiver::recv' 'ecosystem::grpc::restock'
    task "tonic's client" '[IO wait]' 'hyper::client::conn::http2::SendRequest::send_request' 'tonic::client::grpc::Grpc' 'ecosystem::grpc::reserve'
    task "sqlx's transaction" '[sleep]' 'ecosystem::ledger::approval' 'ecosystem::ledger::audit'
    task "sqlx's pool" '[semacquire]' 'tokio::sync::semaphore::Semaphore::acquire' 'sqlx_core::pool' 'ecosystem::ledger::book'
    task "sqlx's own task" 'sqlx-core-' "$foreign"
    [[ ! ${REDIS-} ]] || task "redis's request" '[chan receive]' 'redis::' 'ecosystem::cache::next_job'
    [[ ! ${REDIS-} ]] || task "redis's connection" 'redis-' "$foreign"
}

await_tasks "$(sed -n "s/^curl '\(.*\)'$/\1/p" "$work/output")"
echo "ecosystem.sh: every service's tasks are in the dump$skipped"
