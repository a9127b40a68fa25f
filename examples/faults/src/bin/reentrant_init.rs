//! A configuration in a `OnceCell`. The function that makes it asks for the configuration itself.

use faults::repaired;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time;

static CONFIG: OnceCell<Config> = OnceCell::const_new();

#[derive(Clone, Copy)]
struct Config {
    port: u16,
}

async fn config() -> Config {
    *CONFIG.get_or_init(read_config).await
}

async fn read_config() -> Config {
    time::sleep(Duration::from_millis(10)).await;
    let port = match repaired() {
        true => 80,
        false => default_port().await,
    };
    Config { port }
}

/// The port of the configuration that is being made: the fault.
async fn default_port() -> u16 {
    Box::pin(config()).await.port
}

async fn serve() {
    loop {
        println!("{}", config().await.port);
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main]
async fn main() {
    for _ in 0..5 {
        tokio::spawn(serve());
    }
    std::future::pending::<()>().await;
}
