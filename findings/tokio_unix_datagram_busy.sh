#!/usr/bin/env bash
# tokio 1.54.1 on Linux 6.18 (seen): `UnixDatagram::send_to` while the receiver's queue is full.
#
# Guess: the task waits until there is room, and is polled again then; it costs nothing meanwhile. That is so for `send` on a connected socket.
# Reality: it waits, but it is polled all the time. Only for a connected socket does the kernel know whose queue the event "writable" is about.
# For any other the socket itself has room, so the event comes at once, the send fails with EAGAIN, and so on. One task, a receiver that takes
# nothing for 300 ms; its polls in this time, and the CPU time of the process:
#
#     connect, send    2                0 ms
#     send_to          18,534           99 ms (on a busy machine)
#
# Why it matters: statsd, syslog, journald and `sd_notify` are reached so, and often with `send_to`, as one socket then does for all. When the
# receiver is slow each sender takes a whole core of a service that seems to wait: no poll is long, and a dump has the task in `send_to`. A CPU
# profile shows `sendto` and `epoll_wait`, a poll count some ten thousand polls a second. Connect the socket, or send with `try_send_to` and drop.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_unix_datagram_busy.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
uname -sr

mkdir -p busy/src
cat > busy/Cargo.toml <<'TOML'
[package]
name = "busy"
version = "0.0.0"
edition = "2024"
[dependencies]
libc = "=0.2.191"
tokio = { version = "=1.54.1", features = ["macros", "net", "rt", "time"] }
[workspace]
TOML
cat > busy/src/main.rs <<'RS'
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn run(connected: bool) {
    let path = format!("receiver-{connected}");
    let receiver = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    let queue = (0..100_000).take_while(|_| filler.send_to(b"metric", &path).is_ok()).count();
    let socket = UnixDatagram::unbound().unwrap();
    if connected {
        socket.connect(&path).unwrap();
    }
    let (mut polls, before) = (0, cpu());
    let mut send = pin!(async { if connected { socket.send(b"metric").await } else { socket.send_to(b"metric", &path).await } });
    let waits = timeout(Duration::from_millis(300), poll_fn(|context| {
        polls += 1;
        send.as_mut().poll(context)
    })).await.is_err();
    let used = cpu() - before;
    receiver.recv(&mut [0; 100]).unwrap();
    let sent = timeout(Duration::from_secs(5), send).await.is_ok();
    println!("connected {connected} full {} waits {waits} polls {polls} cpu_ms {} sent_then {sent}", queue > 0, used.as_millis());
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    run(true).await;
    run(false).await;
}
RS
cargo run --quiet --manifest-path busy/Cargo.toml --target-dir target > seen
cat seen
awk '
    $4 != "true" || $6 != "true" || $12 != "true" { exit 1 }
    $2 == "true" { good += $8 < 20 }
    $2 == "false" { good += $8 > 1000 }
    END { exit good != 2 }
' seen || { echo "changed: how often a send to a full queue is polled" >&2; exit 1; }
