//! Many tasks for tokio-console: how long a client waits for its first message and for all tasks, alone and with nine
//! other clients, and how much CPU and memory that takes. `cargo run --release -p runtime-probe-console --example
//! crowd -- 100000`; with an address as the second argument the service goes on, so that a tokio-console can attach
//! there.

use std::future::pending;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use runtime_probe::runtime::Runtime;
use runtime_probe_console::Server;

/// Clients at once.
const CLIENTS: usize = 10;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let tasks: usize = arguments.next().as_deref().unwrap_or("100000").parse()?;
    let address = arguments.next();

    let before = allocated()?;
    let service = Runtime::new()?;
    for _ in 0..tasks {
        service.spawn(pending::<()>());
    }
    let with_tasks = allocated()?;
    println!("{tasks} tasks: {} KiB", with_tasks - before);

    let console = Server::new(address.as_deref().unwrap_or("127.0.0.1:0")).serve()?;
    let server = console.local_addr();
    // Plain tokio, so that the clients are not among the tasks.
    let clients = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for count in [1, CLIENTS] {
        let attached: Vec<_> = (0..count)
            .map(|_| clients.spawn(attach(server, tasks)))
            .collect();
        for (number, client) in attached.into_iter().enumerate() {
            let Attached { first, all, bytes } = clients.block_on(client)??;
            println!(
                "client {number} of {count}: first message after {first:.0?}, all tasks after {all:.0?}, largest message {bytes} B"
            );
        }
        println!("above the tasks: {} KiB", allocated()? - with_tasks);
    }
    if address.is_some() {
        println!("tokio-console http://{server}");
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    Ok(())
}

struct Attached {
    first: Duration,
    all: Duration,
    bytes: usize,
}

/// Attaches, and takes messages until they have all tasks.
async fn attach(server: SocketAddr, tasks: usize) -> Result<Attached, Error> {
    let mut client = InstrumentClient::connect(format!("http://{server}")).await?;
    let began = Instant::now();
    let mut updates = client
        .watch_updates(InstrumentRequest {})
        .await?
        .into_inner();
    let (mut first, mut told, mut bytes) = (None, 0, 0);
    while told < tasks {
        let update = updates.message().await?.ok_or("the stream ended")?;
        first.get_or_insert_with(|| began.elapsed());
        bytes = bytes.max(prost::Message::encoded_len(&update));
        told += update.task_update.map_or(0, |told| told.new_tasks.len());
    }
    Ok(Attached {
        first: first.unwrap_or_default(),
        all: began.elapsed(),
        bytes,
    })
}

/// The memory of the process that is allocated and was written to, in KiB.
fn allocated() -> Result<i64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("no RssAnon")?.parse()?)
}
