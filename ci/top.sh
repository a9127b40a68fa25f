#!/usr/bin/env bash
# `runtime-dump top` and `watch` on a terminal of tmux, on the shop of the README; the script reads their screens. The
# screens stay in target/top.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo build --quiet -p examples --bin checkout
cargo build --quiet -p runtime-dump-cli
. ci/terminal.sh

: > "$out/stdout"
"$target/debug/checkout" --listen 127.0.0.1:0 --probe 127.0.0.1:0 > "$out/stdout" 2> "$out/stderr" &
service_pid=$!
is_open() {
    read -r shop probe < <(shop_and_probe) && [ -n "$probe" ]
}
within 30 "the shop is open" is_open

ask() { curl --silent --show-error --fail --max-time 20 "$@" > /dev/null; }

tmux -u -S "$server" -f /dev/null new-session -d -x 160 -y 40 "LANG=C.UTF-8 TERM=xterm PS1='ready> ' bash --norc"
within 30 "a shell" shows '^ready>'
run() { keys "'$target/debug/runtime-dump' $*" Enter; }

run top "$probe" --every 1s
within 30 "tasks, and what they wait for" shows '^ *[0-9.]+% +[0-9.]+ +(sleep|select|IO wait) .*checkout::'
within 30 "their number by state" shows ', by busy: [0-9]+ tasks: .*[0-9]+ waiting; [0-9.]+s'
keep tasks
ask "http://$shop/chaos/spin"
within 60 "the task that spins is the first" shows '^ *(9[0-9]|100)\.[0-9]% +[0-9.]+ +running .*checkout::chaos::'
keep spin
keys s
within 30 "another order" shows ', by polls: '
keys t
within 60 "sites, with times" shows '^ *[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9.]+(us|ms) .*checkout/load\.rs:[0-9]+'
keep sites
keys q
within 30 "q gives the terminal back" hides 'POLLS/S'
within 30 "and the shell its prompt" shows '^ready>'
ask --max-time 40 "http://$shop/chaos/off"

run watch "$probe" --every 200ms
ask "http://$shop/chaos/leak"
within 30 "looks" shows ': [0-9]+ looks, [0-9]+ sites, [0-9]+ grow'
grows() { ask "http://$shop/chaos/leak" && shows '\+[0-9.]+ +[ .:=+*#%@-]+ +grows +checkout::chaos::refund_when_approved '; }
within 60 "the leak grows" grows
keep watch
keys C-c
within 30 "ctrl-c gives the terminal back" hides 'IN A MINUTE'
keys "echo it is \$(stty -a | grep -c ' echo ')" Enter
within 30 "with its echo" shows '^it is 1$'

"$target/debug/runtime-dump" top "$probe" --every 500ms > "$out/screen" || fail "top without a terminal"
grep -q 'POLLS/S' "$out/screen" && ! grep -q $'\x1b' "$out/screen" || fail "a table without escapes"
echo "top.sh: ${SECONDS} s"
