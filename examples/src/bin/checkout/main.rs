//! A web shop with simulated customers and faults, and the probe to find the faults with.
//!
//!     cargo run --release -p examples --bin checkout
//!
//! It listens on 127.0.0.1:8080 and sends itself 200 requests a second over TCP. The probe answers on 127.0.0.1:6060.
//! Switch a fault on and look at the dump: it shows which task waits where, and where it was spawned. The program prints the
//! lines to try. `--no-load` leaves the customers out, `--listen` and `--probe` choose other addresses, and with `--console
//! 127.0.0.1:6669` `tokio-console` can attach.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::chaos::Chaos;
use crate::shop::{Receipt, Refusal, Shop};

mod chaos;
mod load;
mod shop;

const USAGE: &str = "\
Usage: checkout [--listen ADDR] [--probe ADDR] [--console ADDR] [--no-load]

  --listen ADDR  where the shop listens   [default: 127.0.0.1:8080]
  --probe ADDR   where the probe listens  [default: 127.0.0.1:6060]
  --console ADDR where tokio-console attaches; nowhere without it
  --no-load      without the customers
";

/// How long ctrl-c waits for requests under way; a request that waits in a deadlock never ends.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprintln!("checkout: {reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("checkout: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until ctrl-c.
async fn run(arguments: &Arguments) -> Result<(), String> {
    let Arguments {
        listen,
        probe,
        console,
        load,
    } = *arguments;
    let probe = start_probe(probe)
        .map_err(|error| format!("the probe cannot listen on {probe}: {error}"))?;
    let console = console.map(runtime_probe_console::serve).transpose();
    let console = console.map_err(|error| format!("tokio-console cannot be served: {error}"))?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("the shop cannot listen on {listen}: {error}"))?;

    let shop = Shop::open();
    let listen = listener.local_addr().map_err(|error| error.to_string())?;
    print_what_to_try(listen, probe.local_addr().unwrap_or(arguments.probe), load);
    if let Some(console) = &console {
        println!("\n  tokio-console http://{}", console.local_addr());
    }
    if load {
        load::start(listen);
    }

    let (interrupted, mut grace_begins) = oneshot::channel();
    let server = axum::serve(listener, routes(shop)).with_graceful_shutdown(async {
        let _ = tokio::signal::ctrl_c().await;
        let _ = interrupted.send(());
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        served = &mut server => return served.map_err(|error| error.to_string())?.map_err(|error| error.to_string()),
        _ = &mut grace_begins => println!("ctrl-c: no new requests"),
    }
    if timeout(GRACE, server).await.is_err() {
        println!("some requests are still waiting after {GRACE:?}; leaving them");
    }
    Ok(())
}

/// Starts the probe's server; it answers for as long as the returned value lives. A service can also leave this out and run with
/// `RUNTIME_PROBE_LISTEN=127.0.0.1:6060` instead.
fn start_probe(addr: SocketAddr) -> std::io::Result<tokio::pprof::Serving> {
    tokio::pprof::serve(addr)
}

/// The state that the handlers share.
#[derive(Clone)]
struct App {
    shop: Arc<Shop>,
    chaos: Arc<Chaos>,
}

fn routes(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/price/{item}", get(price))
        .route("/order/{item}", post(order))
        .route("/stats", get(stats))
        .route(
            "/chaos/leak",
            any(async |State(app): State<App>| app.chaos.leak()),
        )
        .route(
            "/chaos/deadlock",
            any(async |State(app): State<App>| app.chaos.deadlock(&app.shop)),
        )
        .route(
            "/chaos/lost-waker",
            any(async |State(app): State<App>| app.chaos.lost_waker()),
        )
        .route(
            "/chaos/contention",
            any(async |State(app): State<App>| app.chaos.contention(&app.shop)),
        )
        .route(
            "/chaos/block-worker",
            any(async |State(app): State<App>| app.chaos.block_worker()),
        )
        .route(
            "/chaos/spin",
            any(async |State(app): State<App>| app.chaos.spin()),
        )
        .route(
            "/chaos/off",
            any(async |State(app): State<App>| app.chaos.off()),
        )
        // Each request is an entry of its own in a dump. Without the layer it is a part of its connection, which axum spawns.
        .layer(
            tokio::pprof::layer().named_by(|request: &Request| {
                format!("{} {}", request.method(), request.uri().path())
            }),
        )
        .with_state(App {
            shop,
            chaos: Arc::default(),
        })
}

