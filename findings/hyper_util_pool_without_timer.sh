#!/usr/bin/env bash
# hyper-util 0.1.21 with hyper 1.12.0: idle connections of `client::legacy::Client`.
#
# Guess: an idle connection is closed after `pool_idle_timeout`, 90 s by default; the client is given tokio's executor, so it can spawn and sleep.
# Reality: it cannot sleep. Without `pool_timer(TokioTimer::new())` no task looks at idle connections. They are closed when a later request looks
# for one of its host, all at once, or when the client is dropped. There is no error and no warning, whatever the time-out. Ten requests at once,
# a time-out of 2 s; open connections, counted by the server:
#
#                           after the requests    6 s later    after one more request    client dropped
#     without a timer       10                    10           1                         0
#     with pool_timer       10                    0            1                         0
#
# Why it matters: proxies and SDKs use this client, and reqwest is the one that sets the timer. After a burst to many hosts, such as a crawl or
# webhooks, each host that is not asked again keeps its connections, with a file, a task and buffers each, until the server ends them. A server
# behind a load balancer that has idle limits closes them, so it shows in some environments only. A dump has the tasks of the connections, idle
# for hours, spawned by the executor, and a count of them that only rises.
set -euo pipefail
command -v cargo > /dev/null || { echo "hyper_util_pool_without_timer.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p pool/src
cat > pool/Cargo.toml <<'TOML'
[package]
name = "pool"
version = "0.0.0"
edition = "2024"
[dependencies]
bytes = "=1.12.2"
futures = "=0.3.34"
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", features = ["client-legacy", "http1", "tokio"] }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt", "sync", "time"] }
[workspace]
TOML
cat > pool/src/main.rs <<'RS'
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::time::{sleep, timeout};

static OPEN: AtomicI32 = AtomicI32::new(0);
/// The requests of a burst are answered when all of them are there.
static BURST: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(10));

async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        OPEN.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async {
            let handler = service_fn(async |request: Request<Incoming>| {
                if request.uri().path() == "/burst" {
                    BURST.wait().await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
            OPEN.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn request(client: &Client<HttpConnector, Empty<Bytes>>, address: SocketAddr, path: &str) {
    let response = client.get(format!("http://{address}/{path}").parse().unwrap()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

/// The number of open connections, once it is `expected` or the time is over.
async fn open(expected: i32, seconds: u64) -> i32 {
    let begin = Instant::now();
    while OPEN.load(Ordering::Relaxed) != expected && begin.elapsed() < Duration::from_secs(seconds) {
        sleep(Duration::from_millis(10)).await;
    }
    OPEN.load(Ordering::Relaxed)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    for timer in [false, true] {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_secs(2));
        if timer {
            builder.pool_timer(TokioTimer::new());
        }
        let client = builder.build_http();
        timeout(Duration::from_secs(60), join_all((0..10).map(|_| request(&client, address, "burst")))).await.expect("ten requests at once");
        let after_burst = OPEN.load(Ordering::Relaxed);
        // Three times the time-out without a timer; with it, as long as it takes.
        let later = open(0, if timer { 60 } else { 6 }).await;
        request(&client, address, "one").await;
        let after_one_more = open(1, 60).await;
        drop(client);
        println!("timer {timer} burst {after_burst} later {later} one_more {after_one_more} dropped {}", open(0, 60).await);
    }
}
RS
cargo run --quiet --manifest-path pool/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: when idle connections are closed" >&2; exit 1; }
timer false burst 10 later 10 one_more 1 dropped 0
timer true burst 10 later 0 one_more 1 dropped 0
TXT
