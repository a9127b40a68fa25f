//! An execution trace with names: makes rows of `runtime-dump` from the events of all threads, generation by
//! generation.
//!
//! A task is named by its future and its spawn location. Its first state is that of its record when the trace began,
//! with the changes until all records were read.

mod blocked;
mod ids;
mod naming;
mod said;
mod spans;
mod start;

use crate::ask::flight::Past;
use crate::ask::trace_session::{self as trace, Counters, Part, Parts, Recording};
use crate::clock::{Scale, Ticks};
use crate::source::cpu::Sample;
use crate::source::regions::next_id;
use crate::source::trace::{Ended, Happened, RecordName, What};
use crate::symbol::resolver::resolver;
use naming::Naming;
use runtime_dump::trace::{
    Event, LabelsNumber, OldWait, Outcome, PerfettoWriter, Row, StackNumber, TextNumber,
    TraceFormat, TraceWriter,
};
use said::User;
use spans::Spans;
use start::{Begun, OpenPolls, Start};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

/// The most events of a generation. They are in memory, 56 B each.
pub(crate) const MOST_EVENTS: usize = 1 << 18;

/// The program that is to read a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Go,
    Perfetto,
}

impl Format {
    /// A writer for the format. The header is written.
    fn writer<'w>(self, out: impl Write + 'w) -> io::Result<Box<dyn TraceFormat + 'w>> {
        Ok(match self {
            Format::Go => Box::new(TraceWriter::new(out)?),
            Format::Perfetto => {
                let program = std::env::current_exe().unwrap_or_default();
                let name = program.file_name().unwrap_or_default().to_string_lossy();
                Box::new(PerfettoWriter::new(out, std::process::id(), &name))
            }
        })
    }
}

/// Whether a trace has the labels of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Labels {
    #[default]
    Shown,
    /// Labels may name tenants and users.
    LeftOut,
}

/// A trace that is written while it is taken.
pub(crate) struct Stream<'w> {
    recording: Recording,
    parts: Parts,
    trace: Trace<'w>,
}

impl<'w> Stream<'w> {
    /// Begins to record, reads all tasks, and writes the header.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn begin(format: Format, labels: Labels, out: impl Write + 'w) -> io::Result<Self> {
        let recording = Recording::begin();
        let writer = format.writer(out)?;
        let user = User::new(next_id());
        Ok(Stream {
            trace: Trace::new(recording.began, Start::take(), user, labels, writer),
            recording,
            parts: Parts::default(),
        })
    }

    /// Collects the events of the threads. Returns how many events wait to be written.
    pub(crate) fn collect(&mut self) -> usize {
        self.parts.add(&self.recording)
    }

    /// Writes the events since the last call. The last call waits for late entries.
    ///
    /// # Errors
    /// The errors of the output.
    pub(crate) fn write(&mut self, is_last: bool) -> io::Result<()> {
        if is_last {
            std::thread::sleep(trace::LATE);
        }
        self.collect();
        self.trace.write_generation(&self.parts.take(&Scale::now()))
    }
}

/// Writes the content of a flight recorder, as one generation.
///
/// # Errors
/// The errors of `out`.
pub(crate) fn write_past(
    past: &Past,
    format: Format,
    labels: Labels,
    out: impl Write,
) -> io::Result<()> {
    let start = Start::take();
    let rounds = past.rounds.iter().map(|round| &**round);
    let mut earlier = Vec::new();
    let keep = |happened| earlier.push(happened);
    let part = Parts::of_past(rounds, past.since, past.until, keep).take_all();
    // The sort is stable: events of one thread at one time keep their order.
    earlier.sort_by_key(|happened: &Happened| happened.at);
    let open = OpenPolls::after(&earlier);
    let start = start.back_at(past.since, &part.happened, open);
    let user = User::of_past(&part.happened);
    let writer = format.writer(out)?;
    Trace::new(past.since, start, user, labels, writer).write_generation(&part)
}

/// The state of a trace that is being written.
struct Trace<'w> {
    /// The moment that becomes time 1.
    zero: Ticks,
    writer: Box<dyn TraceFormat + 'w>,
    names: Naming,
    /// By record: the task that has it.
    tasks: HashMap<RecordName, Known>,
    /// By thread: the polls under way, the innermost last.
    polls: HashMap<u64, Vec<Polled>>,
    threads: BTreeSet<u32>,
    /// The threads that had ended when the last generation was written.
    ended: BTreeSet<u32>,
    /// The initial states, until the first generation has begun.
    start: Option<Start>,
    user: User,
    spans: Spans,
    /// By thread that waits for another one: the name of its region.
    blocked: HashMap<u32, TextNumber>,
}

