#!/usr/bin/env bash
# reqwest 0.13.5 and axum 0.8.9 with hyper 1.12.0, HTTP/1: requests of which only the status is looked at.
#
# Guess: a client keeps its connection. A response that is dropped is done with; what is left of its body is read and thrown away, or, if it is
# not, this is so for each response whose body the client does not read.
# Reality: the connection is kept if all of the body had come when the response was dropped, up to some tens of KB; else it is closed. Twenty
# requests, one after the other, the connections of which were counted:
#
#     body                                            status only    body read
#     100 bytes                                       1              1 to 3
#     20,000 bytes                                    1 or 2         1 to 3
#     100,000 bytes                                   20             1 to 3
#     100 bytes, which come 100 ms after the head     20             1 to 3
#
# Why it matters: "is it there, was it accepted?" and `error_for_status()?` look at the status. In a test the answer is one packet and the
# connection is kept. Against a server that is slow, or a page of an error that is long, each request makes a connection, with its TLS handshake,
# and leaves a port in TIME_WAIT: most of them when the other side has trouble. A dump has a task for each connection, made at the same
# place as those of a pool. `response.bytes().await` before the drop keeps it.
set -euo pipefail
command -v cargo > /dev/null || { echo "reqwest_dropped_body.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p status/src
cat > status/Cargo.toml <<'TOML'
[package]
name = "status"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio"] }
futures = "=0.3.34"
reqwest = { version = "=0.13.5", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt-multi-thread", "time"] }
[workspace]
TOML
cat > status/src/main.rs <<'RS'
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use futures::stream;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

static CONNECTIONS: AtomicU32 = AtomicU32::new(0);

struct Counts(TcpListener);

impl axum::serve::Listener for Counts {
    type Io = TcpStream;
    type Addr = SocketAddr;
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = self.0.accept().await.unwrap();
        CONNECTIONS.fetch_add(1, SeqCst);
        accepted
    }
    fn local_addr(&self) -> io::Result<SocketAddr> { self.0.local_addr() }
}

async fn at_once(Path(length): Path<usize>) -> Vec<u8> { vec![b'x'; length] }

async fn later(Path(length): Path<usize>) -> Body {
    Body::from_stream(stream::once(async move {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, Infallible>(vec![b'x'; length])
    }))
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/at_once/{length}", get(at_once)).route("/later/{length}", get(later));
    tokio::spawn(async { axum::serve(Counts(listener), router.into_make_service()).await });
    for path in ["at_once/100", "at_once/20000", "at_once/100000", "later/100"] {
        for reads in [false, true] {
            let client = reqwest::Client::new();
            for _ in 0..20 {
                let response = client.get(format!("http://{address}/{path}")).send().await.unwrap();
                sleep(Duration::from_millis(5)).await;
                if reads { response.bytes().await.unwrap(); }
                sleep(Duration::from_millis(5)).await;
            }
            println!("{path} {} {}", if reads { "read" } else { "dropped" }, CONNECTIONS.swap(0, SeqCst));
        }
    }
}
RS
cargo run --quiet --manifest-path status/Cargo.toml --target-dir target > seen
cat seen
awk '
    $2 == "read" { good += $3 <= 5 }
    $2 == "dropped" && /^at_once.(100|20000) / { good += $3 <= 5; next }
    $2 == "dropped" { good += $3 >= 18 }
    END { exit good != 8 }
' seen || { echo "changed: which dropped responses keep their connection" >&2; exit 1; }
