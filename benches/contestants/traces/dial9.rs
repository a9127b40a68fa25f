//! dial9's recorder to disk, as its README sets it up, with a limit that keeps everything.

pub use dial9::spawn;
pub use tokio::runtime::Runtime;
pub use tokio::{sync, time};

use dial9::{Dial9HandleTokioExt, DiskBuffer, TokioAttachOptions};
use dial9_trace_format::decoder::Decoder;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Builder;

use crate::Recorded;

/// More than a run writes.
const TRACE_BYTES: u64 = 4 << 30;

/// A recorder under way.
pub struct Recorder {
    recorder: dial9::Recorder,
    traces: PathBuf,
}

impl Recorder {
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("the program's path");
        let traces = program.with_file_name("traces");
        // Removes the files of the run before.
        let _ = fs::remove_dir_all(&traces);
        let buffer = DiskBuffer::builder()
            .base_path(&traces)
            .max_total_size(TRACE_BYTES)
            .build();
        let recorder = dial9::recorder(buffer.expect("a folder to write traces to")).build();
        Self { recorder, traces }
    }

    pub fn runtime(&self, has_workers: bool) -> Runtime {
        let mut builder = match has_workers {
            true => Builder::new_multi_thread(),
            false => Builder::new_current_thread(),
        };
        builder.worker_threads(crate::WORKERS as usize).enable_all();
        let options = TokioAttachOptions::builder()
            .task_tracking_enabled(true)
            .build();
        let handle = self.recorder.handle();
        handle
            .attach_tokio_runtime(builder, options)
            .expect("a runtime")
    }

    /// Ends the recording, and reads its files by dial9's own decoder.
    pub fn finish(self) -> Recorded {
        self.recorder.graceful_shutdown(Duration::from_secs(60));
        let (mut bytes, mut events, mut polls) = (0, 0, 0);
        for file in fs::read_dir(&self.traces).expect("the traces") {
            let content = fs::read(file.expect("a file").path()).expect("a file");
            bytes += content.len() as u64;
            let mut decoder = Decoder::new(&content).expect("a trace of dial9's");
            decoder
                .for_each_event(|event| {
                    events += 1;
                    polls += u64::from(event.name == "PollEndEvent");
                })
                .expect("events");
        }
        Recorded {
            bytes,
            polls: Some(polls),
            events: Some(events),
            lost: None,
        }
    }
}
