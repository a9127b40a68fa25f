# Sourced by ci/ecosystem.sh and ci/patch.sh: the services of examples/ecosystem, a redis-server for one of them, and what a
# dump must have of their tasks. `work` is a directory of the script; what is started here ends with the script.
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

# Arguments: a pattern of a line that is printed when all is up, the program, its arguments.
start_services() {
    local pattern=$1
    shift
    # Made here: the shell in the background may come to it later than the one that looks.
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

# For `expect`. Arguments: what it is, then texts that one task of the dump has, in this order.
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

# Takes dumps until one has every task that the script's `expect` asks for. Arguments: curl's.
await_tasks() {
    for _ in {1..50}; do
        curl --silent --show-error --fail --max-time 10 "$@" > "$work/dump"
        missing=
        expect
        [[ $missing ]] || return 0
        sleep 0.2
    done
    cat "$work/dump"
    printf '%s: not in the dump:\n%s' "$(basename "$0")" "$missing" >&2
    exit 1
}
