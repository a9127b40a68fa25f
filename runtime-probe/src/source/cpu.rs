//! What runs: a timer on the CPU time of each thread, and the handler of its signal, which notes the stack.
//!
//! Allowed in the handler: what `sys::signal` allows; a walk with memory made beforehand, the ring's words, the record of
//! the poll that was interrupted. Whatever is missing (a free walker, room in the ring) costs the sample, and is counted.
//!
//! `SIGPROF`, as all profilers: two profilers that do not see each other would both be wrong. A profiler that had it before
//! us keeps it. One that takes it from us has it, too, and gets none of our signals (see [`Sampling::find_threads`]).

use super::signal::{self, Unavailable};
use super::waker;
use crate::events::ring::Ring;
use crate::primitive::Ordering;
use crate::registry::names::NameNumber;
use crate::registry::task::Kind;
use crate::registry::threads;
use crate::sampling;
use crate::stack::interrupted::{MOST_FRAMES, Trace};
use crate::stack::raw::FutureMeta;
use crate::stack::walkers::Walkers;
use crate::sys::cpu_timer::{self, CpuTimer};
use crate::sys::signal::{Delivery, InstallError, Origin, Signal};
use crate::sys::{thread, thread_status};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Words of an entry before its addresses; see [`Sample::read`].
const HEAD: usize = 6;

/// What the handler needs. Made for the first profile and never given back: a late handler may be using it.
struct Kit {
    entries: Ring<{ HEAD + MOST_FRAMES }>,
    walkers: Walkers,
    /// Samples that found no free walker.
    lost: AtomicU64,
}

static KIT: OnceLock<Kit> = OnceLock::new();

impl Kit {
    /// 2 KB for each sample of 200 ms in which all CPUs are busy, four times as long as the reader sleeps: with a tick of
    /// 4 ms and 8 CPUs 1 MB. And 44 KB for each walk that may be under way: one for each CPU, and some that were preempted.
    fn new() -> Kit {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let ticks = Duration::from_millis(200).as_nanos() / cpu_timer::tick().as_nanos().max(1);
        Kit {
            entries: Ring::new(cpus * ticks as usize),
            walkers: Walkers::new(cpus + 4),
            lost: AtomicU64::new(0),
        }
    }
}

/// One look at a thread.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Periods of CPU time that it stands for.
    pub(crate) periods: u32,
    pub(crate) tid: u32,
    /// Where the task that ran there was spawned.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    /// The number of the task's name.
    pub(crate) name: NameNumber,
    /// The future whose poll the stack ends at; `None` for the stack of a thread.
    pub(crate) root: Option<&'static FutureMeta>,
    /// Frames left out in the middle of the stack.
    pub(crate) elided: u32,
    /// Innermost first, each one past an instruction of its function.
    pub(crate) pcs: Box<[usize]>,
}

/// The value that our timers' signals carry. Another library's timers may send the same signal, without this value.
fn ours() -> usize {
    std::ptr::from_ref(&KIT).addr()
}

