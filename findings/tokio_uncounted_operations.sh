#!/usr/bin/env bash
# tokio 1.54.1 with tokio-util 0.7.20: `readable` with `try_read`, `Notify`, and sends without a receiver use no budget, so a loop over them
# never yields.
#
# Guess: those of tokio's own types, all of them. Budget is what sockets, channels, timers and locks have in common; what has none is not tokio's.
# Reality: a task does the same operation 1000 times, and each is ready. Operations in its first poll:
#
#     128                                             1000, so without an end
#     UdpSocket::send_to                              UdpSocket::writable and try_send_to
#     TcpStream::read                                 TcpStream::readable and try_read
#     mpsc send and recv, broadcast, watch            mpsc send and closed once the receiver is gone
#     Semaphore, Mutex, RwLock                        Notify, Barrier, OnceCell, SetOnce
#     oneshot                                         CancellationToken::cancelled
#     io::empty, repeat, sink, duplex                 a slice, a Cursor, a Vec; ReaderStream of them
#     coop::consume_budget                            timeout and select! around a future that is ready
#
# Why it matters: the loop of the documentation for `try_read`, `loop { readable().await; try_read(..) }`, keeps the worker for as long as a
# fast peer sends; written with `read().await` the same loop yields. So does a loop over `notified()` whose work notifies it
# again, or one that sends and does not look whether anyone receives. There is no forced yield to count: the poll is long, and in a dump the task
# runs. `coop::consume_budget().await` in the loop gives it a budget.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_uncounted_operations.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p uncounted/src
cat > uncounted/Cargo.toml <<'TOML'
[package]
name = "uncounted"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt", "sync", "time"] }
tokio-stream = "=0.1.19"
tokio-util = { version = "=0.7.20", features = ["io"] }
[workspace]
TOML
cat > uncounted/src/main.rs <<'RS'
use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::io::Cursor;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
use tokio::task::{LocalSet, coop, spawn_local, yield_now};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_util::io::ReaderStream;
use tokio_util::sync::CancellationToken;

/// Operations in the first poll of a task after its preparation, of 1000 that are ready.
macro_rules! count {
    ($name:literal, [$($preparation:tt)*] $operation:expr) => {
        let tasks = LocalSet::new();
        let counted = tasks.run_until(async {
            let task = spawn_local(async {
                $($preparation)*
                // A poll with a whole budget.
                yield_now().await;
                let count = Rc::new(Cell::new(0));
                let mut all = Box::pin({
                    let count = count.clone();
                    async move { for _ in 0..1000 { $operation; count.set(count.get() + 1); } }
                });
                poll_fn(|context| { let _ = all.as_mut().poll(context); Poll::Ready(()) }).await;
                count.get()
            });
            task.await.unwrap()
        });
        println!("{}: {}", $name, counted.await);
    };
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (one, mut other) = (one.unwrap(), other.unwrap().0);
    other.write_all(&[0; 2000]).await.unwrap();
    one.readable().await.unwrap();
    (one, other)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    count!("send_to", [let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap(); let own = socket.local_addr().unwrap();]
        socket.send_to(b"x", own).await.unwrap());
    count!("read", [let (mut stream, _other) = pair().await;] stream.read_u8().await.unwrap());
    count!("mpsc send", [let (sender, _receiver) = mpsc::channel(1000);] sender.send(()).await.unwrap());
    count!("mpsc recv", [let (sender, mut receiver) = mpsc::channel(1000); for _ in 0..1000 { sender.try_send(()).unwrap(); }]
        receiver.recv().await.unwrap());
    count!("broadcast", [let (sender, mut receiver) = broadcast::channel(1000); for _ in 0..1000 { sender.send(()).unwrap(); }]
        receiver.recv().await.unwrap());
    count!("watch", [let (sender, mut receiver) = watch::channel(());] { sender.send(()).unwrap(); receiver.changed().await.unwrap() });
    count!("semaphore", [let permits = Semaphore::new(1000);] permits.acquire().await.unwrap().forget());
    count!("mutex", [let mutex = Mutex::new(());] drop(mutex.lock().await));
    count!("rwlock", [let lock = RwLock::new(());] drop(lock.read().await));
    count!("oneshot", [] { let (sender, receiver) = oneshot::channel(); sender.send(()).unwrap(); receiver.await.unwrap() });
    count!("empty", [let mut empty = io::empty();] empty.read(&mut [0]).await.unwrap());
    count!("repeat", [let mut repeat = io::repeat(0);] repeat.read(&mut [0]).await.unwrap());
    count!("sink", [let mut sink = io::sink();] sink.write(&[0]).await.unwrap());
    count!("duplex", [let (mut one, _other) = io::duplex(1000);] one.write(&[0]).await.unwrap());
    count!("consume_budget", [] coop::consume_budget().await);
    println!("--");
    count!("try_send_to", [let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap(); let own = socket.local_addr().unwrap();]
        { socket.writable().await.unwrap(); socket.try_send_to(b"x", own).unwrap() });
    count!("try_read", [let (stream, _other) = pair().await;] { stream.readable().await.unwrap(); stream.try_read(&mut [0]).unwrap() });
    count!("mpsc send, gone", [let (sender, receiver) = mpsc::channel(1000); drop(receiver);] sender.send(()).await.unwrap_err());
    count!("mpsc closed, gone", [let (sender, receiver) = mpsc::channel::<()>(1000); drop(receiver);] sender.closed().await);
    count!("notify", [let notify = Notify::new();] { notify.notify_one(); notify.notified().await });
    count!("barrier", [let barrier = Barrier::new(1);] barrier.wait().await);
    count!("once cell", [let cell = OnceCell::new_with(Some(()));] *cell.get_or_init(async || ()).await);
    count!("set once", [let once = SetOnce::new_with(Some(()));] *once.wait().await);
    count!("cancelled", [let token = CancellationToken::new(); token.cancel();] token.cancelled().await);
    count!("slice", [let bytes = [0; 1000]; let mut bytes = &bytes[..];] bytes.read_u8().await.unwrap());
    count!("cursor", [let mut bytes = Cursor::new([0; 1000]);] bytes.read_u8().await.unwrap());
    count!("vec", [let mut bytes = Vec::new();] bytes.write_u8(0).await.unwrap());
    count!("reader stream", [let mut stream = ReaderStream::with_capacity(Cursor::new([0; 1000]), 1);] stream.next().await.unwrap().unwrap());
    count!("timeout", [] timeout(Duration::from_secs(60), ready(())).await.unwrap());
    count!("select", [] tokio::select! { () = ready(()) => {}, () = pending() => {} });
}
RS
cargo run --quiet --manifest-path uncounted/Cargo.toml --target-dir target > seen
cat seen
sed '/^--$/,$d' seen | awk -F': ' '$2 != 128 { exit 1 }' || { echo "changed: an operation of the first column goes on" >&2; exit 1; }
sed '1,/^--$/d' seen | awk -F': ' '$2 != 1000 { exit 1 }' || { echo "changed: an operation of the second column ends the poll" >&2; exit 1; }
[ "$(sed '/^--$/,$d' seen | wc -l)" = 15 ] && [ "$(sed '1,/^--$/d' seen | wc -l)" = 15 ] || { echo "an operation is missing" >&2; exit 1; }
