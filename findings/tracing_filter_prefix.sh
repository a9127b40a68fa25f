#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44, `EnvFilter` and `Targets`: which modules `RUST_LOG=shop=debug` is for.
#
# Guess: for the crate `shop` and its modules, those whose path begins with `shop::`. "Have the `tokio::net` target", says the documentation
# of the example `tokio::net=info`.
# Reality: for all targets that begin with these letters, whatever comes next. Debug events of these targets are shown with
#
#     filter              shop    shop::api    shop::api_keys    shop_audit    shopping::cart
#     shop=debug          yes     yes          yes               yes           yes
#     shop::api=debug     no      yes          yes               no            no
#     debug,shop=off      no      no           no                no            no
#     debug,shop=off,shop_audit=debug          no except shop_audit
#
# A longer directive wins against a shorter one, which is the only way to leave a neighbour out. `shop::` is for the modules and not for
# the crate's root.
#
# Why it matters: families of crates share their beginning: tower and tower_http, tokio and tokio_postgres, sqlx, h2, a workspace's own `app`,
# `app_db`, `app_secrets`. `tower=debug` turns on tower_http's lines for each request; `app=off`, against the noise of one crate, takes the
# errors of all others, among them the audit's. What is off is not there to be noticed.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_filter_prefix.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p prefix/src
cat > prefix/Cargo.toml <<'TOML'
[package]
name = "prefix"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["env-filter", "fmt"] }
[workspace]
TOML
cat > prefix/src/main.rs <<'RS'
use tracing::{debug, subscriber::with_default};
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::{Layer, fmt, prelude::*, registry};

fn log() {
    debug!(target: "shop", "");
    debug!(target: "shop::api", "");
    debug!(target: "shop::api_keys", "");
    debug!(target: "shop_audit", "");
    debug!(target: "shopping::cart", "");
}

fn main() {
    for filter in ["shop=debug", "shop::api=debug", "shop::=debug", "debug,shop=off", "debug,shop=off,shop_audit=debug"] {
        for (kind, which) in [("EnvFilter", EnvFilter::new(filter).boxed()), ("Targets", filter.parse::<Targets>().unwrap().boxed())] {
            println!("{kind} {filter}");
            with_default(registry().with(which).with(fmt::layer().without_time().with_level(false).with_ansi(false)), log);
        }
    }
}
RS
cargo run --quiet --manifest-path prefix/Cargo.toml --target-dir target \
    | awk '/^(EnvFilter|Targets)/ { printf "%s%s ->", line, $0; line = "\n"; next } { sub(/:? *$/, ""); printf " %s", $1 } END { print "" }' > seen
cat seen
for kind in EnvFilter Targets; do
    sed "s/^/$kind /" <<'TXT'
shop=debug -> shop shop::api shop::api_keys shop_audit shopping::cart
shop::api=debug -> shop::api shop::api_keys
shop::=debug -> shop::api shop::api_keys
debug,shop=off ->
debug,shop=off,shop_audit=debug -> shop_audit
TXT
done > expected
diff <(sort seen) <(sort expected) || { echo "changed: which targets a directive is for" >&2; exit 1; }
