//! The router over HTTP/2: many answers on one connection, and a `Host` that is the authority of the request's target.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Tasks in the dump: some 13 MB of text, more than a window of HTTP/2 and the system's buffers.
const TASKS: usize = 10_000;

/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service, and a connection to it.
async fn connected() -> SendRequest<Body> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let app = runtime_probe_axum::router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, app).await });
    let stream = TcpStream::connect(server).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(client: &mut SendRequest<Body>, method: &str, url: &str) -> Response<Incoming> {
    client.ready().await.unwrap();
    let request = Request::builder().method(method).uri(url);
    let request = request.body(Body::empty()).unwrap();
    client.send_request(request).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(body.unwrap().into()).unwrap()
}

#[test]
fn the_authority_is_the_host() {
    Runtime::new().unwrap().block_on(async {
        let mut client = connected().await;
        let good = ask(&mut client, "GET", "http://localhost/debug/pprof/cmdline").await;
        assert_eq!(good.status(), StatusCode::OK);
        assert!(!text(good).await.is_empty());
        let bad = ask(
            &mut client,
            "GET",
            "http://evil.example/debug/pprof/cmdline",
        )
        .await;
        assert_eq!(bad.status(), StatusCode::FORBIDDEN);
        let head = ask(&mut client, "HEAD", "http://localhost/debug/pprof/cmdline").await;
        assert_eq!(head.status(), StatusCode::OK);
        assert!(text(head).await.is_empty());
    });
}

/// A dump that is not read yet delays no other answer of the connection, and is complete when it is read. A dump
/// whose reader is gone ends.
#[test]
fn a_dump_goes_beside_other_answers() {
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    for _ in 0..TASKS {
        runtime.spawn(std::future::pending::<()>());
    }
    let plain = Runtime::new().unwrap();
    let test = async {
        let dump = "http://127.0.0.1/debug/pprof/goroutine?debug=2";
        let mut client = connected().await;
        let unread = ask(&mut client, "GET", dump).await;
        drop(ask(&mut client, "GET", dump).await);
        let short = ask(&mut client, "GET", "http://127.0.0.1/debug/pprof/cmdline").await;
        assert_eq!(short.status(), StatusCode::OK);
        assert_eq!(unread.status(), StatusCode::OK);
        let unread = text(unread).await;
        assert!(unread.matches("\ngoroutine ").count() >= TASKS);
    };
    plain.block_on(async { tokio::time::timeout(PATIENCE, test).await.unwrap() });
    plain.shutdown_timeout(PATIENCE);
}
