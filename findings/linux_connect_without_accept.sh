#!/usr/bin/env bash
# tokio 1.54.1 on Linux 6.18 (seen): health checks by connecting, of a server whose runtime does not run any more.
#
# Guess: a server that is stuck accepts nothing, so a check that only opens a connection fails at once, or after its time-out.
# Reality: the kernel completes the connection and keeps it in the listener's queue. `TcpListener::bind` of tokio, as std's, asks for a queue
# of 128, and connections that the client has closed stay in it. A current_thread runtime that is blocked, each check connects with
# 500 ms as its limit and closes:
#
#     check            1 to 129        130th
#     connects         yes             TimedOut
#
#     When the runtime goes on, `accept` gives 129 connections, all ended before they were accepted.
#
# Why it matters: `tcpSocket` checks of Kubernetes and the TCP checks of load balancers are of this kind. Every 10 s, the first failure comes
# 21 minutes after the runtime stopped; until then the service is healthy and gets requests, which connect, are sent, and time out.
# Other clients' connections fill the queue sooner, so a busy service is found earlier than a quiet one. A check has to be answered by a
# task: HTTP, or gRPC's health service.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_connect_without_accept.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p stuck/src
cat > stuck/Cargo.toml <<'TOML'
[package]
name = "stuck"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt", "time"] }
[workspace]
TOML
cat > stuck/src/main.rs <<'RS'
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Connects and closes, until a connection takes more than 500 ms. How often that went well, and the error.
fn checks(server: SocketAddr) -> String {
    for healthy in 0..10_000 {
        if let Err(error) = TcpStream::connect_timeout(&server, Duration::from_millis(500)) {
            return format!("healthy {healthy} times, then {:?}", error.kind());
        }
    }
    "healthy always".into()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    // Blocks the only thread of the runtime.
    println!("{}", std::thread::spawn(move || checks(server)).join().unwrap());
    let (mut accepted, mut ended) = (0, 0);
    while let Ok(connection) = timeout(Duration::from_millis(300), listener.accept()).await {
        accepted += 1;
        ended += usize::from(connection.unwrap().0.read(&mut [0]).await.unwrap() == 0);
    }
    println!("accepted {accepted}, ended {ended}");
}
RS
cargo run --quiet --manifest-path stuck/Cargo.toml --target-dir target > seen
cat seen
head -1 seen | grep -qx 'healthy 129 times, then TimedOut' || { echo "changed: checks fail sooner or later" >&2; exit 1; }
# The last one may have come in since, by the client's next attempt.
tail -1 seen | grep -qE '^accepted (129|130), ended (129|130)$' || { echo "changed: others are accepted" >&2; exit 1; }
