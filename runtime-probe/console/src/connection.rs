//! One client: its allowed requests, and when its connection is closed.

use std::sync::Arc;
use std::time::Duration;

use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The first bytes of each connection of HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a client has to send these bytes.
const GREETING: Duration = Duration::from_secs(5);

/// The answer to a browser or curl.
const REFUSAL: &str = "This is the port of tokio-console, which speaks gRPC. Attach with: tokio-console http://ADDRESS:PORT\n";

/// The largest request of the protocol is a number in a message of its own, some ten bytes.
const MOST_REQUEST: usize = 1024;

/// tokio-console uses three streams, for updates, its state and a task's page, and a fourth to pause. It may keep the
/// stream of a page that was closed for a while. With too few streams it would stand still while it waits for a free
/// one.
const MOST_STREAMS: u32 = 8;

/// Answers a client by `instrument` until the client leaves, or until `instrument` notifies `too_slow`.
pub(crate) async fn serve(
    mut stream: TcpStream,
    instrument: InstrumentServer<impl Instrument>,
    too_slow: Arc<Notify>,
) {
    match timeout(GREETING, speaks_http2(&stream)).await {
        Ok(true) => {}
        Ok(false) => {
            let length = REFUSAL.len();
            let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
            let answer = format!("{head}Content-Length: {length}\r\n\r\n{REFUSAL}");
            let _ = timeout(GREETING, stream.write_all(answer.as_bytes())).await;
            return;
        }
        Err(_) => return,
    }
    let _ = stream.set_nodelay(true);
    let service = instrument.max_decoding_message_size(MOST_REQUEST);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(10)))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(8 * 1024)
        .initial_stream_window_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::select! {
        _ = connection => {}
        () = too_slow.notified() => {}
    }
}

/// Peeks at the first bytes of a client, and leaves them in the socket.
async fn speaks_http2(stream: &TcpStream) -> bool {
    let mut greeting = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut greeting).await {
            Ok(0) | Err(_) => return false,
            Ok(length) if greeting[..length] != PREFACE[..length] => return false,
            Ok(length) if length == PREFACE.len() => return true,
            // There is no event for more bytes to peek at.
            Ok(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}
