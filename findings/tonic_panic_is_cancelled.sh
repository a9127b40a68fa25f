#!/usr/bin/env bash
# tonic 0.14.9 with hyper 1.12.0: the code that a client gets when a handler of the server panics, or a time is over.
#
# Guess: Internal or Unknown for a panic, DeadlineExceeded for a time-out, and Cancelled when the client itself has given up, as gRPC's
# documentation has them.
# Reality: all of them are Cancelled. A panic drops the stream's task, for which HTTP/2's reset says CANCEL, as it does for a client that goes
# away; all three limits of tonic end with the same code, with another text:
#
#     what happens                                           code         text
#     the handler returns Status::internal                   Internal     charge failed
#     the handler panics                                     Cancelled    h2 protocol error: http2 error
#     `Endpoint::timeout` of the client is over              Cancelled    Timeout expired
#     `Request::set_timeout` is over                         Cancelled    Timeout expired
#     `Server::timeout` is over                              Cancelled    Timeout expired
#     the server's runtime is dropped                        Unknown      transport error
#
# Why it matters: metrics and alerts of gRPC count codes and leave Cancelled out, since it is no fault of the server; policies for retries do
# not try again. A bug that panics, and a server that is too slow for its clients, look like users who close their browsers; the panic is
# not even in the server's count of responses, as there is none. Catch panics by a layer that answers with a status (tower-http's
# `CatchPanicLayer`), give time-outs in the handler, and count Cancelled by its text.
set -euo pipefail
command -v cargo > /dev/null || { echo "tonic_panic_is_cancelled.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p codes/src
cat > codes/Cargo.toml <<'TOML'
[package]
name = "codes"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false }
hyper = "=1.12.0"
tokio = { version = "=1.54.1", features = ["net", "rt-multi-thread", "time"] }
tokio-stream = { version = "=0.1.19", default-features = false, features = ["net"] }
tonic = { version = "=0.14.9", default-features = false, features = ["channel", "codegen", "router", "server"] }
[workspace]
TOML
cat > codes/src/main.rs <<'RS'
use axum::Router;
use axum::routing::post;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::service::Routes;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};

const LIMIT: Duration = Duration::from_millis(300);

/// Messages without bytes.
#[derive(Default)]
struct Empty;

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Empty;
    type Decoder = Empty;
    fn encoder(&mut self) -> Empty {
        Empty
    }
    fn decoder(&mut self) -> Empty {
        Empty
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
        Ok(Some(()))
    }
}

async fn panics() {
    panic!("charge");
}

async fn serve(limit: Option<Duration>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/shop/Fails", post(async || Status::internal("charge failed").into_http::<axum::body::Body>()))
        .route("/shop/Panics", post(panics))
        .route("/shop/Waits", post(async || sleep(Duration::from_secs(60)).await));
    let mut server = Server::builder();
    if let Some(limit) = limit {
        server = server.timeout(limit);
    }
    tokio::spawn(server.add_routes(Routes::from(router)).serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn call(name: &str, server: SocketAddr, path: &'static str, client: Option<Duration>, request: Option<Duration>) {
    let mut endpoint = Endpoint::from_shared(format!("http://{server}")).unwrap();
    if let Some(limit) = client {
        endpoint = endpoint.timeout(limit);
    }
    let mut grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    let mut message = Request::new(());
    if let Some(limit) = request {
        message.set_timeout(limit);
    }
    grpc.ready().await.unwrap();
    let path = axum::http::uri::PathAndQuery::from_static(path);
    match timeout(Duration::from_secs(10), grpc.unary(message, path, Empty)).await {
        Err(_) => println!("{name}: waits"),
        Ok(Ok(_)) => println!("{name}: Ok"),
        Ok(Err(status)) => println!("{name}: {:?}, {}", status.code(), status.message()),
    }
}

async fn run() {
    let server = serve(None).await;
    call("status", server, "/shop/Fails", None, None).await;
    call("panic", server, "/shop/Panics", None, None).await;
    call("Endpoint::timeout", server, "/shop/Waits", Some(LIMIT), None).await;
    call("Request::set_timeout", server, "/shop/Waits", None, Some(LIMIT)).await;
    call("Server::timeout", serve(Some(LIMIT)).await, "/shop/Waits", None, None).await;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        tell.send(runtime.block_on(serve(None))).unwrap();
        std::thread::sleep(Duration::from_secs(2));
    });
    call("the runtime is dropped", told.recv().unwrap(), "/shop/Waits", None, None).await;
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run());
}
RS
cargo run --quiet --manifest-path codes/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: the codes of a panic and of time-outs" >&2; exit 1; }
status: Internal, charge failed
panic: Cancelled, h2 protocol error: http2 error
Endpoint::timeout: Cancelled, Timeout expired
Request::set_timeout: Cancelled, Timeout expired
Server::timeout: Cancelled, Timeout expired
the runtime is dropped: Unknown, transport error
TXT
