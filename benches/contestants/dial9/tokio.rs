//! tokio for the workloads, recorded by dial9.
//!
//! The setup of its README: a recorder that writes to disk, the runtime attached to it, tasks spawned by
//! `dial9::spawn`, so that their wakes are recorded, too; with the feature `hooks`, tasks spawned by tokio. None of
//! its profilers is on.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use dial9::{Dial9HandleTokioExt, DiskBuffer, Recorder, TokioAttachOptions};

#[cfg(not(feature = "hooks"))]
pub use dial9::spawn;
#[cfg(feature = "hooks")]
pub use upstream::spawn;
pub use upstream::{io, net, sync, task, time};

#[path = "../attached.rs"]
pub mod runtime;

/// More than a run writes, and less than dial9's own default of 1 GiB.
const TRACE_BYTES: u64 = 256 << 20;

fn build(builder: upstream::runtime::Builder) -> std::io::Result<runtime::Runtime> {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    let recorder = RECORDER.get_or_init(|| {
        let traces = traces();
        // Removes the files of the run before.
        let _ = fs::remove_dir_all(&traces);
        let buffer = DiskBuffer::builder()
            .base_path(traces)
            .max_total_size(TRACE_BYTES)
            .build();
        dial9::recorder(buffer.expect("a folder to write traces to")).build()
    });
    let options = TokioAttachOptions::builder()
        .task_tracking_enabled(true)
        .build();
    recorder.handle().attach_tokio_runtime(builder, options)
}

/// A folder beside the program, so within the build output.
fn traces() -> PathBuf {
    let program = std::env::current_exe().expect("the program's path");
    program.with_file_name("traces")
}
