#!/usr/bin/env bash
# Prints the path of a Python that has Perfetto's own messages, with which the tests read our files for Perfetto; installs it
# under target/ if need be.
#
#     PYTHON=$(bash ci/perfetto.sh)
set -euo pipefail

version=0.59.1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/target/perfetto-venv
python=$venv/bin/python

installed() {
    [ -x "$python" ] && "$python" -c "from importlib.metadata import version as v; assert v('perfetto') == '$version'" 2>/dev/null
}

if ! installed; then
    mkdir -p "$root/target"
    exec 9>"$root/target/perfetto-venv.lock"
    flock 9 # Two that start together install once.
    if ! installed; then
        python3 -m venv --clear "$venv" >&2
        "$venv/bin/pip" install --quiet --disable-pip-version-check "perfetto==$version" protobuf==7.36.2 >&2
    fi
    installed || { echo "perfetto.sh: $python has no perfetto $version" >&2; exit 1; }
fi
echo "$python"
