//! What ran during a CPU profile: the samples of the CPU timers, added up.
//!
//! A thread of ours empties the ring that the signal handlers fill, several times a second, and looks for new threads.
//! The names of tasks and threads are looked up then, while the tasks and threads are alive.

use super::cpu_timers::{Sampling, StartError};
use super::trace_session;
use crate::clock;
use crate::labels::LabelSet;
use crate::registry::names::{self, NameNumber};
use crate::source::cpu::{Sample, Trouble};
use crate::stack::raw::FutureMeta;
use crate::sys::cpu_timer;
use crate::sys::own_thread;
use crate::sys::thread_status::ThreadStatus;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the ring is emptied. A new thread that is not one of tokio's runs unseen for that long.
const EVERY: Duration = Duration::from_millis(50);

/// At most this many pairs of stack and labels are kept apart: at 40 frames each 500 B, so 16 MB. Further stacks are
/// counted as one.
const MOST_STACKS: usize = 1 << 15;

/// What distinguishes samples, beside stack and spawn site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SplitBy {
    /// The task's name.
    pub(crate) task: bool,
    /// The thread.
    pub(crate) thread: bool,
}

/// A stack that was seen, and what else is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    /// Innermost first, each one past an instruction of its function.
    pub(crate) pcs: Box<[usize]>,
    /// The address of the future's [`FutureMeta`], if the stack is a task's.
    root: Option<Root>,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
    pub(crate) task: Option<Arc<str>>,
    pub(crate) thread: Option<Arc<str>>,
    pub(crate) labels: LabelSet,
    /// Frames left out in the middle.
    pub(crate) elided: u32,
}

/// A future's type, compared by identity.
#[derive(Clone, Copy, Debug)]
struct Root(&'static FutureMeta);

impl PartialEq for Root {
    fn eq(&self, other: &Root) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Root {}

impl std::hash::Hash for Root {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        std::ptr::from_ref(self.0).hash(hasher);
    }
}

impl Seen {
    /// The future whose poll the stack ends at.
    pub(crate) fn root(&self) -> Option<&'static FutureMeta> {
        self.root.map(|root| root.0)
    }
}

/// What was sampled from begin to end.
#[derive(Debug)]
pub(crate) struct CpuTime {
    /// How many periods each stack was seen for.
    pub(crate) stacks: HashMap<Seen, u64>,
    /// Periods of the stacks beyond [`MOST_STACKS`].
    pub(crate) elsewhere: u64,
    pub(crate) period: Duration,
    /// Wall-clock time of the begin, nanoseconds since 1970.
    pub(crate) time_ns: i64,
    pub(crate) duration: Duration,
    /// CPU time of the process during the profile, all threads together.
    pub(crate) used: Duration,
    /// Samples that found the ring full.
    pub(crate) lost: u64,
    pub(crate) trouble: Trouble,
}

/// A CPU profile under way. Sampling ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Dropped first: the thread waits for that.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<CpuTime>>,
}

impl Watch {
    /// Begins to sample every thread of the process, also threads that begin later, once each `period` of its CPU time.
    ///
    /// # Errors
    /// A profile is under way already, or the timers' signal has another handler, or the system has no such timers.
    pub(crate) fn start(period: Duration, split_by: SplitBy) -> Result<Watch, StartError> {
        clock::init();
        crate::stack::unwind::refresh();
        let sampling = Sampling::start(period)?;
        let mut collection = Collection::new(sampling, period, split_by);
        let (stop, stopped) = channel();
        let thread = own_thread::spawn("probe-cpu-profile", move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                collection.look();
            }
            collection.finish()
        })
        .map_err(StartError::Thread)?;
        Ok(Watch {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends the profile.
    pub(crate) fn stop(mut self) -> Option<CpuTime> {
        self.end()
    }

    fn end(&mut self) -> Option<CpuTime> {
        drop(self.stop.take());
        self.thread.take()?.join().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the thread has collected so far.
struct Collection {
    sampling: Sampling,
    split_by: SplitBy,
    thread_names: HashMap<u32, Arc<str>>,
    began: Instant,
    cpu_before: u64,
    lost_before: u64,
    sum: CpuTime,
}

impl Collection {
    fn new(sampling: Sampling, period: Duration, split_by: SplitBy) -> Self {
        // Samples that a handler of an earlier profile left behind.
        sampling.drain(|_| {});
        Collection {
            lost_before: sampling.lost(),
            sampling,
            split_by,
            thread_names: HashMap::new(),
            began: Instant::now(),
            cpu_before: cpu_timer::process_cpu_ns(),
            sum: CpuTime {
                stacks: HashMap::new(),
                elsewhere: 0,
                period,
                time_ns: clock::wall_ns(),
                duration: Duration::ZERO,
                used: Duration::ZERO,
                lost: 0,
                trouble: Trouble::default(),
            },
        }
    }

    fn look(&mut self) {
        self.sampling.find_threads();
        self.collect();
    }

    fn collect(&mut self) {
        // Names are looked up outside of the ring, because that takes locks.
        let mut samples = Vec::new();
        self.sampling.drain(|sample| samples.push(sample));
        trace_session::add_samples(&samples);
        for sample in samples {
            self.add(sample);
        }
    }

    fn add(&mut self, sample: Sample) {
        let task = self
            .split_by
            .task
            .then(|| name_of(sample.polled.name))
            .flatten();
        let thread = self.split_by.thread.then(|| self.thread(sample.tid));
        let seen = Seen {
            root: sample.polled.root.map(Root),
            spawned_at: sample.polled.spawned_at(),
            task,
            thread,
            labels: sample.polled.labels,
            elided: sample.elided,
            pcs: sample.pcs,
        };
        let periods = u64::from(sample.periods);
        let room = self.sum.stacks.len() < MOST_STACKS;
        match self.sum.stacks.get_mut(&seen) {
            Some(sum) => *sum += periods,
            None if room => {
                self.sum.stacks.insert(seen, periods);
            }
            None => self.sum.elsewhere += periods,
        }
    }

    /// The thread's name and id: several workers have one name.
    fn thread(&mut self, tid: u32) -> Arc<str> {
        let known = self.thread_names.entry(tid);
        known
            .or_insert_with(|| match ThreadStatus::of(tid) {
                Some(status) => format!("{} {tid}", status.name).into(),
                None => tid.to_string().into(),
            })
            .clone()
    }

    fn finish(mut self) -> CpuTime {
        // No timer runs from here on. The samples of the handlers are in the ring.
        self.sum.trouble = self.sampling.end();
        self.collect();
        let used = cpu_timer::process_cpu_ns().saturating_sub(self.cpu_before);
        CpuTime {
            duration: self.began.elapsed(),
            used: Duration::from_nanos(used),
            lost: self.sampling.lost() - self.lost_before,
            ..self.sum
        }
    }
}

/// The name, if a task with it is still alive.
fn name_of(number: NameNumber) -> Option<Arc<str>> {
    (number != NameNumber::default())
        .then(|| names::texts(&[number]).remove(&number))
        .flatten()
}
