#!/usr/bin/env bash
# tokio 1.54.1, `mpsc::Sender::reserve`: a permit that is used after the receiver is gone.
#
# Guess: the message is dropped, as `send` gives it back with an error. With it goes the `oneshot::Sender` for the answer, so the
# caller that waits for the answer gets `RecvError` at once.
# Reality: `Permit::send` returns nothing, so it cannot fail, and the message stays in the channel until the last sender of it is dropped.
# An actor has ended; a request with a oneshot for its answer, sent in several ways, and what its caller sees:
#
#     sent by                                                     caller, waiting for the answer
#     `send`                                                      RecvError at once
#     `send`, begun before the end, the channel being full        RecvError at once
#     permit of `reserve` or `reserve_owned` from before          waits
#     `PollSender::send_item`, its place reserved before          waits; the call returns Ok
#     the last three, when all senders are dropped                RecvError
#
# A sender is in every handle of the actor, mostly for as long as the program runs.
#
# Why it matters: `reserve` is how a request is built only once there is room for it, and `PollSender` and sinks are made of it. Each caller
# that was between the two steps when the actor ended hangs for ever. A dump has it at the oneshot, as if the actor were slow; the actor is
# not in the dump, and no task holds the other half. `Sender::is_closed` after the send tells it, or a time-out around the answer.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_mpsc_late_permit.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p actor/src
cat > actor/Cargo.toml <<'TOML'
[package]
name = "actor"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt", "sync", "time"] }
tokio-util = "=0.7.20"
[workspace]
TOML
cat > actor/src/main.rs <<'RS'
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_util::sync::PollSender;

type Request = oneshot::Sender<u64>;

async fn said(answer: &mut oneshot::Receiver<u64>) -> &'static str {
    match timeout(Duration::from_millis(300), answer).await {
        Ok(Err(_)) => "RecvError",
        Ok(Ok(_)) => "an answer",
        Err(_) => "waits",
    }
}

async fn look() {
    let (sender, receiver) = mpsc::channel::<Request>(4);
    let permit = sender.reserve().await.unwrap();
    let owned = sender.clone().reserve_owned().await.unwrap();
    let mut sink = PollSender::new(sender.clone());
    std::future::poll_fn(|context| sink.poll_reserve(context)).await.unwrap();
    drop(receiver);

    let (request, mut answer) = oneshot::channel();
    println!("send fails {}", sender.send(request).await.is_err());
    println!("send {}", said(&mut answer).await);
    let (request, mut first) = oneshot::channel();
    permit.send(request);
    println!("permit {}, closed {}", said(&mut first).await, sender.is_closed());
    let (request, mut second) = oneshot::channel();
    let back = owned.send(request);
    println!("owned {}", said(&mut second).await);
    let (request, mut third) = oneshot::channel();
    println!("sink fails {}", sink.send_item(request).is_err());
    println!("sink {}", said(&mut third).await);
    drop((sender, back, sink));
    println!("without senders {} {} {}", said(&mut first).await, said(&mut second).await, said(&mut third).await);

    let (sender, receiver) = mpsc::channel::<Request>(1);
    let (request, _kept) = oneshot::channel();
    sender.send(request).await.unwrap();
    let (request, mut answer) = oneshot::channel();
    let late = sender.clone();
    let waits = tokio::spawn(async move { late.send(request).await.is_err() });
    yield_now().await;
    drop(receiver);
    println!("begun before fails {}", waits.await.unwrap());
    println!("begun before {}", said(&mut answer).await);
}

fn main() {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(look());
}
RS
cargo run --quiet --manifest-path actor/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: a message that comes late has another fate" >&2; exit 1; }
send fails true
send RecvError
permit waits, closed true
owned waits
sink fails false
sink waits
without senders RecvError RecvError RecvError
begun before fails true
begun before RecvError
TXT
