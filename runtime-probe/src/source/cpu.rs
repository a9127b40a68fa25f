//! CPU samples: a timer on the CPU time of each thread, and the handler of its signal, which records the stack.
//!
//! Allowed in the handler: what `sys::signal` allows; a walk with preallocated memory, the ring's words, the record of
//! the interrupted poll. Without a free walker or room in the ring, the sample is lost and counted.
//!
//! The signal is `SIGPROF`, as in all profilers, so that two profilers notice each other. A profiler that installed its
//! handler before us keeps it. One that replaces our handler keeps it, too, and gets none of our signals (see
//! `ask::cpu_timers`).

use super::polled_task::PolledTask;
use crate::clock::{self, Ticks};
use crate::events::ring::Ring;
use crate::primitive::{self, Ordering};
use crate::sampling;
use crate::stack::interrupted::{MOST_FRAMES, Trace};
use crate::stack::walkers::Walkers;
use crate::sys::cpu_timer::{self, CpuTimer};
use crate::sys::signal::{Delivery, InstallError, Origin, Signal};
use crate::sys::thread;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Words of an entry before its addresses; see [`Sample::read`].
const HEAD: usize = 3 + PolledTask::WORDS;

/// The memory of the handler. Made for the first profile and never freed: a late handler may be using it.
struct Kit {
    entries: Ring<{ HEAD + MOST_FRAMES }>,
    walkers: Walkers,
    /// Samples that found no free walker.
    lost: AtomicU64,
}

static KIT: OnceLock<Kit> = OnceLock::new();

impl Kit {
    /// The ring has room for the samples of 200 ms with all CPUs busy, which is four times as long as the reader
    /// sleeps: 2 KB each, so 1 MB with a tick of 4 ms and 8 CPUs. There are walkers of 44 KB for one walk on each CPU,
    /// and for some preempted walks.
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

/// Allocates the memory of the handler, and installs the handler.
pub(crate) fn install() -> Result<Signal, InstallError> {
    KIT.get_or_init(Kit::new);
    Signal::install(libc::SIGPROF, on_tick)
}

/// Visits the samples of the handlers.
pub(crate) fn drain(mut visit: impl FnMut(Sample)) {
    let Some(kit) = KIT.get() else { return };
    kit.entries.drain(|words| {
        if let Some(sample) = Sample::read(words) {
            visit(sample);
        }
    });
}

/// How many samples were lost since the start of the process.
pub(crate) fn lost() -> u64 {
    KIT.get().map_or(0, |kit| {
        kit.entries.lost() + kit.lost.load(Ordering::Relaxed)
    })
}

/// A sample of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Ticks,
    /// The periods of CPU time that it represents.
    pub(crate) periods: u32,
    pub(crate) tid: u32,
    /// The task that the thread polled.
    pub(crate) polled: PolledTask,
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
    let (polled, root) = PolledTask::here();
    let written = kit.walkers.with_one(|walker, trace: &mut Trace| {
        trace.take(walker, &delivery.registers, root);
        let head = [
            u64::from(overrun.saturating_add(1)) << 32 | u64::from(thread::id()),
            trace.elided() as u64,
            clock::ticks(),
        ];
        let head = head.into_iter().chain(polled.words());
        let pcs = trace.iter().map(|frame| frame.pc as u64);
        kit.entries.push(head.chain(pcs));
    });
    if written.is_none() {
        kit.lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl Sample {
    /// Decodes the words of the handler.
    fn read(words: &[u64]) -> Option<Sample> {
        let (&[periods_and_tid, elided, at], rest) = words.split_first_chunk()?;
        let (polled, pcs) = rest.split_first_chunk()?;
        Some(Sample {
            at,
            periods: (periods_and_tid >> 32) as u32,
            tid: periods_and_tid as u32,
            polled: PolledTask::read(polled),
            elided: elided as u32,
            pcs: pcs.iter().map(|pc| *pc as usize).collect(),
        })
    }
}

/// Reasons why a profile may be incomplete.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Threads that ended before they got a timer.
    pub(crate) gone: usize,
    /// Threads for which the system refused a timer. `refusal` is the last error.
    pub(crate) refused: usize,
    pub(crate) refusal: Option<io::Error>,
    /// How long our handler was replaced.
    pub(crate) replaced: Option<Duration>,
}

/// The timers of a profile under way, by thread.
#[derive(Debug)]
pub(crate) struct Armed {
    period: Duration,
    timers: HashMap<u32, CpuTimer>,
    refused: HashSet<u32>,
    /// Since when our handler is known to be replaced. There are no timers then.
    replaced: Option<Instant>,
    trouble: Trouble,
}

static ARMED: Mutex<Option<Armed>> = Mutex::new(None);

/// The timers, while a profile is under way. The lock is held briefly, because new threads wait for it.
pub(crate) fn armed() -> MutexGuard<'static, Option<Armed>> {
    primitive::lock(&ARMED)
}

impl Armed {
    pub(crate) fn new(period: Duration) -> Armed {
        Armed {
            period,
            timers: HashMap::new(),
            refused: HashSet::new(),
            replaced: None,
            trouble: Trouble::default(),
        }
    }

    /// The error, if the system refused the timers of all threads.
    pub(crate) fn refused_all(&mut self) -> Option<io::Error> {
        let none = self.timers.is_empty();
        none.then(|| self.trouble.refusal.take()).flatten()
    }

    /// Makes exactly these threads have timers, unless our handler is replaced.
    pub(crate) fn keep_to(&mut self, tids: &HashSet<u32>) {
        if self.replaced.is_some() {
            return;
        }
        self.timers.retain(|tid, _| tids.contains(tid));
        for tid in tids {
            if !self.timers.contains_key(tid) {
                self.arm(*tid);
            }
        }
    }

    /// Deletes all timers.
    pub(crate) fn end(mut self, is_ours: bool) -> Trouble {
        self.go_by_the_handler(is_ours);
        // The time without our handler ends here, whichever handler is installed now.
        self.go_by_the_handler(true);
        self.trouble
    }

    fn arm(&mut self, tid: u32) {
        // At a random point of the first period, so that many short-lived threads are sampled in proportion.
        let first = sampling::random() % self.period.as_nanos().max(1) as u64 + 1;
        let first = Duration::from_nanos(first);
        match CpuTimer::start(tid, libc::SIGPROF, ours(), first, self.period) {
            Ok(timer) => {
                self.timers.insert(tid, timer);
            }
            // The thread has ended.
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

    /// Deletes the timers while our handler is replaced.
    pub(crate) fn go_by_the_handler(&mut self, is_ours: bool) {
        if !is_ours {
            self.replaced.get_or_insert_with(Instant::now);
            self.timers.clear();
        } else if let Some(since) = self.replaced.take() {
            *self.trouble.replaced.get_or_insert_default() += since.elapsed();
        }
    }
}

/// A thread of tokio begins. It gets its timer now, without waiting for the next search.
#[cfg(feature = "rt")]
pub(super) fn thread_starts() {
    if let Some(armed) = armed().as_mut().filter(|armed| armed.replaced.is_none()) {
        armed.arm(thread::id());
    }
}
