//! A copy of all tasks: a row for each, and tables of their common properties.
//!
//! A row is 64 bytes, so a million tasks are 64 MB. Stacks and spawn sites, of which a program has few, are stored
//! once. Taking the copy takes no lock that a task could wait for, and disturbs no thread.

use super::remaining::Remaining;
use super::state::{Doing, ForeignRunning};
use crate::clock::{self, Scale};
use crate::labels::LabelSet;
use crate::primitive::Ordering;
use crate::registry::local_sets::{self, Polled};
use crate::registry::names::{self, NameNumber};
use crate::registry::runtimes::{self, Idle, Runtime, RuntimeNumber};
use crate::registry::slab;
use crate::registry::task::{Kind, Record, View, Waking};
use crate::registry::threads::{self, Slot, Thread};
use crate::stack::raw::FutureMeta;
use crate::stack::wait_set::WaitSet;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

pub(crate) use super::state::State;

/// One task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: u64,
    /// 0 for none.
    pub(crate) parent: u64,
    /// Nanoseconds in the state.
    pub(crate) since_ns: u64,
    pub(crate) busy_ns: u64,
    pub(crate) polls: u64,
    /// Of a running task: its thread. Of a runnable one: the source of its wake. Packed.
    by: u64,
    /// Key of [`Tasks::names`]; 0 for a task without a name.
    pub(crate) name: NameNumber,
    /// Index into [`Tasks::stack_keys`].
    pub(crate) stack_key: u32,
    /// Index into [`Tasks::sites`]; `u32::MAX` for none.
    pub(crate) site: u32,
    /// A runtime of [`Tasks::runtimes`]; 0 if not known.
    pub(crate) runtime: RuntimeNumber,
    pub(crate) flags: Flags,
}

const _: () = assert!(size_of::<Row>() == 64);

impl Row {
    /// The thread of a running task, or the source of a runnable task's wake.
    pub(crate) fn by(&self) -> Waking {
        Waking::unpack(self.by)
    }
}

/// Flags of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flags(u8);

impl Flags {
    fn with(self, flag: u8, on: bool) -> Self {
        Flags(self.0 | u8::from(on) << flag)
    }

    fn has(self, flag: u8) -> bool {
        self.0 >> flag & 1 == 1
    }

    /// Whether it waits, and has no waker left.
    pub(crate) fn lost(self) -> bool {
        self.has(0)
    }

    /// Whether it is frozen, so registrations may be missing.
    pub(crate) fn frozen(self) -> bool {
        self.has(1)
    }

    /// Whether the stack belongs to an earlier poll: the last poll made no registration.
    pub(crate) fn stale(self) -> bool {
        self.has(2)
    }
}

/// All properties that determine the stack of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackKey {
    pub(crate) state: State,
    pub(crate) kind: Kind,
    /// The registrations of the last poll that had any.
    pub(crate) waits: Option<&'static WaitSet>,
    pub(crate) remaining: Remaining,
    /// For a nested future, the registrations of the task around it.
    pub(crate) around: Option<&'static WaitSet>,
    pub(crate) meta: Option<&'static FutureMeta>,
    /// The `LocalSet` of a ready local task; 0 otherwise.
    pub(crate) local_set: u32,
    /// The spawn location, for tasks without any stack.
    pub(crate) spawned_at: Option<&'static Location<'static>>,
}

impl StackKey {
    fn key(&self) -> (State, Kind, u32, Remaining, [usize; 4]) {
        fn address<T>(of: Option<&'static T>) -> usize {
            of.map_or(0, |of| std::ptr::from_ref(of).addr())
        }
        let addresses = [
            address(self.waits),
            address(self.around),
            address(self.meta),
            address(self.spawned_at),
        ];
        (
            self.state,
            self.kind,
            self.local_set,
            self.remaining,
            addresses,
        )
    }
}

impl PartialEq for StackKey {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for StackKey {}

impl Hash for StackKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key().hash(hasher);
    }
}

/// A spawn site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpawnSite {
    pub(crate) location: &'static Location<'static>,
    /// 0 if unknown.
    pub(crate) pc: usize,
}

