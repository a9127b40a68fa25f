#!/usr/bin/env bash
# hyper-util 0.1.21 with hyper 1.12.0: idle connections of `client::legacy::Client`.
#
# Guess: an idle connection is closed after `pool_idle_timeout`, 90 s by default; the client is given tokio's executor, so it can spawn and sleep.
# Reality: it cannot sleep. Without `pool_timer(TokioTimer::new())` no task looks at idle connections. They are closed when a later request looks
# for one of its host, all at once, or when the client is dropped. There is no error and no warning, whatever the time-out. Ten requests at once,
# a time-out of 0.5 s; open connections, counted by the server:
#
#                           after the requests    3 s later    after one more request    client dropped
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
tokio = { version = "=1.54.1", features = ["macros", "net", "rt", "time"] }
[workspace]
TOML
cat > pool/src/main.rs <<'RS'
use bytes::Bytes;
use futures::future::join_all;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::sleep;

static OPEN: AtomicI32 = AtomicI32::new(0);

async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        OPEN.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async {
            let handler = service_fn(async |_| {
                sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from_static(b"hello"))))
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
            OPEN.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn request(client: &Client<HttpConnector, Empty<Bytes>>, address: SocketAddr) {
    let response = client.get(format!("http://{address}/").parse().unwrap()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

async fn open_after(pause: Duration) -> i32 {
    sleep(pause).await;
    OPEN.load(Ordering::Relaxed)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    for timer in [false, true] {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(Duration::from_millis(500));
        if timer {
            builder.pool_timer(TokioTimer::new());
        }
        let client = builder.build_http();
        join_all((0..10).map(|_| request(&client, address))).await;
        let after_burst = open_after(Duration::from_millis(10)).await;
        let later = open_after(Duration::from_secs(3)).await;
        request(&client, address).await;
        let after_one_more = open_after(Duration::from_millis(100)).await;
        drop(client);
        println!("timer {timer} burst {after_burst} later {later} one_more {after_one_more} dropped {}", open_after(Duration::from_millis(300)).await);
    }
}
RS
cargo run --quiet --manifest-path pool/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: when idle connections are closed" >&2; exit 1; }
timer false burst 10 later 10 one_more 1 dropped 0
timer true burst 10 later 0 one_more 1 dropped 0
TXT
