#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12's), a page of metrics whose connection ends in the middle of its last number.
#
# Guess: a page that is cut off is no page. `up` is 0 and nothing is stored, as for a line that cannot be parsed; a line of the text format
# ends in a line feed, and `promtool check metrics` refuses a page without the last one.
# Reality: where neither a length nor chunks say how long the page is, the digits that have come are the value. `up` is 1, without an error.
# The last line of the page is `b_total 12345`, of which ` b_total 123` was sent:
#
#     the page is sent with                    up    b_total
#     no length, complete                      1     12345
#     no length, cut                           1     123
#     Content-Length, cut                      0
#     chunks, cut                              0
#     no length, cut, as OpenMetrics           0
#
# Why it matters: a response that ends with its connection is what small servers of one's own and Python's `http.server` send. A process that
# is killed or runs into a time limit while it sends cuts it, which is when one looks at the figures. A counter that falls from 12345
# to 123 is a reset, and at the next scrape `increase` has all 12345 again. Send a length or chunks.
set -euo pipefail
for needed in prometheus promtool python3; do
    command -v "$needed" > /dev/null || { echo "prometheus_cut_page.sh: needs $needed (Debian: prometheus)" >&2; exit 2; }
done
work=$(mktemp -d)
pages=
prometheus=
trap '[ -z "$pages" ] || kill "$pages"; [ -z "$prometheus" ] || { kill "$prometheus"; wait "$prometheus" || true; }; rm -rf "$work"' EXIT
cd "$work"
prometheus --version | sed -n 1p

cat > pages.py <<'PY'
import socket

PAGE = b"# HELP a_total A.\n# TYPE a_total counter\na_total 1\n# HELP b_total B.\n# TYPE b_total counter\nb_total 12345\n"
CUT = PAGE[:-3]
TEXT, OPEN = b"text/plain; version=0.0.4", b"application/openmetrics-text; version=1.0.0"
answers = {
    b"/complete": (TEXT, b"Connection: close", PAGE),
    b"/cut": (TEXT, b"Connection: close", CUT),
    b"/length": (TEXT, b"Content-Length: %d" % len(PAGE), CUT),
    b"/chunks": (TEXT, b"Transfer-Encoding: chunked", b"%x\r\n%s" % (len(PAGE), CUT)),
    b"/open": (OPEN, b"Connection: close", CUT.replace(b" a_total ", b" a ", 2).replace(b" b_total ", b" b ", 2)),
}
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
print(server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept()
    request = client.recv(65536)
    if request:
        kind, framing, body = answers[request.split()[1]]
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n" + framing + b"\r\n\r\n" + body)
    client.close()
PY
python3 pages.py > port &
pages=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
listen=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
{
    echo 'global: { scrape_interval: 1s }'
    echo 'scrape_configs:'
    for page in complete cut length chunks open; do
        echo "  - { job_name: $page, metrics_path: /$page, static_configs: [ { targets: [ '127.0.0.1:$(cat port)' ] } ] }"
    done
} > prometheus.yml
prometheus --config.file=prometheus.yml --storage.tsdb.path="$work/data" --web.listen-address="$listen" > log 2>&1 &
prometheus=$!

cat > ask.py <<'PY'
import json, sys, time, urllib.parse, urllib.request

def ask(query):
    url = f"http://{sys.argv[1]}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    return {row["metric"]["job"]: row["value"][1] for row in json.load(urllib.request.urlopen(url))["data"]["result"]}

for _ in range(60):
    time.sleep(1)
    try:
        up = ask("up")
    except OSError:
        continue
    if len(up) == 5:
        break
time.sleep(2)
up, b = ask("up"), ask("b_total")
for job in ("complete", "cut", "length", "chunks", "open"):
    print(job, "up", up[job], "b_total", b.get(job, "none"))
PY
python3 ask.py "$listen" > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a page that is cut off is refused, or taken" >&2; exit 1; }
complete up 1 b_total 12345
cut up 1 b_total 123
length up 0 b_total none
chunks up 0 b_total none
open up 0 b_total none
TXT
if printf '# HELP b_total B.\n# TYPE b_total counter\nb_total 123' | promtool check metrics 2> /dev/null; then
    echo "changed: promtool takes a page without the last line feed" >&2
    exit 1
fi
