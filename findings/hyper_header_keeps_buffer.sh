#!/usr/bin/env bash
# axum 0.8.9 with hyper 1.12.0, hyper-util 0.1.21 and http 1.5.0, HTTP/1: the memory that one stored header, address or small body of a request keeps.
#
# Guess: as much as it has bytes, and some words: a `HeaderValue` of 32 bytes is like a `String` of 32 bytes. `clone()` copies it.
# Reality: it is a part of the buffer that the connection read the request into, and keeps all of that buffer. A request is copied nowhere: header
# values, `Uri`, and a body that came with the head are views of it. Bytes that stay for each request, of which the handler stored 32 bytes of a
# header, the address, or a body of 10 bytes; the clients have closed their connections:
#
#     stored                                  a connection each    200 requests on a connection
#     `to_str()?.to_string()` of the header       32                   32
#     `HeaderValue`, cloned                   16,424                4,280
#     `Uri`, cloned                           16,424                4,115
#     `Bytes` of the body                     16,424                5,309
#
# Why it matters: request ids, tenants, tokens and cache keys are stored in maps, spans and tasks that live for long; 100,000 of them behind a
# load balancer that opens new connections are 1.6 GB. A heap profile has the bytes where they were allocated, in the read of hyper's connection,
# and neither the map nor the handler. What lives longer than its request should be a `String`, or `Bytes::copy_from_slice`.
set -euo pipefail
command -v cargo > /dev/null || { echo "hyper_header_keeps_buffer.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p stored/src
cat > stored/Cargo.toml <<'TOML'
[package]
name = "stored"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio"] }
bytes = "=1.12.2"
# Has `HeaderValue` and `Uri`.
http = "=1.5.0"
hyper = "=1.12.0"
# Serves axum's connections.
hyper-util = { version = "=0.1.21", default-features = false }
tokio = { version = "=1.54.1", features = ["macros", "net", "rt", "time"] }
[workspace]
TOML
cat > stored/src/main.rs <<'RS'
use axum::Router;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::routing::{get, post};
use bytes::Bytes;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

static LIVE: AtomicI64 = AtomicI64::new(0);
struct Counts;
// SAFETY: all calls go on to `System`.
unsafe impl GlobalAlloc for Counts {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}
#[global_allocator]
static COUNTS: Counts = Counts;

static STRINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static HEADERS: Mutex<Vec<HeaderValue>> = Mutex::new(Vec::new());
static URIS: Mutex<Vec<Uri>> = Mutex::new(Vec::new());
static BODIES: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());

fn requests(address: SocketAddr, path: &str, connections: usize, each: usize) {
    for _ in 0..connections {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        for number in 0..each {
            let head = format!("/{path} HTTP/1.1\r\nhost: shop\r\nx-request-id: {number:032}\r\n");
            let request = if path == "body" { format!("POST {head}content-length: 10\r\n\r\n0123456789") } else { format!("GET {head}\r\n") };
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = [0; 1000];
            let length = stream.read(&mut answer).unwrap();
            assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    STRINGS.lock().unwrap().reserve(1000);
    HEADERS.lock().unwrap().reserve(1000);
    URIS.lock().unwrap().reserve(1000);
    BODIES.lock().unwrap().reserve(1000);
    let router = Router::new()
        .route("/nothing", get(async || ()))
        .route("/string", get(async |headers: HeaderMap| STRINGS.lock().unwrap().push(headers["x-request-id"].to_str().unwrap().to_string())))
        .route("/header", get(async |headers: HeaderMap| HEADERS.lock().unwrap().push(headers["x-request-id"].clone())))
        .route("/uri", get(async |uri: Uri| URIS.lock().unwrap().push(uri.clone())))
        .route("/body", post(async |body: Bytes| BODIES.lock().unwrap().push(body)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    for (connections, each) in [(200, 1), (1, 200)] {
        for path in ["nothing", "nothing", "string", "header", "uri", "body"] {
            let before = LIVE.load(Ordering::Relaxed);
            tokio::task::spawn_blocking(move || requests(address, path, connections, each)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            println!("connections {connections} {path} {}", (LIVE.load(Ordering::Relaxed) - before) / 200);
        }
    }
}
RS
cargo run --quiet --manifest-path stored/Cargo.toml --target-dir target > seen
cat seen
awk '
    $3 == "string" { good += $4 >= 30 && $4 < 100 }
    $3 ~ /^(header|uri|body)$/ { good += $2 == 200 ? $4 > 8000 : $4 > 1000 }
    END { exit good != 8 }
' seen || { echo "changed: the memory that a part of a request keeps" >&2; exit 1; }
