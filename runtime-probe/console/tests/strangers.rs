//! Whoever connects without being a client: refused, and the service goes on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use runtime_probe_console::{Serving, serve};
use view::{PATIENCE, View};

#[allow(
    dead_code,
    reason = "of a view no more is asked than that there is one"
)]
#[path = "support/view.rs"]
mod view;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn console() -> (Serving, SocketAddr) {
    let console = serve("127.0.0.1:0").unwrap();
    let address = console.local_addr();
    (console, address)
}

/// Sends bytes, and reads until it is hung up on.
fn send(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may have hung up before all of it is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    answer
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// A client is let in, as soon as the strangers' seats are free.
fn is_served(server: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    runtime().block_on(async {
        let updates = loop {
            let attached = match InstrumentClient::connect(format!("http://{server}")).await {
                Ok(mut client) => client.watch_updates(InstrumentRequest {}).await,
                Err(error) => Err(tonic::Status::from_error(error.into())),
            };
            match attached {
                Ok(updates) => break updates.into_inner(),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        View::of(updates).next().await;
    });
}

#[test]
fn a_browser_is_told_what_the_port_is_for() {
    let (_console, address) = console();
    let answer = send(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("tokio-console, which speaks gRPC"),
        "{answer}"
    );
    is_served(address);
}

#[test]
fn frames_that_are_too_large_end_the_connection() {
    let (_console, address) = console();
    // 16 MB of DATA on stream 1, of which no more than the head is ever sent.
    let frame = [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1];
    send(address, &[PREFACE, &frame].concat());
    // SETTINGS, then HEADERS that never end.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let continuation = [&[0, 0x40, 0, 9, 0, 0, 0, 0, 1][..], &[0; 0x4000]].concat();
    let headers = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    let endless = [PREFACE, &settings, &headers, &continuation.repeat(100)].concat();
    send(address, &endless);
    is_served(address);
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let (_console, address) = console();
    let status = runtime().block_on(async {
        // The request of another service: a megabyte, which begins as no message of this one does.
        let channel = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap();
        let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<console_api::Metadata, ()>::default();
        let path = "/rs.tokio.console.instrument.Instrument/WatchTaskDetails"
            .parse()
            .unwrap();
        let long = console_api::Metadata {
            name: "x".repeat(1 << 20),
            ..Default::default()
        };
        client
            .unary(tonic::Request::new(long), path, codec)
            .await
            .unwrap_err()
    });
    assert_eq!(status.code(), tonic::Code::OutOfRange, "{status}");
    is_served(address);
}

#[test]
fn a_thousand_that_come_and_go_leave_room() {
    let (_console, address) = console();
    for turn in 0..1000 {
        let mut stream = TcpStream::connect(address).unwrap();
        match turn % 3 {
            0 => {}
            1 => drop(stream.write_all(PREFACE)),
            _ => drop(stream.shutdown(Shutdown::Both)),
        }
    }
    is_served(address);
}

#[test]
fn who_says_nothing_is_hung_up_on() {
    let (_console, address) = console();
    // More than there are seats for: the rest is hung up on at once, and these after five seconds.
    let silent: Vec<TcpStream> = (0..64)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match stream.read(&mut [0]) {
            Ok(length) => assert_eq!(length, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    is_served(address);
}
