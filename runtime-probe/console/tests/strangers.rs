//! A connection of another protocol is refused, and the service goes on.

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

// Reasons for the end of an HTTP/2 connection.
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 11;

/// An empty SETTINGS frame.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

fn console() -> (Serving, SocketAddr) {
    let console = serve("127.0.0.1:0").unwrap();
    let address = console.local_addr();
    (console, address)
}

/// Sends bytes, and reads until the connection is closed.
fn send(server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may close the connection before all bytes are sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    answer
}

/// The reason of a GOAWAY, which is the last frame that is sent.
fn goaway(mut answer: &[u8]) -> Option<u32> {
    loop {
        let [high, middle, low, kind, _, _, _, _, _, rest @ ..] = answer else {
            return None;
        };
        let (payload, next) =
            rest.split_at_checked(u32::from_be_bytes([0, *high, *middle, *low]) as usize)?;
        if *kind == 7 {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        answer = next;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// A client is admitted as soon as the connections of the strangers are free.
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
    // A frame that announces 16 MB of DATA on stream 1; only its head is ever sent.
    let frame = [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1];
    let answer = send(address, &[PREFACE, &frame].concat());
    assert_eq!(goaway(&answer), Some(FRAME_SIZE_ERROR), "{answer:?}");
    // SETTINGS, then HEADERS that never end.
    let continuation = [&[0, 0x40, 0, 9, 0, 0, 0, 0, 1][..], &[0; 0x4000]].concat();
    let headers = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    let endless = [PREFACE, &SETTINGS, &headers, &continuation.repeat(100)].concat();
    let answer = send(address, &endless);
    assert_eq!(goaway(&answer), Some(ENHANCE_YOUR_CALM), "{answer:?}");
    is_served(address);
}

#[test]
fn a_request_that_is_too_long_is_refused() {
    let (_console, address) = console();
    let status = runtime().block_on(async {
        // A request of another service: a megabyte, whose begin is no message of this service.
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
    // More connections than are allowed: the rest is closed at once, and these after five seconds.
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

#[test]
fn who_comes_when_all_seats_are_taken_is_hung_up_on() {
    const SEATS: usize = 32;
    let (_console, address) = console();
    let hello = [PREFACE, &SETTINGS].concat();
    let seated: Vec<TcpStream> = (0..SEATS)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&hello).unwrap();
            // The server's own SETTINGS: the connection is admitted.
            stream.read_exact(&mut [0; 9]).unwrap();
            stream
        })
        .collect();
    assert!(send(address, &hello).is_empty());
    drop(seated);
    is_served(address);
}