async fn price(State(app): State<App>, Path(item): Path<String>) -> (StatusCode, String) {
    match app.shop.price(&item).await {
        Some((item, cents)) => (StatusCode::OK, format!("{item}: {}\n", money(cents))),
        None => refuse(Refusal::UnknownItem),
    }
}

/// An order is a task of its own: it is finished even if the customer closes the connection.
async fn order(State(app): State<App>, Path(item): Path<String>) -> (StatusCode, String) {
    match tokio::spawn(app.shop.order(item)).await {
        Ok(Ok(Receipt {
            order,
            item,
            cents,
            signature,
        })) => (
            StatusCode::OK,
            format!(
                "order {order}: {item}, {}, signed {signature:016x}\n",
                money(cents)
            ),
        ),
        Ok(Err(refusal)) => refuse(refusal),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// Takes no lock, so that it answers under every fault.
async fn stats(State(app): State<App>) -> String {
    let counters = &app.shop.counters;
    format!(
        "{} orders, {} refusals, {} receipts mailed\n",
        counters.orders.load(Relaxed),
        counters.refusals.load(Relaxed),
        counters.mails.load(Relaxed)
    )
}

fn refuse(refusal: Refusal) -> (StatusCode, String) {
    match refusal {
        Refusal::UnknownItem => (
            StatusCode::NOT_FOUND,
            "The shop does not sell that.\n".to_owned(),
        ),
        Refusal::SoldOut => (
            StatusCode::CONFLICT,
            "Sold out until the next delivery.\n".to_owned(),
        ),
        Refusal::Closed => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The shop is closing.\n".to_owned(),
        ),
    }
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn print_what_to_try(listen: SocketAddr, probe: SocketAddr, load: bool) {
    let customers = if load {
        format!(
            "{} customers send {} requests a second",
            load::CLIENTS,
            load::REQUESTS_PER_SECOND
        )
    } else {
        "no customers".to_owned()
    };
    println!("The shop listens on {listen}, the probe on {probe}; {customers}. ctrl-c ends it.\n");
    let lines = [
        (
            format!("http://{probe}/debug/pprof/"),
            "what the probe offers",
        ),
        (
            format!("'http://{probe}/debug/pprof/goroutine?debug=2'"),
            "every task, and where it waits",
        ),
        (
            format!("http://{listen}/stats"),
            "orders so far; asked twice, whether they go on",
        ),
        (
            format!("-X POST http://{listen}/order/tea"),
            "buy something",
        ),
        (
            format!("http://{listen}/chaos/leak"),
            "100 tasks that wait for ever",
        ),
        (
            format!("http://{listen}/chaos/deadlock"),
            "two tasks that wait for each other, and orders for them",
        ),
        (
            format!("http://{listen}/chaos/lost-waker"),
            "a task that nothing can wake",
        ),
        (
            format!("http://{listen}/chaos/contention"),
            "a task that has a lock most of the time",
        ),
        (
            format!("http://{listen}/chaos/block-worker"),
            "a task that blocks its worker",
        ),
        (
            format!("http://{listen}/chaos/spin"),
            "a task that computes and never awaits",
        ),
        (
            format!("http://{listen}/chaos/off"),
            "all of these off again",
        ),
    ];
    let width = lines
        .iter()
        .map(|(curl, _)| curl.len())
        .max()
        .unwrap_or_default();
    for (curl, what) in &lines {
        println!("  curl {curl:width$}  # {what}");
    }
}

/// The command line.
struct Arguments {
    listen: SocketAddr,
    probe: SocketAddr,
    console: Option<SocketAddr>,
    load: bool,
}

impl Arguments {
    /// `Ok(None)` if the usage was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
        let mut arguments = Arguments {
            listen: ([127, 0, 0, 1], 8080).into(),
            probe: ([127, 0, 0, 1], 6060).into(),
            console: None,
            load: true,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--listen" => arguments.listen = address(&word, words.next())?,
                "--probe" => arguments.probe = address(&word, words.next())?,
                "--console" => arguments.console = Some(address(&word, words.next())?),
                "--no-load" => arguments.load = false,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {word}")),
            }
        }
        Ok(Some(arguments))
    }
}

fn address(switch: &str, value: Option<String>) -> Result<SocketAddr, String> {
    let value =
        value.ok_or_else(|| format!("{switch} needs an address, such as 127.0.0.1:8080"))?;
    value
        .parse()
        .map_err(|_| format!("{switch}: {value} is not an address such as 127.0.0.1:8080"))
}
