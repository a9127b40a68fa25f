//! The list of tasks for the HTML pages: in groups or one by one, in an order. Also the facts about one task.

use super::doing::Does;
use super::goroutine::{Goroutines, Pairs};
use super::goroutine_forms::first_equal;
use super::held_locks;
use super::own_code::is_own;
use super::selection::Selection;
use super::site_bytes::{Bytes, SiteBytes};
use crate::registry::task::Kind;
use crate::snapshot::tasks::Row;
use runtime_dump::goroutine::State;
use runtime_dump::source_path::shortened;
use runtime_dump::stack::{BranchKind, Frame, Location, Stack};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How tasks are grouped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GroupBy {
    /// Tasks with equal stacks that do the same.
    #[default]
    Stack,
    /// Tasks of one spawn location.
    Site,
    /// Each task is an entry.
    Task,
}

/// The order of the entries; the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Number of tasks.
    #[default]
    Tasks,
    /// Time in the current state.
    Since,
    /// Number of polls.
    Polls,
    /// Time inside polls.
    Busy,
    /// Bytes in use, of spawn sites.
    Heap,
}

/// Tasks at one moment, and the entries of their list.
pub(crate) struct TaskTable {
    goroutines: Goroutines,
    entries: Vec<Entry>,
    heap: Heap,
}

/// Whether entries have bytes of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heap {
    /// They are no spawn sites.
    NotAsked,
    /// Why there are none.
    Unknown(&'static str),
    /// There are, and so many are in use of spawn sites that have no task now.
    Known {
        /// In no entry.
        elsewhere_in_use: u64,
    },
}

/// What the tasks of a spawn site have allocated, those included that have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryBytes {
    pub(crate) bytes: Bytes,
    /// There are other entries of the same line, and these are the bytes of all of them.
    pub(crate) is_shared: bool,
}

/// An entry: a task, or a group of tasks.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The index of the row that represents the group: the task that has been longest in its state.
    first: usize,
    pub(crate) tasks: u64,
    pub(crate) longest_ns: u64,
    pub(crate) polls: u64,
    pub(crate) busy_ns: u64,
    /// `None` where that is not known.
    pub(crate) bytes: Option<EntryBytes>,
    /// The ids of the first tasks.
    pub(crate) ids: Vec<u64>,
}

/// The most ids of a group that are listed.
const MOST_IDS: usize = 12;

/// One task.
pub(crate) struct TaskView<'t> {
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    /// The task's name, or that of its future.
    pub(crate) name: Option<String>,
    pub(crate) state: State,
    /// The text in the brackets of a dump.
    pub(crate) reason: &'t str,
    pub(crate) since_ns: u64,
    pub(crate) polls: u64,
    pub(crate) busy_ns: u64,
    pub(crate) labels: Pairs,
    /// Notes, as in a dump.
    pub(crate) notes: Vec<String>,
    pub(crate) spawned: Option<Spawned<'t>>,
    pub(crate) stack: StackView<'t>,
    /// A key of the stack and the reason, for a link to all such tasks.
    pub(crate) stack_key: String,
}

/// Where a task was spawned.
pub(crate) struct Spawned<'t> {
    pub(crate) function: Option<&'t str>,
    pub(crate) place: String,
    /// A key, for a link to all tasks of this location.
    pub(crate) key: String,
}

/// A stack in parts: the frames of each branch, then the trunk.
pub(crate) struct StackView<'t> {
    pub(crate) parts: Vec<Part<'t>>,
    /// Why there is no stack.
    pub(crate) missing: Option<&'t str>,
}

/// Frames, the innermost first.
pub(crate) struct Part<'t> {
    /// The title of a branch.
    pub(crate) title: Option<String>,
    pub(crate) lines: Vec<Line<'t>>,
}

/// A frame.
#[derive(Clone, Debug)]
pub(crate) struct Line<'t> {
    pub(crate) function: &'t str,
    /// `src/shop.rs:12`; empty if it is not known.
    pub(crate) place: String,
    /// Whether the frame is of the program's own crates.
    pub(crate) is_own: bool,
}

impl StackView<'_> {
    /// The innermost frame of the program's own crates, or else the innermost frame.
    pub(crate) fn innermost_own(&self) -> Option<&Line<'_>> {
        let lines = || self.parts.iter().flat_map(|part| &part.lines);
        lines().find(|line| line.is_own).or_else(|| lines().next())
    }
}

impl TaskTable {
    /// Takes a snapshot of the selected tasks.
    pub(crate) fn collect(selection: Selection) -> TaskTable {
        TaskTable {
            goroutines: Goroutines::collect(selection),
            entries: Vec::new(),
            heap: Heap::NotAsked,
        }
    }

