#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44 and tokio 1.54.1, `FmtSpan::CLOSE`: how long the span of a request is.
#
# Guess: `#[instrument]` or `.instrument(span)` on the handler measures the handler; the span closes when its future has ended. What the
# handler spawns into the background has a span of its own, for that.
# Reality: a span is open as long as a child span is, wherever that runs. A handler of 50 ms that spawns a task of 500 ms and answers:
#
#     the task is spawned with                        the request's time.busy + time.idle
#     no span                                         0.05 s
#     `.in_current_span()`                            0.55 s
#     `.instrument(info_span!("audit"))`              0.55 s
#     the same span, `parent: None`, follows_from     0.05 s
#
# Why it matters: the time in the line "close" is taken for the time of the request, in a service without other metrics, and by exporters
# that end a span when it closes. One write to an audit log in the background makes all requests ten times as slow, in the idle part, as
# if they waited for a database, and the line comes late, or never if the task runs on. A child of a background task is no child in time:
# give it `parent: None` and `follows_from`.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_span_outlives_request.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p outlives/src
cat > outlives/Cargo.toml <<'TOML'
[package]
name = "outlives"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", features = ["json"] }
[workspace]
TOML
cat > outlives/src/main.rs <<'RS'
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{Instrument, Span, info_span};
use tracing_subscriber::fmt::format::FmtSpan;

async fn handler(kind: &str) -> JoinHandle<()> {
    sleep(Duration::from_millis(50)).await;
    let background = async { sleep(Duration::from_millis(500)).await };
    match kind {
        "none" => tokio::spawn(background),
        "current" => tokio::spawn(background.in_current_span()),
        "child" => tokio::spawn(background.instrument(info_span!("audit"))),
        _ => {
            let span = info_span!(parent: None, "audit");
            span.follows_from(Span::current());
            tokio::spawn(background.instrument(span))
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tracing_subscriber::fmt().with_span_events(FmtSpan::CLOSE).with_ansi(false).init();
    for kind in ["none", "current", "child", "follows"] {
        let background = handler(kind).instrument(info_span!("request", kind)).await;
        background.await.unwrap();
    }
}
RS
RUST_LOG= cargo run --quiet --manifest-path outlives/Cargo.toml --target-dir target > seen
cat seen
awk '/request\{[^}]*\}: outlives: close/ {
        kind = $3; gsub(/.*kind="|"}.*/, "", kind); idle = $NF; gsub(/time.idle=|ms$/, "", idle)
        good += kind ~ /^(none|follows)$/ ? idle + 0 < 400 : idle + 0 > 540
    } END { exit good != 4 }' seen || { echo "changed: when the span of a request closes" >&2; exit 1; }
