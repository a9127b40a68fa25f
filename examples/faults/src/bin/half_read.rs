//! A `select!` reads a message beside a timer. If the timer fires first, the bytes that were read are lost, and the reader takes
//! the rest for a new message.

use faults::repaired;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

const SIZE: usize = 8;

async fn message(peer: &mut TcpStream) -> [u8; SIZE] {
    let mut message = [0; SIZE];
    peer.read_exact(&mut message).await.unwrap();
    message
}

async fn receive(mut peer: TcpStream) {
    let mut clock = time::interval(Duration::from_millis(100));
    clock.tick().await;
    if repaired() {
        let mut message = pin!(message(&mut peer));
        loop {
            tokio::select! {
                _ = &mut message => break,
                _ = clock.tick() => {}
            }
        }
    } else {
        tokio::select! {
            _ = message(&mut peer) => return,
            // The bytes that were read are dropped with the future: the fault.
            _ = clock.tick() => {}
        }
        message(&mut peer).await;
    }
}

async fn send(mut peer: TcpStream) {
    peer.write_all(&[1; SIZE / 2]).await.unwrap();
    time::sleep(Duration::from_millis(200)).await;
    peer.write_all(&[2; SIZE / 2]).await.unwrap();
    // Waits for the answer.
    peer.read_u8().await.ok();
}

#[tokio::main]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap());
    tokio::spawn(send(sender.await.unwrap()));
    let (peer, _) = listener.accept().await.unwrap();
    tokio::spawn(receive(peer));
    std::future::pending::<()>().await;
}
