//! TCP echo on loopback: clients and server in one process, and in two.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
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

/// The environment's variable with the program of the clients; without it they are of this program.
const CLIENTS: &str = "CONTESTANT_CLIENTS";

/// The environment's variable with the server's address, for [`clients`].
const SERVER: &str = "CONTESTANT_SERVER";

/// The server alone: the clients run in a process of another program, which is the same for all contestants.
pub fn server(requests: u64) -> Line {
    let program = std::env::var_os(CLIENTS).map_or_else(
        || std::env::current_exe().expect("the path of this program"),
        Into::into,
    );
    let each = requests.div_ceil(CONNECTIONS);
    let elapsed = runtimes::multi_thread().block_on(async {
        let listener = listen().await;
        let address = listener.local_addr().expect("the listener's address");
        tokio::spawn(serve(listener));
        let mut clients = Command::new(program);
        clients
            .args(["echo-clients", &each.to_string()])
            .env(SERVER, address.to_string());
        tokio::task::spawn_blocking(move || elapsed_of(clients))
            .await
            .expect("the clients' process")
    });
    Line::time(elapsed, each * CONNECTIONS)
}

/// Runs the clients' program, and reads the time that it took.
fn elapsed_of(mut clients: Command) -> Duration {
    let output = clients.output().expect("the clients' program");
    assert!(output.status.success(), "clients: {}", output.status);
    let nanoseconds = String::from_utf8_lossy(&output.stdout);
    Duration::from_nanos(nanoseconds.trim().parse().expect("nanoseconds"))
}

/// The clients of [`server`]: prints the nanoseconds of `each` requests on every connection.
pub fn clients(each: u64) {
    let address = std::env::var(SERVER).expect("the server's address");
    let address = address.parse().expect("an address");
    let runtime = runtimes::multi_thread();
    let ask = move |each| requests(address, each);
    let elapsed = runtimes::timed(&runtime, WARM_UP / CONNECTIONS, each, ask);
    println!("{}", elapsed.as_nanos());
}

async fn exchange(requests_each: u64) -> Duration {
    let listener = listen().await;
    let address = listener.local_addr().expect("the listener's address");
    let server = tokio::spawn(serve(listener));
    let elapsed = requests(address, requests_each).await;
    server.abort();
    elapsed
}

async fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a listener on loopback")
}

/// Opens every connection first, then measures from the first request to the last answer.
async fn requests(address: SocketAddr, requests_each: u64) -> Duration {
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
    start.elapsed()
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
