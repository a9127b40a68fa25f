#!/usr/bin/env bash
# tokio 1.54.1 on Linux 6.18 (seen): several runtimes that listen on one port with SO_REUSEPORT, one of which is blocked or ends.
#
# Guess: the listeners share the connections: the kernel gives the next one to a listener that accepts. One that is blocked gets none, and when
# it is dropped, those that wait go to the others.
# Reality: the kernel chooses the listener by a hash of the addresses when the connection is made, and does not ask which one accepts. It stays in that
# listener's queue, and a listener that is dropped resets what is in it. Four runtimes with a listener each, three of them idle; 400 clients
# connect at once, all with success, and wait for an answer:
#
#     the fourth runtime                      answered    no answer    then
#     is well                                 400         0
#     is blocked in a task                    some 300    some 100     answered when it goes on
#     is blocked, and then drops its listener some 300    some 100     reset
#
# Why it matters: a runtime for each core, with its own listener, is the usual layout of fast servers, and several processes on a port are the
# usual restart without a gap. One blocked worker takes its share of all new connections and keeps them, though every other core is idle:
# a quarter of the clients hangs, and the median, the CPU time and the number of requests are as ever. A dump of the blocked runtime does not have
# these connections, they are in no task. With one listener that all runtimes accept from (`try_clone`) the idle ones take them.
set -euo pipefail
command -v cargo > /dev/null || { echo "linux_reuseport_stuck_listener.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS
uname -sr

mkdir -p stuck/src
cat > stuck/Cargo.toml <<'TOML'
[package]
name = "stuck"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["io-util", "net", "rt"] }
[workspace]
TOML
cat > stuck/src/main.rs <<'RS'
use std::io::{ErrorKind::ConnectionReset, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

const CLIENTS: usize = 400;

async fn serve(listener: TcpListener) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        tokio::spawn(async move { client.write_all(b"ok").await });
    }
}

// A runtime of its own. Is it blocked, it goes on or drops its listener as it is told to.
fn runtime(address: SocketAddr, blocked: Option<Receiver<bool>>) -> SocketAddr {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseport(true).unwrap();
            socket.bind(address).unwrap();
            let listener = socket.listen(1024).unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            if blocked.is_none_or(|go_on| go_on.recv().unwrap()) {
                serve(listener).await;
            }
        });
    });
    told.recv().unwrap()
}

// Clients with an answer, with a reset, and with nothing so far.
fn look(clients: &mut [TcpStream]) -> (usize, usize, usize) {
    let mut seen = (0, 0, 0);
    for client in clients {
        match client.read(&mut [0; 8]) {
            Ok(2) => seen.0 += 1,
            Err(error) if error.kind() == ConnectionReset => seen.1 += 1,
            _ => seen.2 += 1,
        }
    }
    seen
}

fn run(name: &str, goes_on: Option<bool>) -> ((usize, usize, usize), (usize, usize, usize)) {
    let (tell, told) = channel();
    let address = runtime("127.0.0.1:0".parse().unwrap(), goes_on.is_some().then_some(told));
    for _ in 0..3 {
        runtime(address, None);
    }
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &clients {
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    }
    std::thread::sleep(Duration::from_secs(2));
    let mut rest = Vec::new();
    let mut first = (0, 0, 0);
    for mut client in clients.drain(..) {
        match look(std::slice::from_mut(&mut client)) {
            (1, ..) => first.0 += 1,
            (_, 1, _) => first.1 += 1,
            _ => {
                first.2 += 1;
                rest.push(client);
            }
        }
    }
    if let Some(goes_on) = goes_on {
        tell.send(goes_on).unwrap();
        std::thread::sleep(Duration::from_secs(2));
    }
    let then = look(&mut rest);
    println!("{name}: answered {}, reset {}, nothing {}; then answered {}, reset {}, nothing {}", first.0, first.1, first.2, then.0, then.1, then.2);
    (first, then)
}

fn main() {
    let (well, _) = run("is well", None);
    let (blocked, after) = run("is blocked", Some(true));
    let (dropped, reset) = run("is blocked, drops its listener", Some(false));
    let share = |seen: (usize, usize, usize)| seen.1 == 0 && (CLIENTS / 8..CLIENTS * 3 / 8).contains(&seen.2);
    if well != (CLIENTS, 0, 0) || !share(blocked) || !share(dropped) || after != (blocked.2, 0, 0) || reset != (0, dropped.2, 0) {
        println!("changed: which listener gets the connections");
        std::process::exit(1);
    }
}
RS
cargo run --quiet --manifest-path stuck/Cargo.toml --target-dir target
