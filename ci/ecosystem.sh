#!/usr/bin/env bash
# The probe under services of the ecosystem: builds examples/ecosystem, in which `tokio` is this crate, runs it, and reads
# in a dump where each of its services waits. Every one has answered before.
#
# The redis service needs a redis-server; without one it is left out, and the last line says so.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/ecosystem
work=$(mktemp -d)
started=()
finish() {
    [[ ${#started[@]} == 0 ]] || kill "${started[@]}" 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT

began=$SECONDS
CARGO_TARGET_DIR=$target RUSTFLAGS="--cfg tokio_unstable" \
    cargo build --quiet --locked --manifest-path examples/ecosystem/Cargo.toml
echo "ecosystem.sh: built in $((SECONDS - began)) s"

skipped=
unset REDIS
if command -v redis-server > /dev/null; then
    redis-server --port 0 --unixsocket "$work/redis" --dir "$work" --save '' > "$work/redis.log" &
    started+=($!)
    for _ in {1..100}; do
        [[ -S $work/redis ]] && break
        sleep 0.1
    done
    [[ -S $work/redis ]] || { cat "$work/redis.log" >&2; exit 1; }
    export REDIS=redis+unix://$work/redis
else
    skipped=' (redis SKIPPED: no redis-server)'
fi

# Made here: the shell in the background may come to it later than the one that looks.
: > "$work/output"
"$target/debug/ecosystem" > "$work/output" 2> "$work/errors" &
started+=($!)
url=
for _ in {1..300}; do
    url=$(sed -n "s/^curl '\(.*\)'$/\1/p" "$work/output")
    [[ -z $url ]] || break
    kill -0 "${started[-1]}" 2> /dev/null || break
    sleep 0.1
done
[[ $url ]] || { echo "ecosystem.sh: the services did not start" >&2; cat "$work/output" "$work/errors" >&2; exit 1; }

# Arguments: what it is, then texts that one task of the dump has, in order.
task() {
    local what=$1 texts
    shift
    texts=$(printf '%s\n' "$@") awk -v RS= '
        BEGIN { count = split(ENVIRON["texts"], texts, "\n") }
        {
            rest = $0
            for (i = 1; i <= count; i++) {
                at = index(rest, texts[i])
                if (!at) next
                rest = substr(rest, at + length(texts[i]))
            }
            found = 1
        }
        END { exit !found }' "$work/dump" && return
    missing+="  $what: $(printf ' %s ..' "$@")"$'\n'
}

foreign='foreign task: a dependency spawned it with plain tokio'
expect() {
    missing=
    task "axum's accept loop" '[IO wait]' 'TcpListener' 'ecosystem::web::serve'
    task "axum's connection" '/axum-' "$foreign"
    task "axum's request" '"GET /goods/2"' '[semacquire]' 'tokio::sync::semaphore::Semaphore::acquire_many' 'ecosystem::web::goods'
    task "reqwest's request" '[IO wait]' 'hyper::client::conn::http1::SendRequest' 'reqwest::' 'ecosystem::fetch::buy'
    task "reqwest's connection" '/hyper-util-' "$foreign"
    task "hyper's idle connection" '[IO wait]' 'TcpStream' '<hyper::server::conn::http1::Connection' 'ecosystem::wire::serve'
    task "hyper's busy connection" 'tokio::sync::watch::Receiver::changed' 'ecosystem::wire::answer' '<hyper::server::conn::http1::Connection' 'ecosystem::wire::serve'
    task "hyper's client" '[IO wait]' 'hyper::client::conn::http1::SendRequest::send_request' 'ecosystem::wire::ask'
    task "tonic's accept loop" '[IO wait]' 'tonic::transport::server' 'ecosystem::grpc::serve'
    task "tonic's connection" '/tonic-' "$foreign"
    task "tonic's call" '# warehouse' '[chan receive]' 'tokio::sync::mpsc::bounded::Receiver::recv' 'ecosystem::grpc::restock'
    task "tonic's client" '[IO wait]' 'hyper::client::conn::http2::SendRequest::send_request' 'tonic::client::grpc::Grpc' 'ecosystem::grpc::reserve'
    task "sqlx's transaction" '[sleep]' 'ecosystem::ledger::approval' 'ecosystem::ledger::audit'
    task "sqlx's pool" '[select]' 'tokio::sync::semaphore::Semaphore::acquire' 'sqlx_core::pool' 'ecosystem::ledger::book'
    task "sqlx's own task" '/sqlx-core-' "$foreign"
    [[ ! ${REDIS-} ]] || task "redis's request" '[chan receive]' 'redis::' 'ecosystem::cache::next_job'
    [[ ! ${REDIS-} ]] || task "redis's connection" '/redis-' "$foreign"
}

for _ in {1..50}; do
    curl --silent --show-error --fail "$url" > "$work/dump"
    expect
    [[ $missing ]] || break
    sleep 0.2
done
if [[ $missing ]]; then
    cat "$work/dump"
    printf 'ecosystem.sh: not in the dump:\n%s' "$missing" >&2
    exit 1
fi
echo "ecosystem.sh: every service's tasks are in the dump$skipped"
