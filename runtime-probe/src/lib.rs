//! `net/http/pprof` for tokio: which task waits where, since when, and who spawned it.
//!
//! This crate is tokio (`pub use tokio::*`) with some items shadowed by instrumented ones of the same name: `spawn`,
//! [`task`], [`runtime`] and the locks of [`sync`]. A crate that depends on it under the name `tokio` is instrumented without
//! a changed line:
//!
//! ```toml
//! [dependencies]
//! tokio = { package = "runtime-probe", version = "0.1", features = ["full"] }
//!
//! [profile.release]
//! debug = 1 # or "line-tables-only": smaller, and inlined async fns are named by their module only
//! ```
//!
//! ```text
//! $ RUNTIME_PROBE_LISTEN=127.0.0.1:6060 cargo run --release
//! $ curl 'http://127.0.0.1:6060/debug/pprof/goroutine?debug=2'
//! $ go tool pprof http://127.0.0.1:6060/debug/pprof/goroutine
//! ```
//!
//! [`pprof`] is the probe's own API, with the names of Go's `runtime/pprof` and `net/http/pprof`. The dump of a task that
//! waits, without HTTP:
//!
//! ```
//! # #[cfg(feature = "full")] {
//! use runtime_probe as tokio; // The rename does this for a whole crate.
//!
//! async fn wait_for_payment(mut paid: tokio::sync::mpsc::Receiver<u64>) -> Option<u64> {
//!     paid.recv().await
//! }
//!
//! let runtime = tokio::runtime::Runtime::new()?;
//! let text = runtime.block_on(async {
//!     let (_customer, paid) = tokio::sync::mpsc::channel(1);
//!     tokio::spawn(wait_for_payment(paid));
//!     tokio::time::sleep(std::time::Duration::from_millis(100)).await;
//!     let mut text = Vec::new();
//!     tokio::pprof::lookup("goroutine").unwrap().write_to(&mut text, 2)?;
//!     Ok::<_, std::io::Error>(String::from_utf8_lossy(&text).into_owned())
//! })?;
//! assert!(text.contains(" [chan receive]:\n"), "{text}");
//! assert!(text.contains("::wait_for_payment(...)\n"), "{text}");
//! # }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # How it works, and what it costs
//!
//! A spawned future is polled with a waker of ours. A leaf that has to wait clones its waker inside its own poll, on
//! the task's stack. That clone is the point where the task suspends. There the stack is compared with the known stacks
//! of that depth, which takes a few loads; only an unknown stack is unwound. So the stack of every wait of every
//! instrumented task is known at all times, and a dump is a read: it polls and wakes nothing, and it works when every
//! worker is stuck. Only threads that run a task are interrupted, by a signal, for some microseconds; the signal's
//! handler walks the thread's own stack. The guide (`docs/` in the repository, `guide` in the documentation) has the
//! measured cost of a poll, a spawn and a task.
//!
//! # Features
//!
//! tokio's features have tokio's names, and each turns on the same feature of tokio. None is on by default. Without
//! `rt` there are no tasks, and only the `Mutex` and `RwLock` of `sync` are shadowed, for the mutex profile. With
//! `tracing` the watchdog warns by `tracing::warn!`, not on standard error.
//!
//! The probe's own features are `decode` (stacks of tasks that dependencies spawn, from their futures), `flamegraph`
//! (`format=flamegraph`), `lock_api` (`sync::blocking::Watched`), `metrics` (`/metrics`), `tower` (`pprof::layer()`),
//! `tracing-subscriber` (`pprof::trace::SpanLayer`, spans as regions of traces), `ui` (`/debug/pprof/ui/`, HTML pages;
//! part of `full`) and `interpose`. With `interpose` the block profile and traces have the waits of threads for the
//! locks of std and parking_lot, and `threadcreate` has the creators of threads. It defines the symbols `syscall` and
//! `pthread_create`. So it is not for a statically linked program, nor for a global allocator that waits for such a
//! lock while it holds another one.
//!
//! `--cfg tokio_unstable` (in `RUSTFLAGS`, as tokio requires it) adds the tasks that dependencies spawn through plain
//! tokio: their state, their wait and their spawn location. They have a stack only if the feature `decode` is on and
//! the binary has types (`debug = 2`). Everything else works without this flag.
//!
//! # Environment
//!
//! Each variable is read once. The server starts to listen when the first runtime is built. A value that cannot be
//! used, or an unknown name, gives a line on standard error and on the index page.
//!
//! | variable | effect |
//! |---|---|
//! | `RUNTIME_PROBE_LISTEN=ADDR` | serves `/debug/pprof/` on that loopback address; an error is a line on standard error |
//! | `RUNTIME_PROBE_LISTEN=unix:PATH` | the same on a unix socket, for this user only |
//! | `RUNTIME_PROBE_TOKEN=TOKEN` | answers clients that send the token, see [`pprof::Server::allow_remote`]; the address need not be loopback then |
//! | `RUNTIME_PROBE_BLOCK_RATE=NS` | [`pprof::set_block_profile_rate`] from the start |
//! | `RUNTIME_PROBE_MUTEX_FRACTION=N` | [`pprof::set_mutex_profile_fraction`] from the start |
//! | `RUNTIME_PROBE_MEM_RATE=BYTES` | [`pprof::set_mem_profile_rate`] from the start |
//! | `RUNTIME_PROBE_DEBUG_FILE=PATH` | the debug file of a stripped program |
//! | `RUNTIME_PROBE_TASK_HISTOGRAMS=1` | [`pprof::set_task_histograms`] from the start |
//! | `RUNTIME_PROBE_SIGNAL=N` | asks threads for their stacks by signal N instead of an unused one; `off`: asks no thread |
//! | `RUNTIME_PROBE_WATCHDOG=1s` | warns of longer polls and other troubles, see [`pprof::Watchdog`] |
//! | `RUNTIME_PROBE_WATCHDOG_DIR=PATH` | writes a dump for each warning to that directory |
//! | `RUNTIME_PROBE_FLIGHT_RECORDER=10s` | keeps an execution trace of the last seconds, see [`pprof::trace::FlightRecorder`] |
//! | `RUNTIME_PROBE_DEBUG=schedtrace=1000` | lines of the scheduler's state on standard error, as in Go; also `scheddetail=1`, `heaptrace=1000` |
//! | `RUNTIME_PROBE_SIGQUIT=dump`, `exit` | `SIGQUIT` writes a dump to standard error, see [`pprof::dump_on_sigquit`] |
//! | `RUNTIME_PROBE=off`, `0`, `false`, `no` | nothing is instrumented: plain tokio |
//!
//! # Platforms
//!
//! Stacks are unwound on Linux on x86_64 and aarch64 only.

// The probe's own layers, by name. ARCHITECTURE.md has their order and the reading path.
mod ask;
mod clock;
mod demand;
mod duty;
mod environment;
mod events;
#[cfg(all(doc, not(doctest)))]
pub mod guide;
mod labels;
mod pages;
pub mod pprof;
mod primitive;
mod profile;
mod registry;
mod sampling;
mod snapshot;
mod source;
mod stack;
mod symbol;
mod sys;
mod tally;

// The tokio-shaped facade.
pub use tokio::*;

#[cfg(feature = "rt")]
pub mod runtime;
#[cfg(feature = "sync")]
pub mod sync;
#[cfg(feature = "rt")]
pub mod task;

#[cfg(feature = "rt")]
pub use task::spawn;
