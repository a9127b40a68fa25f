#!/usr/bin/env bash
# crossbeam-channel 0.5.17, flume 0.12.0, async-channel 2.5.0 and kanal 0.1.1, beside std (rustc 1.95.0), tokio 1.54.1 and futures 0.3.34:
# messages that are in a channel when its last receiver is dropped.
#
# Guess: nothing can receive them any more, so they are dropped with the receiver, as std's are. What they hold goes with them: the caller
# who sent a oneshot for the answer is told at once that no answer comes.
# Reality: it depends on the crate, and in crossbeam on the kind of channel. Where they are kept, they live as long as a sender does. Ten
# requests with a oneshot of tokio each are in the channel; callers that are told:
#
#     channel                          when the receiver is dropped    when the last sender is dropped
#     std, tokio, futures              10                              10
#     crossbeam, unbounded             10                              10
#     crossbeam, bounded               0                               10
#     flume, async-channel, kanal      0                               10
#
# A later `send` fails in all of them.
#
# Why it matters: an actor that panics drops its receiver, and each handle of it is a sender that lives as long as the program. Requests
# that were sent before the panic hang for ever, later ones fail at once. A dump has the callers at their oneshots, whose other half
# no task has; a heap profile has the requests at the place that sent them. Permits and buffers in the messages stay taken. An actor that
# drains its channel when it ends (a guard with `try_recv` in a loop) tells its callers, and so does a time-out.
set -euo pipefail
command -v cargo > /dev/null || { echo "channel_receiver_gone.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p gone/src
cat > gone/Cargo.toml <<'TOML'
[package]
name = "gone"
version = "0.0.0"
edition = "2024"
[dependencies]
async-channel = "=2.5.0"
crossbeam-channel = "=0.5.17"
flume = "=0.12.0"
futures-channel = "=0.3.34"
kanal = "=0.1.1"
tokio = { version = "=1.54.1", features = ["sync"] }
[workspace]
TOML
cat > gone/src/main.rs <<'RS'
use tokio::sync::oneshot::{self, error::TryRecvError::Closed};

type Request = oneshot::Sender<()>;

fn look<S, R>(name: &str, (sender, receiver): (S, R), mut send: impl FnMut(&S, Request) -> bool) {
    let mut callers = Vec::new();
    for _ in 0..10 {
        let (answer, caller) = oneshot::channel();
        assert!(send(&sender, answer), "{name}: a request was not taken");
        callers.push(caller);
    }
    let mut told = || callers.iter_mut().filter_map(|caller| caller.try_recv().err()).filter(|error| *error == Closed).count();
    assert_eq!(told(), 0);
    drop(receiver);
    let receiver_gone = told();
    assert!(!send(&sender, oneshot::channel().0), "{name}: a later request was taken");
    drop(sender);
    println!("{name}: {receiver_gone} {}", told());
}

fn main() {
    look("std unbounded", std::sync::mpsc::channel::<Request>(), |to, request| to.send(request).is_ok());
    look("std bounded", std::sync::mpsc::sync_channel::<Request>(16), |to, request| to.send(request).is_ok());
    look("tokio unbounded", tokio::sync::mpsc::unbounded_channel::<Request>(), |to, request| to.send(request).is_ok());
    look("tokio bounded", tokio::sync::mpsc::channel::<Request>(16), |to, request| to.try_send(request).is_ok());
    look("futures unbounded", futures_channel::mpsc::unbounded::<Request>(), |to, request| to.unbounded_send(request).is_ok());
    look("futures bounded", futures_channel::mpsc::channel::<Request>(16), |to, request| to.clone().try_send(request).is_ok());
    look("crossbeam unbounded", crossbeam_channel::unbounded::<Request>(), |to, request| to.send(request).is_ok());
    look("crossbeam bounded", crossbeam_channel::bounded::<Request>(16), |to, request| to.send(request).is_ok());
    look("flume unbounded", flume::unbounded::<Request>(), |to, request| to.send(request).is_ok());
    look("flume bounded", flume::bounded::<Request>(16), |to, request| to.send(request).is_ok());
    look("async-channel unbounded", async_channel::unbounded::<Request>(), |to, request| to.try_send(request).is_ok());
    look("async-channel bounded", async_channel::bounded::<Request>(16), |to, request| to.try_send(request).is_ok());
    look("kanal unbounded", kanal::unbounded::<Request>(), |to, request| to.send(request).is_ok());
    look("kanal bounded", kanal::bounded::<Request>(16), |to, request| to.send(request).is_ok());
}
RS
rustc --version
cargo run --quiet --manifest-path gone/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: which channels keep messages without a receiver" >&2; exit 1; }
std unbounded: 10 10
std bounded: 10 10
tokio unbounded: 10 10
tokio bounded: 10 10
futures unbounded: 10 10
futures bounded: 10 10
crossbeam unbounded: 10 10
crossbeam bounded: 0 10
flume unbounded: 0 10
flume bounded: 0 10
async-channel unbounded: 0 10
async-channel bounded: 0 10
kanal unbounded: 0 10
kanal bounded: 0 10
TXT