#[derive(Clone, Copy)]
struct Known {
    id: u64,
    name: StackNumber,
    /// The user task that it was spawned in; 0 for none.
    user_task: u64,
}

#[derive(Clone, Copy)]
struct Polled {
    task: Known,
    /// Whether the poll began before the trace: its end has no entry.
    is_older: bool,
}

impl<'w> Trace<'w> {
    fn new(
        zero: Ticks,
        start: Start,
        user: User,
        labels: Labels,
        writer: Box<dyn TraceFormat + 'w>,
    ) -> Self {
        Trace {
            zero,
            writer,
            names: Naming::new(labels),
            tasks: HashMap::new(),
            polls: HashMap::new(),
            threads: BTreeSet::new(),
            ended: BTreeSet::new(),
            start: Some(start),
            user,
            spans: Spans::default(),
            blocked: HashMap::new(),
        }
    }

    /// Writes a part as a generation.
    fn write_generation(&mut self, part: &Part) -> io::Result<()> {
        let scale = Scale::now();
        let ids = ids::of_spawns(&part.happened);
        let mut no_ends = spans::exits_before_a_drop(&part.happened);
        no_ends.extend(self.exits_of_children(&part.happened));
        let blocks = blocked::ends(&part.happened);
        self.follow_workers();
        let first = match self.start.take() {
            Some(start) => self.begin(start, &part.happened, &ids, &scale)?,
            None => {
                let began = part.happened.first().map_or(part.until, |first| first.at);
                self.writer.begin_generation(self.ns(began, &scale))?;
                0
            }
        };
        let mut samples = part.samples.iter().peekable();
        let mut counters = part.counters.iter().peekable();
        for (at, (happened, id)) in part.happened.iter().zip(&ids).enumerate().skip(first) {
            while let Some(sample) = samples.next_if(|sample| sample.at <= happened.at) {
                self.cpu_sample(sample, &scale);
            }
            while let Some(counters) = counters.next_if(|read| read.at <= happened.at) {
                self.counters(counters, &scale);
            }
            if at % 8192 == 0 {
                // The threads fill chunks meanwhile.
                trace::collect(trace::Which::Full);
            }
            match (blocks.get(&at), no_ends.contains(&at)) {
                (Some(end), _) => self.blocks(happened, Some(*end), &scale),
                (None, false) => self.happened(happened, *id, &scale),
                (None, true) => self.happened(&spans::as_a_wait(happened), *id, &scale),
            }
        }
        samples.for_each(|sample| self.cpu_sample(sample, &scale));
        counters.for_each(|counters| self.counters(counters, &scale));
        if part.lost > 0 {
            let text = format!("{} events were lost: no buffer was empty", part.lost);
            self.remark(&text, part.until, &scale);
        }
        // Also threads that did not live until the end of a generation.
        let seen = part.happened.iter().map(|happened| happened.thread);
        self.threads.extend(seen);
        self.follow_ends();
        self.writer.end_generation()
    }

    /// Nanoseconds since the trace began, plus one.
    fn ns(&self, at: Ticks, scale: &Scale) -> u64 {
        scale.ns(at.saturating_sub(self.zero)) + 1
    }

    /// Begins the first generation with the state of each task. Returns how many events the states include already.
    fn begin(
        &mut self,
        start: Start,
        happened: &[Happened],
        ids: &[u64],
        scale: &Scale,
    ) -> io::Result<usize> {
        let looked = start.looked;
        let first = happened.partition_point(|happened| happened.at <= looked);
        let mut resolver = resolver();
        let begun = start.followed(happened[..first].iter().zip(ids));
        let mut polled = Vec::new();
        for (record, task) in begun {
            let name = self
                .names
                .task(&task.site, &mut *self.writer, &mut resolver);
            let known = Known {
                id: task.id,
                name,
                user_task: 0,
            };
            let waits = match task.state {
                Begun::Runnable => None,
                Begun::Waits(None) => Some(OldWait {
                    reason: None,
                    stack: name,
                }),
                Begun::Waits(Some(waits)) => {
                    let wait = self.names.wait(waits, &mut *self.writer, &mut resolver);
                    Some(OldWait {
                        reason: (!wait.is_a_yield).then_some(wait.reason),
                        stack: wait.stack,
                    })
                }
                Begun::Polled { .. } => {
                    polled.push((known, task.state));
                    None
                }
            };
            self.tasks.insert(record, known);
            let labels = self.names.labels(task.labels, &mut *self.writer);
            self.writer.alive(known.id, name, waits, labels);
        }
        drop(resolver);
        self.writer.begin_generation(self.ns(looked, scale))?;
        // Outer polls come first.
        polled.sort_by_key(|(_, state)| match state {
            Begun::Polled { since, .. } => *since,
            _ => 0,
        });
        for (task, state) in polled {
            let Begun::Polled {
                thread,
                is_older,
                is_closure,
                ..
            } = state
            else {
                continue;
            };
            let polls = self.polls.entry(thread).or_default();
            polls.push(Polled { task, is_older });
            let event = match is_closure {
                true => Event::ClosureBegin {
                    task: task.id,
                    stack: task.name,
                },
                false => Event::PollBegin { task: task.id },
            };
            self.row(looked, thread, event, scale);
        }
        Ok(first)
    }

