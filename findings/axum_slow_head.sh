#!/usr/bin/env bash
# axum 0.8.9 with hyper 1.12.0: a slow client, which is still sending the head of its request, and `with_graceful_shutdown`.
#
# Guess: a graceful shutdown waits for requests that are being handled, and a connection whose request has not come yet has none. In any case
# the wait is bounded: hyper documents 30 s as the default of `header_read_timeout`.
# Reality: a connection that has sent a part of a head is waited for, and the 30 s need a timer, which a builder has to be given.
# `axum::serve` gives none and has no setting for it, and hyper does not say that it has none. Connections at a shutdown, and without one:
#
#     the client has sent                          shutdown ends        open after 33 s    with `timer(..)` in hyper's builder
#     nothing                                      at once              yes                closed at 30 s
#     a request, answered                          at once              yes                closed at 30 s
#     half of a head, the rest follows 4 s later   after 4 s, answered  yes                closed at 30 s
#
# Why it matters: clients on bad networks are slow, and port checks send little or nothing. A deployment sends SIGTERM, and as long as one
# head is on its way the server does not end, until it is killed with everything behind the shutdown undone. Connections that were never
# used add up, one task each. In a dump they are like all others, in hyper's read, without a handler or a timer. A time-out around the
# shutdown bounds the first; only a server that is built from hyper's parts bounds the second.
set -euo pipefail
command -v cargo > /dev/null || { echo "axum_slow_head.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p slow/src
cat > slow/Cargo.toml <<'TOML'
[package]
name = "slow"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "http2", "tokio"] }
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", features = ["service", "tokio"] }
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > slow/src/main.rs <<'RS'
use axum::Router;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

const HEAD: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
/// How much of it each client sends at once.
const CLIENTS: [(&str, usize); 3] = [("nothing", 0), ("half_a_head", 12), ("a_request", HEAD.len())];
const SLOW: Duration = Duration::from_secs(4);

fn app() -> Router {
    Router::new().route("/", get(|| async { "ok" }))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A client that has sent so much of the head, and has its answer if that is all.
async fn client(server: SocketAddr, sent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&HEAD.as_bytes()[..sent]).await.unwrap();
    if sent == HEAD.len() {
        assert_ne!(stream.read(&mut [0; 1000]).await.unwrap(), 0);
    }
    sleep(Duration::from_millis(200)).await;
    stream
}

/// When a shutdown ends, and the client's answer where it sends the rest of the head `SLOW` after the shutdown began.
async fn shutdown_ends(sent: usize) -> String {
    let (listener, address) = listen().await;
    let (begin, begins) = oneshot::channel::<()>();
    let server = tokio::spawn(async {
        let signal = async { drop(begins.await) };
        axum::serve(listener, app()).with_graceful_shutdown(signal).await
    });
    let mut stream = client(address, sent).await;
    let start = Instant::now();
    begin.send(()).unwrap();
    let rest = async {
        if sent == 0 || sent == HEAD.len() {
            return "-".to_owned();
        }
        sleep(SLOW).await;
        stream.write_all(&HEAD.as_bytes()[sent..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer[..12].replace(' ', "_")
    };
    let server = async {
        server.await.unwrap().unwrap();
        start.elapsed().as_secs()
    };
    let (answer, after) = tokio::join!(rest, server);
    format!("after {after} answer {answer}")
}

/// When the server closed the connection, within 33 s.
async fn closed_after(server: SocketAddr, sent: usize) -> String {
    let start = Instant::now();
    let mut stream = client(server, sent).await;
    match timeout(Duration::from_secs(33), stream.read_to_end(&mut Vec::new())).await {
        Ok(_) => format!("closed {}", start.elapsed().as_secs()),
        Err(_) => "open".into(),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    for (name, sent) in CLIENTS {
        println!("shutdown {name} {}", shutdown_ends(sent).await);
    }
    let (listener, plain) = listen().await;
    tokio::spawn(async { axum::serve(listener, app()).await });
    let (listener, with_timer) = listen().await;
    tokio::spawn(async move {
        loop {
            let stream = TokioIo::new(listener.accept().await.unwrap().0);
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new());
            tokio::spawn(builder.serve_connection(stream, TowerToHyperService::new(app())));
        }
    });
    let mut waits = Vec::new();
    for (name, sent) in CLIENTS {
        waits.push((format!("serve {name}"), tokio::spawn(closed_after(plain, sent))));
        waits.push((format!("timer {name}"), tokio::spawn(closed_after(with_timer, sent))));
    }
    for (name, wait) in waits {
        println!("{name} {}", wait.await.unwrap());
    }
}
RS
cargo run --quiet --manifest-path slow/Cargo.toml --target-dir target > seen
cat seen
sed -E 's/closed (29|30|31)$/closed 30/' seen | diff - <(cat <<'TXT'
shutdown nothing after 0 answer -
shutdown half_a_head after 4 answer HTTP/1.1_200
shutdown a_request after 0 answer -
serve nothing open
timer nothing closed 30
serve half_a_head open
timer half_a_head closed 30
serve a_request open
timer a_request closed 30
TXT
) || { echo "changed: other connections are ended, or waited for" >&2; exit 1; }
