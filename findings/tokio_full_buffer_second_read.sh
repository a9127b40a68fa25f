#!/usr/bin/env bash
# tokio 1.54.1 on Linux: a read that fills its buffer exactly costs a second system call before the task waits; one that does not costs one.
#
# Guess: it is the same for each buffer that is large enough. With epoll in its edge-triggered form a socket has to be read until it says EAGAIN, so
# it is two calls a message, whichever function reads.
# Reality: `read` takes a read that did not fill the buffer as the sign that nothing is left, and waits without asking again. 100 messages of 16
# bytes, each sent when the one before was taken:
#
#     the message is read by                          recvfrom    of which EAGAIN
#     read into 16 bytes                              199         99
#     read into 17 bytes                              100         0
#     read_exact of 16 bytes                          199         99
#     BufReader of 16 bytes, read_exact of 16         199         99
#     BufReader of 17 bytes, read_exact of 16         100         0
#     readable and try_read into 17 bytes             199         99
#
# Why it matters: a protocol with a header of fixed size, read by `read_exact` from the socket, makes twice as many calls as one with a buffer before
# it; a byte more in the buffer halves them. In a profile half of the time in `recvfrom` is of calls that fail, and a trace of calls looks
# as if the task were woken for nothing. `try_read`, which one takes for the last bit of speed, never has the short way.
set -euo pipefail
for needed in cargo strace; do
    command -v "$needed" > /dev/null || { echo "tokio_full_buffer_second_read.sh: needs $needed" >&2; exit 2; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p messages/src
cat > messages/Cargo.toml <<'TOML'
[package]
name = "messages"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["io-util", "macros", "net", "rt", "sync"] }
[workspace]
TOML
cat > messages/src/main.rs <<'RS'
use std::env;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

const MESSAGES: usize = 100;

async fn receive(how: &str, size: usize, mut stream: UnixStream, taken: mpsc::Sender<()>) {
    let mut bytes = vec![0; size];
    let mut buffered = None;
    for _ in 0..MESSAGES {
        match how {
            "read" => assert_eq!(stream.read(&mut bytes).await.unwrap(), 16),
            "read_exact" => assert_eq!(stream.read_exact(&mut bytes).await.unwrap(), 16),
            "try_read" => loop {
                stream.readable().await.unwrap();
                if stream.try_read(&mut bytes).is_ok() { break }
            },
            _ => {
                let reader = buffered.get_or_insert_with(|| {
                    let (unused, _) = UnixStream::pair().unwrap();
                    BufReader::with_capacity(size, std::mem::replace(&mut stream, unused))
                });
                reader.read_exact(&mut [0; 16]).await.unwrap();
            }
        }
        // The sender runs when this task waits for the next message.
        taken.try_send(()).unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = env::args().collect();
    let (mut sender, receiver) = UnixStream::pair().unwrap();
    let (taken, mut was_taken) = mpsc::channel(1);
    let size = arguments[2].parse().unwrap();
    let receives = receive(&arguments[1], size, receiver, taken);
    let sends = async move {
        for _ in 0..MESSAGES {
            sender.write_all(&[1; 16]).await.unwrap();
            was_taken.recv().await.unwrap();
        }
    };
    tokio::join!(tokio::spawn(sends), receives).0.unwrap();
}
RS
cargo build --quiet --manifest-path messages/Cargo.toml --target-dir target
for how in 'read 16' 'read 17' 'read_exact 16' 'buffer 16' 'buffer 17' 'try_read 17'; do
    # shellcheck disable=SC2086
    strace -f -qq -e trace=recvfrom -o calls target/debug/messages $how
    echo "$how: $(grep -c recvfrom calls) calls, $(grep -c EAGAIN calls || true) EAGAIN"
done | tee seen
diff seen - <<'TXT' || { echo "changed: another number of calls for a message" >&2; exit 1; }
read 16: 199 calls, 99 EAGAIN
read 17: 100 calls, 0 EAGAIN
read_exact 16: 199 calls, 99 EAGAIN
buffer 16: 199 calls, 99 EAGAIN
buffer 17: 100 calls, 0 EAGAIN
try_read 17: 199 calls, 99 EAGAIN
TXT
