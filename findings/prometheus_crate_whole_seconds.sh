#!/usr/bin/env bash
# prometheus 0.14.0 (the crate, feature `process`), `process_cpu_seconds_total` of a service that uses little CPU time.
#
# Guess: seconds with two digits behind the point, as the kernel's ticks of 10 ms and the clients for Go and Python have them.
# Reality: the counter is a whole number; what is above the last full second is not there. A process that has used, by its own clock of
# CPU time, and what its page says:
#
#     used           0.95 s    1.05 s    1.95 s    2.05 s
#     on the page    0         1         1         2
#
# Why it matters: a service with 1 % of a core has a counter that stands still for 100 s and then goes up by one. Its rate over a minute
# is 0 or 1.7 %, never 1 %; with a scrape each 15 s `irate` is 6.7 % now and then. An alert on "uses no CPU time, so it is stuck" fires
# for an idle service, and a short test shows no difference between two releases. Take the rate over a time in which many seconds of CPU
# time are used, or make a counter from `/proc/self/stat`.
set -euo pipefail
command -v cargo > /dev/null || { echo "prometheus_crate_whole_seconds.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p seconds/src
cat > seconds/Cargo.toml <<'TOML'
[package]
name = "seconds"
version = "0.0.0"
edition = "2024"
[dependencies]
cpu-time = "=1.0.0"
prometheus = { version = "=0.14.0", default-features = false, features = ["process"] }
[workspace]
TOML
cat > seconds/src/main.rs <<'RS'
use cpu_time::ProcessTime;
use prometheus::{TextEncoder, gather};
use std::time::Duration;

fn main() {
    for hundredths in [95, 105, 195, 205] {
        while ProcessTime::now().as_duration() < Duration::from_millis(hundredths * 10) {}
        let page = TextEncoder::new().encode_to_string(&gather()).unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).unwrap();
        println!("used 0.01 s * {hundredths} page {value}");
    }
}
RS
cargo run --quiet --manifest-path seconds/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the counter has parts of a second" >&2; exit 1; }
used 0.01 s * 95 page 0
used 0.01 s * 105 page 1
used 0.01 s * 195 page 1
used 0.01 s * 205 page 2
TXT
