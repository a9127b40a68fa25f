#!/usr/bin/env bash
# metrics-exporter-prometheus 0.18.3 with metrics 0.24.6, `histogram!`: which values are in the quantiles after a quiet minute.
#
# Guess: without buckets a histogram is a summary of the last 60 s: its quantiles are of all values that were recorded in these, as its
# `_count` and `_sum` are of all values ever.
# Reality: values lie in blocks of 64 until a scrape, or the upkeep every 5 s, takes them, the last block first. Where there is no window yet,
# it begins with the first value of that block; all values before it are too old, and in no quantile. There is no window at the start,
# and after 60 s without a value. The values 1 to N in this order, and then the page:
#
#     N                               quantile 0    0.5    1       _count
#     64                              1             32     64      64
#     100                             65            82     100     100
#     1000                            961           980    1000    1000
#     1000, the upkeep after each 50  1             500    1000    1000
#     100, in a window that is there  1             50     100     101
#     100, the window being over      65            82     100     201
#
# Why it matters: jobs, nightly batches and services with little traffic record hundreds of values after a quiet minute. The quantiles are
# of the last 1 to 64 of them. A slow beginning, cold caches, the first connection, is what is left out; the maximum is not the
# maximum. `_sum / _count` and the quantiles contradict each other, and in a load test, which never pauses, they agree. Buckets
# (`set_buckets`) have all values.
set -euo pipefail
command -v cargo > /dev/null || { echo "metrics_summary_last_block.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p last/src
cat > last/Cargo.toml <<'TOML'
[package]
name = "last"
version = "0.0.0"
edition = "2024"
[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
[workspace]
TOML
cat > last/src/main.rs <<'RS'
use metrics::{histogram, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

fn say(what: &str, handle: &PrometheusHandle) {
    let page = handle.render();
    let value = |series: &str| -> f64 {
        page.lines().find_map(|line| line.strip_prefix(series)).unwrap().trim().parse().unwrap()
    };
    let quantile = |quantile: &str| value(&format!("latency{{quantile=\"{quantile}\"}}")).round();
    println!("{what}: {} {} {} count {}", quantile("0"), quantile("0.5"), quantile("1"), value("latency_count"));
}

fn values(last: u32, upkeep_every: u32) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    with_local_recorder(&recorder, || for value in 1..=last {
        histogram!("latency").record(value);
        if value % upkeep_every == 0 { handle.run_upkeep() }
    });
    say(&format!("{last} upkeep after {upkeep_every}"), &handle);
}

fn main() {
    values(64, 10_000);
    values(100, 10_000);
    values(1000, 10_000);
    values(1000, 50);

    let recorder = PrometheusBuilder::new().set_bucket_duration(Duration::from_millis(200)).unwrap().build_recorder();
    let handle = recorder.handle();
    let record = || with_local_recorder(&recorder, || for value in 1..=100 { histogram!("latency").record(value) });
    with_local_recorder(&recorder, || histogram!("latency").record(1.0));
    handle.run_upkeep();
    record();
    say("window is there", &handle);
    std::thread::sleep(Duration::from_secs(1));
    record();
    say("window is over", &handle);
}
RS
cargo run --quiet --manifest-path last/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the quantiles are of all values of the window" >&2; exit 1; }
64 upkeep after 10000: 1 32 64 count 64
100 upkeep after 10000: 65 82 100 count 100
1000 upkeep after 10000: 961 980 1000 count 1000
1000 upkeep after 50: 1 500 1000 count 1000
window is there: 1 50 100 count 101
window is over: 65 82 100 count 201
TXT
