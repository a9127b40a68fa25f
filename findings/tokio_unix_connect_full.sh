#!/usr/bin/env bash
# tokio 1.54.1 on Linux 6.18 (seen): `UnixStream::connect` while the listener's queue is full.
#
# Guess: it waits until the server accepts, as a connection by TCP does and as std's `UnixStream::connect` does. An async function has no reason
# to return WouldBlock.
# Reality: it fails at once, with WouldBlock. The kernel lets only a blocking socket wait for a place in the queue of a Unix listener; a socket
# that does not block, as all of tokio's are, gets EAGAIN, and no event tells when there is room. A listener with a queue of 4 that does not
# accept for 500 ms, and the connection after the last one that fits:
#
#     tokio's UnixStream    Err(WouldBlock), "Resource temporarily unavailable (os error 11)", after 0 ms
#     std's UnixStream      Ok, after 500 ms
#     tokio's TcpStream     waits
#
# Why it matters: proxies, sidecars, databases and agents are reached by Unix sockets because they are thought to be the safer way. A server that
# does not accept for some milliseconds under load, because of one long poll, delays clients by TCP and fails those by Unix sockets. Nothing of it
# is in the server: its task waits in `accept` as ever. The client's error has the text of a resource limit, and `WouldBlock` is often taken for
# "try again when it is ready". There is nothing to wait for but time: retry after a pause, or connect in `spawn_blocking`.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_unix_connect_full.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p full/src
cat > full/Cargo.toml <<'TOML'
[package]
name = "full"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["macros", "net", "rt", "time"] }
[workspace]
TOML
cat > full/src/main.rs <<'RS'
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream, UnixSocket, UnixStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_millis(400);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind("shop.socket").unwrap();
    let listener = socket.listen(4).unwrap();
    let mut open = Vec::new();
    let begin = loop {
        let begin = Instant::now();
        match timeout(LIMIT, UnixStream::connect("shop.socket")).await {
            Ok(Ok(stream)) if open.len() < 100 => open.push(stream),
            Ok(Ok(_)) => panic!("the queue has no end"),
            Ok(Err(error)) => {
                println!("tokio_unix {:?} at_once {} text {error}", error.kind(), begin.elapsed() < LIMIT / 2);
                break begin;
            }
            Err(_) => {
                println!("tokio_unix waits");
                break begin;
            }
        }
    };
    let blocking = thread::spawn(move || {
        let result = std::os::unix::net::UnixStream::connect("shop.socket").map(|_| ());
        println!("std_unix {result:?} waited {}", begin.elapsed() > LIMIT);
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    listener.accept().await.unwrap();
    blocking.join().unwrap();

    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(4).unwrap();
    let mut open = Vec::new();
    loop {
        match timeout(LIMIT, TcpStream::connect(listener.local_addr().unwrap())).await {
            Ok(Ok(stream)) if open.len() < 100 => open.push(stream),
            Ok(result) => break println!("tokio_tcp {:?}", result.map(|_| ())),
            Err(_) => break println!("tokio_tcp waits"),
        }
    }
}
RS
cargo run --quiet --manifest-path full/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: how a connection waits for a full queue" >&2; exit 1; }
tokio_unix WouldBlock at_once true text Resource temporarily unavailable (os error 11)
std_unix Ok(()) waited true
tokio_tcp waits
TXT
