//! redis: a worker that waits for jobs in a list. The task of its connection is the library's.

use crate::Outcome;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

/// Starts the worker, once the server has answered.
pub async fn start(url: &str) -> Outcome {
    let patient = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(url)?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&patient)
        .await?;
    let pong: String = redis::cmd("PING").query_async(&mut connection).await?;
    assert_eq!(pong, "PONG");
    tokio::spawn(next_job(connection));
    Ok(())
}

async fn next_job(mut connection: MultiplexedConnection) -> Outcome<(String, String)> {
    let mut pop = redis::cmd("BLPOP");
    let job = pop.arg("jobs").arg(0).query_async(&mut connection).await?;
    Ok(job)
}
