#!/usr/bin/env bash
# tracing-subscriber 0.3.23 with tracing 0.1.44: two text layers, one for the terminal and one for a file.
#
# Guess: each layer formats for itself. The terminal has colours, the file has none, by `with_ansi(false)`, and the same lines otherwise.
# Reality: the fields of a span are formatted once, by the layer that comes first, and both layers use that text. What is recorded later is
# added by each of the two, so it is in both lines twice. The documentation of `FormattedFields` says "without conflicting", which is so for
# formatters of different types. The span `request{user="alice"}`, with `status` recorded as 200; `^` is an escape sequence for a colour:
#
#     layers                                        line in the file
#     the file alone                                request{user="alice" status=200}: done
#     the terminal, then the file                   request{^user^^=^"alice" ^status^^=^200 ^status^^=^200}: done
#     the file, then the terminal                   request{user="alice" status=200 status=200}: done
#     the terminal, then the file as JSON           the fields once each, no colours
#     the terminal, then the file with another      request{user="alice" status=200}: ..
#         type of `fmt_fields`
#
# Why it matters: a file beside the terminal is the first thing that is added when a service goes into production. A search for `user="alice"`
# or `status=200` in the file finds nothing, as the colours stand between, or a parser of `key=value` has each recorded key twice. The test on
# a terminal shows nothing of it. Put the file's layer first, or give it a type of `fmt_fields` of its own; JSON has one.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_two_text_layers.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS NO_COLOR

mkdir -p layers/src
cat > layers/Cargo.toml <<'TOML'
[package]
name = "layers"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-subscriber = { version = "=0.3.23", features = ["json"] }
[workspace]
TOML
cat > layers/src/main.rs <<'RS'
use std::fs::File;
use tracing::{field::Empty, info, info_span, subscriber::with_default};
use tracing_subscriber::{field::MakeExt, fmt, prelude::*, registry};

macro_rules! file {
    ($name:expr) => {
        fmt::layer().with_ansi(false).without_time().with_target(false).with_writer(File::create($name).unwrap())
    };
}

macro_rules! terminal {
    () => {
        fmt::layer().with_ansi(true).with_writer(std::io::sink)
    };
}

fn log() {
    let span = info_span!("request", user = "alice", status = Empty).entered();
    span.record("status", 200);
    info!("done");
}

fn main() {
    with_default(registry().with(file!("alone")), log);
    with_default(registry().with(terminal!()).with(file!("second")), log);
    with_default(registry().with(file!("first")).with(terminal!()), log);
    with_default(registry().with(terminal!()).with(file!("json").json()), log);
    let own = fmt::format::debug_fn(|to, field, value| write!(to, "{field}={value:?}")).delimited(" ");
    with_default(registry().with(terminal!()).with(file!("own").fmt_fields(own)), log);
}
RS
cargo run --quiet --manifest-path layers/Cargo.toml --target-dir target
for name in alone second first json own; do
    echo "$name: $(sed -E 's/\x1b\[[0-9;]*m/^/g; s/^ +//' $name)"
done > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the fields of a span in two text layers" >&2; exit 1; }
alone: INFO request{user="alice" status=200}: done
second: INFO request{^user^^=^"alice" ^status^^=^200 ^status^^=^200}: done
first: INFO request{user="alice" status=200 status=200}: done
json: {"level":"INFO","fields":{"message":"done"},"span":{"status":200,"user":"alice","name":"request"},"spans":[{"status":200,"user":"alice","name":"request"}]}
own: INFO request{user="alice" status=200}: message=done
TXT
