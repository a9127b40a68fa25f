//! TCP echo on loopback, clients and server in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::report::Line;
use crate::runtimes;

/// Connections open at once; requests are spread evenly over them.
const CONNECTIONS: u64 = 50;

const WARM_UP: u64 = 5_000;

/// Bytes of a request and of its answer.
const MESSAGE_LEN: usize = 64;

/// Requests and answers on a runtime of two workers; the count is rounded up to a whole number for each connection.
pub fn loopback(requests: u64) -> Line {
    let runtime = runtimes::multi_thread();
    let each = requests.div_ceil(CONNECTIONS);
    let elapsed = runtimes::timed(&runtime, WARM_UP / CONNECTIONS, each, exchange);
    Line::time(elapsed, each * CONNECTIONS)
}

/// Opens every connection first, then measures from the first request to the last answer.
async fn exchange(requests_each: u64) -> Duration {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a listener on loopback");
    let address = listener.local_addr().expect("the listener's address");
    let server = tokio::spawn(serve(listener));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(address).await);
    }
    let start = Instant::now();
    let clients: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(request(connection, requests_each)))
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
    let elapsed = start.elapsed();
    server.abort();
    elapsed
}

async fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).await.expect("a connection");
    connection.set_nodelay(true).expect("TCP_NODELAY");
    connection
}

async fn request(mut connection: TcpStream, requests: u64) {
    let message = [0x5a; MESSAGE_LEN];
    let mut answer = [0; MESSAGE_LEN];
    for _ in 0..requests {
        connection.write_all(&message).await.expect("a request");
        connection.read_exact(&mut answer).await.expect("an answer");
    }
}

async fn serve(listener: TcpListener) {
    loop {
        let (connection, _) = listener.accept().await.expect("a client");
        connection.set_nodelay(true).expect("TCP_NODELAY");
        tokio::spawn(answer(connection));
    }
}

async fn answer(mut connection: TcpStream) {
    let mut buffer = [0; MESSAGE_LEN];
    while let Ok(read @ 1..) = connection.read(&mut buffer).await {
        if connection.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
