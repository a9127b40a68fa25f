#!/usr/bin/env bash
# reqwest 0.13.5 and axum 0.8.9 with hyper 1.12.0, HTTP/2: more requests at once than a connection may have.
#
# Guess: the client opens a second connection when the first has all the streams that the server allows, as it does with HTTP/1 when all
# connections are in use; or a request that cannot be sent fails.
# Reality: it keeps to one connection for a host, and requests wait in it, without a limit and without an error. A server of hyper allows 200
# streams. 300 requests at once, each handled for 2 s:
#
#                                            connections    most at once    last answer after
#     HTTP/1                                 300            300             2 s, and the time to connect
#     HTTP/2                                 1              200             4 s
#     HTTP/2, two clients                    2              300             2 s
#     HTTP/2, a time-out of 3 s for each     1              200             100 time out, whose handlers began after 2 s
#
# Why it matters: long polls, streams and slow upstreams use up the 200 while client, server and network are idle. The server has no
# trace of the others and its latency is good; the client's dump has them at a oneshot of hyper's dispatcher, like those that wait for the
# server. `max_concurrent_streams` of the server, or several clients, raises the limit; a semaphore of the client's own makes it visible.
set -euo pipefail
command -v cargo > /dev/null || { echo "reqwest_one_connection.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p streams/src
cat > streams/Cargo.toml <<'TOML'
[package]
name = "streams"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "http2", "tokio"] }
hyper = "=1.12.0"
reqwest = { version = "=0.13.5", default-features = false, features = ["http2"] }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt-multi-thread", "time"] }
[workspace]
TOML
cat > streams/src/main.rs <<'RS'
use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use reqwest::Client;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::time::sleep;

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
static RECEIVED: AtomicUsize = AtomicUsize::new(0);
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

async fn handle() -> &'static str {
    RECEIVED.fetch_add(1, Ordering::SeqCst);
    MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    NOW.fetch_sub(1, Ordering::SeqCst);
    "ok"
}

async fn ask(name: &str, server: &str, clients: &[Client], limit: Duration) {
    for count in [&CONNECTIONS, &RECEIVED, &MOST] {
        count.store(0, Ordering::SeqCst);
    }
    let start = Instant::now();
    let requests: Vec<_> = (0..300)
        .map(|at| tokio::spawn(clients[at % clients.len()].get(server).timeout(limit).send()))
        .collect();
    let mut timed_out = 0;
    for request in requests {
        match request.await.unwrap() {
            Ok(_) => {}
            Err(error) if error.is_timeout() => timed_out += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    let [connections, received, most] = [&CONNECTIONS, &RECEIVED, &MOST].map(|count| count.load(Ordering::SeqCst));
    println!("{name} connections {connections} at_once {most} seconds {} timed_out {timed_out} received {received}", start.elapsed().as_secs());
    sleep(Duration::from_millis(2500)).await;
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|_| {
        CONNECTIONS.fetch_add(1, Ordering::SeqCst);
    });
    tokio::spawn(async { axum::serve(listener, Router::new().route("/", get(handle))).await });
    let http1 = || Client::builder().http1_only().build().unwrap();
    // Without TLS it has to be told.
    let http2 = || Client::builder().http2_prior_knowledge().build().unwrap();
    let long = Duration::from_secs(60);
    ask("http1", &server, &[http1()], long).await;
    ask("http2", &server, &[http2()], long).await;
    ask("two", &server, &[http2(), http2()], long).await;
    ask("limited", &server, &[http2()], Duration::from_secs(3)).await;
}
RS
cargo run --quiet --manifest-path streams/Cargo.toml --target-dir target > seen
cat seen
awk '$1 == "http1" && ($3 < 250 || $5 < 250) { exit 1 }
    $1 != "http1" && ($3 != ($1 == "two" ? 2 : 1) || $5 != ($1 == "two" ? 300 : 200)) { exit 1 }
    $9 != ($1 == "limited" ? 100 : 0) || $11 != 300 || $1 == "http2" && $7 < 4 || $1 == "two" && $7 > 3 { exit 1 }' seen ||
    { echo "changed: requests share connections otherwise" >&2; exit 1; }
[ "$(wc -l < seen)" = 4 ]
