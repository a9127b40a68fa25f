#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12's), a page of metrics on which a series stands twice.
#
# Guess: the scrape fails, as it does for one line that cannot be parsed: `up` is 0 and `lastError` says why. At least the counter
# prometheus_target_scrapes_sample_duplicate_timestamp_total and a warning tell of it, and `promtool check metrics` refuses the page.
# Reality: `up` is 1, the first of the two is stored, and nothing tells of the other: no error, no log line, that counter stays 0, and
# promtool has no complaint. The same for a series without a label beside one whose label is empty:
#
#     on the page                              scrape_samples_scraped    stored
#     a_total{x="1"} 5, a_total{x="1"} 7       2                         5
#     {x="1",y="2"} 5, {y="2",x="1"} 7         2                         5
#     a_total 5, a_total{x=""} 7               2                         5
#     5 and 7 change places at each scrape     2                         5 7 5 7 ..., a reset at every second scrape
#
# OpenMetrics is taken in the same way.
#
# Why it matters: equal labels happen where texts are shortened or left empty: two spawn sites on one line of a macro, paths without
# their folders, a task without a name. The events of one of the two are missing, and no metric of Prometheus says so. Where the
# order changes between scrapes the counter resets all the time, and `increase` reports more events than there were. The
# writer has to add such series up.
set -euo pipefail
for needed in prometheus promtool python3; do
    command -v "$needed" > /dev/null || { echo "prometheus_duplicate_sample.sh: needs $needed (Debian: prometheus)" >&2; exit 2; }
done
work=$(mktemp -d)
pages=
prometheus=
trap '[ -z "$pages" ] || kill "$pages"; [ -z "$prometheus" ] || { kill "$prometheus"; wait "$prometheus" || true; }; rm -rf "$work"' EXIT
cd "$work"
prometheus --version | sed -n 1p

cat > pages.py <<'PY'
import http.server, itertools, sys

head = "# HELP a_total Events.\n# TYPE a_total counter\n"
first, second = 'a_total{x="1"} 5\n', 'a_total{x="1"} 7\n'
fixed = {
    "/twice": head + first + second,
    "/order": head + 'a_total{x="1",y="2"} 5\na_total{y="2",x="1"} 7\n',
    "/empty": head + 'a_total 5\na_total{x=""} 7\n',
    "/open": head.replace("a_total", "a") + first + second + "# EOF\n",
    "/unreadable": head + first + 'a_total{x="2"} five\n',
}
if len(sys.argv) > 1:
    sys.exit(print(fixed["/" + sys.argv[1]], end=""))
scrapes = itertools.count()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        turned = self.path == "/turns" and next(scrapes) % 2
        page = fixed.get(self.path) or head + (second + first if turned else first + second)
        kind = "application/openmetrics-text; version=1.0.0" if self.path == "/open" else "text/plain; version=0.0.4"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
for page in twice order empty; do
    python3 pages.py "$page" | promtool check metrics || { echo "changed: promtool refuses $page" >&2; exit 1; }
done
python3 pages.py > port &
pages=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
listen=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
{
    echo 'global: { scrape_interval: 1s }'
    echo 'scrape_configs:'
    for page in twice order empty open turns unreadable; do
        echo "  - { job_name: $page, metrics_path: /$page, static_configs: [ { targets: [ '127.0.0.1:$(cat port)' ] } ] }"
    done
} > prometheus.yml
prometheus --config.file=prometheus.yml --storage.tsdb.path="$work/data" --web.listen-address="$listen" > log 2>&1 &
prometheus=$!

cat > ask.py <<'PY'
import json, sys, time, urllib.parse, urllib.request

def ask(query):
    url = f"http://{sys.argv[1]}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    return {row["metric"].get("job"): row["value"][1] for row in json.load(urllib.request.urlopen(url))["data"]["result"]}

for _ in range(60):
    time.sleep(1)
    try:
        if int(ask("min(count_over_time(up[2m]))").get(None, 0)) >= 10:
            break
    except OSError:
        pass
up, scraped, stored = ask("up"), ask("scrape_samples_scraped"), ask("a_total")
series = ask("count by (job) (a_total)")
for page in ("twice", "order", "empty", "open"):
    print(page, "up", up[page], "scraped", scraped[page], "series", series[page], "stored", stored[page])
print("turns up", up["turns"], "resets", "many" if float(ask("resets(a_total[2m])")["turns"]) >= 3 else "few")
print("unreadable up", up["unreadable"])
text = urllib.request.urlopen(f"http://{sys.argv[1]}/metrics").read().decode()
print(*(line for line in text.splitlines() if line.startswith("prometheus_target_scrapes_sample_duplicate_timestamp_total")))
PY
python3 ask.py "$listen" | tee seen
cat > expected <<'TXT'
twice up 1 scraped 2 series 1 stored 5
order up 1 scraped 2 series 1 stored 5
empty up 1 scraped 2 series 1 stored 5
open up 1 scraped 2 series 1 stored 5
turns up 1 resets many
unreadable up 0
prometheus_target_scrapes_sample_duplicate_timestamp_total 0
TXT
diff expected seen || { echo "changed" >&2; exit 1; }
! grep -E 'level=(warn|error).*scrape' log || { echo "changed: the log tells of it" >&2; exit 1; }
