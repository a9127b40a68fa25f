//! Collects the trace entries of all threads, for execution traces and for the flight recorder.
//!
//! The first reader collects the entries for all readers. Events of the last 2 ms are left for the next look: a thread
//! may have read its clock and not have written its entry yet.
//!
//! While all readers want the last entries only, the entries stay in the chunks: nothing is copied before it is asked for.

use crate::clock::{self, Scale, Ticks};
use crate::demand::{Demand, Lease};
use crate::events::chunks::{self, ChunkNumber, Chunks, Mark};
use crate::primitive::{Ordering, lock};
use crate::registry::slab;
use crate::registry::task::View;
use crate::registry::threads::{self, Role, Thread};
use crate::source::cpu::Sample;
use crate::source::heap;
use crate::source::trace::{self, Happened, What};
use crate::sys::status_file::StatusFile;
use crate::tally::allocations::Sum;
use runtime_dump::profile::heap::Objects;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// How long a thread may take between reading its clock and writing its entry. If it is preempted there for longer, its
/// entry is in the next part, with the time at which that part begins.
pub(crate) const LATE: Duration = Duration::from_millis(2);

/// The entries that the threads wrote between two looks of a reader.
pub(crate) struct Round {
    /// When the reader looked.
    pub(crate) until: Ticks,
    /// Entries that found no room.
    pub(crate) lost: u64,
    segments: Vec<Segment>,
    /// Samples of a CPU profile that is taken at the same time. They arrive up to 50 ms late: that is how often the
    /// profile reads them.
    samples: Vec<Arc<Sample>>,
    counters: Option<Counters>,
}

/// Counters of the process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    pub(crate) at: Ticks,
    pub(crate) resident_bytes: Option<u64>,
    /// Estimated from samples, with the probe's allocator.
    pub(crate) heap_bytes: Option<u64>,
    /// Tasks in the queues that the workers of a runtime share.
    pub(crate) queued: u64,
}

impl Counters {
    /// The interval between two reads.
    const EVERY: Duration = Duration::from_millis(500);

    /// Reads the counters, which takes about 20 us.
    fn read() -> Self {
        Counters {
            at: clock::ticks(),
            resident_bytes: StatusFile::read().bytes("VmRSS:"),
            heap_bytes: heap_bytes(),
            queued: queued(),
        }
    }
}

fn heap_bytes() -> Option<u64> {
    let in_use = heap::in_use()?.into_iter();
    let bytes = in_use.map(|(rate, Sum { objects, bytes })| {
        let samples = Objects { objects, bytes };
        samples.estimated(rate).bytes
    });
    Some(bytes.sum())
}

#[cfg(feature = "rt")]
fn queued() -> u64 {
    let runtimes = crate::source::metrics::all();
    runtimes.iter().map(|runtime| runtime.global_queue).sum()
}

/// Without a runtime there is no queue.
#[cfg(not(feature = "rt"))]
fn queued() -> u64 {
    0
}

/// The most CPU samples that wait for a reader: 5 s of 32 CPUs at 100 a second.
const MOST_SAMPLES: usize = 16_000;

/// The most bytes of rounds that wait for a slow reader: a million events. Events beyond that are dropped and counted.
const MOST_BYTES: usize = 8 << 20;

/// Trace words of one thread.
struct Segment {
    thread: u32,
    /// The time of the entry before the first of these.
    after: u64,
    words: Box<[u64]>,
}

impl Segment {
    /// The words of a chunk beyond a mark, if there are any.
    fn beyond(mark: &mut Mark, chunks: &Chunks, number: ChunkNumber) -> Option<Segment> {
        let (thread, words) = chunks.words(number, mark);
        (!words.is_empty()).then_some(Segment {
            thread,
            after: mark.at,
            words,
        })
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    fn entries(&self) -> u64 {
        chunks::entries(self.words.iter().copied(), self.after, trace::more).count() as u64
    }
}

impl Round {
    /// The memory that the round takes.
    pub(crate) fn bytes(&self) -> usize {
        let words: usize = self.segments.iter().map(Segment::bytes).sum();
        let samples = self.samples.iter();
        let samples = samples.map(|sample| size_of::<Sample>() + size_of_val(&*sample.pcs));
        words + samples.sum::<usize>()
    }

    /// Whether anything happened in the round, lost or not.
    pub(crate) fn has_entries(&self) -> bool {
        !self.segments.is_empty() || !self.samples.is_empty() || self.lost > 0
    }

    /// A round of the same time in which all events count as lost.
    fn emptied(&self) -> Round {
        let dropped: u64 = self.segments.iter().map(Segment::entries).sum();
        Round {
            until: self.until,
            lost: self.lost + dropped + self.samples.len() as u64,
            segments: Vec::new(),
            samples: Vec::new(),
            counters: self.counters,
        }
    }

