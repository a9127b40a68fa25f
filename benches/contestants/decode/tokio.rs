//! tokio for a dependency that does not know the probe: its spawns are tokio's own, its runtimes are the probe's.

pub use plain::{io, net, spawn, sync, task, time};
pub use upstream::runtime;
