#!/usr/bin/env bash
# CPU profiles of criterion's benchmarks, with criterion itself: builds examples/criterion, runs it as a user would, and
# checks with `go tool pprof` which functions each benchmark's profile has.
#
# Run by hand, as the build takes a minute and a half of CPU time. The tests check the same with a trait like criterion's.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${PROBE_TEST_GO:-$(bash ci/go.sh)}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/criterion-example
began=$SECONDS
export CARGO_TARGET_DIR=$target RUSTFLAGS=
cargo bench --quiet --locked --manifest-path examples/criterion/Cargo.toml --no-run
echo "criterion.sh: built in $((SECONDS - began)) s"
rm -rf "$target/criterion"
cargo bench --quiet --locked --manifest-path examples/criterion/Cargo.toml -- --profile-time 2

for name in total bargains; do
    profile=$target/criterion/$name/profile/cpu.pb.gz
    top=$(GOTOOLCHAIN=local "$go" tool pprof -top -cum "$profile" 2> /dev/null)
    # At 100 samples a second, more than half of two seconds.
    awk -v wanted="criterion_example::$name" '
        index($0, wanted) { if ($5 + 0 > 50) found = 1 }
        END { exit !found }' <<< "$top" || {
        echo "criterion.sh: the profile of $name does not name it:" >&2
        echo "$top" >&2
        exit 1
    }
done
echo "criterion.sh: each benchmark's profile names its function"
