#!/usr/bin/env bash
# hdrhistogram 7.6.0 (the crate), `Histogram::new(3)`: the maximum, minimum and mean of values that are all equal.
#
# Guess: the values are rounded to three digits in the buckets, so quantiles are rounded. The maximum and the minimum are single numbers, which
# are kept beside the buckets as they were recorded, and the mean is computed from them or from a sum.
# Reality: no value is kept as it was recorded. The maximum is the highest value that would lie in its bucket, the minimum the lowest one, the
# mean that of the middles, also if there is but one value. 100 values, all equal, in microseconds:
#
#     all values are       min           max           mean          value_at_quantile(0.5)
#     999                  999           999           999           999
#     5,000,000            4,997,120     5,001,215     4,999,168     5,001,215
#     30,000,000           29,999,104    30,015,487    30,007,296    30,015,487
#     5,000,000 (2)        4,980,736     5,013,503     4,997,120     5,013,503        `Histogram::new(2)`
#
# Why it matters: a time-out of 30 s gives a maximum of 30.015 s, which reads as requests that outlived it; and a check "maximum <= limit" fails
# where no request was above the limit. Two processes with other digits have other maxima of one request. A mean times the count is not
# the sum. Keep the maximum and the sum beside the histogram, and compare with `lowest_equivalent`, not with the limit itself.
set -euo pipefail
command -v cargo > /dev/null || { echo "hdrhistogram_above_maximum.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p maximum/src
cat > maximum/Cargo.toml <<'TOML'
[package]
name = "maximum"
version = "0.0.0"
edition = "2024"
[dependencies]
hdrhistogram = { version = "=7.6.0", default-features = false }
[workspace]
TOML
cat > maximum/src/main.rs <<'RS'
use hdrhistogram::Histogram;

fn main() {
    for (value, digits) in [(999, 3), (5_000_000, 3), (30_000_000, 3), (5_000_000, 2)] {
        let mut histogram = Histogram::<u64>::new(digits).unwrap();
        for _ in 0..100 {
            histogram.record(value).unwrap();
        }
        let (min, max, mean) = (histogram.min(), histogram.max(), histogram.mean());
        println!("{value} ({digits}): min {min} max {max} mean {mean} half {}", histogram.value_at_quantile(0.5));
        assert_eq!(histogram.lowest_equivalent(value), min);
    }
}
RS
cargo run --quiet --manifest-path maximum/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: minimum, maximum and mean of equal values" >&2; exit 1; }
999 (3): min 999 max 999 mean 999 half 999
5000000 (3): min 4997120 max 5001215 mean 4999168 half 5001215
30000000 (3): min 29999104 max 30015487 mean 30007296 half 30015487
5000000 (2): min 4980736 max 5013503 mean 4997120 half 5013503
TXT