    /// Visits the events, in no particular order.
    pub(crate) fn read(&self, mut visit: impl FnMut(Happened)) {
        for segment in &self.segments {
            let entries =
                chunks::entries(segment.words.iter().copied(), segment.after, trace::more);
            for happened in entries.filter_map(|entry| Happened::read(segment.thread, &entry)) {
                // The begin of a foreign task's poll is an event of its own, at an earlier time.
                if let What::ForeignPoll { record, began } = happened.what {
                    let begins = What::PollBegin {
                        record,
                        id: None,
                        inside: false,
                    };
                    visit(Happened {
                        at: began,
                        what: begins,
                        ..happened
                    });
                }
                visit(happened);
            }
        }
    }
}

/// Rounds that a reader has not taken yet, with a limit in bytes.
#[derive(Debug)]
struct Queue {
    rounds: Mutex<VecDeque<Arc<Round>>>,
    most: usize,
    /// How many full chunks are enough for the reader; 0 for one that wants all entries.
    last: usize,
}

impl Queue {
    fn add(&self, round: &Arc<Round>) {
        let mut rounds = lock(&self.rounds);
        let bytes: usize = rounds.iter().map(|round| round.bytes()).sum();
        rounds.push_back(match bytes > self.most {
            false => Arc::clone(round),
            true => Arc::new(round.emptied()),
        });
    }
}

/// The recording, while there is a reader.
struct Session {
    _lease: Lease,
    chunks: &'static Chunks,
    marks: HashMap<ChunkNumber, Mark>,
    lost: u64,
    /// Entries of the next round that are lost beside these.
    overflowed: u64,
    queues: Vec<Weak<Queue>>,
    /// The samples of the next round.
    samples: Vec<Arc<Sample>>,
    counted: Option<Instant>,
}

/// Which chunks are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those of threads that have ended.
    Ended,
    /// Also full chunks. The entries of other chunks come with a later round, and may be older than that round.
    Full,
    All,
}

static SESSION: Mutex<Option<Session>> = Mutex::new(None);

impl Session {
    fn begin() -> Self {
        clock::init();
        let chunks = trace::prepare();
        let lease = Lease::of_all(Demand::Trace);
        crate::source::look_closer();
        let mut session = Session {
            _lease: lease,
            chunks,
            marks: HashMap::new(),
            lost: trace::lost(),
            overflowed: 0,
            queues: Vec::new(),
            samples: Vec::new(),
            counted: None,
        };
        // Entries that an earlier trace left behind.
        session.collect(Which::All);
        session
    }

    /// Makes a round of the entries, which all readers get. Returns whether there were any.
    fn collect(&mut self, which: Which) -> bool {
        self.collect_most(which, MOST_BYTES)
    }

    /// The same for at most so many bytes of full chunks, and a chunk.
    fn collect_most(&mut self, which: Which, most: usize) -> bool {
        let which = match self.chunks.keeps_last() {
            true => Which::Ended,
            false => which,
        };
        let segments = self.take_segments(which, most);
        let has_some = !segments.is_empty();
        self.chunks.stock();
        let lost_before = std::mem::replace(&mut self.lost, trace::lost());
        let round = Arc::new(Round {
            counters: self.counters(),
            until: clock::ticks(),
            lost: self.lost - lost_before + std::mem::take(&mut self.overflowed),
            segments,
            samples: std::mem::take(&mut self.samples),
        });
        self.queues.retain(|queue| match queue.upgrade() {
            Some(queue) => {
                queue.add(&round);
                true
            }
            None => false,
        });
        has_some
    }
}

