#!/usr/bin/env bash
# opentelemetry_sdk 0.33.1 (Rust), and tracing-opentelemetry 0.34.0: an attribute of a span that is set again.
#
# Guess: the new value overwrites the old one, as OpenTelemetry's specification says of `SetAttribute` ("SHOULD overwrite"), and the limit
# of 128 attributes is of different ones.
# Reality: each call adds one, as the documentation of the crate's `set_attribute` says, and each counts for the limit, as it does not
# say. After 128 of them the value stays as old as it is, and attributes that come later are dropped. A connection sets `requests` to its
# count N, and at its end `peer`; the exported span has:
#
#     N      through                  `requests`       the last of them    `peer`    dropped
#     3      opentelemetry            3 times          3                   yes       0
#     200    opentelemetry            128 times        128                 no        73
#     200    tracing-opentelemetry    122 times        122                 no        81
#
# The second way has six attributes of its own (source, thread, target) in the limit, and two more, busy and idle time, after the last.
#
# Why it matters: a count, a state or a retry number that is kept up to date in a long span is sent in all its values, and which one a
# backend shows is its own affair. The final one, and what is only known at the end, status, size, error, are those that are missing, in
# the longest spans, which one looks for. Set an attribute once, when its value is final.
set -euo pipefail
command -v cargo > /dev/null || { echo "opentelemetry_attribute_again.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p again/src
cat > again/Cargo.toml <<'TOML'
[package]
name = "again"
version = "0.0.0"
edition = "2024"
[dependencies]
opentelemetry = { version = "=0.33.1", default-features = false, features = ["trace"] }
opentelemetry_sdk = { version = "=0.33.1", default-features = false, features = ["testing", "trace"] }
tracing = "=0.1.44"
tracing-opentelemetry = "=0.34.0"
tracing-subscriber = "=0.3.23"
[workspace]
TOML
cat > again/src/main.rs <<'RS'
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::field::Empty;
use tracing_subscriber::prelude::*;

fn exported(name: &str, connection: impl FnOnce(&SdkTracerProvider)) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    connection(&provider);
    let span = exporter.get_finished_spans().unwrap().remove(0);
    let values: Vec<_> = span.attributes.iter().filter(|attribute| attribute.key.as_str() == "requests").collect();
    let peer = span.attributes.iter().any(|attribute| attribute.key.as_str() == "peer");
    let (count, last) = (values.len(), &values[values.len() - 1].value);
    println!("{name} times {count} last {last} peer {peer} all {} dropped {}", span.attributes.len(), span.dropped_attributes_count);
}

fn main() {
    for requests in [3, 200] {
        exported(&format!("opentelemetry {requests}"), |provider| {
            let mut span = provider.tracer("shop").start("connection");
            for number in 1..=requests { span.set_attribute(KeyValue::new("requests", number)) }
            span.set_attribute(KeyValue::new("peer", "10.0.0.1"));
            span.end();
        });
        exported(&format!("tracing {requests}"), |provider| {
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                let span = tracing::info_span!("connection", requests = Empty, peer = Empty);
                for number in 1..=requests { span.record("requests", number); }
                span.record("peer", "10.0.0.1");
            });
        });
    }
}
RS
cargo run --quiet --manifest-path again/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: an attribute that is set again" >&2; exit 1; }
opentelemetry 3 times 3 last 3 peer true all 4 dropped 0
tracing 3 times 3 last 3 peer true all 12 dropped 0
opentelemetry 200 times 128 last 128 peer false all 128 dropped 73
tracing 200 times 122 last 122 peer false all 128 dropped 81
TXT
