//! tokio for the workloads, watched by console-subscriber.
//!
//! The setup of its README, except for the port: any free one, as another program may have one of its own.

pub use upstream::{io, net, spawn, sync, task, time};

#[path = "../attached.rs"]
pub mod runtime;

#[path = "../console.rs"]
mod console;

fn build(mut builder: upstream::runtime::Builder) -> std::io::Result<runtime::Runtime> {
    console::once(|address| {
        let layer = console_subscriber::ConsoleLayer::builder();
        layer.server_addr(address).init();
    });
    builder.build()
}
