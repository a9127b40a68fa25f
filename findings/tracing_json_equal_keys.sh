#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44, `fmt().json()`: fields of the program that are called as fields of the record are.
#
# Guess: they do not meet, or one takes the place of the other, or it is renamed. An object of JSON has each key once.
# Reality: both are written, and a reader has one of the two without a word; Python's, JavaScript's and most others have the last. A span's
# fields lie beside its name; those of an event lie beside the level, target and time if `flatten_event(true)` is set. The span
# `request` has a field `name = "alice"`, its event the fields named below; what Python reads:
#
#     field                                  key in the line        Python has
#     span: name = "alice"                   twice, in each span    "request", the span's own
#     event: level = "gold"                  twice, if flat         "gold"; the line is an INFO
#     event: timestamp = 3                   twice, if flat         3
#     event: target = "eu"                   twice, if flat         the module; the field is lost
#     event: span = 7                        twice, if flat         the span; the field is lost
#     the event's, not flattened             once, in `fields`      the field
#
# Why it matters: name, level, target and span are words of many programs (users, plans, zones, measurements), and the flat form is what log
# shippers ask for. A filter for level = ERROR loses the lines whose own field says "gold"; a store that wants a time refuses the line, or
# files it under 1970; who looks for a user by `span.name` finds none. Nothing in a test that reads the text shows it.
set -euo pipefail
for tool in cargo python3; do
    command -v $tool > /dev/null || { echo "tracing_json_equal_keys.sh: needs $tool" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p keys/src
cat > keys/Cargo.toml <<'TOML'
[package]
name = "keys"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", features = ["json"] }
[workspace]
TOML
cat > keys/src/main.rs <<'RS'
use tracing::{info, info_span, subscriber::with_default};

fn main() {
    for flat in [false, true] {
        with_default(tracing_subscriber::fmt().json().flatten_event(flat).finish(), || {
            info_span!("request", name = "alice").in_scope(|| info!(level = "gold", timestamp = 3, target = "eu", span = 7, "paid"));
        });
    }
}
RS
cargo run --quiet --manifest-path keys/Cargo.toml --target-dir target > lines
cat lines
cat > read.py <<'PY'
import json

for kind, line in zip(("nested", "flat"), open("lines")):
    counts = []
    def pairs(found):
        counts.append([key for key, _ in found])
        return dict(found)
    record = json.loads(line, object_pairs_hook=pairs)
    top, span = counts[-1], next(keys for keys in counts if "name" in keys)
    time = record["timestamp"] if record["timestamp"] == 3 else "a time"
    print(kind, "level", top.count("level"), record["level"], "timestamp", top.count("timestamp"), time, "target", top.count("target"),
          record["target"], "span", top.count("span"), record["span"]["name"], "its name", span.count("name"))
PY
python3 read.py > seen
cat seen
diff seen - <<'TXT' || { echo "changed: fields with equal keys" >&2; exit 1; }
nested level 1 INFO timestamp 1 a time target 1 keys span 1 request its name 2
flat level 2 gold timestamp 2 3 target 2 keys span 2 request its name 2
TXT
