#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44, `reload`: the level of a running service is raised from info to debug, and lowered again.
#
# Guess: from then on lines are as if the program had been started with that level: debug events, in their debug spans.
# Reality: whether a span exists was decided when it was made. One that was off stays off as long as it lives, for its events, for records and as
# a parent. One that was on stays on after the level is lowered. A connection has a span of the level debug, its requests have one of
# the level info:
#
#     the connection began    level now    an event of it                        a request in it
#     at info                 debug        query                                 request: query
#     at debug                debug        connection{peer=2}: query             connection{peer=2}:request: query
#     at debug                info         connection{peer=2}: done              connection{peer=2}:request: done
#
# Why it matters: the level is raised in production to follow what goes wrong now, on connections, streams and workers that began long
# before. Their lines come, without the peer, the user or the job that the span has, and cannot be told apart; new ones are in order, and so
# is each test, which begins after the change. In a trace the requests of old connections have no parent. Let spans of long life have the level of
# production, and give the level debug to events.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_reload_open_spans.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p open/src
cat > open/Cargo.toml <<'TOML'
[package]
name = "open"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["fmt"] }
[workspace]
TOML
cat > open/src/main.rs <<'RS'
use tracing::{Span, debug, debug_span, info, info_span, level_filters::LevelFilter, subscriber::with_default};
use tracing_subscriber::{fmt, prelude::*, registry, reload};

fn query() {
    debug!("query");
    info_span!("request").in_scope(|| debug!("query"));
}

fn done() {
    info!("done");
    info_span!("request").in_scope(|| info!("done"));
}

fn main() {
    let (level, handle) = reload::Layer::new(LevelFilter::INFO);
    let text = fmt::layer().without_time().with_target(false).with_level(false).with_ansi(false);
    let connection = |peer: u32| -> Span { debug_span!("connection", peer) };
    with_default(registry().with(level).with(text), || {
        let old = connection(1);
        handle.reload(LevelFilter::DEBUG).unwrap();
        let new = connection(2);
        println!("raised");
        old.in_scope(query);
        new.in_scope(query);
        handle.reload(LevelFilter::INFO).unwrap();
        println!("lowered");
        old.in_scope(done);
        new.in_scope(done);
        connection(3).in_scope(done);
    });
}
RS
cargo run --quiet --manifest-path open/Cargo.toml --target-dir target | sed 's/^ *//' > seen
cat seen
diff seen - <<'TXT' || { echo "changed: spans that are open when the level changes" >&2; exit 1; }
raised
query
request: query
connection{peer=2}: query
connection{peer=2}:request: query
lowered
done
request: done
connection{peer=2}: done
connection{peer=2}:request: done
done
request: done
TXT
