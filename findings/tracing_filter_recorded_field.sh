#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44 and tokio 1.54.1, an `EnvFilter` for one user, whose name is recorded after the span has
# begun.
#
# Guess: with `info,[request{user=alice}]=debug` the debug events of a request are shown from `Span::current().record("user", "alice")`
# on.
# Reality: the filter looks at the fields when the span is entered. A span is entered for each poll, so the events up to the next `.await`
# that has to wait are not shown, and those after it are. In a function without `.await` none is. With "user" declared as Empty, and
# recorded within the span:
#
#     debug event                                              shown
#     before the record                                        no
#     after it                                                 no
#     after it, and an await of something that is ready        no
#     after it, and an await that had to wait                  yes
#     after it, in a child span of the same poll               no
#     after it, without async                                  no
#     the field is given when the span is created              yes
#
# Why it matters: this filter is what one sets in production to follow one user or tenant, whose name is known only after the request was
# authenticated, in the span of the request. What is shown begins in the middle, and where it begins depends on whether a query had to
# wait. An operator concludes that the code before was not reached. Open a child span with the field as soon as its value is known.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_filter_recorded_field.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p recorded/src
cat > recorded/Cargo.toml <<'TOML'
[package]
name = "recorded"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", features = ["env-filter"] }
[workspace]
TOML
cat > recorded/src/main.rs <<'RS'
use std::future::ready;
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, info_span};
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let filter = EnvFilter::new("info,[request{user=alice}]=debug");
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).without_time().init();
    async {
        debug!("before");
        Span::current().record("user", "alice");
        debug!("after");
        ready(()).await;
        debug!("after an await that was ready");
        info_span!("child").in_scope(|| debug!("in a child"));
        tokio::time::sleep(Duration::from_millis(1)).await;
        debug!("after an await that waited");
    }
    .instrument(info_span!("request", user = Empty))
    .await;
    info_span!("request", user = Empty).in_scope(|| {
        Span::current().record("user", "alice");
        debug!("without async");
    });
    info_span!("request", user = "alice").in_scope(|| debug!("given at the begin"));
    info_span!("request", user = "bob").in_scope(|| debug!("of another user"));
}
RS
RUST_LOG= cargo run --quiet --manifest-path recorded/Cargo.toml --target-dir target > seen
cat seen
diff <(sed 's/.* recorded: //' seen) <(printf '%s\n' 'after an await that waited' 'given at the begin') \
    || { echo "changed: from when on a recorded field counts" >&2; exit 1; }
