#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12's): an alert with `for`, and one scrape that fails.
#
# Guess: a value is good for five minutes (`--query.lookback-delta`), so one scrape that is missing changes nothing: the expression
# `queue_depth > 10` goes on being true by the last value, and the alert stays.
# Reality: a scrape that fails marks all series of its target as gone, at once. The expression has no result then, the alert is resolved, or
# its `for` begins anew. A value that is only absent from a good page is marked so, too; only a scrape that never took place, as while
# Prometheus is restarted, is bridged. Scraped and evaluated each second, the alert for 3 s, the queue always 50 long:
#
#     scrapes               states of the alert, second by second
#     all good              pending pending pending firing firing firing firing firing firing firing ...
#     each sixth fails      pending pending pending firing firing none pending pending pending firing firing none ...
#     each third fails      pending pending none pending pending none ..., it never fires
#     the same, with `max_over_time(queue_depth[1m]) > 10`: firing all the time
#
# Why it matters: a service that is overloaded answers late, to Prometheus as to others, so the scrape runs into its limit just when the alert on
# the overload should fire. With `for: 5m` and a failed scrape every four minutes it never does; one that fires is resolved and fires again,
# a message each time. `up` is 0 for a moment only, too short for its own alert. Write `max_over_time(queue_depth[2m]) > 10`, or set
# `keep_firing_for`, and keep the page cheap.
set -euo pipefail
for tool in prometheus python3; do
    command -v $tool > /dev/null || { echo "prometheus_failed_scrape.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
pages=
prometheus=
trap '[ -z "$pages" ] || kill "$pages"; [ -z "$prometheus" ] || { kill "$prometheus"; wait "$prometheus" || true; }; rm -rf "$work"' EXIT
cd "$work"
prometheus --version | sed -n 1p

# The path says which of the scrapes fail: /3 each third one, /0 none.
cat > pages.py <<'PY'
import http.server

scrapes = {}

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        every = int(self.path[1:])
        scrapes[every] = scrapes.get(every, 0) + 1
        body = b"queue_depth 50\n"
        self.send_response(503 if every and scrapes[every] % every == 0 else 200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 pages.py > port &
pages=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
listen=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > rules.yml <<'YML'
groups:
  - name: shop
    rules:
      - { alert: QueueIsLong, expr: queue_depth > 10, for: 3s }
      - { alert: MostOfMinute, expr: 'max_over_time(queue_depth[1m]) > 10', for: 3s }
YML
{
    echo 'global: { scrape_interval: 1s, evaluation_interval: 1s }'
    echo 'rule_files: [ rules.yml ]'
    echo 'scrape_configs:'
    for every in 0 6 3; do
        echo "  - { job_name: each$every, metrics_path: /$every, static_configs: [ { targets: [ '127.0.0.1:$(cat port)' ] } ] }"
    done
} > prometheus.yml
prometheus --config.file=prometheus.yml --storage.tsdb.path="$work/data" --web.listen-address="$listen" > log 2>&1 &
prometheus=$!

cat > ask.py <<'PY'
import json, sys, time, urllib.parse, urllib.request

def ask(**query):
    url = f"http://{sys.argv[1]}/api/v1/query_range?" + urllib.parse.urlencode({"step": 1, **query})
    return json.load(urllib.request.urlopen(url))["data"]["result"]

time.sleep(40)
end = int(time.time()) - 2
times = range(end - 27, end + 1)
states = {}
for row in ask(query="ALERTS", start=times[0], end=end):
    metric = row["metric"]
    for at, _ in row["values"]:
        states[metric["alertname"], metric["job"], int(at)] = metric["alertstate"]
for alert in ("QueueIsLong", "MostOfMinute"):
    for job in ("each0", "each6", "each3"):
        line = [states.get((alert, job, at), "none") for at in times]
        print(alert, job, *(state[0] for state in line))
        print(alert, job, "fires:", "firing" in line, "stays:", set(line) == {"firing"}, file=sys.stderr)
PY
python3 ask.py "$listen" 2> seen
cat seen
diff seen - <<'TXT' || { echo "changed: what a failed scrape does to an alert" >&2; exit 1; }
QueueIsLong each0 fires: True stays: True
QueueIsLong each6 fires: True stays: False
QueueIsLong each3 fires: False stays: False
MostOfMinute each0 fires: True stays: True
MostOfMinute each6 fires: True stays: True
MostOfMinute each3 fires: True stays: True
TXT