/// All tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    pub(crate) rows: Vec<Row>,
    pub(crate) stack_keys: Vec<StackKey>,
    pub(crate) sites: Vec<SpawnSite>,
    pub(crate) threads: HashMap<u32, Thread>,
    /// The runtimes with hooks of the probe, ordered by number.
    pub(crate) runtimes: Vec<Arc<Runtime>>,
    /// The polls of the `LocalSet`s.
    pub(crate) local_sets: HashMap<u32, Polled>,
    /// Converts timestamps.
    pub(crate) scale: Scale,
    /// The names of tasks, except of those that have ended meanwhile.
    pub(crate) names: HashMap<NameNumber, Arc<str>>,
    /// The labels of tasks that have some, by id.
    labels: HashMap<u64, LabelSet>,
    /// Wall-clock time, nanoseconds since 1970.
    pub(crate) time_ns: i64,
}

/// The number of live tasks, cheaper than a snapshot.
pub(crate) fn count() -> usize {
    counts().all
}

/// The numbers of tasks of some kinds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) foreign: usize,
    /// Tasks of runtimes without hooks of ours.
    pub(crate) unhooked: usize,
    pub(crate) all: usize,
}

/// The task of a record. A task without an id is left out: its spawn is under way.
pub(super) fn known(record: &Record) -> Option<View> {
    record.view().filter(|view| view.id != 0)
}

/// Counts the tasks.
pub(crate) fn counts() -> Counts {
    let mut counts = Counts::default();
    slab::for_each(|record| {
        if let Some(view) = known(record) {
            let of_a_runtime = matches!(view.kind, Kind::Task | Kind::Local | Kind::BlockOn);
            counts.all += 1;
            counts.foreign += usize::from(view.kind == Kind::Foreign);
            counts.unhooked += usize::from(
                of_a_runtime && view.polls > 0 && view.runtime == RuntimeNumber::default(),
            );
        }
    });
    counts
}

impl Tasks {
    /// Takes the copy.
    pub(crate) fn take() -> Tasks {
        let scale = Scale::now();
        let alive = threads::alive();
        let running = foreign_running(&alive);
        let around = Surroundings::take();
        let mut tables = Tables::default();
        let (mut rows, mut labels) = (Vec::new(), HashMap::new());
        slab::for_each(|record| {
            let Some(view) = known(record) else { return };
            if rows.len() == rows.capacity() {
                // Grow by an eighth: at a million rows, doubling would waste 64 MB.
                rows.reserve_exact((rows.len() / 8).max(1024));
            }
            rows.push(tables.row(&view, &scale, &running, &around));
            if !view.labels.is_none() {
                labels.insert(view.id, view.labels);
            }
        });
        let mut names: Vec<NameNumber> = rows
            .iter()
            .map(|row| row.name)
            .filter(|name| *name != NameNumber(0))
            .collect();
        names.sort_unstable();
        names.dedup();
        Tasks {
            rows,
            runtimes: runtimes::alive(),
            local_sets: local_sets::all(),
            scale,
            labels,
            names: names::texts(&names),
            stack_keys: tables.stack_keys,
            sites: tables.sites,
            threads: alive
                .into_iter()
                .map(|(number, (thread, _))| (number, thread))
                .collect(),
            time_ns: clock::wall_ns(),
        }
    }

    /// The labels of a task.
    pub(crate) fn labels_of(&self, id: u64) -> LabelSet {
        self.labels.get(&id).copied().unwrap_or_default()
    }

    /// Since when no thread runs a `current_thread` runtime.
    pub(crate) fn idle(&self, number: RuntimeNumber) -> Option<Idle> {
        let mut runtimes = self.runtimes.iter();
        runtimes.find(|runtime| runtime.number == number)?.idle()
    }

    /// The name of a live runtime.
    pub(crate) fn runtime(&self, number: RuntimeNumber) -> Option<&str> {
        let at = self
            .runtimes
            .binary_search_by_key(&number.0, |runtime| runtime.number.0);
        at.ok().map(|at| &*self.runtimes[at].name)
    }
}

