//! The polls of each thread in the last seconds, from the flight recorder, for the page `timeline`.

use crate::ask::flight;
use crate::ask::trace_session::{self as trace, Parts};
use crate::clock::{Scale, Ticks};
use crate::snapshot::under_way;
use crate::source::trace::{Happened, RecordName, What};
use crate::stack::raw::FutureMeta;
use crate::symbol::role;
use runtime_dump::source_path::shortened;
use std::collections::{BTreeMap, HashMap};
use std::panic::Location;

/// The most polls that are kept: 8 MB. The oldest are left out.
const MOST_POLLS: usize = 200_000;

/// The polls of all threads in a time span.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The length of the span, in nanoseconds.
    pub(crate) span_ns: u64,
    /// Workers first, ordered by runtime.
    pub(crate) lanes: Vec<Lane>,
    /// Wakes and spawns that caused polls, ordered by thread and time.
    wakes: Vec<Wake>,
    /// Indices of `wakes`, ordered by the polls that they caused.
    by_poll: Vec<u32>,
    /// Spawn sites, those with the longest time in polls first.
    pub(crate) sites: Vec<SiteTime>,
    /// The number of lost events and of left out polls.
    pub(crate) lost: u64,
}

/// A thread.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) thread: u32,
    pub(crate) name: String,
    /// Ordered by time.
    pub(crate) polls: Vec<Poll>,
}

/// A poll, or the part of a poll between nested polls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll {
    /// Nanoseconds since the begin of the span.
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
    /// An index of [`Timeline::sites`].
    pub(crate) site: u32,
    /// The task, if it is alive.
    pub(crate) task: Option<u64>,
}

/// A wake or a spawn, and the poll that it caused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wake {
    /// The waking or spawning thread, which may have no lane.
    pub(crate) thread: u32,
    pub(crate) at_ns: u64,
    pub(crate) is_spawn: bool,
    /// The thread of the poll, and its begin.
    pub(crate) woken_thread: u32,
    pub(crate) woken_ns: u64,
}

impl Wake {
    /// The poll that it caused: (thread, begin).
    fn poll(&self) -> (u32, u64) {
        (self.woken_thread, self.woken_ns)
    }
}

/// The polls of the tasks of a spawn site.
#[derive(Clone, Debug)]
pub(crate) struct SiteTime {
    /// The future and its spawn location.
    pub(crate) name: String,
    pub(crate) busy_ns: u64,
    pub(crate) polls: u64,
}

/// The future and the location of a spawn.
#[derive(Clone, Copy, Default)]
struct Spawned {
    location: Option<&'static Location<'static>>,
    meta: Option<&'static FutureMeta>,
}

/// The event that makes a task ready.
#[derive(Clone, Copy)]
struct Cause {
    thread: u32,
    at: Ticks,
    is_spawn: bool,
}

/// The part of a poll, before its task has a name.
#[derive(Clone, Copy)]
struct Segment {
    thread: u32,
    from: Ticks,
    until: Ticks,
    /// The task: the record, and a number for each task that had the record.
    owner: (RecordName, u32),
    /// The event that caused the poll, for its first part.
    cause: Option<Cause>,
}

/// The tasks of each record, by the number of spawns and ends before them.
#[derive(Default)]
struct Owners {
    generation: HashMap<RecordName, u32>,
    known: HashMap<(RecordName, u32), Spawned>,
}

impl Timeline {
    /// The timeline of the flight recorder's events; `None` without a recorder.
    pub(crate) fn past() -> Option<Timeline> {
        let past = flight::past()?;
        let rounds = past.rounds.iter().map(|round| &**round);
        let mut parts = Parts::of_past(rounds, past.since, past.until, |_| ());
        let scale = Scale::now();
        let part = parts.take(&scale);
        let mut reading = Reading::default();
        for happened in &part.happened {
            reading.add(happened);
        }
        let until = part.until.max(past.since);
        Some(reading.end(past.since, until, part.lost, &scale))
    }

    /// The wakes that a thread made in a time span, ordered by time.
    pub(crate) fn woken_by(&self, thread: u32, from_ns: u64, until_ns: u64) -> &[Wake] {
        let first = self
            .wakes
            .partition_point(|wake| (wake.thread, wake.at_ns) < (thread, from_ns));
        let end = self
            .wakes
            .partition_point(|wake| (wake.thread, wake.at_ns) <= (thread, until_ns));
        self.wakes.get(first..end).unwrap_or_default()
    }

    /// The wake or spawn that caused the poll of that thread and begin.
    pub(crate) fn wake_of(&self, thread: u32, began_ns: u64) -> Option<&Wake> {
        let wake = |number: u32| self.wakes.get(number as usize);
        let first = self.by_poll.partition_point(|number| {
            wake(*number).is_some_and(|wake| wake.poll() < (thread, began_ns))
        });
        let wake = wake(*self.by_poll.get(first)?)?;
        (wake.poll() == (thread, began_ns)).then_some(wake)
    }

