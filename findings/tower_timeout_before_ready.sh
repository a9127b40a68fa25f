#!/usr/bin/env bash
# tower 0.5.3, axum 0.8.9 with tower-http 0.6.11, tonic 0.14.9: what a time-out around a service does not count.
#
# Guess: a request is answered or refused when its time is over, however it spent the time: in a queue, on the way, or in the handler.
# Reality: the clock starts with `call`, and the wait for `poll_ready` comes before it. A limit, or a connection that is being made, lets its
# callers wait there, outside of any time-out around it. Six requests at once, a limit of one, each handled for 150 ms, and a
# time-out of 200 ms:
#
#     layers, outermost first                                          answered after, in ms
#     tower: timeout, concurrency_limit                                150, 300, 450, 600, 750, 900; none refused
#     axum: TimeoutLayer, GlobalConcurrencyLimitLayer                  150, 300, 450, 600, 750, 900; none refused
#     tower: timeout, buffer, concurrency_limit                        150; five refused at 200
#     tonic: Endpoint::timeout, a server that cannot be reached        waits on
#     tonic: Request::set_timeout, such a server                       waits on
#     tonic: either, a server that does not answer                     refused at 200, with the code Cancelled
#
# Why it matters: the time-out is there for overload and for peers that are gone, and these are the cases that it leaves out. Requests
# pile up without a limit of time; a dump has them at the semaphore or at a channel, with a time-out in their type and no timer
# in their path. Put `load_shed` or a buffer below the time-out, or `tokio::time::timeout` around the whole call; for tonic set
# `connect_timeout`, too.
set -euo pipefail
command -v cargo > /dev/null || { echo "tower_timeout_before_ready.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p deadline/src
cat > deadline/Cargo.toml <<'TOML'
[package]
name = "deadline"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "http2", "tokio"] }
hyper-util = "=0.1.21"
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt-multi-thread", "time"] }
tonic = { version = "=0.14.9", default-features = false, features = ["channel", "codegen"] }
tower = { version = "=0.5.3", features = ["buffer", "limit", "timeout", "util"] }
tower-http = { version = "=0.6.11", features = ["timeout"] }
[workspace]
TOML
cat > deadline/src/main.rs <<'RS'
use axum::Router;
use axum::http::StatusCode;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::timeout::TimeoutLayer;

const HANDLED: Duration = Duration::from_millis(150);
const LIMIT: Duration = Duration::from_millis(200);

async fn handle() {
    sleep(HANDLED).await;
}

/// How six requests at once end.
async fn six<F: Future<Output = bool> + Send + 'static>(name: &str, request: impl Fn() -> F) {
    let start = Instant::now();
    let all: Vec<_> = (0..6)
        .map(|_| {
            let request = request();
            tokio::spawn(async move {
                let answered = request.await;
                (start.elapsed().as_millis(), answered)
            })
        })
        .collect();
    let mut ends = Vec::new();
    for request in all {
        ends.push(request.await.unwrap());
    }
    ends.sort();
    let refused = ends.iter().filter(|(_, answered)| !answered).count();
    println!("{name}: refused {refused} last_after {}", ends[5].0);
}

async fn get(server: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200")
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[derive(Default)]
struct Empty;
impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}
impl Encoder for Empty {
    type Item = ();
    type Error = Status;
    fn encode(&mut self, _: (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}
impl Decoder for Empty {
    type Item = ();
    type Error = Status;
    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(None)
    }
}

/// What a call says within 2 s.
async fn call(name: &str, channel: Channel, deadline: Option<Duration>) {
    let mut client = tonic::client::Grpc::new(channel);
    let mut request = Request::new(());
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    let said = timeout(Duration::from_secs(2), async {
        client.ready().await.unwrap();
        client.unary(request, "/shop/Order".parse().unwrap(), Empty).await
    });
    match said.await {
        Err(_) => println!("{name}: waits"),
        Ok(said) => println!("{name}: {:?}", said.unwrap_err().code()),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let handler = || service_fn(|()| async { Ok::<_, Infallible>(handle().await) });
    let service = ServiceBuilder::new().timeout(LIMIT).concurrency_limit(1).service(handler());
    six("timeout, limit", || {
        let service = service.clone();
        async { service.oneshot(()).await.is_ok() }
    })
    .await;
    let service = ServiceBuilder::new().timeout(LIMIT).buffer(10).concurrency_limit(1).service(handler());
    six("timeout, buffer, limit", || {
        let service = service.clone();
        async { service.oneshot(()).await.is_ok() }
    })
    .await;
    let layers = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LIMIT))
        .layer(GlobalConcurrencyLimitLayer::new(1));
    let server = serve(Router::new().fallback(handle).layer(layers)).await;
    six("axum", || get(server)).await;

    let endpoint = || Endpoint::from_static("http://shop");
    // As a host that answers no packet.
    let unreachable = service_fn(|_| async { Ok::<TokioIo<TcpStream>, Infallible>(pending().await) });
    call("tonic endpoint, unreachable", endpoint().timeout(LIMIT).connect_with_connector_lazy(unreachable), None).await;
    call("tonic request, unreachable", endpoint().connect_with_connector_lazy(unreachable), Some(LIMIT)).await;
    let server = serve(Router::new().fallback(|| sleep(Duration::from_secs(60)))).await;
    let endpoint = || Endpoint::from_shared(format!("http://{server}")).unwrap();
    call("tonic endpoint, silent", endpoint().timeout(LIMIT).connect_lazy(), None).await;
    call("tonic request, silent", endpoint().connect_lazy(), Some(LIMIT)).await;
}
RS
cargo run --quiet --manifest-path deadline/Cargo.toml --target-dir target > seen
cat seen
awk -F': ' '/^timeout, limit|^axum/ { split($2, n, " "); if (n[2] != 0 || n[4] < 800) exit 1 } /^timeout, buffer/ { split($2, n, " "); if (n[2] < 4) exit 1 }
    /unreachable/ && $2 != "waits" { exit 1 } /silent/ && $2 != "Cancelled" { exit 1 }' seen || { echo "changed: a time-out counts the wait before it" >&2; exit 1; }
[ "$(wc -l < seen)" = 7 ]
