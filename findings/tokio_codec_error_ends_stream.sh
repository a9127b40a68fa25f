#!/usr/bin/env bash
# tokio-util 0.7.20 with tokio 1.54.1, `FramedRead` with `LinesCodec::new_with_max_length`: the lines after one that is too long.
#
# Guess: the line is an error, and the next one is a line again: "after that, calls to `decode` will function as normal", says the codec's
# documentation. `while let Some(line) = lines.next().await { let Ok(line) = line else { continue }; .. }` skips it.
# Reality: behind each error the stream has one `None`, its end, and goes on behind that. Lines of at most 8 bytes are allowed:
#
#     sent                  next()
#     one                   Some(Ok("one"))
#     a line too long       Some(Err(MaxLineLengthExceeded)), then None
#     three                 Some(Ok("three"))
#     the end               None
#
# The loop above ends before "three", and so does `filter_map`, for which a `None` is the end as for every combinator.
#
# Why it matters: a client that sends one line of too many bytes is disconnected, with its later lines unread, by code that was written to
# skip the line; the log says that the client has gone. A test of the codec alone, which has no stream, shows the documented behaviour. A
# `None` right behind an error is not the end: ask once more.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_codec_error_ends_stream.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p ends/src
cat > ends/Cargo.toml <<'TOML'
[package]
name = "ends"
version = "0.0.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["macros", "rt"] }
tokio-util = { version = "=0.7.20", features = ["codec"] }
[workspace]
TOML
cat > ends/src/main.rs <<'RS'
use futures::StreamExt;
use tokio_util::codec::{FramedRead, LinesCodec};

fn lines() -> FramedRead<&'static [u8], LinesCodec> {
    FramedRead::new(b"one\na line too long\nthree\n", LinesCodec::new_with_max_length(8))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut all = lines();
    for _ in 0..6 { println!("{:?}", all.next().await) }
    let skipping: Vec<String> = lines().filter_map(|line| async { line.ok() }).collect().await;
    println!("filter_map {skipping:?}");
    let mut looped = Vec::new();
    let mut reader = lines();
    while let Some(line) = reader.next().await {
        let Ok(line) = line else { continue };
        looped.push(line);
    }
    println!("loop {looped:?}");
}
RS
cargo run --quiet --manifest-path ends/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: what follows the error of a codec" >&2; exit 1; }
Some(Ok("one"))
Some(Err(MaxLineLengthExceeded))
None
Some(Ok("three"))
None
None
filter_map ["one"]
loop ["one"]
TXT