impl Session {
    /// Takes the entries out of the chunks. After `most` bytes, those of further chunks are lost.
    fn take_segments(&mut self, which: Which, most: usize) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut taken = Vec::new();
        // Before any of them is emptied: threads may fill chunks as fast as they are emptied.
        while let Some(number) = self.chunks.next_ended() {
            taken.push(number);
        }
        while which != Which::Ended
            && let Some(number) = self.chunks.next_full()
        {
            taken.push(number);
        }
        let mut bytes = 0;
        for number in taken {
            let mut mark = self.marks.remove(&number).unwrap_or_default();
            let segment = Segment::beyond(&mut mark, self.chunks, number);
            match bytes < most {
                true => {
                    bytes += segment.as_ref().map_or(0, Segment::bytes);
                    segments.extend(segment);
                }
                false => self.overflowed += segment.map_or(0, |segment| segment.entries()),
            }
            self.chunks.empty(number);
        }
        if which == Which::All {
            for (_, slot) in threads::alive().values() {
                // Acquire: pairs with the Release in `Chunks::write_to_next`.
                let number = ChunkNumber(slot.trace_chunk.load(Ordering::Acquire));
                let mark = self.marks.entry(number).or_default();
                let segment = Segment::beyond(mark, self.chunks, number);
                if let Some(segment) = &segment {
                    mark.pass(&segment.words, trace::more);
                }
                segments.extend(segment);
            }
        }
        segments
    }

    /// The entries that are in chunks and no round has, if they stay there.
    fn kept(&self) -> Option<Round> {
        if !self.chunks.keeps_last() {
            return None;
        }
        let segments = self.chunks.numbers().filter_map(|number| {
            let mut mark = self.marks.get(&number).copied().unwrap_or_default();
            Segment::beyond(&mut mark, self.chunks, number)
        });
        Some(Round {
            segments: segments.collect(),
            until: clock::ticks(),
            lost: 0,
            samples: Vec::new(),
            counters: None,
        })
    }

    /// Lets the entries stay in the chunks if that is enough for all readers.
    fn settle(&self) {
        let queues = self.queues.iter().filter_map(Weak::upgrade);
        let wanted: Vec<usize> = queues.map(|queue| queue.last).collect();
        let most = wanted.iter().max().copied().unwrap_or(0);
        let all = if wanted.contains(&0) { 0 } else { most };
        self.chunks.keep_last(all);
        self.chunks.stock();
    }

    /// The counters of the process, once each [`Counters::EVERY`].
    fn counters(&mut self) -> Option<Counters> {
        let is_due = self
            .counted
            .is_none_or(|at| at.elapsed() >= Counters::EVERY);
        is_due.then(|| {
            self.counted = Some(Instant::now());
            Counters::read()
        })
    }
}

/// Adds the samples of a CPU profile, if there is a reader.
pub(crate) fn add_samples(samples: &[Sample]) {
    if let Some(session) = &mut *lock(&SESSION) {
        let room = MOST_SAMPLES.saturating_sub(session.samples.len());
        let kept = &samples[..samples.len().min(room)];
        session.samples.extend(kept.iter().cloned().map(Arc::new));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.chunks.keep_last(0);
        crate::source::look_no_closer();
    }
}

/// Collects the entries of the threads, for all readers. Returns whether there were any.
pub(crate) fn collect(which: Which) -> bool {
    let mut session = lock(&SESSION);
    session
        .as_mut()
        .is_some_and(|session| session.collect(which))
}

/// A reader of the recording. The recording ends when the last reader is dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    queue: Arc<Queue>,
    /// All events from this moment on are recorded.
    pub(crate) began: Ticks,
}

impl std::fmt::Debug for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Round up to {}", self.until)
    }
}

impl Recording {
    /// Begins a recording, for a reader that takes all rounds regularly.
    pub(crate) fn begin() -> Recording {
        Recording::begin_with(MOST_BYTES, 0)
    }

    /// The same for a reader that leaves up to `most` bytes of rounds in the queue. If `last` is not 0, the last entries are
    /// enough for it, as many as so many full chunks have: see [`Recording::past`].
    pub(crate) fn begin_with(most: usize, last: usize) -> Recording {
        let queue = Arc::new(Queue {
            rounds: Mutex::default(),
            most,
            last,
        });
        let mut session = lock(&SESSION);
        let session = session.get_or_insert_with(Session::begin);
        let most = match last {
            0 => {
                // The other readers get the entries in rounds from now on.
                session.chunks.keep_last(0);
                usize::MAX
            }
            _ => MOST_BYTES,
        };
        session.collect_most(Which::All, most);
        session.queues.push(Arc::downgrade(&queue));
        session.settle();
        Recording {
            queue,
            began: clock::ticks(),
        }
    }

    /// All entries so far: the rounds, and those that stayed in the chunks. Also the time before which entries of
    /// the chunks are missing.
    pub(crate) fn past(&self) -> (Vec<Arc<Round>>, Ticks) {
        let mut session = lock(&SESSION);
        let mut kept = None;
        if let Some(session) = &mut *session {
            session.collect(Which::All);
            kept = session.kept();
        }
        let rounds = self.rounds();
        let rounds = rounds.iter().map(Arc::clone).chain(kept.map(Arc::new));
        // After the chunks were read.
        (rounds.collect(), trace::dropped_until())
    }

    /// The rounds so far, oldest first.
    pub(crate) fn rounds(&self) -> MutexGuard<'_, VecDeque<Arc<Round>>> {
        lock(&self.queue.rounds)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut session = lock(&SESSION);
        if let Some(known) = &mut *session {
            let own = Arc::as_ptr(&self.queue);
            known
                .queues
                .retain(|queue| !std::ptr::eq(queue.as_ptr(), own));
            match known.queues.is_empty() {
                true => *session = None,
                false => known.settle(),
            }
        }
    }
}

