//! Requests with the tower layer, in a dump.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use runtime_probe::pprof;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A dump shows the whole process, and so the requests of the other test, too.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

async fn order() -> &'static str {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    "ordered"
}

async fn price() -> &'static str {
    tokio::task::yield_now().await;
    "7"
}

/// The blocks of the dump whose stack or name has `text`.
fn blocks_with(text: &str) -> Vec<String> {
    let mut dump = Vec::new();
    let profile = pprof::lookup("goroutine").unwrap();
    profile.write_to(&mut dump, 2).unwrap();
    let dump = String::from_utf8(dump).unwrap();
    let blocks = dump.split("\n\n").filter(|block| block.contains(text));
    blocks.map(str::to_owned).collect()
}

/// The entry of the request that waits in `order`, as soon as there is one.
async fn waiting_order() -> String {
    let begin = Instant::now();
    loop {
        let mut blocks = blocks_with("layer::order(").into_iter();
        // Before its first wait the request is a part of the connection that polls it.
        if let Some(block) = blocks.find(|block| block.contains(" [sleep")) {
            return block;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "no entry");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_request_is_an_entry_of_its_own() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let layer = pprof::layer();
    let here = format!("layer.rs:{}:", line!() - 1);
    let app = Router::new()
        .route("/order", get(order))
        .route("/price", get(price))
        .layer(layer.named_by(|request: &Request| {
            format!("{} {}", request.method(), request.uri().path())
        }));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, app).await });

        let mut waiting = TcpStream::connect(address).await.unwrap();
        waiting
            .write_all(b"GET /order HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let begin = Instant::now();
        let block = waiting_order().await;
        assert!(block.contains(" [sleep]:\n"), "{block}");
        assert!(block.contains("GET /order"), "{block}");
        assert!(block.contains(&here), "{block}");
        assert!(
            block.contains("\ncreated by layer::a_request_is_an_entry_of_its_own"),
            "{block}"
        );

        // A request that is answered is not listed any more.
        let mut answered = TcpStream::connect(address).await.unwrap();
        answered
            .write_all(b"GET /price HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        answered.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\n7"), "{answer}");
        assert_eq!(blocks_with("GET /price"), [""; 0]);

        // Neither is a request whose client leaves.
        drop(waiting);
        while !blocks_with("GET /order").is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(30), "it stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn a_request_names_itself_and_its_connection_leads_to_it() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let app = Router::new()
        .route("/order", get(order))
        .layer(pprof::layer().named("an order"));
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        // A connection whose task is instrumented, as in a service's own accept loop.
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
        runtime_probe::spawn(async { connection.await.unwrap() });
        client
            .write_all(b"GET /order HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let request = waiting_order().await;
        assert!(request.contains("\"an order\""), "{request}");
        // The request's stack continues into the connection that polls it, and names the task of the connection.
        assert!(
            request.contains("<hyper::server::conn::http1::Connection as "),
            "{request}"
        );
        let parent = request
            .split_once("_leads_to_it in goroutine ")
            .and_then(|(_, rest)| rest.lines().next())
            .unwrap_or_else(|| panic!("{request}"));
        let connection = blocks_with(&format!("goroutine {parent} ")).remove(0);
        // It waits for two things: the end of the request, or that the client hangs up.
        assert!(connection.contains(" [select]:\n"), "{connection}");
        for branch in ["select.branch_1_of_2", "select.branch_2_of_2"] {
            assert!(connection.contains(branch), "{connection}");
        }
    });
}