    /// (lane, poll): the lane of a thread, and its last poll that began at or before that time.
    pub(crate) fn poll_at(&self, thread: u32, at_ns: u64) -> Option<(usize, usize)> {
        let number = self.lanes.iter().position(|lane| lane.thread == thread)?;
        let polls = &self.lanes.get(number)?.polls;
        let poll = polls
            .partition_point(|poll| poll.from_ns <= at_ns)
            .checked_sub(1)?;
        Some((number, poll))
    }
}

#[derive(Default)]
struct Reading {
    segments: Vec<Segment>,
    /// By thread: the polls under way, the innermost last.
    open: HashMap<u32, Vec<Segment>>,
    /// By ready task: the event that made it ready.
    causes: HashMap<RecordName, Cause>,
    owners: Owners,
}

impl Reading {
    fn add(&mut self, happened: &Happened) {
        let Happened { at, thread, what } = *happened;
        let cause = |is_spawn| Cause {
            thread,
            at,
            is_spawn,
        };
        match what {
            What::Spawn { record, site, .. } => {
                self.causes.insert(record, cause(true));
                let generation = self.owners.generation.entry(record).or_default();
                *generation += 1;
                self.owners.learn(record, site.into());
            }
            What::Dropped { record, site, .. } => {
                self.owners.learn(record, site.into());
                *self.owners.generation.entry(record).or_default() += 1;
            }
            What::PollBegin { record, .. } | What::ClosureBegin { record, .. } => {
                let owner = self.owners.now(record);
                let open = self.open.entry(thread).or_default();
                if let Some(outer) = open.last_mut() {
                    self.segments.push(Segment {
                        until: at,
                        ..*outer
                    });
                    outer.cause = None;
                }
                open.push(Segment {
                    thread,
                    from: at,
                    until: at,
                    owner,
                    cause: self.causes.remove(&record),
                });
            }
            What::PollEnd(_) => self.close(thread, at, |_| true),
            What::ForeignPoll { record, .. } => {
                self.close(thread, at, |open| open.owner.0 == record);
            }
            // Polls under way have ended without an event.
            What::Park | What::Unpark => {
                self.open.remove(&thread);
            }
            What::Wake(record) => {
                self.causes.entry(record).or_insert(cause(false));
            }
            What::Said(_) | What::InPlace(_) => {}
        }
    }

    fn close(&mut self, thread: u32, at: Ticks, is_it: impl Fn(&Segment) -> bool) {
        let open = self.open.entry(thread).or_default();
        if let Some(poll) = open.pop_if(|open| is_it(open)) {
            self.segments.push(Segment { until: at, ..poll });
            if let Some(outer) = open.last_mut() {
                outer.from = at;
            }
        }
    }

    fn end(mut self, since: Ticks, until: Ticks, lost: u64, scale: &Scale) -> Timeline {
        let open = self.open.values().filter_map(|open| open.last());
        self.segments
            .extend(open.map(|open| Segment { until, ..*open }));
        self.segments.sort_by_key(|segment| segment.from);
        let left_out = self.segments.len().saturating_sub(MOST_POLLS);
        self.segments.drain(..left_out);
        let ns = |at: Ticks| scale.ns(at.saturating_sub(since));
        let mut names = SiteNames::default();
        let mut lanes: BTreeMap<u32, Vec<Poll>> = BTreeMap::new();
        let mut wakes = Vec::new();
        for segment in &self.segments {
            let (task, spawned) = self.owners.of(segment.owner);
            let (from_ns, until_ns) = (ns(segment.from), ns(segment.until));
            let site = names.add(spawned, until_ns - from_ns);
            wakes.extend(segment.cause.map(|cause| Wake {
                thread: cause.thread,
                at_ns: ns(cause.at),
                is_spawn: cause.is_spawn,
                woken_thread: segment.thread,
                woken_ns: from_ns,
            }));
            lanes.entry(segment.thread).or_default().push(Poll {
                from_ns,
                until_ns,
                site,
                task,
            });
        }
        wakes.sort_by_key(|wake| (wake.thread, wake.at_ns));
        let mut by_poll: Vec<u32> = (0..wakes.len() as u32).collect();
        by_poll.sort_by_key(|number| wakes.get(*number as usize).map(Wake::poll));
        add_longer(&mut lanes, &mut names, ns(until));
        let (order, sites) = names.sorted();
        for poll in lanes.values_mut().flatten() {
            poll.site = order[poll.site as usize];
        }
        Timeline {
            span_ns: ns(until),
            lanes: named(lanes),
            wakes,
            by_poll,
            sites,
            lost: lost + left_out as u64,
        }
    }
}

