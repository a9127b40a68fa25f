//! The probe's own API, with Go's names where Go has one (`runtime/pprof`, `net/http/pprof`).
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use runtime_probe::pprof;
//!
//! // What `RUNTIME_PROBE_LISTEN=127.0.0.1:6060` does without a line of code:
//! let server = pprof::serve("127.0.0.1:0")?;
//! println!("curl '{}goroutine?debug=2'", server.url());
//!
//! // The same dump without HTTP:
//! let mut text = Vec::new();
//! pprof::lookup("goroutine").ok_or(std::io::ErrorKind::NotFound)?.write_to(&mut text, 2)?;
//! # Ok(()) }
//! ```

mod cpu;
pub mod criterion;
/// The profile of the heap.
pub mod heap;
pub mod http;
mod labels;
#[cfg(feature = "tower")]
pub mod layer;
#[cfg(feature = "rt")]
mod leak_check;
#[cfg(feature = "metrics")]
pub mod metrics;
mod poll_watch;
mod profile;
mod rates;
mod ready_time;
mod server;
mod stacks;
#[cfg(feature = "rt")]
mod start;
mod tasks;
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod testing;
pub mod trace;
pub mod vars;

pub use server::{Server, Serving, serve};

pub use cpu::{start_cpu_profile, stop_cpu_profile};
pub use heap::set_mem_profile_rate;
pub use labels::{label_scope, labels};
pub use profile::{NewProfileError, Profile, lookup, profiles};
pub use rates::{
    block_profile_rate, set_block_profile_rate, set_mutex_profile_fraction, set_task_histograms,
};

pub use poll_watch::{Distribution, PollTimes, PollWatch, watch_polls};
pub use ready_time::{ReadyTimeTracking, track_ready_time};
pub use tasks::{
    Instrumented, TaskFacts, TaskId, TaskKind, TaskState, instrument, task_facts, untracked,
};

pub use crate::duty::sigquit::{AfterDump, dump_on_sigquit};
pub use crate::duty::watchdog::{Watchdog, Watching};
pub use crate::duty::watchdog_counters::{WatchdogCounters, watchdog_counters};

pub use stacks::{CaptureCounters, capture_counters, set_stack_signal};

#[cfg(feature = "rt")]
pub use crate::source::hooks::Hooks;
pub use crate::source::labels::{LabelScope, Labeled};
#[cfg(feature = "tower")]
pub use layer::layer;
#[cfg(feature = "rt")]
pub use leak_check::{LeakCheck, leak_check};

#[cfg(feature = "rt")]
pub(crate) use start::start_from_environment;
