#!/usr/bin/env bash
# The real tokio-console in a terminal of tmux, on the shop of the README: its screen must agree with the probe's own dumps.
# Then on a service that stands still, with a task in each state and one for each warning. And on a bank that is served from
# tokio's tracing: the waits of its tasks.
#
# console_between.py compares each value of the list with two dumps, one from before and one from after. The screens stay in
# target/console. TOKIO_CONSOLE=PATH uses an installed tokio-console.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.1.14
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
console=${TOKIO_CONSOLE:-$target/tokio-console/bin/tokio-console}
if ! "$console" --version 2> /dev/null | grep -qx "tokio-console $version"; then
    # Without our flags, as it is a separate program.
    RUSTFLAGS='' cargo install --quiet --locked tokio-console --version "$version" \
        --root "$target/tokio-console" --target-dir "$target/tokio-console/build"
    console=$target/tokio-console/bin/tokio-console
fi
cargo build --quiet -p examples --bin checkout
cargo build --quiet -p runtime-probe-console --example states
cargo build --quiet -p runtime-probe-console --features subscriber --example resources

. ci/terminal.sh

# Arguments: the address for tokio-console.
start_shop() {
    started=$SECONDS
    : > "$out/stdout"
    "$target/debug/checkout" --listen 127.0.0.1:0 --probe 127.0.0.1:0 --console "$1" > "$out/stdout" 2>> "$out/stderr" &
    service_pid=$!
    within 30 "the shop is open" is_open
    read -r shop probe < <(shop_and_probe)
}

# Its standard input is file descriptor 3.
start_states() {
    started=$SECONDS
    : > "$out/stdout"
    mkfifo "$out/stdin"
    "$target/debug/examples/states" 127.0.0.1:0 127.0.0.1:0 < "$out/stdin" > "$out/stdout" 2>> "$out/stderr" &
    service_pid=$!
    exec 3> "$out/stdin"
    within 30 "the states are there" is_open
    probe=$(sed -n 's|^http://\([0-9.:]*\)/debug/pprof/.*|\1|p' "$out/stdout")
}

start_bank() {
    : > "$out/stdout"
    "$target/debug/examples/resources" 127.0.0.1:0 > "$out/stdout" 2>> "$out/stderr" &
    service_pid=$!
    within 30 "the bank is open" is_open
}
is_open() { address=$(sed -n 's|^ *tokio-console http://||p' "$out/stdout") && [ -n "$address" ]; }

stop_service() {
    kill "$service_pid"
    wait "$service_pid" 2> /dev/null || true
}

attach() {
    tmux -u -S "$server" -f /dev/null new-session -d -x 240 -y 50 \
        "LANG=C.UTF-8 LC_ALL=C.UTF-8 TERM=xterm '$console' --no-colors --lang en_US.UTF-8 http://$address"
    within 30 "it is attached" shows '\(CONNECTED\)'
}
detach() { tmux -u -S "$server" kill-server; }

ask() { curl --silent --show-error --fail --max-time 20 "$@"; }

# "id polls" of each row of the list, from the top: the id is before the state, the polls are before the kind.
listed() {
    sed -nE 's/^│.* ([0-9]+) +(▶|⏫|⏸|⏹).* ([0-9]+) +(task|block_on|blocking|local) .*/\1 \3/p' "$out/screen"
}
rows() { listed | sort; }
dump() { ask "http://$probe/debug/pprof/goroutine?debug=2"; }
# "id polls" of each task of a dump. The number of a root is the probe's own.
polls() {
    sed -nE '/^# /{s/.* polls ([0-9]+).*/\1/;h};/^goroutine /{s/^goroutine ([0-9]+) .*/\1/;G;s/\n/ /p}' "$1" | sort
}
# Whether the whole screen is as new as the dump: each task in both has at least as many polls on the screen.
is_as_new_as() {
    look
    [ "$(join <(rows) <(polls "$1") | wc -l)" -ge 5 ] &&
        join <(rows) <(polls "$1") | awk '$2 < $3 { late = 1 } END { exit late }'
}
# Arguments: those of console_between.py, from LEAST on. The caller repeats it: a screen may be older than the dump before it
# although no task's polls show that.
lies_between() {
    dump > "$out/before"
    local tries=0
    until is_as_new_as "$out/before"; do
        [ $((tries += 1)) -lt 100 ] || { echo "the screen is older than the dump before it" > "$out/complaints"; return 1; }
        sleep 0.2
    done
    dump > "$out/after"
    python3 ci/console_between.py "$out/before" "$out/screen" "$out/after" "$((SECONDS - started + 2))" "$@" > "$out/complaints"
}