    /// Gives the first procs to the workers, ordered by their numbers.
    fn follow_workers(&mut self) {
        for worker in trace::workers() {
            self.writer.worker(worker.into());
        }
    }

    /// Frees the procs of threads that had ended before the last generation. A thread that has ended since may have
    /// events in the next generation.
    fn follow_ends(&mut self) {
        let alive = trace::thread_ids();
        for ended in std::mem::take(&mut self.ended).difference(&alive) {
            self.polls.remove(&(*ended).into());
            self.blocked.remove(ended);
            self.writer.thread_ended((*ended).into());
        }
        self.ended = self.threads.difference(&alive).copied().collect();
        self.threads = alive;
    }

    fn row(&mut self, at: Ticks, thread: u64, event: Event, scale: &Scale) {
        let at_ns = self.ns(at, scale);
        self.writer.row(&Row {
            at_ns,
            thread,
            event,
        });
    }

    /// The task of a record. A task whose spawn was not seen gets a spawn event now.
    fn known(&mut self, record: RecordName, happened: &Happened, scale: &Scale) -> Option<Known> {
        if let Some(known) = self.tasks.get(&record) {
            return Some(*known);
        }
        let view = record.view().filter(|view| view.id != 0)?;
        let site = start::site(&view);
        let name = self.names.task(&site, &mut *self.writer, &mut resolver());
        let known = Known {
            id: view.id,
            name,
            user_task: 0,
        };
        self.tasks.insert(record, known);
        let event = Event::Spawn {
            task: known.id,
            name,
            by: StackNumber::default(),
            labels: self.names.labels(view.labels, &mut *self.writer),
        };
        self.row(happened.at, happened.thread.into(), event, scale);
        Some(known)
    }

    fn happened(&mut self, happened: &Happened, id: u64, scale: &Scale) {
        let (at, thread) = (happened.at, u64::from(happened.thread));
        match happened.what {
            What::Spawn {
                record,
                site,
                labels,
                ..
            } => {
                let mut resolver = resolver();
                let site = site.into();
                let name = self.names.task(&site, &mut *self.writer, &mut resolver);
                let by = self.names.spawner(&site, &mut *self.writer, &mut resolver);
                drop(resolver);
                let user_task = self.user.take_spawning(thread);
                let known = Known {
                    id,
                    name,
                    user_task: user_task.unwrap_or_else(|| self.inherited(thread)),
                };
                self.tasks.insert(record, known);
                let event = Event::Spawn {
                    task: id,
                    name,
                    by,
                    labels: self.names.labels(labels, &mut *self.writer),
                };
                self.row(at, thread, event, scale);
            }
            What::PollBegin { record, inside, .. } => {
                let Some(task) = self.known(record, happened, scale) else {
                    return;
                };
                self.begin_poll(happened, task, inside, scale);
                self.row(at, thread, Event::PollBegin { task: task.id }, scale);
            }
            What::ClosureBegin { record, .. } => {
                let Some(task) = self.known(record, happened, scale) else {
                    return;
                };
                self.begin_poll(happened, task, false, scale);
                let event = Event::ClosureBegin {
                    task: task.id,
                    stack: task.name,
                };
                self.row(at, thread, event, scale);
            }
            What::PollEnd(ended) => {
                let polls = self.polls.entry(thread).or_default();
                if let Some(polled) = polls.pop() {
                    if matches!(ended, Ended::Finished) {
                        self.spans.task_ends(polled.task.id);
                    }
                    let outcome = self.outcome(ended, polled.task);
                    let task = polled.task.id;
                    self.row(at, thread, Event::PollEnd { task, outcome }, scale);
                }
            }
            What::ForeignPoll { record, .. } => {
                let Some(task) = self.known(record, happened, scale) else {
                    return;
                };
                let polls = self.polls.entry(thread).or_default();
                if polls.pop_if(|polled| polled.task.id == task.id).is_some() {
                    let outcome = Outcome::Waits {
                        reason: self.writer.text(naming::UNKNOWN),
                        stack: task.name,
                    };
                    let task = task.id;
                    self.row(at, thread, Event::PollEnd { task, outcome }, scale);
                }
            }
            What::Wake(record) => {
                let Some(task) = self.tasks.get(&record).copied() else {
                    return;
                };
                let event = Event::Wake {
                    task: task.id,
                    stack: self.place(happened),
                };
                self.row(at, thread, event, scale);
            }
            What::Dropped { record, .. } => {
                if let Some(task) = self.tasks.remove(&record) {
                    self.spans.task_ends(task.id);
                    self.row(at, thread, Event::Drop { task: task.id }, scale);
                }
            }
            What::Park => {
                self.end_older(happened, scale);
                self.row(at, thread, Event::Park, scale);
            }
            What::Unpark => self.row(at, thread, Event::Unpark, scale),
            What::Said(said) => self.said(happened, said, scale),
            What::InPlace(true) => self.row(at, thread, Event::InPlaceBegin, scale),
            What::InPlace(false) => self.row(at, thread, Event::InPlaceEnd, scale),
        }
    }

