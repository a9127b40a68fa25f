#!/usr/bin/env bash
# axum 0.8.9 with tower 0.5.3: what `Router::layer(ConcurrencyLimitLayer::new(1))` limits, and how often a layer is applied.
#
# Guess: a layer is applied when the router is built, around all of its routes; one request at a time is handled.
# Reality: a layer is applied to each route and method by itself, and `axum::serve(listener, router)` does so again for every connection
# that it accepts. State that is made in `Layer::layer`, as this limit's semaphore is, is one per connection, route and method. Most
# requests that were handled at once, and calls of `Layer::layer` for 12 connections:
#
#                                                   8 x GET /a    GET /a, POST /a, GET /b, GET /c    calls
#     serve(listener, router)                       8             4                                  48
#     serve(listener, router.into_make_service())   1             4                                  0
#     serve(listener, router.with_state(()))        1             4                                  0
#     the first, GlobalConcurrencyLimitLayer        1             1
#
# Why it matters: an HTTP/1 client sends one request at a time on a connection, so the limit limits nothing there, and the dump of an
# overloaded server has hundreds of tasks in a handler that is limited to ten. A layer that counts or samples requests must keep its
# state in the layer, behind an `Arc`; what `layer` makes is new with each connection.
set -euo pipefail
command -v cargo > /dev/null || { echo "axum_layer_per_connection.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p limit/src
cat > limit/Cargo.toml <<'TOML'
[package]
name = "limit"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio"] }
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt-multi-thread", "time"] }
tower = { version = "=0.5.3", features = ["limit"] }
[workspace]
TOML
cat > limit/src/main.rs <<'RS'
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tower::Layer;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};

static IN_HANDLER: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static LAYERED: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is applied.
#[derive(Clone)]
struct Counts;
impl<S> Layer<S> for Counts {
    type Service = S;
    fn layer(&self, inner: S) -> S {
        LAYERED.fetch_add(1, Ordering::SeqCst);
        inner
    }
}

async fn handle() {
    MOST.fetch_max(IN_HANDLER.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    sleep(Duration::from_secs(1)).await;
    IN_HANDLER.fetch_sub(1, Ordering::SeqCst);
}

fn router() -> Router {
    Router::new().route("/a", get(handle).post(handle)).route("/b", get(handle)).route("/c", get(handle))
}

fn limited() -> Router {
    router().layer(ConcurrencyLimitLayer::new(1)).layer(Counts)
}

/// The most requests that were in the handler at once, each of a connection of its own.
async fn most(address: SocketAddr, requests: &[&str]) -> usize {
    MOST.store(0, Ordering::SeqCst);
    let clients: Vec<_> = requests.iter().map(|request| {
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
        })
    }).collect();
    for client in clients { client.await.unwrap() }
    MOST.load(Ordering::SeqCst)
}

async fn show(name: &str, address: SocketAddr) {
    LAYERED.store(0, Ordering::SeqCst);
    let one_route = most(address, &["GET /a"; 8]).await;
    let four = most(address, &["GET /a", "POST /a", "GET /b", "GET /c"]).await;
    println!("{name} {one_route} {four} layered {}", LAYERED.load(Ordering::SeqCst));
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

macro_rules! serve {
    ($name:literal, $service:expr) => {
        let (listener, address) = bind().await;
        let service = $service;
        tokio::spawn(async { axum::serve(listener, service).await });
        show($name, address).await;
    };
}

#[tokio::main]
async fn main() {
    serve!("router", limited());
    serve!("into_make_service", limited().into_make_service());
    serve!("with_state", limited().with_state::<()>(()));
    serve!("global", router().layer(GlobalConcurrencyLimitLayer::new(1)));
}
RS
cargo run --quiet --manifest-path limit/Cargo.toml --target-dir target | tee seen
cat > expected <<'TXT'
router 8 4 layered 48
into_make_service 1 4 layered 0
with_state 1 4 layered 0
global 1 1 layered 0
TXT
diff expected seen || { echo "changed" >&2; exit 1; }
