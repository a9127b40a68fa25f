#!/usr/bin/env bash
# The shop of the README: starts it, switches on each of its faults, and finds every fault in the dump. Argument: --release,
# for a release build, or a directory with built programs.
#
# It is built like a project of a user: without the flags of .cargo/config.toml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -d "${1:-}" ]; then
    programs=$(realpath "$1")
else
    export RUSTFLAGS= CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/stable}
    cargo build --quiet "$@" -p examples --bin checkout --bin scraper
    programs=$(realpath -m "$CARGO_TARGET_DIR")/${1:+release}
    [ $# != 0 ] || programs+=debug
fi
out=$(mktemp -d)
# Made here: the shell in the background may open it later than the reader.
: > "$out/stdout"
RUNTIME_PROBE_BLOCK_RATE=10000 RUNTIME_PROBE_MUTEX_FRACTION=1 \
    "$programs/checkout" --listen 127.0.0.1:0 --probe 127.0.0.1:0 > "$out/stdout" 2> "$out/stderr" &
pid=$!
trap 'kill "$pid" 2> /dev/null || true; rm -rf "$out"' EXIT

fail() {
    echo "checkout.sh: $1" >&2
    cat "$out/stdout" "$out/stderr" "$out/dump" >&2 2> /dev/null || true
    exit 1
}

addresses=
for _ in $(seq 100); do
    addresses=$(sed -n 's/^The shop listens on \([0-9.:]*\), the probe on \([0-9.:]*\);.*/\1 \2/p' "$out/stdout")
    [ -n "$addresses" ] && break
    sleep 0.1
done
[ -n "$addresses" ] || fail "the shop does not start"
read -r shop probe <<< "$addresses"

ask() { curl --silent --show-error --fail --max-time 10 "$@"; }
dump() { ask "http://$probe/debug/pprof/goroutine?debug=$1" > "$out/dump"; }

# Arguments: a description, the least number of matching lines, the pattern.
find_in_dump() {
    local count
    count=$(grep -cE "$3" "$out/dump" || true)
    [ "$count" -ge "$2" ] || fail "$1: $count lines match $3"
    echo "checkout.sh: $1"
}

# Arguments: a path of the shop, a fault; then those of find_in_dump, with debug=$3. Asks until the fault is in the dump.
break_it() {
    ask "http://$shop$1" > /dev/null
    local tries=0
    until dump "$3" && [ "$(grep -cE "$5" "$out/dump")" -ge "$4" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || break
        sleep 0.1
    done
    find_in_dump "$2" "$4" "$5"
}

# Arguments: a description, a pattern for the summary. All pages of the UI answer, and the summary reports the fault.
look() {
    local page
    for page in locks tasks 'tasks?group=site' 'tasks?group=task&sort=since' profiles timeline ''; do
        ask "http://$probe/debug/pprof/ui/$page" > "$out/dump"
        grep -q '</main></body></html>$' "$out/dump" || fail "the page ui/$page is not whole"
    done
    tr '\n' ' ' < "$out/dump" | sed 's/<li class=/\n&/g' > "$out/summary"
    mv "$out/summary" "$out/dump"
    find_in_dump "$1" 1 "$2"
}

sleep 2
orders=$(ask "http://$shop/stats" | cut -d ' ' -f 1)
[ "$orders" -gt 0 ] || fail "no orders in two seconds"
dump 2
find_in_dump "its tasks are there" 1 '^checkout::shop::take_deliveries\(\.\.\.\)$'
find_in_dump "and who spawned them" 1 '^created by checkout::shop::Shop::open in goroutine '
find_in_dump "how many tasks of dependencies are not listed" 1 '^# [0-9]+ of [0-9]+ tasks (are|is) not listed: '

break_it /chaos/leak "the leak: one stack, 100 times" 1 1 '^100 @ '
find_in_dump "the leak: its name" 1 'checkout::chaos::refund_when_approved'
dump 2
find_in_dump "the leak: one spawn site, 100 times" 100 '^created by checkout::chaos::Chaos::leak( in goroutine [0-9]+)?$'
ask "http://$shop/chaos/off" > /dev/null

break_it /chaos/deadlock "the deadlock: one task" 2 1 '^checkout::chaos::count_stock\(\.\.\.\)$'
find_in_dump "the deadlock: the other task" 1 '^checkout::chaos::audit_books\(\.\.\.\)$'
find_in_dump "the deadlock: what they wait for" 2 '^goroutine [0-9]+ \[sync\.Mutex\.Lock\]:$'
break_it /stats "the deadlock: by name" 2 1 '^# deadlock: goroutine [0-9]+ \(checkout::chaos::[a-z_]+\) waits for a Mutex<.*goroutine [0-9]+ \(checkout::chaos::[a-z_]+\) waits for '
look "the deadlock: on the summary" '^<li class="bad"><a class="kind" href="locks">Deadlock</a>.*goroutine [0-9]+</a> [(]checkout::chaos::'
break_it /stats "the deadlock: the requests behind it" 2 1 '^# "POST /order/[a-z]+", waiting '
ask "http://$shop/chaos/off" > /dev/null

break_it /chaos/lost-waker "the lost waker: nothing can wake this task" 2 1 'nothing can wake this task: no waker of it is left'
find_in_dump "the lost waker: its name" 1 '^checkout::chaos::ship_when_paid\(\.\.\.\)$'
look "the lost waker: on the summary" '>Lost task</a>.*[(]checkout::chaos::ship_when_paid[)], which waits for '
ask "http://$shop/chaos/off" > /dev/null

ask "http://$shop/chaos/contention" > /dev/null
ask "http://$probe/debug/pprof/mutex?seconds=2&fraction=1&format=folded" > "$out/folded"
sort -t ' ' -k 2 -n -r "$out/folded" | sed -n 1p > "$out/dump"
find_in_dump "the hot lock: who makes the others wait most" 1 '^checkout::chaos::take_inventory [0-9]+$'
ask "http://$shop/chaos/off" > /dev/null

break_it /chaos/block-worker "the blocked worker: its task" 2 1 '^checkout::chaos::print_receipt\(\.\.\.\)$'
find_in_dump "the blocked worker: the call that blocks it" 1 '^checkout::chaos::Printer::wait\(\.\.\.\)$'
# The worker that is blocked may be the one that drives the sockets, until it is released.
ask --max-time 40 "http://$shop/chaos/off" > /dev/null

look "what no dump lists: on the summary" '>Unlisted tasks</a>'
sleep 1
break_it /chaos/spin "the spinning worker: what it does" 2 1 '^# running .*, a long poll: its thread is burning CPU, '
find_in_dump "the spinning worker: its task" 1 '^checkout::chaos::price_every_basket\(\.\.\.\)$'
sleep 1
look "the spinning worker: on the summary" '>Stuck poll</a>.*[(]checkout::chaos::price_every_basket[)] is in one poll for .* burning CPU'
ask --max-time 40 "http://$shop/chaos/off" > /dev/null
ask "http://$probe/debug/pprof/threads?debug=2" > "$out/dump"
find_in_dump "the threads" 2 '^thread [0-9]+ \[(running|sleeping)\]:$'

ask "http://$probe/debug/pprof/" > "$out/dump"
grep -q '<li>captures: ' "$out/dump" || fail "the index has no diagnosis"
ask "http://$probe/debug/pprof/goroutine" > "$out/profile"
gzip --test < "$out/profile" || fail "the profile is not gzipped"

ask "http://$probe/debug/pprof/profile?seconds=1&format=folded" > "$out/dump"
find_in_dump "what uses the CPU" 1 '^# rate: a sample for each 10ms '

"$programs/scraper" "$probe" "${SCRAPE_SECONDS:-10}" || fail "a scraper would not take it"

more=$(ask "http://$shop/stats" | cut -d ' ' -f 1)
[ "$more" -gt "$orders" ] || fail "no orders after the faults"
kill -INT "$pid"
wait "$pid" || fail "it did not end well"
[ ! -s "$out/stderr" ] || fail "it complained"
echo "checkout.sh: $more orders, and a clean end"
