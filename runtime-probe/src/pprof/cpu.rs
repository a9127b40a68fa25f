//! The CPU profile without HTTP.

use crate::ask::cpu_session::{SplitBy, Watch};
use crate::ask::cpu_timers::StartError;
use crate::primitive;
use crate::profile::condensed::Crates;
use crate::profile::cpu::{Cpu, HZ};
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Duration;

/// A profile under way, and where it is to be written.
type Started = (Watch, Box<dyn Write + Send>);

static STARTED: Mutex<Option<Started>> = Mutex::new(None);

/// Samples what uses the CPU from now on, 100 times for each second that a thread uses it, until [`stop_cpu_profile`] writes
/// the profile to `out`: gzipped `profile.proto`, with the label `spawned_at` on the samples of tasks. All threads of the
/// process are sampled, those to come as well. Mirrors Go's `pprof.StartCPUProfile`.
///
/// A sample costs the thread some 20 µs, so 100 of them a second 0.2 % of its time. Signals interrupt it: `SIGPROF`, whose
/// handler stays installed, and does nothing, when the profile has ended. If another handler replaces it meanwhile, nothing is
/// sampled for as long as that one is in place, and the profile's comments say how long that was.
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
/// [`io::ErrorKind::ResourceBusy`] if there is a CPU profile under way, also one that a client asked for over HTTP, and if
/// `SIGPROF` is taken already; [`io::ErrorKind::Unsupported`] elsewhere than on Linux on x86_64 and aarch64.
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

/// Ends what [`start_cpu_profile`] began, and writes it; the names are looked up now, which may take a second for a large
/// program. Does nothing if nothing was begun. Mirrors Go's `pprof.StopCPUProfile`.
///
/// # Errors
/// Those of the writer.
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
