//! tokio for the workloads, with pprof-rs for those that ask for a CPU profile.

pub use upstream::{io, net, runtime, spawn, sync, task, time};

/// The API that the workloads use for a CPU profile.
pub mod pprof {
    use std::io::{self, Write};

    /// Begins a profile of 100 Hz that ends with the process, and is not written.
    pub fn start_cpu_profile(_: impl Write) -> io::Result<()> {
        let guard = ::pprof::ProfilerGuardBuilder::default()
            .frequency(100)
            // As in its README: unwinding these libraries may deadlock.
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build();
        std::mem::forget(guard.map_err(io::Error::other)?);
        Ok(())
    }
}