/// Foreign tasks that are being polled, with thread and begin. The hook stamps the thread before the poll; the record
/// is written after it.
pub(super) fn foreign_running(alive: &HashMap<u32, (Thread, &'static Slot)>) -> ForeignRunning {
    alive
        .values()
        .map(|(_, slot)| (slot.foreign.load(Ordering::Acquire), slot))
        .filter(|(id, _)| *id != 0)
        .map(|(id, slot)| {
            let since = slot.foreign_since.load(Ordering::Relaxed);
            (id, (slot.number(), since))
        })
        .collect()
}

/// Relations between nested futures and the tasks around them. Most programs have none.
#[derive(Default)]
struct Surroundings {
    /// The registrations of outer records, by address.
    waits: HashMap<usize, Option<&'static WaitSet>>,
    /// By the address of an outer record: how many of its wakers belong to nested futures that nothing can wake.
    dead_wakers: HashMap<usize, usize>,
}

impl Surroundings {
    fn take() -> Self {
        let mut all = Surroundings::default();
        slab::for_each(|record| {
            if record.kind() == Kind::Nested
                && let Some(view) = record.view()
                && view.outer != 0
            {
                all.waits.insert(view.outer, None);
                let waiting = !view.polling && view.woken.is_none() && view.polls > 0;
                *all.dead_wakers.entry(view.outer).or_default() +=
                    usize::from(waiting && view.wakers == 0);
            }
        });
        if !all.waits.is_empty() {
            slab::for_each(|record| {
                if let Some(waits) = all.waits.get_mut(&(std::ptr::from_ref(record) as usize)) {
                    *waits = record.view().and_then(|view| view.waits);
                }
            });
        }
        all
    }
}

#[derive(Default)]
struct Tables {
    stack_keys: Vec<StackKey>,
    sites: Vec<SpawnSite>,
    index_of: HashMap<StackKey, u32, BuildHasherDefault<WordHasher>>,
    site_of: HashMap<(usize, usize), u32, BuildHasherDefault<WordHasher>>,
}

impl Tables {
    fn row(
        &mut self,
        view: &View,
        scale: &Scale,
        running: &ForeignRunning,
        around: &Surroundings,
    ) -> Row {
        let Doing { state, since, by } = Doing::of(view, running);
        let dead = around.dead_wakers.get(&view.address).copied().unwrap_or(0);
        let waiting = state == State::Waiting;
        let remaining = match waiting && view.kind != Kind::Foreign {
            true => Remaining::of(view, dead),
            false => Remaining::All,
        };
        let flags = Flags::default()
            .with(0, remaining == Remaining::None)
            .with(1, view.frozen)
            .with(2, waiting && view.waits.is_some() && !view.waits_are_new);
        let key = StackKey {
            state,
            kind: view.kind,
            waits: if state == State::Running {
                None
            } else {
                view.waits
            },
            remaining,
            around: around.waits.get(&view.outer).copied().flatten(),
            meta: view.meta,
            local_set: if state == State::Runnable {
                view.local_set
            } else {
                0
            },
            spawned_at: view.location.filter(|_| {
                state == State::Queued
                    || view.kind == Kind::Foreign
                    || view.waits.is_none() && view.meta.is_none()
            }),
        };
        let now_busy = if view.polling {
            scale.since(view.since)
        } else {
            0
        };
        Row {
            id: view.id,
            parent: view.parent,
            since_ns: scale.since(since),
            busy_ns: scale.ns(view.busy) + now_busy,
            polls: view.polls,
            by: by.pack(),
            name: view.name,
            stack_key: self.index(key),
            site: view
                .location
                .map_or(u32::MAX, |location| self.site(location, view.pc)),
            runtime: view.runtime,
            flags,
        }
    }

    fn index(&mut self, key: StackKey) -> u32 {
        *self.index_of.entry(key).or_insert_with(|| {
            self.stack_keys.push(key);
            self.stack_keys.len() as u32 - 1
        })
    }

    fn site(&mut self, location: &'static Location<'static>, pc: usize) -> u32 {
        *self
            .site_of
            .entry((std::ptr::from_ref(location) as usize, pc))
            .or_insert_with(|| {
                self.sites.push(SpawnSite { location, pc });
                self.sites.len() as u32 - 1
            })
    }
}

/// Hashes the few words of a key. They are addresses of our tables, so no attacker can choose them.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }
    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = crate::stack::intern::mix(self.0, word);
    }
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}
