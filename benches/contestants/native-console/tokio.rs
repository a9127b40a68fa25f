//! The probe under tokio's name for the workloads, with its console served.

pub use upstream::{io, net, spawn, sync, task, time};

#[path = "../attached.rs"]
pub mod runtime;

#[path = "../console.rs"]
mod console;

fn build(mut builder: upstream::runtime::Builder) -> std::io::Result<runtime::Runtime> {
    console::once(|address| {
        let served = runtime_probe_console::serve(address);
        served.expect("a console").detach();
    });
    builder.build()
}
