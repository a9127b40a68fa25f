//! `client ADDRESS`: attaches as tokio-console does, prints `attached` with the first message, and reads all others
//! until the service ends.

use std::time::Duration;

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use upstream::time;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the client tries to connect until the console listens.
const TRIES: u32 = 500;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

fn main() -> Result<(), Error> {
    leave_the_pinned_cpu();
    let address = std::env::args().nth(1).ok_or("usage: client ADDRESS")?;
    let runtime = upstream::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(watch(format!("http://{address}")))
}

async fn watch(address: String) -> Result<(), Error> {
    let mut tries = 0;
    let mut client = loop {
        match InstrumentClient::connect(address.clone()).await {
            Ok(client) => break client,
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(_) => tries += 1,
        }
        time::sleep(BETWEEN_TRIES).await;
    };
    let updates = client.watch_updates(InstrumentRequest {}).await?;
    let mut updates = updates.into_inner();
    updates.message().await?;
    println!("attached");
    while let Ok(Some(_)) = updates.message().await {}
    Ok(())
}

/// A console usually runs on another machine. Where `taskset` does not work, client and service share the CPU.
fn leave_the_pinned_cpu() {
    let own = std::process::id().to_string();
    let mut taskset = std::process::Command::new("taskset");
    taskset.args(["--all-tasks", "--cpu-list", "--pid", "0-1023", &own]);
    let _ = taskset.output();
}
