#!/usr/bin/env bash
# axum 0.8.9 with tower 0.5.3 and tower-http 0.6.11: what a limit and a time-out around a handler see of a response that is streamed.
#
# Guess: a response is made until its last byte is sent. A limit of one lets one download at a time through, and a time-out of 200 ms cuts
# one that takes longer.
# Reality: the layers' part ends when the handler returns, with the head of the response. Its body is polled by the connection, outside of all
# layers. Six requests at once, through `GlobalConcurrencyLimitLayer::new(1)` and a `TimeoutLayer` of 200 ms, 500 ms of work each:
#
#     the work is done                     most at once    answers            the last one after
#     in the handler                       1               6 x 408            0.2 s
#     in the stream of the body            6               6 x 200, whole     0.5 s
#
# Why it matters: exports, proxies, events and large files are streamed, and they are what limits and time-outs are set for. The limit counts
# none of them, and a client that reads slowly keeps the database cursor or file in its body for hours. A latency that is measured around
# the handler is below a millisecond for them. A dump has them in the tasks of connections, with no handler in the stack. Move the permit into
# the body, and put a time-out around each item.
set -euo pipefail
command -v cargo > /dev/null || { echo "axum_limit_ends_with_head.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p head/src
cat > head/Cargo.toml <<'TOML'
[package]
name = "head"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio"] }
futures = "=0.3.34"
reqwest = { version = "=0.13.5", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt-multi-thread", "time"] }
tower = { version = "=0.5.3", features = ["limit"] }
tower-http = { version = "=0.6.11", features = ["timeout"] }
[workspace]
TOML
cat > head/src/main.rs <<'RS'
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::get;
use futures::future::join_all;
use futures::stream;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::timeout::TimeoutLayer;

static AT_WORK: AtomicU32 = AtomicU32::new(0);
static MOST: AtomicU32 = AtomicU32::new(0);

struct AtWork;

impl AtWork {
    fn new() -> AtWork { MOST.fetch_max(AT_WORK.fetch_add(1, SeqCst) + 1, SeqCst); AtWork }
}

impl Drop for AtWork {
    fn drop(&mut self) { AT_WORK.fetch_sub(1, SeqCst); }
}

async fn row() { tokio::time::sleep(Duration::from_millis(100)).await }

async fn in_handler() -> String {
    let _work = AtWork::new();
    for _ in 0..5 { row().await }
    "xxxxx".to_owned()
}

async fn in_body() -> Body {
    Body::from_stream(stream::unfold((AtWork::new(), 0), |(work, rows)| async move {
        if rows == 5 { return None }
        row().await;
        Some((Ok::<_, Infallible>("x"), (work, rows + 1)))
    }))
}

async fn six(address: SocketAddr, path: &str) {
    let begun = Instant::now();
    let ask = || async {
        let response = reqwest::Client::new().get(format!("http://{address}/{path}")).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().len())
    };
    let answers = join_all((0..6).map(|_| ask())).await;
    let same = answers.iter().all(|answer| *answer == answers[0]);
    println!("{path}: most {} answers {:?} all alike {same}", MOST.swap(0, SeqCst), answers[0]);
    eprintln!("{path}: {} ms", begun.elapsed().as_millis());
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/handler", get(in_handler))
        .route("/body", get(in_body))
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(200)));
    tokio::spawn(async { axum::serve(listener, router.into_make_service()).await });
    six(address, "handler").await;
    six(address, "body").await;
}
RS
cargo run --quiet --manifest-path head/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the layers see the body" >&2; exit 1; }
handler: most 1 answers (408, 0) all alike true
body: most 6 answers (200, 5) all alike true
TXT
