//! Requests behind the tower layer, in a dump: the service is axum's, and its connections are tasks of plain tokio.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use runtime_probe::pprof;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn order() -> &'static str {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    "ordered"
}

async fn price() -> &'static str {
    tokio::task::yield_now().await;
    "7"
}

/// What the dump says of the entries whose stack, or whose name, has `text`.
fn blocks_with(text: &str) -> Vec<String> {
    let mut dump = Vec::new();
    let profile = pprof::lookup("goroutine").unwrap();
    profile.write_to(&mut dump, 2).unwrap();
    let dump = String::from_utf8(dump).unwrap();
    let blocks = dump.split("\n\n").filter(|block| block.contains(text));
    blocks.map(str::to_owned).collect()
}

#[test]
fn a_request_is_an_entry_of_its_own() {
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
        let block = loop {
            if let Some(block) = blocks_with("layer::order(").pop() {
                break block;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "no entry");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert!(block.contains(" [sleep]:\n"), "{block}");
        assert!(block.contains("GET /order"), "{block}");
        assert!(block.contains(&here), "{block}");
        assert!(
            block.contains("\ncreated by layer::a_request_is_an_entry_of_its_own"),
            "{block}"
        );

        // One that is answered is gone.
        let mut answered = TcpStream::connect(address).await.unwrap();
        answered
            .write_all(b"GET /price HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        answered.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\n7"), "{answer}");
        assert_eq!(blocks_with("GET /price"), [""; 0]);

        // And so is one whose client leaves.
        drop(waiting);
        while !blocks_with("GET /order").is_empty() {
            assert!(begin.elapsed() < Duration::from_secs(30), "it stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
