#!/usr/bin/env bash
# axum 0.8.9 with hyper 1.12.0, HTTP/1: what becomes of a handler whose client has gone.
#
# Guess: hyper sees the end of the connection while the handler waits, and drops the handler's future; so a handler that is still there
# has a client. A client that has only shut down its writing side still gets the answer.
# Reality: hyper looks for the end of the connection only where it would read next. While bytes lie there that no reader has asked for, it
# does not look, and the handler runs to its end. Where it does look, half a connection counts as none. A handler that waits for 2 s, a
# client that leaves after 0.3 s:
#
#     request                                          client closes     client shuts down writing only
#     GET                                              dropped           dropped, no answer
#     POST of 5 bytes, not read by the handler         dropped           dropped, no answer
#     POST of 100,000 bytes, read by the handler       dropped           dropped, no answer
#     POST of 100,000 bytes, not read by it            runs to its end   runs to its end, answer
#     two GETs in one write (pipelined)                runs to its end   runs to its end, answer
#
# Why it matters: a handler that waits for a permit or asks a database before it reads the body goes on for clients that have timed out.
# Retried uploads so pile up in a dump, with more tasks in the handler than there are clients, while handlers of GETs vanish in the same
# case. Read the body first, or put a time-out around the handler. hyper's `half_close` is the switch for the second column.
set -euo pipefail
command -v cargo > /dev/null || { echo "hyper_gone_client.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p gone/src
cat > gone/Cargo.toml <<'TOML'
[package]
name = "gone"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio"] }
hyper = "=1.12.0"
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt-multi-thread", "time"] }
[workspace]
TOML
cat > gone/src/main.rs <<'RS'
use std::sync::Mutex;
use std::time::Duration;
use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Handler { NotBegun, Waits, Dropped, Ended }
/// The first handler of the connection.
static STATE: Mutex<Handler> = Mutex::new(Handler::NotBegun);

fn step(from: Handler, to: Handler) {
    let mut state = STATE.lock().unwrap();
    if *state == from { *state = to }
}

struct Guard;
impl Drop for Guard {
    fn drop(&mut self) { step(Handler::Waits, Handler::Dropped) }
}

async fn wait() -> &'static str {
    step(Handler::NotBegun, Handler::Waits);
    let _guard = Guard;
    sleep(Duration::from_secs(2)).await;
    step(Handler::Waits, Handler::Ended);
    "answer"
}

async fn until(wanted: impl Fn(Handler) -> bool) {
    while !wanted(*STATE.lock().unwrap()) { sleep(Duration::from_millis(5)).await }
}

fn request(method: &str, path: &str, body: usize) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {body}\r\n\r\n").into_bytes();
    request.resize(request.len() + body, b'x');
    request
}

#[tokio::main]
async fn main() {
    let router = Router::new()
        .route("/get", get(wait))
        .route("/unread", post(wait))
        .route("/read", post(|body: Bytes| async move { drop(body); wait().await }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    for (name, request) in [
        ("get", request("GET", "/get", 0)),
        ("post_5_unread", request("POST", "/unread", 5)),
        ("post_100000_read", request("POST", "/read", 100_000)),
        ("post_100000_unread", request("POST", "/unread", 100_000)),
        ("two_gets", request("GET", "/get", 0).repeat(2)),
    ] {
        for half in [false, true] {
            *STATE.lock().unwrap() = Handler::NotBegun;
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(&request).await.unwrap();
            until(|state| state != Handler::NotBegun).await;
            sleep(Duration::from_millis(300)).await;
            let mut client = Some(client);
            if half { client.as_mut().unwrap().shutdown().await.unwrap() } else { drop(client.take()) }
            until(|state| state != Handler::Waits).await;
            let state = *STATE.lock().unwrap();
            let mut answer = Vec::new();
            if let Some(mut client) = client {
                let _ = timeout(Duration::from_secs(10), client.read_to_end(&mut answer)).await;
            }
            let answer = if answer.is_empty() { "" } else { " answer" };
            println!("{name} {} {state:?}{answer}", if half { "shuts_down" } else { "closes" });
            // Until the second handler of a pipeline is over.
            if name == "two_gets" { sleep(Duration::from_millis(2500)).await }
        }
    }
}
RS
cargo run --quiet --manifest-path gone/Cargo.toml --target-dir target | tee seen
cat > expected <<'TXT'
get closes Dropped
get shuts_down Dropped
post_5_unread closes Dropped
post_5_unread shuts_down Dropped
post_100000_read closes Dropped
post_100000_read shuts_down Dropped
post_100000_unread closes Ended
post_100000_unread shuts_down Ended answer
two_gets closes Ended
two_gets shuts_down Ended answer
TXT
diff expected seen || { echo "changed" >&2; exit 1; }