start_shop 127.0.0.1:0
attach
within 30 "its tasks are there" shows 'shop\.rs:[0-9]+'
keep list

within 60 "each value lies between what two dumps say" lies_between 15 idle
keep between

# Argument: the options of sort with which the list is in order.
is_sorted() {
    look
    [ "$(listed | wc -l)" -ge 5 ] && listed | cut -d ' ' -f 2 | sort --check=quiet "$@"
}
# The columns from the total time to the polls.
keys l l l l
within 30 "sorted by polls, the most first" is_sorted -n -r
keep sorted
keys i
within 30 "and the other way round" is_sorted -n
keys i
within 30 "and back" is_sorted -n -r

# The task at the top is a running one.
keys Down Enter
within 30 "a task's page" shows 'Poll Times Percentiles'
within 30 "with its histogram" shows '│p50: [0-9.]+(ns|µs|ms)'
within 30 "and where it was spawned" shows 'Location: examples/src/bin/checkout/'
keep task
keys Escape

keys Space
within 30 "it pauses" shows 'CONNECTED\) PAUSED'
# Messages that were under way have arrived.
sleep 1
look
listed > "$out/paused"
sleep 2.5
look
listed | cmp -s - "$out/paused" || fail "polls go on while it is paused"
keys Space
within 30 "it goes on" hides 'PAUSED'
moved() { look && ! listed | cmp -s - "$out/paused"; }
within 30 "with new numbers" moved

ask "http://$shop/chaos/lost-waker" > /dev/null
within 30 "a lost waker is warned of" shows '1 tasks have lost their wakers'
ask "http://$shop/chaos/spin" > /dev/null
within 30 "a task that never yields is warned of" shows '1 tasks have never yielded'
keep warnings

stop_service
# While the client waits for a connection it draws only after a key is pressed.
misses_the_shop() { keys k && shows 'RECONNECTING'; }
within 30 "the shop is gone" misses_the_shop
start_shop "$address"
within 60 "it is attached again" shows '\(CONNECTED\)'
within 60 "to the new shop" lies_between 15 idle
keep again
detach
stop_service

start_states
attach
within 30 "each of them" shows ' selfish '
echo >&3
within 30 "its worker is stuck" grep -q stalled "$out/stdout"
within 60 "what runs, what is scheduled and what is idle lies between two dumps" lies_between 8 running scheduled idle
for warning in 'woken themselves over 50% of the time' 'lost their wakers' 'boxed by the runtime due to their size' \
    'are 1024 bytes or larger'; do
    within 30 "a warning" shows "1 tasks (have |have been )?$warning"
done
keep states
# Long enough for the client to call it a task that never yields, unless it was polled before; and long enough for the next
# checks.
sleep 3
echo >&3
within 30 "it goes on" shows ' ready .* task '
# Its scheduled time is kept after it has ended.
within 60 "and each value still lies between two dumps" lies_between 8 idle
within 10 "with the time that one was scheduled for" shows ' ready +[0-9ms]+ +[0-9.]+(ns|µs|ms) +([3-9]|[1-9][0-9])s '
keep scheduled
chooses_ready() { keys Down && shows '>>.* ready '; }
within 30 "it is chosen" chooses_ready
keys Enter
within 30 "its page" shows 'Sched Times Percentiles'
echo >&3
sleep 1
echo >&3
within 30 "with how long it was scheduled" shows '│p50: [0-9.]+s'
keep ready
detach
exec 3>&-
stop_service

start_bank
attach
within 30 "its tasks are there" shows 'resources\.rs:[0-9]+'
keys r
within 30 "its counters among the resources" shows 'Semaphore .*console/examples/resources\.rs:[0-9]+'
keep resources
# The oldest tasks first, so that short tasks are below.
keys i
chooses_the_counters() { keys Down && shows '>>.* Semaphore .*resources\.rs'; }
within 30 "the counters are chosen" chooses_the_counters
keys Enter
within 30 "the counters' page" shows 'Type: .*Semaphore'
# Two of its twelve customers are served. The others wait several seconds each, with one operation each.
waiting() { look && [ "$(grep -cE 'Semaphore::acquire .* permits_obtained=0 ' "$out/screen")" -ge 10 ]; }
within 30 "with the ten who wait for one" waiting
keep resource

[ ! -s "$out/stderr" ] || fail "a service complained"
echo "console.sh: ${SECONDS} s"
