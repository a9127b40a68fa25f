#!/usr/bin/env bash
# axum 0.8.9 and reqwest 0.13.5 with hyper 1.12.0, HTTP/2: a body that is not read, and the other requests of its connection.
#
# Guess: streams of a connection are independent. A handler that waits before it reads its body, or a response whose body is kept for later,
# delays itself; each stream has a window of its own for that.
# Reality: the connection has a window, too, over all bodies of one direction, and by default the server's is as large as that of one
# stream, the client's as two and a half. One unread upload of 1 MiB fills the first:
#
#     a handler has not read its upload of      GET         POST of 5 bytes
#     900,000 bytes                             answered    answered
#     1,048,576 bytes                           answered    waits until the upload is read
#
#     responses of 6 MiB that are kept unread   another GET, its status    its body of 2 bytes
#     two                                       at once                    at once
#     three                                     at once                    waits until one of them is dropped
#
# Why it matters: a client or a proxy of HTTP/2 has one connection for all of its requests. One handler that waits for a lock or a permit
# before it reads stops each upload of that client, in handlers that have nothing to do with it; a dump has those in hyper's read of a
# body, as if the client were slow, and the client has them as sent. GETs go on, so health checks do. Read or drop bodies first, or raise
# the window of the connection above that of its streams.
set -euo pipefail
command -v cargo > /dev/null || { echo "hyper_unread_body.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p bodies/src
cat > bodies/Cargo.toml <<'TOML'
[package]
name = "bodies"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http2", "tokio"] }
hyper = "=1.12.0"
reqwest = { version = "=0.13.5", default-features = false, features = ["http2"] }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > bodies/src/main.rs <<'RS'
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::routing::{get, post};
use reqwest::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(1);

async fn within<T>(wait: impl Future<Output = reqwest::Result<T>>) -> &'static str {
    match timeout(PATIENCE, wait).await {
        Ok(said) => said.map(|_| "answered").unwrap(),
        Err(_) => "waits",
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let may_read = Arc::new(Semaphore::new(0));
    let permit = may_read.clone();
    let import = async move |body: Body| {
        let _permit = permit.acquire().await;
        to_bytes(body, usize::MAX).await.unwrap().len().to_string()
    };
    let app = Router::new()
        .route("/import", post(import))
        .route("/order", post(async |body: Bytes| body.len().to_string()))
        .route("/small", get(async || "ok"))
        .route("/export", get(async || vec![0_u8; 6 << 20]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    // Without TLS it has to be told; it then has one connection.
    let client = || Client::builder().http2_prior_knowledge().build().unwrap();

    for size in [900_000, 1_048_576] {
        let client = client();
        let upload = client.post(format!("{server}/import")).body(vec![0; size]).send();
        let upload = tokio::spawn(upload);
        sleep(Duration::from_millis(500)).await;
        let seen_get = within(async { client.get(format!("{server}/small")).send().await?.text().await }).await;
        let mut order = tokio::spawn(client.post(format!("{server}/order")).body("hello").send());
        let seen_post = within(async { (&mut order).await.unwrap() }).await;
        may_read.add_permits(1);
        assert_eq!(upload.await.unwrap().unwrap().text().await.unwrap(), size.to_string());
        if seen_post == "waits" {
            assert!(order.await.unwrap().is_ok());
        }
        may_read.forget_permits(1);
        println!("unread {size}: GET {seen_get} POST {seen_post}");
    }

    let client = client();
    let mut kept = Vec::new();
    for count in 1..=3 {
        kept.push(client.get(format!("{server}/export")).send().await.unwrap());
        sleep(Duration::from_millis(500)).await;
        let other = client.get(format!("{server}/small")).send();
        let Ok(Ok(other)) = timeout(PATIENCE, other).await else { panic!("no status") };
        let mut text = tokio::spawn(other.text());
        let seen = within(async { (&mut text).await.unwrap() }).await;
        println!("kept {count}: body {seen}");
        if seen == "waits" {
            kept.pop();
            println!("one dropped: {}", within(async { text.await.unwrap() }).await);
        }
    }
}
RS
cargo run --quiet --manifest-path bodies/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: an unread body stops others at another size" >&2; exit 1; }
unread 900000: GET answered POST answered
unread 1048576: GET answered POST waits
kept 1: body answered
kept 2: body answered
kept 3: body waits
one dropped: answered
TXT
