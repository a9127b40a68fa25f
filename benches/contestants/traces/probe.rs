//! The probe's flight recorder, which keeps everything.

pub use runtime_probe::runtime::Runtime;
pub use runtime_probe::{spawn, sync, time};

use runtime_probe::pprof::trace::{self, FlightRecorder};
use runtime_probe::runtime::Builder;
use std::time::Duration;

use crate::Recorded;

/// A recorder under way.
pub struct Recorder(trace::Recorder);

impl Recorder {
    pub fn start() -> Self {
        let recorder = FlightRecorder::new().min_age(Duration::from_secs(600));
        Self(
            recorder
                .max_bytes(1 << 30)
                .start()
                .expect("the only recorder"),
        )
    }

    pub fn runtime(&self, has_workers: bool) -> Runtime {
        let mut builder = match has_workers {
            true => Builder::new_multi_thread(),
            false => Builder::new_current_thread(),
        };
        let workers = crate::WORKERS as usize;
        builder
            .worker_threads(workers)
            .enable_all()
            .build()
            .expect("a runtime")
    }

    /// Writes what is recorded, as `go tool trace` reads it.
    pub fn finish(self) -> Recorded {
        let mut bytes = Vec::new();
        self.0.write_to(&mut bytes).expect("memory");
        // A remark, as the name of a goroutine.
        const LOST: &[u8] = b" events were lost";
        let at = bytes.windows(LOST.len()).position(|part| part == LOST);
        let lost = at.map_or(0, |at| {
            let digits = bytes[..at]
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_digit());
            digits
                .enumerate()
                .map(|(at, digit)| u64::from(digit - b'0') * 10_u64.pow(at as u32))
                .sum()
        });
        Recorded {
            bytes: bytes.len() as u64,
            polls: None,
            events: None,
            lost: Some(lost),
        }
    }
}