/// The handler.
fn on_tick(delivery: &Delivery) {
    let Origin::Timer { overrun } = delivery.origin else {
        return;
    };
    if delivery.value != ours() {
        return;
    }
    let Some(kit) = KIT.get() else { return };
    // The task's poll: what is wrapped by hand inside it is a part of it.
    let polls = waker::interrupted();
    let poll = polls.min_by_key(|poll| poll.record.kind() == Kind::Nested);
    let root = poll.map_or(usize::MAX, |poll| poll.root);
    let written = kit.walkers.with_one(|walker, trace: &mut Trace| {
        trace.take(walker, &delivery.registers, root);
        let address = |location: Option<&'static Location<'static>>| {
            location.map_or(0, |location| std::ptr::from_ref(location).addr() as u64)
        };
        let head = [
            u64::from(overrun.saturating_add(1)) << 32 | u64::from(thread::id()),
            trace.elided() as u64,
            poll.map_or(0, |poll| address(poll.record.location())),
            poll.map_or(0, |poll| u64::from(poll.record.name().0)),
            poll.map_or(0, |poll| std::ptr::from_ref(poll.meta).addr() as u64),
            match poll {
                Some(_) => 0,
                None => threads::if_listed().map_or(0, |slot| slot.foreign.load(Ordering::Relaxed)),
            },
        ];
        let pcs = trace.iter().map(|frame| frame.pc as u64);
        kit.entries.push(head.into_iter().chain(pcs));
    });
    if written.is_none() {
        kit.lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sample {
    /// What the handler wrote.
    #[expect(
        unsafe_code,
        reason = "the handler's references come back as addresses"
    )]
    fn read(words: &[u64]) -> Option<Sample> {
        let (head, pcs) = words.split_first_chunk::<HEAD>()?;
        let [periods_and_tid, elided, location, name, meta, foreign] = *head;
        // SAFETY: 0, or the address of a location that is 'static; only the handler writes to the ring.
        let location: Option<&'static Location<'static>> =
            unsafe { (location as *const Location<'static>).as_ref() };
        // SAFETY: as above, of a type's `META`.
        let root: Option<&'static FutureMeta> = unsafe { (meta as *const FutureMeta).as_ref() };
        Some(Sample {
            periods: (periods_and_tid >> 32) as u32,
            tid: periods_and_tid as u32,
            spawned_at: location.or_else(|| spawned_at(foreign)),
            name: NameNumber(name as u32),
            root,
            elided: elided as u32,
            pcs: pcs.iter().map(|pc| *pc as usize).collect(),
        })
    }
}

/// Where a foreign task was spawned.
#[cfg(feature = "rt")]
fn spawned_at(foreign: u64) -> Option<&'static Location<'static>> {
    super::foreign::spawned_at(foreign)
}

/// Without a runtime there are none.
#[cfg(not(feature = "rt"))]
fn spawned_at(_: u64) -> Option<&'static Location<'static>> {
    None
}

/// Why nothing is sampled.
#[derive(Debug)]
pub(crate) enum StartError {
    /// There is a profile under way.
    InUse,
    /// `SIGPROF` has another handler, or the process ignores it.
    Taken,
    /// Threads cannot look at their stacks here.
    Unavailable(Unavailable),
    /// The system gives no thread a timer.
    NoTimer(io::Error),
    /// The system has no thread to spare.
    Thread(io::Error),
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Go's words.
            StartError::InUse => f.write_str("cpu profiling already in use"),
            StartError::Taken => f.write_str(
                "SIGPROF is taken already: another profiler runs in this process, or the process ignores the signal",
            ),
            StartError::Unavailable(why) => why.fmt(f),
            StartError::NoTimer(error) => write!(f, "timer_create is refused here: {error}"),
            StartError::Thread(error) => error.fmt(f),
        }
    }
}

/// What may be missing in a profile.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Threads that ended between being found and being given a timer.
    pub(crate) gone: usize,
    /// Threads for which the system refused a timer, and why the last one.
    pub(crate) refused: usize,
    pub(crate) refusal: Option<io::Error>,
    /// For how long another handler was in the place of ours.
    pub(crate) replaced: Option<Duration>,
}

/// The timers of a profile under way, by thread.
struct Armed {
    period: Duration,
    timers: HashMap<u32, CpuTimer>,
    refused: HashSet<u32>,
    /// Since when our handler is known to be replaced; there are no timers meanwhile.
    replaced: Option<Instant>,
    trouble: Trouble,
}

static ARMED: Mutex<Option<Armed>> = Mutex::new(None);

fn armed() -> MutexGuard<'static, Option<Armed>> {
    ARMED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Armed {
    fn arm(&mut self, tid: u32) {
        // Anywhere within the first period: of many threads that live shorter than one, the right share is seen.
        let first = sampling::random() % self.period.as_nanos().max(1) as u64 + 1;
        let first = Duration::from_nanos(first);
        match CpuTimer::start(tid, libc::SIGPROF, ours(), first, self.period) {
            Ok(timer) => {
                self.timers.insert(tid, timer);
            }
            // A thread that has ended has no clock.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
                self.trouble.gone += 1;
            }
            Err(error) => {
                self.refused.insert(tid);
                self.trouble.refused = self.refused.len();
                self.trouble.refusal = Some(error);
            }
        }
    }

    /// No timers while our handler is not there.
    fn go_by_the_handler(&mut self, is_ours: bool) {
        if !is_ours {
            self.replaced.get_or_insert_with(Instant::now);
            self.timers.clear();
        } else if let Some(since) = self.replaced.take() {
            *self.trouble.replaced.get_or_insert_default() += since.elapsed();
        }
    }
}