    fn cpu_sample(&mut self, sample: &Sample, scale: &Scale) {
        let stack = self.names.sample(sample, &mut *self.writer);
        let task = sample.polled.id;
        for _ in 0..sample.periods {
            let event = Event::CpuSample { task, stack };
            self.row(sample.at, sample.tid.into(), event, scale);
        }
    }

    fn counters(&mut self, counters: &Counters, scale: &Scale) {
        let mut events = Vec::new();
        events.extend(counters.heap_bytes.map(|bytes| Event::HeapInUse { bytes }));
        for (name, value) in [
            ("memory (RSS), bytes", counters.resident_bytes),
            ("tasks in shared queues", Some(counters.queued)),
        ] {
            let name = self.writer.text(name);
            events.extend(value.map(|value| Event::Counter { name, value }));
        }
        let thread = u64::from(std::process::id());
        for event in events {
            self.row(counters.at, thread, event, scale);
        }
    }

    fn begin_poll(&mut self, happened: &Happened, task: Known, inside: bool, scale: &Scale) {
        if !inside {
            self.end_older(happened, scale);
        }
        self.spans.poll_begins(task.id);
        let polls = self.polls.entry(happened.thread.into()).or_default();
        polls.push(Polled {
            task,
            is_older: false,
        });
    }

    /// Ends the polls of a thread that are still open: this event does not happen inside of a poll, so their ends were
    /// not seen.
    fn end_older(&mut self, happened: &Happened, scale: &Scale) {
        let thread = happened.thread.into();
        let polls = self.polls.entry(thread).or_default();
        for polled in std::mem::take(polls).into_iter().rev() {
            let reason = match polled.is_older {
                true => naming::BEFORE,
                false => naming::UNKNOWN,
            };
            let outcome = Outcome::Waits {
                reason: self.writer.text(reason),
                stack: polled.task.name,
            };
            let task = polled.task.id;
            self.row(happened.at, thread, Event::PollEnd { task, outcome }, scale);
        }
    }

    fn outcome(&mut self, ended: Ended, task: Known) -> Outcome {
        let waits = match ended {
            Ended::Finished => return Outcome::Ends,
            Ended::Waits(None) => {
                return Outcome::Waits {
                    reason: self.writer.text(naming::UNKNOWN),
                    stack: task.name,
                };
            }
            Ended::Yields(None) => return Outcome::Yields { stack: task.name },
            Ended::Waits(Some(waits)) | Ended::Yields(Some(waits)) => waits,
        };
        let wait = self.names.wait_once(waits, &mut *self.writer);
        match ended {
            Ended::Waits(_) if !wait.is_a_yield => Outcome::Waits {
                reason: wait.reason,
                stack: wait.stack,
            },
            _ => Outcome::Yields { stack: wait.stack },
        }
    }

    /// A remark for the reader, as a goroutine of that name.
    fn remark(&mut self, text: &str, at: Ticks, scale: &Scale) {
        let name = self.names.frame(text, &mut *self.writer);
        let (task, thread) = (crate::source::own_id(), u64::from(std::process::id()));
        for event in [
            Event::Spawn {
                task,
                name,
                by: name,
                labels: LabelsNumber::default(),
            },
            Event::PollBegin { task },
            Event::PollEnd {
                task,
                outcome: Outcome::Ends,
            },
        ] {
            self.row(at, thread, event, scale);
        }
    }
}
