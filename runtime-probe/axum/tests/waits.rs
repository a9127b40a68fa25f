//! Reasons of waits of axum's and hyper's tasks, in a dump.
#![cfg(feature = "hyper")]

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use runtime_probe::pprof;
use runtime_probe_axum::Executor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);

fn blocks() -> Vec<String> {
    let mut text = Vec::new();
    let profile = pprof::lookup("goroutine").unwrap();
    profile.write_to(&mut text, 2).unwrap();
    let text = String::from_utf8(text).unwrap();
    text.split("\n\n").map(str::to_owned).collect()
}

/// The loop polls two futures: the future that it polled before it took a connection is one of them.
#[test]
fn the_loop_that_accepts_has_two_branches_while_requests_come() {
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get("hello"));
        runtime_probe::spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(pending());
            served.await.unwrap();
        });
        let loops =
            |block: &&String| block.contains("axum::serve::") && block.contains("Sender::closed");
        let mut seen = 0;
        let begin = Instant::now();
        while seen < 50 {
            for _ in 0..3 {
                let mut client = TcpStream::connect(address).await.unwrap();
                let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
                client.write_all(request).await.unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                assert!(answer.ends_with("hello"), "{answer}");
            }
            for block in blocks().iter().filter(loops) {
                if block.contains(" [select]:") {
                    let branches = block.matches("\nselect.branch_").count();
                    let of = |name: &str| block.matches(name).count();
                    assert_eq!((branches, of("Sender::closed(")), (2, 1), "{block}");
                    assert!(!block.contains("also_registered"), "{block}");
                    seen += 1;
                }
            }
            assert!(begin.elapsed() < PATIENCE, "{:?}", blocks());
        }
    });
}

struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1 << 16])))))
    }
}

/// The peer reads nothing, so its window is full.
#[test]
fn flow_control_is_no_io() {
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let reads_nothing = service_fn(|request: Request<Incoming>| async move {
                let _unread = request;
                pending::<Result<Response<Body>, Infallible>>().await
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let served = server.serve_connection(TokioIo::new(stream), reads_nothing);
            served.await.unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let shaken = hyper::client::conn::http2::handshake(Executor::new(), io).await;
        let (mut client, connection) = shaken.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://{address}/"));
        let request = request.body(Endless).unwrap();
        let _answer = client.send_request(request);
        let begin = Instant::now();
        loop {
            let blocks = blocks();
            let sends = |block: &&String| block.contains("h2::share::SendStream::poll_capacity(");
            if let Some(block) = blocks.iter().find(sends) {
                // The other branch waits for the cancel. A reset of the stream wakes the same waker.
                assert!(block.contains("select.branch_2_of_2"), "{block}");
                assert!(!block.contains("poll_reset"), "{block}");
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "{blocks:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
