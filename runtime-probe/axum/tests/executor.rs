//! A dump has a task that hyper spawns, with its stack.
#![cfg(feature = "hyper")]

use std::time::{Duration, Instant};

use axum::body::Body;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use runtime_probe::pprof;
use runtime_probe_axum::Executor;

fn dump() -> String {
    let mut text = Vec::new();
    let profile = pprof::lookup("goroutine").unwrap();
    profile.write_to(&mut text, 2).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_connection_of_a_client_has_a_stack() {
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = axum::Router::new().route("/", axum::routing::get("hello"));
        runtime_probe::spawn(async move { axum::serve(listener, app).await });
        let client: Client<HttpConnector, Body> = Client::builder(Executor::new()).build_http();
        let response = client.get(url.parse().unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
        // The connection is kept for the next request, and waits for bytes of the server.
        let begin = Instant::now();
        loop {
            let text = dump();
            let mut blocks = text.split("\n\n");
            let connection = blocks.find(|block| {
                block.contains("\ncreated by hyper_util::")
                    || block.contains("spawned at ") && block.contains("hyper-util-")
            });
            if connection.is_some_and(|block| block.contains("hyper::")) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}
