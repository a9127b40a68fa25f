# Sourced by ci/ecosystem.sh, ci/patch.sh and ci/pid_services.sh: the services of examples/ecosystem, a redis-server for one
# of them, and the expected lines of their tasks in a dump. `work` is a directory of the script; processes that are started
# here end with the script.
# shellcheck shell=bash

started=()
end_services() {
    [[ ${#started[@]} == 0 ]] || kill "${started[@]}" 2> /dev/null || true
}
trap end_services EXIT

fail() {
    echo "$(basename "$0"): $1" >&2
    exit 1
}

# Copies the services, and the shop of the README, without the rename and without the probe's own API, so for plain tokio.
# The shop needs no other dependencies than the services. Argument: the directory for the copy.
copy_plain_services() {
    rm -rf "$1"
    cp -r examples/ecosystem "$1"
    rm -rf "$1/target"
    mkdir "$1/src/bin"
    cp -r examples/src/bin/checkout "$1/src/bin/"
    # Every use of the probe's API is removed: its server, its layer, its names of requests.
    sed -i 's|^tokio = .*|tokio = { version = "1.54", features = ["full"] }|' "$1/Cargo.toml"
    sed -i '/let name = |request/d; /\.layer(tokio::pprof/s/\.layer(.*)//; s/{Path, Request, State}/{Path, State}/' "$1/src/web.rs"
    sed -i '/\.layer(tokio::pprof/s/\.layer(.*);/;/' "$1/src/grpc.rs"
    sed -i '/pprof::serve/d; /let address = probe/d; /println!("curl/s/.*/    println!("all have answered");/' "$1/src/main.rs"
    sed -i '/let probe = start_probe/,/tokio-console cannot/d; s/probe\.local_addr().unwrap_or(.*), load/probe, load/
        /if let Some(console) = &console/,/^    }/d; s/^        console,$/        console: _,/; /^\/\/\/ Starts the probe/,/^}/d
        /Each request is an entry/,/^        )$/d; s/{Path, Request, State}/{Path, State}/' "$1/src/bin/checkout/main.rs"
    ! grep -rn 'pprof\|runtime[-_]probe' "$1/src" "$1/Cargo.toml" | grep -v '//' || fail "the service still knows the probe"
}

# Sets REDIS, which the services read, and without a redis-server `skipped`, for the script's last line.
start_redis() {
    unset REDIS
    skipped=
    if ! command -v redis-server > /dev/null; then
        skipped=' (redis SKIPPED: no redis-server)'
        return
    fi
    rm -f "$work/redis"
    redis-server --port 0 --unixsocket "$work/redis" --dir "$work" --save '' > "$work/redis.log" &
    started+=($!)
    for _ in {1..300}; do
        [[ ! -S $work/redis ]] || break
        sleep 0.1
    done
    [[ -S $work/redis ]] || { cat "$work/redis.log" >&2; fail "redis-server does not start"; }
    export REDIS=redis+unix://$work/redis
}

# Arguments: a pattern of a line that is printed when all services are up, the program, its arguments.
start_services() {
    local pattern=$1
    shift
    # Made here: the shell in the background may open it later than the reader.
    : > "$work/output"
    "$@" > "$work/output" 2> "$work/errors" &
    started+=($!)
    for _ in {1..600}; do
        ! grep -q "$pattern" "$work/output" || return 0
        kill -0 "${started[-1]}" 2> /dev/null || break
        sleep 0.1
    done
    cat "$work/output" "$work/errors" >&2
    fail "the services did not start"
}

# For `expect`. Arguments: a description, then texts that one task of the dump has, in this order.
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

# Takes dumps until one has every task of the script's `expect`. Arguments: those of curl.
await_tasks() {
    await_tasks_of curl --silent --show-error --fail --max-time 10 "$@"
}

# The same. Arguments: a command that prints a dump.
await_tasks_of() {
    for _ in {1..50}; do
        "$@" > "$work/dump"
        missing=
        expect
        [[ $missing ]] || return 0
        sleep 0.2
    done
    cat "$work/dump"
    printf '%s: not in the dump:\n%s' "$(basename "$0")" "$missing" >&2
    exit 1
}
