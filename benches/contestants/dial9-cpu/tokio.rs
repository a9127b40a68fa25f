//! tokio for the workloads, with dial9's CPU sampler for those that ask for a CPU profile.
//!
//! Like the probe it has timers on each thread's CPU time. No runtime is attached. A program has to track its threads
//! itself.

use std::sync::OnceLock;

use dial9::Recorder;
pub use upstream::{io, net, spawn, sync, task, time};

#[path = "../attached.rs"]
pub mod runtime;

/// While it exists, it records the samples in memory.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

fn build(mut builder: upstream::runtime::Builder) -> std::io::Result<runtime::Runtime> {
    if let Some(recorder) = RECORDER.get() {
        let handle = recorder.handle().clone();
        builder.on_thread_start(move || {
            let tracked = handle.track_current_thread();
            std::mem::forget(tracked.expect("a timer for this thread"));
        });
    }
    builder.build()
}

/// The API that the workloads use for a CPU profile.
pub mod pprof {
    use std::io::{self, Write};

    use dial9::MemoryBuffer;
    use dial9::cpu::{CpuProfiler, CpuProfilingConfig};

    /// More than the samples of a run of some seconds.
    const BYTES: u64 = 16 << 20;

    /// Begins a profile of 100 Hz, of this thread and of later runtimes, which ends with the process.
    ///
    /// # Errors
    /// dial9's errors.
    pub fn start_cpu_profile(_: impl Write) -> io::Result<()> {
        let config = CpuProfilingConfig::with_ctimer_backend().frequency_hz(100);
        let sampler = CpuProfiler::start(config)?;
        let recorder = dial9::recorder(MemoryBuffer::new(BYTES)?)
            .source(sampler)
            .build();
        recorder.enable();
        super::RECORDER.get_or_init(|| recorder);
        Ok(())
    }
}
