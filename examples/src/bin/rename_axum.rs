//! axum and tower layers with the rename: a program for plain tokio that runs the same on both.
//!
//!     cargo run -p examples --bin rename_axum
//!
//! It serves three routes with a concurrency limit and a timeout, is its own client over TCP, checks the answers and shuts the
//! server down with `tokio::select!`. `ci/rename.sh` compares its output with plain tokio's.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{BoxError, Router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinSet;
use tower::ServiceBuilder;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::TimeoutLayer;

/// Requests that the concurrency limit allows at a time.
const LIMIT: usize = 2;

/// A multiple of the limit: the requests to `/pair` complete in pairs.
const CLIENTS: usize = 3 * LIMIT;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let pairs = Arc::new(Pairs::new());
    let shutdown = Arc::new(Notify::new());

    let server = tokio::spawn({
        let (app, shutdown) = (app(Arc::clone(&pairs)), Arc::clone(&shutdown));
        async move {
            tokio::select! {
                served = axum::serve(listener, app) => served.map(|()| "the server ended"),
                () = shutdown.notified() => Ok("the server was told to end"),
            }
        }
    });

    let hello = request(addr, "/hello").await?;
    println!("/hello: {hello}");
    assert_eq!(hello, "200 hello");

    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move { request(addr, "/pair").await });
    }
    let answers = clients
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    assert_eq!(answers, vec!["200 paired"; CLIENTS]);
    assert_eq!(pairs.most.load(SeqCst), LIMIT);
    println!(
        "/pair: {} times 200, never more than {LIMIT} at a time",
        answers.len()
    );

    let never = request(addr, "/never").await?;
    println!("/never: {never}");
    assert_eq!(never, "504 request timed out");

    shutdown.notify_one();
    let end = server.await.expect("the server does not panic")?;
    println!("{end}");
    assert_eq!(end, "the server was told to end");
    assert!(request(addr, "/hello").await.is_err());
    Ok(())
}

/// The routes, each with its own limit and a timeout.
fn app(pairs: Arc<Pairs>) -> Router {
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(timed_out))
        .layer(ConcurrencyLimitLayer::new(LIMIT))
        .layer(TimeoutLayer::new(Duration::from_secs(2)));
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/pair", get(pair))
        .route("/never", get(pending::<Infallible>))
        .layer(layers)
        .with_state(pairs)
}

async fn timed_out(error: BoxError) -> (StatusCode, String) {
    (StatusCode::GATEWAY_TIMEOUT, error.to_string())
}

/// Completes when another request is in it as well.
async fn pair(State(pairs): State<Arc<Pairs>>) -> &'static str {
    let inside = pairs.inside.fetch_add(1, SeqCst) + 1;
    pairs.most.fetch_max(inside, SeqCst);
    pairs.partner.wait().await;
    pairs.inside.fetch_sub(1, SeqCst);
    "paired"
}

/// Requests inside `/pair`.
struct Pairs {
    inside: AtomicUsize,
    most: AtomicUsize,
    partner: Barrier,
}

impl Pairs {
    fn new() -> Pairs {
        Pairs {
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            partner: Barrier::new(LIMIT),
        }
    }
}

/// One request on a connection of its own; returns the status code and the body.
async fn request(addr: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response
        .split_once("\r\n\r\n")
        .expect("a response has a head");
    let status = head.split(' ').nth(1).expect("a head has a status");
    Ok(format!("{status} {body}"))
}