/// A thread of tokio's begins: it is sampled from its first instruction on, not from when it is found.
#[cfg(feature = "rt")]
pub(super) fn thread_starts() {
    if let Some(armed) = armed().as_mut().filter(|armed| armed.replaced.is_none()) {
        armed.arm(thread::id());
    }
}

/// While it lives, every thread of the process is sampled. There is one at a time.
#[derive(Debug)]
pub(crate) struct Sampling {
    signal: Signal,
}

static UNDER_WAY: AtomicBool = AtomicBool::new(false);

impl Sampling {
    /// Gives each thread a timer.
    pub(crate) fn start(period: Duration) -> Result<Sampling, StartError> {
        if UNDER_WAY.swap(true, Ordering::Relaxed) {
            return Err(StartError::InUse);
        }
        let sampling = Sampling::install().inspect_err(|_| {
            UNDER_WAY.store(false, Ordering::Relaxed);
        })?;
        *armed() = Some(Armed {
            period,
            timers: HashMap::new(),
            refused: HashSet::new(),
            replaced: None,
            trouble: Trouble::default(),
        });
        sampling.find_threads();
        match armed().as_mut() {
            Some(armed) if armed.timers.is_empty() => armed
                .trouble
                .refusal
                .take()
                .map_or(Ok(()), |error| Err(StartError::NoTimer(error))),
            _ => Ok(()),
        }?;
        Ok(sampling)
    }

    fn install() -> Result<Sampling, StartError> {
        signal::check().map_err(StartError::Unavailable)?;
        KIT.get_or_init(Kit::new);
        match Signal::install(libc::SIGPROF, on_tick) {
            Ok(signal) => Ok(Sampling { signal }),
            Err(InstallError::Taken(_)) => Err(StartError::Taken),
            Err(error) => Err(StartError::Unavailable(Unavailable::Install(error))),
        }
    }

    /// Gives threads that are new a timer, and takes those back that have ended.
    ///
    /// While another handler is in the place of ours, all timers are taken back: that handler would count our signals as
    /// samples of its own. Where the default action is in the place of ours, our signals would end the process.
    pub(crate) fn find_threads(&self) {
        let tids: HashSet<u32> = thread_status::ids().into_iter().collect();
        let mut armed = armed();
        let Some(armed) = armed.as_mut() else { return };
        armed.go_by_the_handler(self.signal.is_ours());
        if armed.replaced.is_some() {
            return;
        }
        armed.timers.retain(|tid, _| tids.contains(tid));
        for tid in tids {
            if !armed.timers.contains_key(&tid) {
                armed.arm(tid);
            }
        }
    }

    /// Hands on the samples so far.
    pub(crate) fn drain(&self, mut visit: impl FnMut(Sample)) {
        let Some(kit) = KIT.get() else { return };
        kit.entries.drain(|words| {
            if let Some(sample) = Sample::read(words) {
                visit(sample);
            }
        });
    }

    /// How many samples were lost, in this profile and those before.
    pub(crate) fn lost(&self) -> u64 {
        KIT.get().map_or(0, |kit| {
            kit.entries.lost() + kit.lost.load(Ordering::Relaxed)
        })
    }

    /// Takes all timers back. What the handlers have written can still be drained.
    pub(crate) fn end(&self) -> Trouble {
        let Some(mut armed) = armed().take() else {
            return Trouble::default();
        };
        armed.go_by_the_handler(self.signal.is_ours());
        // The time without our handler ends here, whichever handler is installed now.
        armed.go_by_the_handler(true);
        armed.trouble
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        *armed() = None;
        UNDER_WAY.store(false, Ordering::Relaxed);
    }
}
