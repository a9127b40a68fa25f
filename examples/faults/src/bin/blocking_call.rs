//! A handler reads from a socket of std, on which no bytes arrive: its worker is blocked, and the timers stand still.

use faults::repaired;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use std::{future, thread};
use tokio::{task, time};

fn quota(peer: SocketAddr) -> usize {
    let mut answer = String::new();
    let mut peer = TcpStream::connect(peer).unwrap();
    peer.read_to_string(&mut answer).unwrap()
}

async fn handle(peer: SocketAddr) {
    loop {
        time::sleep(Duration::from_millis(10)).await;
        match repaired() {
            true => task::spawn_blocking(move || quota(peer)).await.unwrap(),
            false => quota(peer), // Blocks the worker: the fault.
        };
    }
}

async fn beat() {
    loop {
        time::sleep(Duration::from_millis(10)).await;
    }
}

fn peer(listener: &TcpListener) {
    for connection in listener.incoming() {
        thread::sleep(Duration::from_secs(2));
        drop(connection);
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || peer(&listener));
    for _ in 0..2 {
        tokio::spawn(handle(address));
    }
    tokio::spawn(beat());
    future::pending::<()>().await;
}
