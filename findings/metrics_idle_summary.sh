#!/usr/bin/env bash
# metrics-exporter-prometheus 0.18.3 with metrics 0.24.6, `histogram!`: the quantiles of a time in which nothing was recorded.
#
# Guess: without buckets a histogram is a summary of the last 60 s. When there is no value in these there is no quantile: it is NaN, as
# Prometheus' own clients have it, or its line is missing.
# Reality: it is 0, all of them, from the smallest to the largest. The window is shortened from 60 s to 0.6 s here:
#
#     the page is read                       quantile 0    0.5      0.99     1        _sum    _count
#     after 50 values from 0.2 to 0.396      0.2           0.296    0.392    0.396    14.9    50
#     1 s later                              0             0        0        0        14.9    50
#
# Why it matters: an average over replicas, or over a day, has the quiet times as the fastest of all. A service that is stuck, or to which no
# request comes through, has the best latency that it ever had, and an alert on the latency is resolved by the outage. A dashboard draws a
# line at 0, not a gap. Buckets (`set_buckets`) have rates of 0 then, whose quantile is NaN.
set -euo pipefail
command -v cargo > /dev/null || { echo "metrics_idle_summary.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p idle/src
cat > idle/Cargo.toml <<'TOML'
[package]
name = "idle"
version = "0.0.0"
edition = "2024"
[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
[workspace]
TOML
cat > idle/src/main.rs <<'RS'
use metrics::{histogram, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::thread::sleep;
use std::time::Duration;

fn main() {
    let builder = PrometheusBuilder::new().set_bucket_duration(Duration::from_millis(200)).unwrap();
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    with_local_recorder(&recorder, || for number in 0..50 { histogram!("latency").record(0.2 + f64::from(number) / 250.0) });
    for when in ["at once", "later"] {
        handle.run_upkeep();
        for line in handle.render().lines().filter(|line| line.starts_with("latency")) { println!("{when}: {line}") }
        sleep(Duration::from_secs(1));
    }
}
RS
cargo run --quiet --manifest-path idle/Cargo.toml --target-dir target > seen
cat seen
grep -c 'at once: latency{quantile="[0-9.]*"} 0\.[23]' seen | diff - <(echo 7) || { echo "changed: the quantiles of the values" >&2; exit 1; }
grep -c 'later: latency{quantile="[0-9.]*"} 0$' seen | diff - <(echo 7) || { echo "changed: quantiles of nothing are no longer 0" >&2; exit 1; }
