#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44, `Span::record` of a field that has a value already.
#
# Guess: the new value takes the place of the old one; a span has each field once. So it is in the formatter for JSON.
# Reality: the text formatters put the new value behind the old one, and keep both as long as the span lives. A connection's span, in
# which `requests` is recorded before each event:
#
#     event    the span as text                                       as JSON
#     1        connection{requests=1}                                 {"requests":1,"name":"connection"}
#     3        connection{requests=1 requests=2 requests=3}           {"requests":3,"name":"connection"}
#     5000     a line of 68 KB                                        {"requests":5000,"name":"connection"}
#
# The 5,000 lines of this connection are 170 MB, and 0.7 MB as JSON. `compact()` and `pretty()` do as the first.
#
# Why it matters: a state, a count or the last command of a connection is what one records again. Memory and each line of its log grow
# with its age, the log with the square of it, until the disk or the log's shipper is at its limit; a heap profile has it at `record`. A
# program that was tried with JSON, or with short connections, shows none of it. Give such values to the event, not to the span.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_record_appends.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p appends/src
cat > appends/Cargo.toml <<'TOML'
[package]
name = "appends"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", features = ["json"] }
[workspace]
TOML
cat > appends/src/main.rs <<'RS'
use tracing::field::Empty;
use tracing::{info, info_span};

fn connection() {
    let span = info_span!("connection", requests = Empty);
    let _entered = span.enter();
    for number in 1..=5000 {
        span.record("requests", number);
        info!("request");
    }
}

fn main() {
    let builder = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
    match std::env::args().nth(1).as_deref() {
        Some("json") => tracing::subscriber::with_default(builder.json().finish(), connection),
        Some("pretty") => tracing::subscriber::with_default(builder.pretty().finish(), connection),
        Some("compact") => tracing::subscriber::with_default(builder.compact().finish(), connection),
        _ => tracing::subscriber::with_default(builder.finish(), connection),
    }
}
RS
cargo build --quiet --manifest-path appends/Cargo.toml --target-dir target
for kind in text compact pretty json; do
    target/debug/appends $kind > log
    echo "$kind bytes $(wc -c < log) third: $(grep -E 'requests\b' log | sed -n 3p)"
done | tee seen
diff <(sed 's/ bytes [0-9]*//' seen) - <<'TXT' && awk '$1 == "json" ? $3 > 2000000 : $3 < 100000000 { exit 1 }' seen \
    || { echo "changed: a value that is recorded again" >&2; exit 1; }
text third:  INFO connection{requests=1 requests=2 requests=3}: request
compact third:  INFO connection: request requests=1 requests=2 requests=3
pretty third:     in connection with requests: 1, requests: 2, requests: 3
json third: {"level":"INFO","fields":{"message":"request"},"span":{"requests":3,"name":"connection"},"spans":[{"requests":3,"name":"connection"}]}
TXT
