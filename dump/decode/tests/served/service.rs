//! A service of the probe's own, for tests that ask its pages.

use super::served::{alone, runtime};
use runtime_probe::pprof;
use std::net::SocketAddr;
use std::sync::MutexGuard;

/// A runtime of two workers whose pages are served, alone in the process.
pub struct Service {
    // Dropped in this order.
    _serving: pprof::Serving,
    pub runtime: runtime_probe::runtime::Runtime,
    pub address: SocketAddr,
    _alone: MutexGuard<'static, ()>,
}

impl Service {
    pub fn start() -> Self {
        let alone = alone();
        let runtime = runtime(2);
        let serving = pprof::serve("127.0.0.1:0").unwrap();
        Service {
            address: serving.local_addr().unwrap(),
            _serving: serving,
            runtime,
            _alone: alone,
        }
    }
}
