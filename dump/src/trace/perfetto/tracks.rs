//! The tracks of a trace, and their order below each other.

use super::NO_NAME;
use super::packet::{
    CounterDescriptor, ProcessDescriptor, ThreadDescriptor, TrackDescriptor, Unit,
};
use crate::trace::tables::TextNumber;
use std::collections::{HashMap, HashSet, VecDeque};

/// The most tasks with a track of their own. The viewer draws a line for each.
const MOST_TASKS: usize = 1000;

const PROCESS: u64 = 1;
const TASKS: u64 = 2;
const SITES: u64 = 3;
const USER_TASKS: u64 = 4;
const THREADS: u64 = 1 << 60;
const FIRST_FREE: u64 = 1 << 8;

#[derive(Debug)]
pub(super) struct Tracks {
    pid: i32,
    /// Tracks without a written descriptor.
    new: VecDeque<TrackDescriptor>,
    next: u64,
    threads: HashSet<u64>,
    workers: Vec<u64>,
    tasks: usize,
    /// The counter tracks of the process, by the number of the name.
    counters: HashMap<u64, u64>,
    /// The tracks that count tasks, with the current count, by the number of the name.
    counts: HashMap<u64, (u64, i64)>,
    /// The tracks of ended user tasks, by name. The next user task of the name uses one of them.
    idle: HashMap<String, Vec<u64>>,
    names: HashMap<u64, String>,
}

impl Tracks {
    pub(super) fn new(pid: u32) -> Self {
        Tracks {
            pid: pid as i32,
            new: VecDeque::new(),
            next: FIRST_FREE,
            threads: HashSet::new(),
            workers: Vec::new(),
            tasks: 0,
            counters: HashMap::new(),
            counts: HashMap::new(),
            idle: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// The descriptor of the process.
    pub(super) fn process(&mut self, name: &str) -> TrackDescriptor {
        for (uuid, name) in [
            (TASKS, "tasks"),
            (SITES, "tasks without a track"),
            (USER_TASKS, "user tasks"),
        ] {
            self.new.push_back(named(uuid, PROCESS, name));
        }
        TrackDescriptor {
            uuid: Some(PROCESS),
            process: Some(ProcessDescriptor {
                pid: Some(self.pid),
                process_name: Some(name.to_owned()),
            }),
            ..TrackDescriptor::default()
        }
    }

    /// Takes the next track that needs a descriptor.
    pub(super) fn next_new(&mut self) -> Option<TrackDescriptor> {
        self.new.pop_front()
    }

    fn add(&mut self, parent: u64, name: &str) -> u64 {
        let uuid = self.next;
        self.next += 1;
        self.new.push_back(named(uuid, parent, name));
        uuid
    }

    /// Marks a thread as a worker. The name appears only if the thread has no track yet.
    pub(super) fn worker(&mut self, thread: u64) {
        if !self.workers.contains(&thread) {
            self.workers.push(thread);
        }
    }

    pub(super) fn thread(&mut self, thread: u64) -> u64 {
        let uuid = THREADS | thread;
        if self.threads.insert(thread) {
            let worker = self.workers.iter().position(|worker| *worker == thread);
            let name = worker.map_or("thread".to_owned(), |number| format!("worker {number}"));
            self.new.push_back(TrackDescriptor {
                uuid: Some(uuid),
                parent_uuid: Some(PROCESS),
                thread: Some(ThreadDescriptor {
                    pid: Some(self.pid),
                    tid: Some(thread as i64),
                    thread_name: Some(name),
                }),
                ..TrackDescriptor::default()
            });
        }
        uuid
    }

    /// The track of a task; `None` beyond [`MOST_TASKS`].
    pub(super) fn task(&mut self, id: u64, name: &str) -> Option<u64> {
        (self.tasks < MOST_TASKS).then(|| {
            self.tasks += 1;
            self.add(TASKS, &format!("{id} {name}"))
        })
    }

    fn add_counter(&mut self, parent: u64, name: &str) -> u64 {
        let track = self.add(parent, name);
        if let Some(descriptor) = self.new.back_mut() {
            descriptor.counter = Some(CounterDescriptor {
                unit: Some(Unit::Count.into()),
            });
        }
        track
    }

    /// The track of a counter of the process.
    pub(super) fn counter(&mut self, number: u64, name: &str) -> u64 {
        if let Some(known) = self.counters.get(&number) {
            return *known;
        }
        let track = self.add_counter(PROCESS, name);
        self.counters.insert(number, track);
        track
    }

    /// Changes the count of tasks without a track, for one name. Returns the track and the new count.
    pub(super) fn count(&mut self, number: u64, name: &str, more: i64) -> (u64, i64) {
        let track = match self.counts.get(&number) {
            Some((track, _)) => *track,
            None => self.add_counter(SITES, name),
        };
        let (_, count) = self.counts.entry(number).or_insert((track, 0));
        *count += more;
        (track, *count)
    }

    /// Adds a track for regions below a task or a thread.
    pub(super) fn regions(&mut self, above: Option<u64>) -> u64 {
        self.add(above.unwrap_or(USER_TASKS), "regions")
    }

    /// The track of a user task. Successive user tasks of one name share a track.
    pub(super) fn user_task(&mut self, name: &str) -> u64 {
        let name = if name.is_empty() { NO_NAME } else { name };
        if let Some(idle) = self.idle.get_mut(name).and_then(Vec::pop) {
            return idle;
        }
        let track = self.add(USER_TASKS, name);
        self.names.insert(track, name.to_owned());
        track
    }

    pub(super) fn user_task_ended(&mut self, track: u64) {
        if let Some(name) = self.names.get(&track) {
            self.idle.entry(name.clone()).or_default().push(track);
        }
    }
}

fn named(uuid: u64, parent: u64, name: &str) -> TrackDescriptor {
    TrackDescriptor {
        uuid: Some(uuid),
        parent_uuid: Some(parent),
        name: Some(name.to_owned()),
        ..TrackDescriptor::default()
    }
}

/// The owner of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Task(u64),
    Thread(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) user_task: u64,
    pub(super) name: TextNumber,
}

/// The tracks of regions. Regions may overlap, so each track has one open region at a time.
#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<Owner, Vec<(u64, Option<Region>)>>);

impl Lanes {
    /// Returns the track for a region that begins.
    pub(super) fn begin(&mut self, owner: Owner, region: Region, new: impl FnOnce() -> u64) -> u64 {
        let lanes = self.0.entry(owner).or_default();
        match lanes.iter_mut().find(|(_, open)| open.is_none()) {
            Some((track, open)) => {
                *open = Some(region);
                *track
            }
            None => {
                let track = new();
                lanes.push((track, Some(region)));
                track
            }
        }
    }

    /// Returns the track of a region that ends, if the region is open.
    pub(super) fn end(&mut self, owner: Owner, region: Region) -> Option<u64> {
        let lanes = self.0.get_mut(&owner)?.iter_mut().rev();
        let mut open = lanes.filter(|(_, open)| *open == Some(region));
        let (track, open) = open.next()?;
        *open = None;
        Some(*track)
    }

    /// Removes an owner, and returns the tracks of its open regions.
    pub(super) fn end_all(&mut self, owner: Owner) -> Vec<u64> {
        let lanes = self.0.remove(&owner).unwrap_or_default();
        let open = lanes.into_iter().filter(|(_, open)| open.is_some());
        open.map(|(track, _)| track).collect()
    }
}
