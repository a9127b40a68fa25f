#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44: `fmt::init()` loses its info and warning lines when any dependency turns on `env-filter`.
#
# Guess: a feature adds what can be called. With `env-filter` there is the type `EnvFilter`; a program that does not use it logs what it logged:
# info and above, or what RUST_LOG says.
# Reality: with the feature `init()` uses an `EnvFilter`, whose default is error. Cargo turns a feature on for all crates of a build if one asks for
# it, so it is enough that a dependency uses `EnvFilter` for itself. One program, which says a line of each level, alone and with such a dependency:
#
#     RUST_LOG            alone                   with the dependency
#     is not set          error, warn, info       error
#     is set, and empty   error                   error
#     info                error, warn, info       error, warn, info
#     fmt().init()        error, warn, info       error, warn, info
#
# Why it matters: adding a tool that looks at the program (console-subscriber has the feature among its defaults) takes its log away, without an
# error, a warning or a changed line; a build of the whole workspace differs from one of the package alone. It is found when the log is needed. A
# library of this kind must not turn the feature on; a program names its level itself.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_info_lines_by_feature.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p shop/src watcher/src
cat > watcher/Cargo.toml <<'TOML'
[package]
name = "watcher"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["env-filter"] }
TOML
echo 'pub type Filter = tracing_subscriber::EnvFilter;' > watcher/src/lib.rs
cat > shop/Cargo.toml <<'TOML'
[package]
name = "shop"
version = "0.0.0"
edition = "2024"
[features]
watched = ["dep:watcher"]
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", default-features = false, features = ["fmt"] }
watcher = { path = "../watcher", optional = true }
[workspace]
TOML
cat > shop/src/main.rs <<'RS'
fn main() {
    if std::env::args().nth(1).is_some() {
        tracing_subscriber::fmt().init();
    } else {
        tracing_subscriber::fmt::init();
    }
    tracing::error!("a line");
    tracing::warn!("a line");
    tracing::info!("a line");
    tracing::debug!("a line");
}
RS
levels() { grep -oE 'ERROR|WARN|INFO|DEBUG' | paste -sd' '; }
for features in '' watched; do
    cargo build --quiet --manifest-path shop/Cargo.toml --target-dir target --features "$features"
    name=${features:-alone}
    echo "$name, not set: $(env -u RUST_LOG target/debug/shop | levels)"
    echo "$name, empty: $(RUST_LOG='' target/debug/shop | levels)"
    echo "$name, info: $(RUST_LOG=info target/debug/shop | levels)"
    echo "$name, builder: $(env -u RUST_LOG target/debug/shop builder | levels)"
done | tee seen
diff seen - <<'TXT' || { echo "changed: the feature takes other lines away" >&2; exit 1; }
alone, not set: ERROR WARN INFO
alone, empty: ERROR
alone, info: ERROR WARN INFO
alone, builder: ERROR WARN INFO
watched, not set: ERROR
watched, empty: ERROR
watched, info: ERROR WARN INFO
watched, builder: ERROR WARN INFO
TXT