/// Adds polls that are longer than the span: they have no events in it.
fn add_longer(lanes: &mut BTreeMap<u32, Vec<Poll>>, names: &mut SiteNames, span_ns: u64) {
    let threads = trace::threads();
    for poll in under_way::now() {
        let thread = poll.thread.and_then(|number| threads.get(&number.0));
        let Some(thread) = thread.filter(|_| poll.since_ns >= span_ns) else {
            continue;
        };
        let lane = lanes.entry(thread.tid).or_default();
        if lane.is_empty() {
            let spawned = Spawned {
                location: poll.location,
                meta: None,
            };
            lane.push(Poll {
                from_ns: 0,
                until_ns: span_ns,
                site: names.add(spawned, span_ns),
                task: Some(poll.id),
            });
        }
    }
}

/// The lanes, workers first. An idle worker has a lane, too.
fn named(mut lanes: BTreeMap<u32, Vec<Poll>>) -> Vec<Lane> {
    let threads = trace::threads();
    let names: HashMap<u32, &str> = threads
        .values()
        .map(|thread| (thread.tid, &*thread.name))
        .collect();
    let lane = |thread: u32, polls: Vec<Poll>| Lane {
        thread,
        name: names.get(&thread).copied().unwrap_or_default().to_owned(),
        polls,
    };
    let workers = trace::workers().into_iter();
    let mut all: Vec<Lane> = workers
        .map(|thread| lane(thread, lanes.remove(&thread).unwrap_or_default()))
        .collect();
    all.extend(lanes.into_iter().map(|(thread, polls)| lane(thread, polls)));
    all
}

impl From<Option<&'static crate::registry::sites::Site>> for Spawned {
    fn from(site: Option<&'static crate::registry::sites::Site>) -> Self {
        site.map_or_else(Spawned::default, |site| Spawned {
            location: site.location,
            meta: site.meta,
        })
    }
}

impl Owners {
    fn now(&self, record: RecordName) -> (RecordName, u32) {
        (record, self.generation.get(&record).copied().unwrap_or(0))
    }

    fn learn(&mut self, record: RecordName, spawned: Spawned) {
        if spawned.location.is_some() || spawned.meta.is_some() {
            self.known.insert(self.now(record), spawned);
        }
    }

    /// The task's id, if it is alive, and its spawn location.
    fn of(&self, owner: (RecordName, u32)) -> (Option<u64>, Spawned) {
        let is_last = self.now(owner.0) == owner;
        let view = owner.0.view().filter(|view| is_last && view.id != 0);
        let known = self.known.get(&owner).copied();
        let spawned = known.unwrap_or_else(|| {
            view.as_ref().map_or_else(Spawned::default, |view| Spawned {
                location: view.location,
                meta: view.meta,
            })
        });
        (view.map(|view| view.id), spawned)
    }
}

/// Spawn sites by the addresses of location and type.
#[derive(Default)]
struct SiteNames {
    known: HashMap<[usize; 2], u32>,
    times: Vec<SiteTime>,
}

impl SiteNames {
    fn add(&mut self, spawned: Spawned, busy_ns: u64) -> u32 {
        let key = [
            spawned
                .location
                .map_or(0, |at| std::ptr::from_ref(at).addr()),
            spawned
                .meta
                .map_or(0, |meta| std::ptr::from_ref(meta).addr()),
        ];
        let site = *self.known.entry(key).or_insert_with(|| {
            self.times.push(SiteTime {
                name: name(spawned),
                busy_ns: 0,
                polls: 0,
            });
            self.times.len() as u32 - 1
        });
        if let Some(time) = self.times.get_mut(site as usize) {
            time.busy_ns = time.busy_ns.saturating_add(busy_ns);
            time.polls += 1;
        }
        site
    }

    /// The sites by time, the longest first, and the new index of each.
    fn sorted(self) -> (Vec<u32>, Vec<SiteTime>) {
        let mut sorted: Vec<usize> = (0..self.times.len()).collect();
        sorted.sort_by_key(|at| std::cmp::Reverse(self.times[*at].busy_ns));
        let mut order = vec![0; sorted.len()];
        for (place, at) in sorted.iter().enumerate() {
            order[*at] = place as u32;
        }
        let times = sorted.into_iter().map(|at| self.times[at].clone());
        (order, times.collect())
    }
}

fn name(spawned: Spawned) -> String {
    let future = spawned.meta.map(|meta| role::root_name(meta.type_name()));
    let at = spawned
        .location
        .map(|at| format!("{}:{}", shortened(at.file()), at.line()));
    match (future, at) {
        (Some(future), Some(at)) => format!("{future} ({at})"),
        (Some(future), None) => future,
        (None, Some(at)) => format!("task spawned at {at}"),
        (None, None) => "a task that has ended".to_owned(),
    }
}
