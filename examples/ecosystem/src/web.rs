//! axum: a shop with requests for goods. The tasks of its connections are axum's; the layer lists their requests.

use crate::Outcome;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Serves the shop. Returns its address.
pub async fn start() -> Outcome<SocketAddr> {
    let name = |request: &Request| format!("{} {}", request.method(), request.uri().path());
    let shelf = Arc::new(Semaphore::new(1));
    let app = Router::new()
        .route("/goods/{count}", get(goods))
        .with_state(shelf)
        .layer(tokio::pprof::layer().named_by(name));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, app));
    Ok(address)
}

async fn serve(listener: TcpListener, app: Router) -> Outcome {
    Ok(axum::serve(listener, app).await?)
}

async fn goods(State(shelf): State<Arc<Semaphore>>, Path(count): Path<u32>) -> String {
    match shelf.acquire_many(count).await {
        Ok(_) => format!("{count} of it"),
        Err(closed) => closed.to_string(),
    }
}
