#!/usr/bin/env bash
# metrics-exporter-prometheus 0.18.3 with metrics 0.24.6, `idle_timeout`: a metric whose handle is kept, after a quiet time.
#
# Guess: it leaves the page, and is there again with its value, or from 0, once it is used: "it will be removed from the registry [..] until the
# metric is emitted again", says the documentation. How it is used, by the macro or by the handle that the macro has returned, makes no
# difference.
# Reality: a handle is of the metric that was removed, and counts where no page looks. What comes back is a new metric of that name, once the
# macro or another call asks for it; kept handles are not of that one either. Two counters with 5, an idle time-out, then 1 more, all figures of
# the page:
#
#     counted by                                       before    after the time-out    after 1 more    later, counting on
#     counter!("asked").increment(n)                   5         gone                  1               goes on
#     let kept = counter!("kept"); kept.increment(n)   5         gone                  gone            gone
#     counter!("kept") by another place, 1 time                                                        1, without the handle's
#
# Why it matters: handles are kept as the fast way in hot paths and in structs that are made once, such as a pool or a connection. After one night
# without an error the counter of errors is gone for the life of the process, while the code goes on counting. An alert on a rate has no data
# then, and does not fire. Gauges and histograms are lost likewise. With an idle time-out, use the macro at each place.
set -euo pipefail
command -v cargo > /dev/null || { echo "metrics_idle_handle_lost.sh: needs cargo" >&2; exit 2; }
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
metrics-util = { version = "=0.20.4", default-features = false }
[workspace]
TOML
cat > idle/src/main.rs <<'RS'
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::thread::sleep;
use std::time::Duration;

fn page(when: &str, handle: &PrometheusHandle) {
    let page = handle.render();
    let value = |name: &str| page.lines().find_map(|line| line.strip_prefix(name)).map_or("gone", str::trim);
    println!("{when} asked {} kept {} depth {}", value("asked "), value("kept "), value("depth "));
}

fn main() {
    let recorder = PrometheusBuilder::new().idle_timeout(metrics_util::MetricKindMask::ALL, Some(Duration::from_secs(5))).build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let kept = counter!("kept");
    let depth = gauge!("depth");
    kept.increment(5);
    depth.set(5.0);
    counter!("asked").increment(5);
    page("before", &handle);
    // The time-out is long enough for the steps behind it to be within one on a busy machine.
    sleep(Duration::from_secs(8));
    page("quiet", &handle);
    for _ in 0..3 {
        kept.increment(1);
        depth.set(1.0);
        counter!("asked").increment(1);
        page("used", &handle);
    }
    counter!("kept").increment(1);
    kept.increment(1);
    page("asked_for", &handle);
}
RS
cargo run --quiet --manifest-path idle/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: what a kept handle does after the idle time-out" >&2; exit 1; }
before asked 5 kept 5 depth 5
quiet asked gone kept gone depth gone
used asked 1 kept gone depth gone
used asked 2 kept gone depth gone
used asked 3 kept gone depth gone
asked_for asked 3 kept 1 depth gone
TXT
