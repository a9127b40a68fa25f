#!/usr/bin/env bash
# futures 0.3.34 with tokio 1.54.1, `futures::channel::mpsc`: a `send` that is given up because the channel is full.
#
# Guess: `send` waits until there is room, as tokio's does. When a time-out, or a branch of `select!`, drops it before that, the message
# was not sent, and the caller may send it again, or elsewhere.
# Reality: the message is in the channel from the first poll on; what `send` waits for is the room that its successor would need. A
# channel of 4 that nothing is taken from; messages 1 to 9 are sent with a time-out of 10 ms, by one sender and by clones of it:
#
#     channel                              Ok         timed out    in the channel then
#     futures, one sender                  1 to 4     5 to 9       1 to 5
#     futures, a clone for each message    1 to 4     5 to 9       1 to 9
#     tokio                                1 to 4     5 to 9       1 to 4
#
# Why it matters: a message whose `send` has failed is worked on all the same, and one that is sent again is there twice: an order is
# placed twice by the code that is to make it safe. `send` needs `&mut`, so a clone for each message is common, and with it the bound is
# none: each call that was given up leaves its message behind. Shed load with `try_send` on one sender, or with tokio's channel.
set -euo pipefail
command -v cargo > /dev/null || { echo "futures_send_already_sent.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p sent/src
cat > sent/Cargo.toml <<'TOML'
[package]
name = "sent"
version = "0.0.0"
edition = "2024"
[dependencies]
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["macros", "rt", "sync", "time"] }
[workspace]
TOML
cat > sent/src/main.rs <<'RS'
use futures::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for clones in [false, true] {
        let (mut sender, receiver) = futures::channel::mpsc::channel(4);
        let mut sent = Vec::new();
        for number in 1..10 {
            let ended = if clones { timeout(LIMIT, sender.clone().send(number)).await } else { timeout(LIMIT, sender.send(number)).await };
            if ended.is_ok() {
                sent.push(number);
            }
        }
        drop(sender);
        println!("futures clones {clones} sent {sent:?} there {:?}", receiver.collect::<Vec<_>>().await);
    }
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let mut sent = Vec::new();
    for number in 1..10 {
        if timeout(LIMIT, sender.send(number)).await.is_ok() {
            sent.push(number);
        }
    }
    drop(sender);
    let mut there = Vec::new();
    receiver.recv_many(&mut there, 10).await;
    println!("tokio sent {sent:?} there {there:?}");
}
RS
cargo run --quiet --manifest-path sent/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: what a send that was given up has done" >&2; exit 1; }
futures clones false sent [1, 2, 3, 4] there [1, 2, 3, 4, 5]
futures clones true sent [1, 2, 3, 4] there [1, 2, 3, 4, 5, 6, 7, 8, 9]
tokio sent [1, 2, 3, 4] there [1, 2, 3, 4]
TXT
