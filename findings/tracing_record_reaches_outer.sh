#!/usr/bin/env bash
# tracing 0.1.44 with tracing-subscriber 0.3.23: `Span::current().record(..)` in a function whose own span is filtered out.
#
# Guess: the record is for the function's span. If its level is off, nothing is recorded, as nothing is for a field that is not there.
# Reality: a span that is off is not entered, so `Span::current()` is the caller's, and the value goes there, if that has a field of this name.
# `report` has the level info, `query`, which it calls and which records rows = 7, has debug; both declare `rows`. The line of an
# event in `report`, after the call:
#
#     subscriber                                            line
#     text, debug                                           report: done
#     text, info                                            report{rows=7}: done
#     text with the filter info, a second layer for debug   report: done
#
# So the first layer's line depends on the level of the second. Where the caller records a value of its own, too, it has both: with the first
# and third `report{rows=100}`, with the second `report{rows=7 rows=100}`.
#
# Why it matters: names like rows, status, user and error are declared by many functions, and `#[instrument(level = "debug")]` is usual for
# inner ones. At the level of production the outer request has the status of some inner call, which was retried, or not; at the level for
# finding the fault it has its own. Keep the span, `let span = debug_span!(..)`, and record by `span.record`, which does nothing when it is off.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_record_reaches_outer.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p outer/src
cat > outer/Cargo.toml <<'TOML'
[package]
name = "outer"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["fmt"] }
[workspace]
TOML
cat > outer/src/main.rs <<'RS'
use tracing::{Span, Subscriber, field::Empty, info, instrument, level_filters::LevelFilter, subscriber::with_default};
use tracing_subscriber::{Layer, fmt, prelude::*, registry};

struct Elsewhere;
impl<S: Subscriber> Layer<S> for Elsewhere {}

#[instrument(level = "debug", fields(rows = Empty))]
fn query() {
    Span::current().record("rows", 7);
}

#[instrument(fields(rows = Empty))]
fn report(own: bool) {
    query();
    if own {
        Span::current().record("rows", 100);
    }
    info!("done");
}

fn main() {
    let text = |name: &'static str| {
        print!("{name}:");
        fmt::layer().without_time().with_target(false)
    };
    for own in [false, true] {
        let run = || report(own);
        with_default(registry().with(text("debug").with_filter(LevelFilter::DEBUG)), run);
        with_default(registry().with(text("info").with_filter(LevelFilter::INFO)), run);
        let second = Elsewhere.with_filter(LevelFilter::DEBUG);
        with_default(registry().with(text("info, and debug elsewhere").with_filter(LevelFilter::INFO)).with(second), run);
    }
}
RS
cargo run --quiet --manifest-path outer/Cargo.toml --target-dir target | sed 's/own=[a-z]*//; s/{ /{/; s/{}//; s/:  */: /g' > seen
cat seen
diff seen - <<'TXT' || { echo "changed: where the record of a span that is off goes" >&2; exit 1; }
debug: INFO report: done
info: INFO report{rows=7}: done
info, and debug elsewhere: INFO report: done
debug: INFO report{rows=100}: done
info: INFO report{rows=7 rows=100}: done
info, and debug elsewhere: INFO report{rows=100}: done
TXT
