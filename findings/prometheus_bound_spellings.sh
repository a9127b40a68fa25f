#!/usr/bin/env bash
# prometheus 0.14.0, prometheus-client 0.26.0 and metrics-exporter-prometheus 0.18.3 (crates), and Python's client 0.26.0: the label `le` of
# one bucket bound has up to four spellings, and a query by `le` misses services.
#
# Guess: `le` is a number, so the bucket up to a second is `le="1"` or `le="1.0"` in all, or Prometheus makes one of the two. A share of fast
# requests, bucket by count, is right over services of any library.
# Reality: `le` is a label, and labels are text. prometheus-client has two of it, by the format that the scraper asks for:
#
#     bound       prometheus,    prometheus-client    prometheus-client    Python's client
#                 metrics-...    as OpenMetrics       as text
#     0.000005    0.000005       0.000005             5e-06                5e-06
#     0.25        0.25           0.25                 0.25                 0.25
#     1           1              1.0                  1                    1.0
#     10          10             10.0                 10                   10.0
#     10^9        1000000000     1000000000.0         1e+09                1e+09
#
# Prometheus 2.42.0 keeps them as they are. Two services, of which each answers 100 requests a scrape, all within a second:
#
#     sum(rate(took_bucket{le="1"}[1m])) / sum(rate(took_count[1m]))            0.5
#     sum(rate(took_bucket{le=~"1|1[.]0"}[1m])) / sum(rate(took_count[1m]))     1
#     count(sum by (le) (rate(took_bucket[1m])))                                3 rather than 2
#     histogram_quantile(0.9, sum by (le) (rate(took_bucket[1m])))              0.9, right: there the bound is a number
#
# Why it matters: an objective "99 % within a second" halves as soon as the second service is written with the other crate, or a service moves from
# one to the other, with no error anywhere, or when a proxy or an agent asks for text where Prometheus asked for OpenMetrics; dashboards of
# quantiles go on being right. A bound like 0.25 hides it in the test. A selector has to name all spellings, or the scrape has to rename them.
set -euo pipefail
for needed in cargo promtool python3; do
    command -v "$needed" > /dev/null || { echo "prometheus_bound_spellings.sh: needs $needed (promtool is in Debian's prometheus)" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
promtool --version | sed -n 1p
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prometheus_client==0.26.0

mkdir -p bounds/src
cat > bounds/Cargo.toml <<'TOML'
[package]
name = "bounds"
version = "0.0.0"
edition = "2024"
[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
prometheus = { version = "=0.14.0", default-features = false }
prometheus-client = "=0.26.0"
[workspace]
TOML
cat > bounds/src/main.rs <<'RS'
use metrics_exporter_prometheus::PrometheusBuilder;

const BOUNDS: [f64; 5] = [0.000005, 0.25, 1.0, 10.0, 1e9];

fn prometheus() -> String {
    let options = prometheus::HistogramOpts::new("took", "Durations.").buckets(BOUNDS.to_vec());
    let registry = prometheus::Registry::new();
    registry.register(Box::new(prometheus::Histogram::with_opts(options).unwrap())).unwrap();
    prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

fn prometheus_client(encode: impl Fn(&mut String, &prometheus_client::registry::Registry) -> std::fmt::Result) -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register("took", "Durations", prometheus_client::metrics::histogram::Histogram::new(BOUNDS));
    let mut page = String::new();
    encode(&mut page, &registry).unwrap();
    page
}

fn metrics() -> String {
    let recorder = PrometheusBuilder::new().set_buckets(&BOUNDS).unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics::histogram!("took").record(1.0));
    recorder.handle().render()
}

fn main() {
    use prometheus_client::encoding::{prometheus_text, text};
    let pages = [
        ("prometheus", prometheus()),
        ("prometheus-client", prometheus_client(text::encode::<String>)),
        ("prometheus-client, text", prometheus_client(prometheus_text::encode::<String>)),
        ("metrics", metrics()),
    ];
    for (name, page) in pages {
        let bounds = page.lines().filter_map(|line| line.strip_prefix("took_bucket{le=\"")?.split('"').next());
        println!("{name}: {}", bounds.collect::<Vec<_>>().join(" "));
    }
}
RS
cat > bounds.py <<'PY'
import prometheus_client, re

registry = prometheus_client.CollectorRegistry()
prometheus_client.Histogram("took", "Durations.", buckets=[0.000005, 0.25, 1, 10, 1e9], registry=registry)
page = prometheus_client.generate_latest(registry).decode()
print("python:", *re.findall(r'^took_bucket\{le="([^"]*)"', page, re.M))
PY
{
    cargo run --quiet --manifest-path bounds/Cargo.toml --target-dir target
    venv/bin/python bounds.py
} > seen

fast() { echo "sum(rate(took_bucket{$1}[1m])) / sum(rate(took_count[1m]))"; }
{
    echo 'evaluation_interval: 15s'
    echo 'tests:'
    echo '  - interval: 15s'
    echo '    input_series:'
    for series in 'one _bucket 1' 'one _bucket +Inf' 'other _bucket 1.0' 'other _bucket +Inf'; do
        read -r service end le <<< "$series"
        echo "      - { series: 'took$end{service=\"$service\",le=\"$le\"}', values: '0+100x10' }"
    done
    for service in one other; do echo "      - { series: 'took_count{service=\"$service\"}', values: '0+100x10' }"; done
    echo '    promql_expr_test:'
    for expression in "$(fast 'le="1"')" "$(fast 'le=~"1|1[.]0"')" 'count(sum by (le) (rate(took_bucket[1m])))' \
        'round(histogram_quantile(0.9, sum by (le) (rate(took_bucket[1m]))), 0.001)'; do
        echo "      - { expr: '$expression', eval_time: 150s, exp_samples: [] }"
    done
} > rules.yml
# No sample is expected, so that promtool says what there is.
promtool test rules rules.yml 2>&1 | sed -nE 's/^ *got: *"?([^"]*)"?/\1/p' >> seen || true
cat seen
diff seen - <<'TXT' || { echo "changed: the bounds are written, or compared, in another way" >&2; exit 1; }
prometheus: 0.000005 0.25 1 10 1000000000 +Inf
prometheus-client: 0.000005 0.25 1.0 10.0 1000000000.0 +Inf
prometheus-client, text: 5e-06 0.25 1 10 1e+09 +Inf
metrics: 0.000005 0.25 1 10 1000000000 +Inf
python: 5e-06 0.25 1.0 10.0 1e+09 +Inf
{} 5E-01
{} 1E+00
{} 3E+00
{} 9E-01
TXT
