#!/usr/bin/env bash
# tracing-appender 0.2.5 with tracing 0.1.44, `non_blocking`: the lines that are not written yet when the guard is dropped.
#
# Guess: the guard is there so that all lines are written before the program ends: "any remaining logs should get flushed", says its
# documentation. A line that is lost is counted in `ErrorCounter`, which is for the lines that a full queue had no room for.
# Reality: the drop waits for one second. What is not written by then is lost, without a word. The queue has room for 128,000 lines. A
# writer that takes 1 ms for a line, 5,000 lines, and the end of the program:
#
#     the guard's drop took       1.0 s
#     lines written               945, the oldest
#     dropped_lines()             0
#
# Why it matters: a pipe to a log shipper that is slow, a network disk or a terminal make the queue long just when a program logs much, as
# before it gives up. The last lines, with the reason, are those that are missing, and the counter says that all were written. A
# reader of the log takes the last line for the last act. After an error write a line to standard error, past the queue, as well.
set -euo pipefail
command -v cargo > /dev/null || { echo "tracing_appender_guard_second.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p second/src
cat > second/Cargo.toml <<'TOML'
[package]
name = "second"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing = "=0.1.44"
tracing-appender = "=0.2.5"
tracing-subscriber = "=0.3.23"
[workspace]
TOML
cat > second/src/main.rs <<'RS'
use std::io::{Result, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

static WRITTEN: AtomicU64 = AtomicU64::new(0);

struct Slow;
impl Write for Slow {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        sleep(Duration::from_millis(1));
        WRITTEN.fetch_add(1, Relaxed);
        Ok(line.len())
    }
    fn flush(&mut self) -> Result<()> { Ok(()) }
}

fn main() {
    let (writer, guard) = tracing_appender::non_blocking(Slow);
    let lost = writer.error_counter();
    tracing_subscriber::fmt().with_writer(writer).init();
    for number in 0..5000 { tracing::info!(number) }
    let begin = Instant::now();
    drop(guard);
    println!("took_ms {} written {} dropped {}", begin.elapsed().as_millis(), WRITTEN.load(Relaxed), lost.dropped_lines());
}
RS
cargo run --quiet --manifest-path second/Cargo.toml --target-dir target | tee seen
awk '$2 < 900 || $2 > 3000 || $4 > 2500 || $6 != 0 { exit 1 }' seen || { echo "changed: how long the guard waits, or what it counts" >&2; exit 1; }
