#!/usr/bin/env bash
# tokio 1.54.1, `tokio::signal::ctrl_c()` and `signal(SignalKind::terminate())`: the signal after the last listener is dropped.
#
# Guess: tokio catches a signal while a listener for it exists; after that the signal ends the process again, as it did before.
# Reality: the first listener installs a handler for the life of the process. Without a listener a signal is taken and does nothing, also
# when the runtime is gone. One program for each row, SIGTERM is sent once to the program itself:
#
#     before the signal                                               the program
#     no listener ever                                                ended by the signal
#     `timeout(10 ms, terminate.recv())`, listener dropped            runs on
#     the same, and the runtime dropped                               runs on
#
# Why it matters: `select!` of `ctrl_c()` and the server, then cleaning up: the first signal begins the shutdown, and if that hangs, no second
# one ends it, so what remains is SIGKILL after the orchestrator's 30 s, without a dump, a flush or a core file. A listener in a library
# or a start-up phase that is over makes a service deaf to `kill`. Keep a listener, and exit at the second signal.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_signal_stays_caught.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p deaf/src
cat > deaf/Cargo.toml <<'TOML'
[package]
name = "deaf"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["rt", "signal", "time"] }
[workspace]
TOML
cat > deaf/src/main.rs <<'RS'
use std::thread::sleep;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

fn main() {
    let case = std::env::args().nth(1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if case != "none" {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            assert!(timeout(Duration::from_millis(10), terminate.recv()).await.is_err());
        });
    }
    let kept = (case != "without_runtime").then_some(runtime);
    unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    sleep(Duration::from_millis(300));
    println!("runs on");
    drop(kept);
}
RS
cargo build --quiet --manifest-path deaf/Cargo.toml --target-dir target
for case in none dropped without_runtime; do
    code=0
    said=$(target/debug/deaf "$case") || code=$?
    echo "$case: ${said:-ended} $code"
done 2> /dev/null > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the signal ends the process again" >&2; exit 1; }
none: ended 143
dropped: runs on 0
without_runtime: runs on 0
TXT
