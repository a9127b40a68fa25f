#!/usr/bin/env bash
# axum 0.8.9 with hyper 1.12.0: what `with_graceful_shutdown` waits for.
#
# Guess: for all that a handler has begun. A WebSocket is a connection of the server, and a stream of events is one, too; so both are treated
# alike.
# Reality: a WebSocket is not waited for. With the upgrade it leaves the server's connections, and its handler is a task of its own, which `serve`
# does not know. A stream of events is a response and is waited for, without a limit and without being told. The shutdown begins as soon as the
# handler has begun, which then lasts for 2 s:
#
#     the handler                         serve returns after    the handler meanwhile
#     answers after 2 s                   2.0 s                  ends
#     streams events for 2 s              2.0 s                  ends
#     has a WebSocket for 2 s             0.0 s                  goes on, and is cut off if main returns
#
# Why it matters: `serve(..).await` is the last line of main, and the runtime is dropped behind it. A deployment cuts off each WebSocket in the
# middle of a message, without a close frame, and the log says that the shutdown was graceful. The opposite is a stream of events that has no end:
# the process is still there after the grace period and is killed, with its other work undone. Give both a `CancellationToken`, and wait for the
# WebSockets' tasks with a `TaskTracker`. A dump at the shutdown tells them apart: the connection's task of a WebSocket has ended.
set -euo pipefail
command -v cargo > /dev/null || { echo "axum_websocket_not_waited.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p shutdown/src
cat > shutdown/Cargo.toml <<'TOML'
[package]
name = "shutdown"
version = "0.0.0"
edition = "2024"
[dependencies]
axum = { version = "=0.8.9", default-features = false, features = ["http1", "tokio", "ws"] }
futures = "=0.3.34"
hyper = "=1.12.0"
tokio = { version = "=1.54.1", features = ["macros", "net", "rt-multi-thread", "sync", "time"] }
[workspace]
TOML
cat > shutdown/src/main.rs <<'RS'
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use futures::stream::{self, StreamExt};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

static BEGUN: Notify = Notify::const_new();
static ENDED: AtomicBool = AtomicBool::new(false);

async fn talk(mut socket: WebSocket) {
    BEGUN.notify_one();
    for _ in 0..20 {
        sleep(Duration::from_millis(100)).await;
        socket.send(Message::Text("event".into())).await.unwrap();
    }
    ENDED.store(true, Ordering::Relaxed);
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    for path in ["answer", "events", "websocket"] {
        ENDED.store(false, Ordering::Relaxed);
        let events = || stream::iter(0..20).then(async |number| {
            if number == 0 {
                BEGUN.notify_one();
            }
            sleep(Duration::from_millis(100)).await;
            ENDED.store(number == 19, Ordering::Relaxed);
            Ok::<_, Infallible>(Event::default().data("event"))
        });
        let router = Router::new()
            .route("/answer", get(async || { BEGUN.notify_one(); sleep(Duration::from_secs(2)).await; ENDED.store(true, Ordering::Relaxed) }))
            .route("/events", get(async move || Sse::new(events())))
            .route("/websocket", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(talk)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(async { axum::serve(listener, router).with_graceful_shutdown(async { stopped.await.unwrap() }).await.unwrap() });
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            write!(stream, "GET /{path} HTTP/1.1\r\nhost: shop\r\n{}\r\n", if path == "websocket" { upgrade } else { "" }).unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        timeout(Duration::from_secs(60), BEGUN.notified()).await.expect("a handler that begins");
        let begin = Instant::now();
        stop.send(()).unwrap();
        server.await.unwrap();
        println!("{path} ms {} ended {}", begin.elapsed().as_millis(), ENDED.load(Ordering::Relaxed));
        client.join().unwrap();
    }
}
RS
cargo run --quiet --manifest-path shutdown/Cargo.toml --target-dir target > seen
cat seen
awk '
    $1 ~ /^(answer|events)$/ { good += $3 > 500 && $5 == "true" }
    $1 == "websocket" { good += $3 < 1500 && $5 == "false" }
    END { exit good != 3 }
' seen || { echo "changed: what a graceful shutdown waits for" >&2; exit 1; }
