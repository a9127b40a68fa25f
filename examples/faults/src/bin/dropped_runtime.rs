//! A service drops its own runtime when it closes. A task of the runtime is in a blocking call, so the drop waits for it.

use faults::repaired;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tokio::runtime::Runtime;

struct Service {
    runtime: Runtime,
}

/// Blocks its worker.
fn next_report(reports: &Receiver<u32>) -> Option<u32> {
    reports.recv().ok()
}

impl Service {
    fn open(reports: Receiver<u32>) -> Service {
        let runtime = Runtime::new().unwrap();
        runtime.spawn(async move { while next_report(&reports).is_some() {} });
        Service { runtime }
    }

    fn close(self) {
        match repaired() {
            true => self.runtime.shutdown_background(),
            false => drop(self.runtime), // Waits for the worker: the fault.
        }
    }
}

fn main() {
    let (_reports, receiver) = channel();
    let service = Service::open(receiver);
    thread::sleep(Duration::from_millis(200));
    service.close();
}
