#!/usr/bin/env bash
# opentelemetry_sdk 0.33.1 (Rust), metrics whose value a callback gives, such as `u64_observable_gauge`: handles that are dropped, and two of a name.
#
# Guess: the callback belongs to the handle that `build()` returns. With the handle the metric is gone. Two callbacks
# of one name and without attributes are two values, of counters the sum.
# Reality: the handle is empty, and a callback is called for as long as the provider lives. Of several values with equal attributes the
# last one counts, for counters as well. Two pools of the sizes 3 and 4, each with a gauge and a counter of the same names, collected
# twice; the first pool is dropped between the two:
#
#     collected                   callbacks called    pool.size    pool.opened    pools in memory
#     first                       4                   4            4              2
#     second                      4                   4            4              2
#
# Why it matters: a pool, cache or connection registers its gauge when it is made. Each that was dropped is kept alive by its callback and
# goes on being reported, and the time of a collection grows with all that ever were. Where a service has two pools, the metric has one of them,
# and a counter does not add them up. The tests of a library have one pool. Register once, over a list of weak references, with an
# attribute for each.
set -euo pipefail
command -v cargo > /dev/null || { echo "opentelemetry_dropped_gauge.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p gauge/src
cat > gauge/Cargo.toml <<'TOML'
[package]
name = "gauge"
version = "0.0.0"
edition = "2024"
[dependencies]
opentelemetry = { version = "=0.33.1", default-features = false, features = ["metrics"] }
opentelemetry_sdk = { version = "=0.33.1", default-features = false, features = ["metrics", "testing"] }
[workspace]
TOML
cat > gauge/src/main.rs <<'RS'
use opentelemetry::metrics::{Meter, MeterProvider, ObservableCounter, ObservableGauge};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics::U64, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static CALLS: AtomicUsize = AtomicUsize::new(0);
static POOLS: AtomicUsize = AtomicUsize::new(0);

struct Connections(u64);

impl Drop for Connections {
    fn drop(&mut self) {
        POOLS.fetch_sub(1, Relaxed);
    }
}

struct Pool {
    _connections: Arc<Connections>,
    _size: ObservableGauge<u64>,
    _opened: ObservableCounter<u64>,
}

fn pool(meter: &Meter, size: u64) -> Pool {
    POOLS.fetch_add(1, Relaxed);
    let connections = Arc::new(Connections(size));
    let (for_size, for_opened) = (Arc::clone(&connections), Arc::clone(&connections));
    let value = |connections: &Connections| {
        CALLS.fetch_add(1, Relaxed);
        connections.0
    };
    Pool {
        _size: meter.u64_observable_gauge("pool.size").with_callback(move |to| to.observe(value(&for_size), &[])).build(),
        _opened: meter.u64_observable_counter("pool.opened").with_callback(move |to| to.observe(value(&for_opened), &[])).build(),
        _connections: connections,
    }
}

fn main() {
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let collect = |name: &str| {
        CALLS.store(0, Relaxed);
        provider.force_flush().unwrap();
        let all = exporter.get_finished_metrics().unwrap();
        let mut values: Vec<String> = Vec::new();
        for metric in all.last().unwrap().scope_metrics().flat_map(|scope| scope.metrics()) {
            let points: Vec<u64> = match metric.data() {
                U64(MetricData::Gauge(gauge)) => gauge.data_points().map(|point| point.value()).collect(),
                U64(MetricData::Sum(sum)) => sum.data_points().map(|point| point.value()).collect(),
                _ => Vec::new(),
            };
            values.push(format!("{} {points:?}", metric.name()));
        }
        values.sort();
        println!("{name}: called {}, {}, pools {}", CALLS.load(Relaxed), values.join(", "), POOLS.load(Relaxed));
    };
    let meter = provider.meter("shop");
    let first = pool(&meter, 3);
    let second = pool(&meter, 4);
    collect("two pools");
    drop(first);
    collect("the first is dropped");
    drop(second);
    collect("both are dropped");
    drop(meter);
    drop(provider);
    println!("without the provider: pools {}", POOLS.load(Relaxed));
}
RS
cargo run --quiet --manifest-path gauge/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: callbacks of handles that were dropped" >&2; exit 1; }
two pools: called 4, pool.opened [4], pool.size [4], pools 2
the first is dropped: called 4, pool.opened [4], pool.size [4], pools 2
both are dropped: called 4, pool.opened [4], pool.size [4], pools 2
without the provider: pools 0
TXT
