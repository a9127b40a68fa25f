//! tokio as the workloads know it, watched by console-subscriber.
//!
//! Its README's setup, but for the port: any free one, as another program may have its own. No console is connected.

use std::net::Ipv4Addr;
use std::sync::Once;

pub use upstream::{io, net, spawn, sync, task, time};

#[path = "../attached.rs"]
pub mod runtime;

fn build(mut builder: upstream::runtime::Builder) -> std::io::Result<runtime::Runtime> {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        console_subscriber::ConsoleLayer::builder()
            .server_addr((Ipv4Addr::LOCALHOST, 0))
            .init();
    });
    builder.build()
}
