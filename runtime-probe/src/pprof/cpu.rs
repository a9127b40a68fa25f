//! The CPU profile without HTTP.

use crate::ask::cpu_session::{SplitBy, Watch};
use crate::ask::cpu_timers::StartError;
use crate::primitive;
use crate::profile::condensed::Crates;
use crate::profile::cpu::{Cpu, HZ};
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

/// A profile under way, and the writer for its result.
type Started = (Watch, Box<dyn Write + Send>);

static STARTED: Mutex<Option<Started>> = Mutex::new(None);

/// Starts a CPU profile. Each thread is sampled every 10 ms of its own CPU time, until [`stop_cpu_profile`] writes the
/// profile to `out`: gzipped `profile.proto`, with the label `spawned_at` on the samples of tasks. All threads of the
/// process are sampled, also those that begin later. Mirrors Go's `pprof.StartCPUProfile`.
///
/// A sample costs the thread some 20 µs, which is 0.2 % of its CPU time. The signal `SIGPROF` interrupts the thread.
/// Its handler stays installed after the profile, and does nothing then. If another profiler installs a `SIGPROF`
/// handler meanwhile, sampling pauses; the profile's comments say for how long.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe::pprof;
///
/// # let directory = std::env::temp_dir();
/// let path = directory.join("cpu.pb.gz");
/// pprof::start_cpu_profile(std::fs::File::create(&path)?)?;
/// // ... what is to be measured ...
/// pprof::stop_cpu_profile()?;
/// // go tool pprof cpu.pb.gz
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] if a CPU profile is under way (also one over HTTP), or if `SIGPROF` has another
/// handler. [`io::ErrorKind::Unsupported`] elsewhere than on Linux on x86_64 and aarch64.
pub fn start_cpu_profile(out: impl Write + Send + 'static) -> io::Result<()> {
    let mut started = primitive::lock(&STARTED);
    let watch = Watch::start(Duration::from_secs(1) / HZ, SplitBy::default()).map_err(|error| {
        let kind = match error {
            StartError::InUse | StartError::Taken => io::ErrorKind::ResourceBusy,
            StartError::Unavailable(_) => io::ErrorKind::Unsupported,
            StartError::Thread(ref error) | StartError::NoTimer(ref error) => error.kind(),
        };
        io::Error::new(kind, error)
    })?;
    *started = Some((watch, Box::new(out)));
    Ok(())
}

/// Ends the profile of [`start_cpu_profile`] and writes it. Names are looked up now, which may take a second for a
/// large program. Does nothing without a profile. Mirrors Go's `pprof.StopCPUProfile`.
///
/// # Errors
/// The errors of the writer.
pub fn stop_cpu_profile() -> io::Result<()> {
    let started = primitive::lock(&STARTED).take();
    let Some((watch, mut out)) = started else {
        return Ok(());
    };
    let time = watch
        .stop()
        .ok_or_else(|| io::Error::other("the profile could not be made"))?;
    out.write_all(&Cpu::new(&time, &Crates::default()).profile().to_gzip())?;
    out.flush()
}
