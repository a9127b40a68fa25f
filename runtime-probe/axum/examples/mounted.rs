//! A service with one port: its own route, and `/debug/pprof/` beside it.
//!
//!     cargo run -p runtime-probe-axum --example mounted
//!     curl 'http://127.0.0.1:8080/wait' & curl 'http://127.0.0.1:8080/debug/pprof/goroutine?debug=2'
//!
//! With `TOKEN` in its environment it answers only clients that send the token: `curl -u x:TOKEN ...`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
// The rename does this for a whole crate.
use runtime_probe as tokio;
use tokio::net::TcpListener;
use tokio::pprof;

#[tokio::main(crate = "runtime_probe")]
async fn main() -> std::io::Result<()> {
    // Each request is an entry of its own, under its method and path.
    let requests = pprof::layer()
        .named_by(|request: &Request| format!("{} {}", request.method(), request.uri().path()));
    let debug = match std::env::var("TOKEN") {
        Ok(token) => runtime_probe_axum::remote_router(token)?,
        Err(_) => runtime_probe_axum::router(),
    };
    let app = Router::new()
        .route("/wait", get(wait))
        .layer(requests)
        .merge(debug);
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}/", listener.local_addr()?);
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await
}

async fn wait() -> &'static str {
    tokio::time::sleep(Duration::from_secs(10)).await;
    "done\n"
}
