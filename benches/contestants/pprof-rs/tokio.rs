//! tokio as the workloads know it, and pprof-rs where they ask for a CPU profile.

pub use upstream::{io, net, runtime, spawn, sync, task, time};

/// What the workloads ask for a CPU profile.
pub mod pprof {
    use std::io::{self, Write};

    /// Begins a profile of 100 Hz that ends with the process, and is not written.
    pub fn start_cpu_profile(_: impl Write) -> io::Result<()> {
        let guard = ::pprof::ProfilerGuardBuilder::default()
            .frequency(100)
            // As its README has it: unwinding there may deadlock.
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build();
        std::mem::forget(guard.map_err(io::Error::other)?);
        Ok(())
    }
}