    /// Keeps the tasks with that stack and that spawn site, by their keys.
    pub(crate) fn keep(&mut self, stack: Option<&str>, site: Option<&str>) {
        let goroutines = &mut self.goroutines;
        if let Some(wanted) = stack {
            let stacks = goroutines.tables.stacks.iter().zip(&goroutines.doings);
            let keys: Vec<bool> = stacks
                .map(|(stack, doing)| key_of(&(stack, doing.text())) == wanted)
                .collect();
            goroutines
                .tasks
                .rows
                .retain(|row| keys[row.stack_key as usize]);
        }
        if let Some(wanted) = site {
            let sites = goroutines.tables.sites.iter();
            let keys: Vec<bool> = sites.map(|site| key_of(site) == wanted).collect();
            goroutines
                .tasks
                .rows
                .retain(|row| keys.get(row.site as usize).is_some_and(|is| *is));
        }
    }

    /// Groups the tasks to entries.
    pub(crate) fn group(&mut self, by: GroupBy, order: Order) {
        let goroutines = &self.goroutines;
        let rows = &goroutines.tasks.rows;
        let mut entries: Vec<Entry> = match by {
            GroupBy::Task => {
                let rows = rows.iter().enumerate();
                rows.map(|(at, row)| Entry::of(at, row)).collect()
            }
            GroupBy::Stack => {
                let stacks = first_equal(&goroutines.tables.stacks);
                grouped(rows, |row| {
                    let does: Does = goroutines.doings[row.stack_key as usize].does;
                    (stacks[row.stack_key as usize], does)
                })
            }
            GroupBy::Site => {
                let sites = first_equal(&goroutines.tables.sites);
                grouped(rows, |row| sites.get(row.site as usize).copied())
            }
        };
        self.heap = match by {
            GroupBy::Site => add_bytes(goroutines, &mut entries),
            GroupBy::Stack | GroupBy::Task => Heap::NotAsked,
        };
        // The sort is stable: equal entries stay in the order of a dump.
        match order {
            Order::Tasks if by == GroupBy::Task => {}
            Order::Tasks => entries.sort_by_key(|entry| Reverse(entry.tasks)),
            Order::Since => entries.sort_by_key(|entry| Reverse(entry.longest_ns)),
            Order::Polls => entries.sort_by_key(|entry| Reverse(entry.polls)),
            Order::Busy => entries.sort_by_key(|entry| Reverse(entry.busy_ns)),
            Order::Heap => entries.sort_by_key(|entry| {
                let in_use = entry.bytes.map(|known| known.bytes.in_use);
                Reverse(in_use.unwrap_or_default())
            }),
        }
        self.entries = entries;
    }

    /// The entries.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether they have bytes of the heap.
    pub(crate) fn heap(&self) -> Heap {
        self.heap
    }

    /// The number of all tasks.
    pub(crate) fn all(&self) -> usize {
        self.goroutines.all
    }

    /// The number of selected tasks.
    pub(crate) fn wanted(&self) -> usize {
        self.goroutines.tasks.rows.len()
    }

    /// Remarks for the reader.
    pub(crate) fn remarks(&self) -> Vec<String> {
        self.goroutines.conditions().collect()
    }

    /// The facts about the task that represents an entry.
    pub(crate) fn view(&self, entry: &Entry) -> Option<TaskView<'_>> {
        Some(self.of_row(self.goroutines.tasks.rows.get(entry.first)?))
    }

    /// The facts about a task, by its id.
    pub(crate) fn task(&self, id: u64) -> Option<TaskView<'_>> {
        let mut rows = self.goroutines.tasks.rows.iter();
        Some(self.of_row(rows.find(|row| row.id == id)?))
    }

    /// The tasks that a task has spawned: (id, description).
    pub(crate) fn children(&self, parent: u64) -> Vec<(u64, String)> {
        let rows = self.goroutines.tasks.rows.iter();
        let children = rows.filter(|row| row.parent == parent);
        children
            .map(|row| (row.id, self.goroutines.with_name(row)))
            .collect()
    }

    fn of_row(&self, row: &Row) -> TaskView<'_> {
        let goroutines = &self.goroutines;
        let at = row.stack_key as usize;
        let doing = &goroutines.doings[at];
        let stack = &goroutines.tables.stacks[at];
        TaskView {
            id: row.id,
            parent: (row.parent != 0).then_some(row.parent),
            name: held_locks::name(&goroutines.tasks, row),
            state: doing.does.state(),
            reason: goroutines.leaked.marked(row.id, doing.does),
            since_ns: row.since_ns,
            polls: row.polls,
            busy_ns: row.busy_ns,
            labels: goroutines.labels(row),
            notes: goroutines.notes(row),
            spawned: goroutines
                .tables
                .sites
                .get(row.site as usize)
                .map(|site| Spawned {
                    function: site.function.as_deref(),
                    place: format!("{}:{}:{}", shortened(&site.file), site.line, site.column),
                    key: key_of(site),
                }),
            stack: view(stack),
            stack_key: key_of(&(stack, doing.text())),
        }
    }
}

