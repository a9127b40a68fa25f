#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12's): an exemplar at a gauge, a sum or a count makes the whole page of OpenMetrics unreadable.
#
# Guess: an exemplar is a remark at the end of a line. Prometheus stores exemplars only with `--enable-feature=exemplar-storage`; one that it does not
# want it skips, and the sample counts.
# Reality: at a counter (`_total`) and a bucket (`_bucket`) it is so. At any other sample it makes the page unreadable, also without that
# feature: `up` is 0, no sample of the page is stored, and the other series of the target go stale. One that is too long is skipped:
#
#     the exemplar is at                    up    stored of the page's samples    exemplars, with the feature
#     a counter                             1     all                             1
#     a bucket of a histogram               1     all                             1
#     a counter, 200 characters long        1     all                             0
#     _sum, or _count, of a histogram       0     none                            0
#     a gauge                               0     none                            0
#     a quantile of a summary               0     none                            0
#
# The same page as plain text, where `#` after a value is no comment, is unreadable as well.
#
# Why it matters: a trace id at the gauge of tasks in flight, or at the sum of a histogram, is one line, and takes all metrics of the service away,
# those that the alerts are about as well. It depends on what the scraper accepts, as the page of a library is text for `curl` and OpenMetrics for
# Prometheus; so no look at it shows it. lastError on Prometheus's page of targets names the metric.
set -euo pipefail
for needed in prometheus python3; do
    command -v "$needed" > /dev/null || { echo "prometheus_exemplar_of_gauge.sh: needs $needed (Debian: prometheus)" >&2; exit 2; }
done
work=$(mktemp -d)
started=()
trap 'for pid in "${started[@]}"; do kill "$pid"; wait "$pid" || true; done 2> /dev/null; rm -rf "$work"' EXIT
cd "$work"
prometheus --version | sed -n 1p

cat > server.py <<'PY'
import http.server, sys

EXEMPLAR = ' # {trace_id="4bf92f35"} 1.0'
LONG = ' # {note="%s"} 1.0' % ("x" * 200)
KINDS = {
    "counter": ("counter", {"_total": EXEMPLAR}),
    "long": ("counter", {"_total": LONG}),
    "bucket": ("histogram", {'_bucket{le="+Inf"}': EXEMPLAR, "_count": "", "_sum": ""}),
    "count": ("histogram", {'_bucket{le="+Inf"}': "", "_count": EXEMPLAR, "_sum": ""}),
    "sum": ("histogram", {'_bucket{le="+Inf"}': "", "_count": "", "_sum": EXEMPLAR}),
    "gauge": ("gauge", {"": EXEMPLAR}),
    "quantile": ("summary", {'{quantile="0.5"}': EXEMPLAR, "_count": "", "_sum": ""}),
    "text": ("gauge", {"": EXEMPLAR}),
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        kind, samples = KINDS[name]
        page = "# TYPE other gauge\nother 1\n" + f"# TYPE m {kind}\n" + "".join(f"m{end} 1{exemplar}\n" for end, exemplar in samples.items())
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4" if name == "text" else "application/openmetrics-text; version=1.0.0")
        self.end_headers()
        self.wfile.write((page if name == "text" else page + "# EOF\n").encode())

    def log_message(self, *_):
        pass

if len(sys.argv) > 1:
    sys.exit(print("\n".join(KINDS)))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
python3 server.py > port &
started+=($!)
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
{
    echo 'global: { scrape_interval: 1s }'
    echo 'scrape_configs:'
    for page in $(python3 server.py list); do
        echo "  - { job_name: $page, metrics_path: /$page, static_configs: [ { targets: [ '127.0.0.1:$(cat port)' ] } ] }"
    done
} > prometheus.yml

cat > ask.py <<'PY'
import json, sys, time, urllib.parse, urllib.request

def ask(path, **parameters):
    url = f"http://{sys.argv[1]}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
    return json.load(urllib.request.urlopen(url))["data"]

pages = sys.argv[2:]
for _ in range(60):
    time.sleep(1)
    try:
        up = {row["metric"]["job"]: row["value"][1] for row in ask("query", query="up")["result"]}
        if len(up) == len(pages):
            break
    except OSError:
        pass
time.sleep(3)
stored = {row["metric"]["job"]: row["value"][1] for row in ask("query", query='count by (job) ({__name__=~"m.*|other"})')["result"]}
exemplars = {}
for series in ask("query_exemplars", query='{__name__=~"m.*"}', start=0, end=int(time.time()) + 60) or []:
    exemplars[series["seriesLabels"]["job"]] = len(series["exemplars"])
for page in pages:
    print(f"{page}: up {up[page]} stored {stored.get(page, 0)} exemplars {exemplars.get(page, 0)}")
PY
for feature in on off; do
    flags=()
    [ $feature = off ] || flags=(--enable-feature=exemplar-storage)
    listen=127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    prometheus --config.file=prometheus.yml --storage.tsdb.path="$work/$feature" --web.listen-address="$listen" "${flags[@]}" > "log-$feature" 2>&1 &
    started+=($!)
    # shellcheck disable=SC2046
    python3 ask.py "$listen" $(python3 server.py list) | sed "s/^/$feature /"
done > seen
cat seen
for feature in on off; do
    one=1
    [ $feature = on ] || one=0
    printf '%s\n' "counter: up 1 stored 2 exemplars $one" 'long: up 1 stored 2 exemplars 0' "bucket: up 1 stored 4 exemplars $one"
    for page in count sum gauge quantile text; do echo "$page: up 0 stored 0 exemplars 0"; done
done | awk 'NR <= 8 { print "on " $0 } NR > 8 { print "off " $0 }' > expected
diff expected seen || { echo "changed: an exemplar has another effect" >&2; exit 1; }
