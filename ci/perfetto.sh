#!/usr/bin/env bash
# Prints the path of a Python with Perfetto's own messages, with which the tests read our files for Perfetto; installs it
# under target/ if it is missing.
#
#     PYTHON=$(bash ci/perfetto.sh)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/venv.sh"

version=0.59.1
python=$root/target/perfetto-venv/bin/python
installed() {
    [ -x "$python" ] && "$python" -c "from importlib.metadata import version as v; assert v('perfetto') == '$version'" 2>/dev/null
}
venv perfetto-venv "perfetto $version" "perfetto==$version" protobuf==7.36.2
echo "$python"