/// Events that a reader takes in parts, ordered by time.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pending: Vec<Happened>,
    samples: Vec<Arc<Sample>>,
    counters: Vec<Counters>,
    lost: u64,
    /// When the last look at the threads began. It missed chunks that became full meanwhile.
    looked: Option<Ticks>,
}

/// The events up to a moment.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) happened: Vec<Happened>,
    /// Ordered by time.
    pub(crate) samples: Vec<Arc<Sample>>,
    pub(crate) counters: Vec<Counters>,
    pub(crate) until: Ticks,
    pub(crate) lost: u64,
}

impl Parts {
    /// Adds the events of a recording. Returns how many events wait to be taken.
    pub(crate) fn add(&mut self, recording: &Recording) -> usize {
        self.looked = Some(clock::ticks());
        collect(Which::All);
        let rounds = std::mem::take(&mut *recording.rounds());
        let rounds = rounds.iter().map(|round| &**round);
        self.add_rounds(rounds, recording.began, |_| ())
    }

    /// The events of a flight recorder. `earlier` gets those that are still there from before `since`.
    pub(crate) fn of_past<'r>(
        rounds: impl Iterator<Item = &'r Round>,
        since: Ticks,
        until: Ticks,
        earlier: impl FnMut(Happened),
    ) -> Self {
        let mut parts = Parts {
            looked: Some(until),
            ..Parts::default()
        };
        parts.add_rounds(rounds, since, earlier);
        parts
    }

    /// Adds the events of these rounds that happened after `began`. Returns how many events wait to be taken.
    fn add_rounds<'r>(
        &mut self,
        rounds: impl Iterator<Item = &'r Round>,
        began: Ticks,
        mut earlier: impl FnMut(Happened),
    ) -> usize {
        for round in rounds {
            self.lost += round.lost;
            let samples = round.samples.iter().filter(|sample| sample.at >= began);
            self.samples.extend(samples.map(Arc::clone));
            self.counters
                .extend(round.counters.filter(|read| read.at >= began));
            round.read(|happened| match happened.at >= began {
                true => self.pending.push(happened),
                false => earlier(happened),
            });
        }
        self.pending.len()
    }

    /// The events up to [`LATE`] before the last look.
    pub(crate) fn take(&mut self, scale: &Scale) -> Part {
        let looked = self.looked.unwrap_or_else(clock::ticks);
        self.take_until(looked.saturating_sub(scale.ticks(LATE.as_nanos() as u64)))
    }

    /// All events up to the last look: no part follows that later ones could be in.
    pub(crate) fn take_all(mut self) -> Part {
        self.take_until(self.looked.unwrap_or_else(clock::ticks))
    }

    fn take_until(&mut self, until: Ticks) -> Part {
        // The sort is stable: events of one thread at one time keep their order.
        self.pending.sort_by_key(|happened| happened.at);
        let later = self
            .pending
            .partition_point(|happened| happened.at <= until);
        let later = self.pending.split_off(later);
        let mut samples = std::mem::take(&mut self.samples);
        samples.sort_by_key(|sample| sample.at);
        Part {
            samples,
            counters: std::mem::take(&mut self.counters),
            happened: std::mem::replace(&mut self.pending, later),
            until,
            lost: std::mem::take(&mut self.lost),
        }
    }
}

/// All tasks, one after another.
pub(crate) fn views() -> Vec<View> {
    let mut views = Vec::new();
    slab::for_each(|record| views.extend(record.view().filter(|view| view.id != 0)));
    views
}

/// The threads that the probe knows, by number.
pub(crate) fn threads() -> HashMap<u32, Thread> {
    let threads = threads::alive().into_iter();
    threads
        .map(|(number, (thread, _))| (number, thread))
        .collect()
}

/// The kernel's ids of the workers, runtime by runtime, in the order in which they began.
pub(crate) fn workers() -> Vec<u32> {
    let mut workers: Vec<(u32, u32, u32)> = threads::alive()
        .into_iter()
        .filter(|(_, (_, slot))| slot.role() == Role::Worker)
        .map(|(number, (thread, slot))| {
            let runtime = slot.runtime.load(Ordering::Relaxed);
            (runtime, number, thread.tid)
        })
        .collect();
    workers.sort_unstable();
    workers.into_iter().map(|(_, _, tid)| tid).collect()
}

/// The kernel's ids of all threads that the probe knows.
pub(crate) fn thread_ids() -> BTreeSet<u32> {
    threads::alive()
        .values()
        .map(|(thread, _)| thread.tid)
        .collect()
}
