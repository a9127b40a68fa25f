#!/usr/bin/env bash
# metrics-exporter-prometheus 0.18.3 with metrics 0.24.6: names that differ in a character which Prometheus does not allow.
#
# Guess: points and dashes become `_`. Two names that are equal then are one metric, whose value is the sum; or the second is refused, or
# the log has a warning.
# Reality: they are two metrics in the program, and meet on the page without a word. Of a name without labels one value is shown and the other
# left out; labels that are equal then are lines that stand twice:
#
#     in the program                                     on the page
#     counter http.requests 1, http_requests 10          one line, 1 or 10
#     gauge pool.size 1, pool_size 2                     one line, 1 or 2
#     counter jobs {user-id="a"} 10, {user_id="a"} 100   jobs{user_id="a"} 10 and jobs{user_id="a"} 100
#     counter kind 1, gauge kind 2                       kind 1 and kind 2, each with a TYPE of its own
#
# Of lines that stand twice Prometheus keeps the first.
#
# Why it matters: names with points come from libraries and from the convention of OpenTelemetry, names with `_` from one's own code; tags
# have dashes where they are taken from HTTP or Kubernetes. When a service begins to use the second form, or a library counts what the
# service counts too, one of the counters vanishes, and which one has no rule that a reader sees. Use one form, and look for the names
# of all dependencies before a new one is chosen.
set -euo pipefail
command -v cargo > /dev/null || { echo "metrics_names_meet.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p meet/src
cat > meet/Cargo.toml <<'TOML'
[package]
name = "meet"
version = "0.0.0"
edition = "2024"
[dependencies]
metrics = "=0.24.6"
metrics-exporter-prometheus = { version = "=0.18.3", default-features = false }
[workspace]
TOML
cat > meet/src/main.rs <<'RS'
use metrics::{counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

fn main() {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, || {
        counter!("http.requests").increment(1);
        counter!("http_requests").increment(10);
        gauge!("pool.size").set(1);
        gauge!("pool_size").set(2);
        counter!("jobs", "user-id" => "a").increment(10);
        counter!("jobs", "user_id" => "a").increment(100);
        counter!("kind").increment(1);
        gauge!("kind").set(2);
    });
    print!("{}", recorder.handle().render());
}
RS
cargo run --quiet --manifest-path meet/Cargo.toml --target-dir target > page
cat page
sed -E 's/^(http_requests) (1|10)$/\1 one/; s/^(pool_size) (1|2)$/\1 one/' page | grep . | sort > seen
diff seen - <<'TXT' || { echo "changed: names that are equal on the page" >&2; exit 1; }
# TYPE http_requests counter
# TYPE jobs counter
# TYPE kind counter
# TYPE kind gauge
# TYPE pool_size gauge
http_requests one
jobs{user_id="a"} 10
jobs{user_id="a"} 100
kind 1
kind 2
pool_size one
TXT
