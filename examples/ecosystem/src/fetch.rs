//! reqwest: customers of the shop. The tasks of its connections are reqwest's.

use crate::Outcome;
use std::net::SocketAddr;

/// One customer that is served, and one that asks for more than there is.
pub async fn start(shop: SocketAddr) -> Outcome {
    let client = reqwest::Client::new();
    assert_eq!(buy(client.clone(), shop, 1).await?, "1 of it");
    tokio::spawn(buy(client, shop, 2));
    Ok(())
}

async fn buy(client: reqwest::Client, shop: SocketAddr, count: u32) -> Outcome<String> {
    let request = client.get(format!("http://{shop}/goods/{count}"));
    let response = request.send().await?;
    Ok(response.text().await?)
}