impl Entry {
    fn of(first: usize, row: &Row) -> Entry {
        Entry {
            first,
            tasks: 1,
            longest_ns: row.since_ns,
            polls: row.polls,
            busy_ns: row.busy_ns,
            bytes: None,
            ids: Vec::new(),
        }
    }
}

/// Gives entries of spawn sites the bytes of their locations.
fn add_bytes(goroutines: &Goroutines, entries: &mut [Entry]) -> Heap {
    let bytes = match SiteBytes::collect() {
        Ok(bytes) => bytes.by_location(),
        Err(why) => return Heap::Unknown(why),
    };
    let tasks = &goroutines.tasks;
    let location = |entry: &Entry| {
        let row = &tasks.rows[entry.first];
        // Samples do not tell which foreign task allocated.
        let is_known = tasks.stack_keys[row.stack_key as usize].kind != Kind::Foreign;
        let site = tasks.sites.get(row.site as usize)?;
        is_known.then_some(*site.location)
    };
    let mut shares: HashMap<_, usize> = HashMap::new();
    for at in entries.iter().filter_map(location) {
        *shares.entry(at).or_default() += 1;
    }
    for entry in entries {
        entry.bytes = location(entry).map(|at| EntryBytes {
            bytes: bytes.get(&at).copied().unwrap_or_default(),
            is_shared: shares[&at] > 1,
        });
    }
    let alive: HashSet<_> = tasks.sites.iter().map(|site| *site.location).collect();
    let elsewhere = bytes.iter().filter(|(at, _)| !alive.contains(at));
    Heap::Known {
        elsewhere_in_use: elsewhere.map(|(_, bytes)| bytes.in_use).sum(),
    }
}

/// Groups rows by key, in the order of the first row of each group.
fn grouped<K: Eq + Hash>(rows: &[Row], key: impl Fn(&Row) -> K) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut known: HashMap<K, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let index = *known.entry(key(row)).or_insert(entries.len());
        match entries.get_mut(index) {
            None => {
                let mut entry = Entry::of(at, row);
                entry.ids.push(row.id);
                entries.push(entry);
            }
            Some(entry) => {
                entry.tasks += 1;
                if row.since_ns > entry.longest_ns {
                    (entry.first, entry.longest_ns) = (at, row.since_ns);
                }
                entry.polls = entry.polls.saturating_add(row.polls);
                entry.busy_ns = entry.busy_ns.saturating_add(row.busy_ns);
                if entry.ids.len() < MOST_IDS {
                    entry.ids.push(row.id);
                }
            }
        }
    }
    entries
}

/// 16 digits, the same for equal things in one process.
fn key_of(thing: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn view(stack: &Stack) -> StackView<'_> {
    let branches = stack.branches.iter().enumerate();
    let count = stack.branches.len();
    let mut parts: Vec<Part<'_>> = branches
        .map(|(at, branch)| Part {
            title: Some(match branch.kind {
                BranchKind::Waiting => format!("branch {} of {count}", at + 1),
                BranchKind::AlsoRegistered => {
                    format!("branch {} of {count}, registered in the same poll", at + 1)
                }
            }),
            lines: lines(&branch.locations),
        })
        .collect();
    match stack.elided {
        Some((gap, elided)) if gap <= stack.trunk.len() => {
            let (inner, outer) = stack.trunk.split_at(gap);
            parts.push(Part {
                title: None,
                lines: lines(inner),
            });
            parts.push(Part {
                title: Some(format!("{elided} frames are left out here")),
                lines: lines(outer),
            });
        }
        _ => parts.push(Part {
            title: (count > 0).then(|| "below all branches".to_owned()),
            lines: lines(&stack.trunk),
        }),
    }
    parts.retain(|part| part.title.is_some() || !part.lines.is_empty());
    StackView {
        parts,
        missing: stack.missing.as_deref(),
    }
}

fn lines(locations: &[Arc<Location>]) -> Vec<Line<'_>> {
    let shown = locations.iter().filter(|location| !location.hidden);
    shown
        .flat_map(|location| &location.frames)
        .map(line)
        .collect()
}

fn line(frame: &Frame) -> Line<'_> {
    Line {
        function: &frame.function,
        place: match (&*frame.file, frame.line) {
            ("", _) => String::new(),
            (file, 0) => shortened(file).to_owned(),
            (file, line) => format!("{}:{line}", shortened(file)),
        },
        is_own: is_own(frame),
    }
}
