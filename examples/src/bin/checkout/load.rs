//! The customers: client tasks that speak HTTP/1.1 with keep-alive over real TCP connections.

use std::convert::Infallible;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::shop::CATALOGUE;

/// Customers at a time.
pub const CLIENTS: usize = 8;

/// Requests a second that all clients send together.
pub const REQUESTS_PER_SECOND: u64 = 200;

/// After so long a customer closes the connection and opens a new one.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts the customers; they send requests until the runtime ends.
pub fn start(shop: SocketAddr) {
    for client in 0..CLIENTS {
        tokio::spawn(call_again_and_again(shop, client));
    }
}

async fn call_again_and_again(shop: SocketAddr, client: usize) {
    loop {
        let Err(_hung_up) = call(shop, client).await;
        sleep(Duration::from_millis(500)).await;
    }
}

/// One connection: three requests for a price, then an order, again and again until a request fails.
async fn call(shop: SocketAddr, client: usize) -> Result<Infallible> {
    let mut connection = BufReader::new(TcpStream::connect(shop).await?);
    let mut pace = interval(Duration::from_millis(
        1_000 * CLIENTS as u64 / REQUESTS_PER_SECOND,
    ));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut request = client;
    loop {
        pace.tick().await;
        let (item, _) = CATALOGUE[request / 4 % CATALOGUE.len()];
        let target = if request % 4 == 3 {
            format!("POST /order/{item}")
        } else {
            format!("GET /price/{item}")
        };
        timeout(PATIENCE, exchange(&mut connection, &target)).await??;
        request += 1;
    }
}

/// Sends one request and reads its whole response, so that the connection is ready for the next one.
async fn exchange(connection: &mut BufReader<TcpStream>, target: &str) -> Result<()> {
    let request = format!("{target} HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;

    let mut body_len = 0;
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body_len = value
                .trim()
                .parse()
                .map_err(|_| Error::from(ErrorKind::InvalidData))?;
        }
    }
    connection.read_exact(&mut vec![0; body_len]).await?;
    Ok(())
}
