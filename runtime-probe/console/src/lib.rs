//! Lets `tokio-console` attach to a service with runtime-probe: without tokio's `tracing` feature, and at no cost
//! while no client is attached.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! // In main, 127.0.0.1:6669 without an argument for tokio-console; here any free port.
//! let console = runtime_probe_console::serve("127.0.0.1:0")?;
//! println!("tokio-console http://{}", console.local_addr());
//! # Ok(()) }
//! ```
//!
//! It serves the protocol of `console-subscriber` (gRPC, from `console-api`) from the probe's own records. It has a
//! thread and a runtime of its own, which are left out of everything that the probe shows. So it answers when all
//! workers of the service are stuck, and it never lists itself. While no client is attached, nothing is read. With
//! `RUNTIME_PROBE=off` there are no records, and the list is empty.
//!
//! The cost of clients is bounded. There are at most 32, each with one stream of updates and a few small streams. One
//! message of updates is being sent, of at most 4 MiB. One waits, of some 20 MB if there are tens of thousands of
//! tasks. A client that does not take the next message within ten seconds ([`Server::patience`]) is disconnected.
//!
//! # What is shown, and how exact it is
//!
//! The records are read once a second, while a client is attached. A task that begins and ends between two reads is
//! not listed.
//!
//! | value | |
//! |---|---|
//! | id, name, kind, location, parent, size | as tokio has them; a task that a dependency spawned by plain tokio has no size, and is listed with `--cfg tokio_unstable` |
//! | polls, busy | exact, up to the last look before the task ended |
//! | scheduled | exact while a client is attached; earlier scheduled time counts as idle, and so does that of a dependency's task |
//! | wakes | those that led to a poll; several wakes before one poll count once |
//! | self-wakes | polls in which the task woke itself |
//! | wakers | how many there are now, shown as the number of clones; the number of drops is 0 |
//! | the histograms of a task's page | its polls since the page was opened, each to within 1 % |
//!
//! All of the client's warnings about tasks are reliable: lost wakers (the probe counts wakers), self-wakes, tasks
//! that never yield, large futures and boxed futures. Resources and asynchronous operations are not shown, as tokio
//! reports them by tracing only. With the feature `subscriber` (and `--cfg tokio_unstable`) `subscriber()` shows
//! them, by console-subscriber and at its cost. A process uses one of the two ways.

// In reading order: the server, the answers to requests, the model of the tasks, and the updates for one client.
mod server;
#[cfg(feature = "subscriber")]
mod subscriber;
mod ways;

mod connection;
mod instrument;

mod model;
mod updates;

mod histogram;
mod wire;

pub use server::{Server, Serving, serve};
#[cfg(feature = "subscriber")]
pub use subscriber::subscriber;
