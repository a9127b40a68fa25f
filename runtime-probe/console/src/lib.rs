//! `tokio-console` attaches to a service that carries runtime-probe: without tokio's `tracing` feature, and at no cost while
//! no client is attached.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! // In main, 127.0.0.1:6669 without an argument for tokio-console; here any free port.
//! let console = runtime_probe_console::serve("127.0.0.1:0")?;
//! println!("tokio-console http://{}", console.local_addr());
//! # Ok(()) }
//! ```
//!
//! It serves the protocol of `console-subscriber` (gRPC, from `console-api`) out of the probe's own records, on a thread
//! and a runtime of its own, which are left out of everything that the probe shows. So it answers when the workers of the
//! service are all stuck, and it never lists itself. While no client is attached, nothing is read. With `RUNTIME_PROBE=off`
//! there are no records, and the list is empty.
//!
//! What clients can cost is bounded: there are 32 at the most, each with one stream of updates and a few small ones. Of the updates
//! one message is on its way, of 4 MiB at the most, and one waits, of some 20 MB where there are tens of thousands of tasks. A client
//! that does not take the next message within ten seconds ([`Server::patience`]) is hung up on.
//!
//! # What is shown, and how exact it is
//!
//! Once a second, while a client is attached, the records are read. What lives and ends between two looks is not listed.
//!
//! | value | |
//! |---|---|
//! | id, name, kind, location, parent, size | as tokio has them; a task that a dependency spawned by plain tokio has no size, and is listed with `--cfg tokio_unstable` |
//! | polls, busy | exact, up to the last look before the task ended |
//! | scheduled | exact while a client is attached; what was before counts as idle, and so does that of a dependency's task |
//! | wakes | those that led to a poll; several before one poll are one |
//! | self-wakes | polls in which the task woke itself |
//! | wakers | how many there are now; it is the clones, and no drops |
//! | the histograms of a task's page | its polls since the page was opened, each to within 1 % |
//!
//! All of the client's warnings about tasks can be trusted: lost wakers (the probe counts them), self-wakes, tasks that never
//! yield, large futures and those that tokio boxes. Resources and asynchronous operations are not shown: tokio tells of these by
//! tracing only. With the feature `subscriber` (and `--cfg tokio_unstable`) `subscriber()` shows them, by console-subscriber and at
//! its cost. A process serves by one of the two ways.

// In reading order: who is let in, what is answered, what is known of the tasks, and what goes out of it to one client.
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
