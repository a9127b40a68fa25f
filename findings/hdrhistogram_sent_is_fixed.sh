#!/usr/bin/env bash
# hdrhistogram 7.6.0 (the crate), a histogram from `Histogram::new(3)` after it was serialized and read again.
#
# Guess: it is the same histogram. `new` says that it resizes itself as values come, so the copy takes and adds what the first takes and
# adds.
# Reality: the copy does not resize. It was read in with the bounds that the first had at that moment, and refuses what is above, also the
# histogram of another process. One with a 3 ms value, in microseconds, and one with a 5 s value:
#
#                                             the first    a clone    read, V2 or V2 with deflate
#     is_auto_resize()                        true         true       false
#     record(5_000_000)                       Ok           Ok         Err(ValueOutOfRangeResizeDisabled)
#     add(&other)                             Ok           Ok         Err(OtherAddendValueExceedsRange)
#
# Why it matters: a collector reads the histograms of several processes or of past minutes and adds them up. It begins with the first that
# it read, and the sum works until another one has a slower request: then it is an error, or, where that is ignored, the slowest process
# is the one that is missing. Begin with an empty `Histogram::new`, or call `auto(true)` on each that was read.
set -euo pipefail
command -v cargo > /dev/null || { echo "hdrhistogram_sent_is_fixed.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p sent/src
cat > sent/Cargo.toml <<'TOML'
[package]
name = "sent"
version = "0.0.0"
edition = "2024"
[dependencies]
hdrhistogram = "=7.6.0"
[workspace]
TOML
cat > sent/src/main.rs <<'RS'
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};

fn new(value: u64) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap();
    histogram.record(value).unwrap();
    histogram
}

fn read(mut serializer: impl Serializer) -> Histogram<u64> {
    let mut bytes = Vec::new();
    assert!(serializer.serialize(&new(3000), &mut bytes).is_ok());
    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
}

fn main() {
    let mut auto = read(V2Serializer::new());
    auto.auto(true);
    let histograms = [
        ("first", new(3000)),
        ("clone", new(3000).clone()),
        ("v2", read(V2Serializer::new())),
        ("deflate", read(V2DeflateSerializer::new())),
        ("v2_auto", auto),
    ];
    for (name, histogram) in histograms {
        let record = histogram.clone().record(5_000_000);
        let add = histogram.clone().add(new(5_000_000));
        println!("{name} {} {record:?} {add:?}", histogram.is_auto_resize());
    }
}
RS
cargo run --quiet --manifest-path sent/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: whether a histogram that was read resizes itself" >&2; exit 1; }
first true Ok(()) Ok(())
clone true Ok(()) Ok(())
v2 false Err(ValueOutOfRangeResizeDisabled) Err(OtherAddendValueExceedsRange)
deflate false Err(ValueOutOfRangeResizeDisabled) Err(OtherAddendValueExceedsRange)
v2_auto true Ok(()) Ok(())
TXT
