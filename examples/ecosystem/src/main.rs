//! A small service on each library that most services use, with the probe under tokio's name by one line in Cargo.toml. Each
//! answers a request, and then has one that waits for ever; ci/ecosystem.sh checks in a dump where.
//!     cd examples/ecosystem && REDIS=redis://127.0.0.1:6379 cargo run
//!
//! Without `REDIS` there is no redis service.

mod cache;
mod fetch;
mod grpc;
mod ledger;
mod web;
mod wire;

use std::error::Error;

/// An error in a service ends the program.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let probe = tokio::pprof::serve("127.0.0.1:0")?;
    let shop = web::start().await?;
    fetch::start(shop).await?;
    wire::start().await?;
    grpc::start().await?;
    ledger::start().await?;
    match std::env::var("REDIS") {
        Ok(url) => cache::start(&url).await?,
        Err(_) => println!("no redis: REDIS is not set"),
    }
    let address = probe.local_addr().ok_or("the probe has no address")?;
    println!("curl 'http://{address}/debug/pprof/goroutine?debug=2'");
    std::future::pending().await
}
