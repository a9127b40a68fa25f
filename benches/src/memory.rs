//! The growth of a process's anonymous memory during an operation.
//!
//! The kernel's peak (`VmHWM`) counts all resident memory, and so the pages of the program's own file that the first
//! use of its debug information reads: page cache, shared and reclaimable. For `RssAnon`, the memory that the process
//! allocated, the kernel keeps no peak, so it is sampled. A peak between two samples is missed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Error;

/// The time between two samples. A sample takes some 20 us, which is 1 % of a CPU.
const PERIOD: Duration = Duration::from_millis(2);

/// A thread that samples a process.
pub struct Watch {
    before: u64,
    done: Arc<AtomicBool>,
    /// Its result is the highest sample.
    sampler: JoinHandle<u64>,
}

impl Watch {
    /// `status` is the process's `/proc/PID/status`.
    pub fn start(status: String) -> Result<Self, Error> {
        let before = anonymous_bytes(&status).ok_or_else(|| format!("{status}: no RssAnon"))?;
        let done = Arc::new(AtomicBool::new(false));
        let sampler = thread::spawn({
            let done = Arc::clone(&done);
            move || {
                let mut highest = before;
                while !done.load(Relaxed) {
                    thread::sleep(PERIOD);
                    highest = anonymous_bytes(&status).map_or(highest, |now| highest.max(now));
                }
                highest
            }
        });
        Ok(Self {
            before,
            done,
            sampler,
        })
    }

    /// Ends it. Returns by how many bytes the highest sample is above the start.
    pub fn growth(self) -> Result<u64, Error> {
        self.done.store(true, Relaxed);
        let highest = self.sampler.join().map_err(|_| "the sampler panicked")?;
        Ok(highest - self.before)
    }
}

/// `None` once the process is gone.
fn anonymous_bytes(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"))?;
    Some(kib.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn memory_that_is_given_back_has_been_seen() {
        const BYTES: usize = 64 << 20;
        let watch = Watch::start("/proc/self/status".to_owned()).unwrap();
        let block = vec![1_u8; BYTES];
        thread::sleep(10 * PERIOD);
        drop(black_box(block));
        let growth = watch.growth().unwrap();
        // Other tests allocate meanwhile, and the kernel counts in batches.
        assert!(growth > BYTES as u64 * 9 / 10, "{growth}");
    }
}
