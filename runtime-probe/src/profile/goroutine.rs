//! The goroutine profile, which is the dump of all tasks. Its output formats are in [`super::goroutine_forms`].

use super::awaited::Awaited;
use super::conditions::{self, Condition};
#[cfg(feature = "decode")]
use super::decoded::{Decoded, Decoding};
use super::diagnosis::count_unlisted;
use super::doing::{Does, Doing};
#[cfg(feature = "decode")]
use super::given_permits::Permits;
use super::goroutine_forms::Lines;
#[cfg(feature = "decode")]
use super::held_locks;
use super::held_locks::{HeldLocks, place};
use super::idle;
use super::leaf_stacks::{Assembled, assemble, synthetic};
use super::leaks::Leaked;
use super::mappings::mappings;
use super::named::NamedProfile;
#[cfg(not(feature = "decode"))]
use super::permit_waits::NO_DECODE;
use super::permit_waits::{LONG_FOR_PERMITS_NS, is_for_permits, unknown_permits};
use super::selection::{Finder, Leaks, Selection, grouped};
use super::thread_stacks::{self, Walked, of_foreign, of_task};
use crate::ask::settle::{Settling, settle};
#[cfg(feature = "decode")]
use crate::registry::locks::Who;
use crate::registry::names::NameNumber;
use crate::registry::task::{Kind, Waking};
use crate::registry::threads::ThreadNumber;
#[cfg(feature = "decode")]
use crate::snapshot::futurelocks::HANDED_OVER_NS;
use crate::snapshot::joins::Joins;
use crate::snapshot::locks::Locks;
use crate::snapshot::rates::{Rate, Rates};
use crate::snapshot::running::{Found as Where, Running};
use crate::snapshot::stuck_locks::StuckLocks;
use crate::snapshot::tasks::{self, Row, SpawnSite, StackKey, Tasks};
use crate::snapshot::under_way;
use crate::symbol::name::Names;
use crate::symbol::reason::Reason;
use crate::symbol::resolver::{self as symbol, Resolver, resolver};
use crate::symbol::role;
use runtime_dump::goroutine::notes::Notes;
use runtime_dump::goroutine::{Goroutine, State, Tables};
use runtime_dump::source_path::shortened;
use runtime_dump::stack::{BranchKind, Frame, Location, Site, Stack};
#[cfg(feature = "decode")]
use runtime_dump_decode::numbers::NumberMap;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The profile's name in Go's tools.
pub(crate) const NAME: &str = "goroutine";

/// The profile under its name.
pub(crate) const PROFILE: NamedProfile = NamedProfile {
    name: NAME,
    most_debug: 3,
    count: tasks::count,
    write: |out, debug| {
        let goroutines = Goroutines::collect(Selection::default());
        match debug {
            0 => out.write_all(&goroutines.profile().to_gzip()),
            1 => goroutines.write_count_text(out),
            2 => goroutines.write_text(out, Lines::All),
            _ => goroutines.write_samples(out),
        }
    },
};

/// The selected tasks at one moment, with names.
pub(crate) struct Goroutines {
    pub(super) tasks: Tasks,
    pub(super) tables: Tables,
    /// What tasks do, by stack key.
    pub(super) doings: Vec<Doing>,
    pub(super) selection: Selection,
    /// How many tasks there are, selected or not.
    pub(super) all: usize,
    /// How many tasks no dump lists.
    pub(super) unlisted: u64,
    /// How many tasks were woken for this dump, and how many of them were polled.
    pub(super) settling: Settling,
    /// By task: what its thread did, and why its stack may be incomplete.
    asked: HashMap<u64, Asked>,
    /// The poll rates of the tasks that are polled very often.
    rates: HashMap<u64, Rate>,
    /// By thread: the local task that it polls, maybe inside the poll of a root.
    polled_on: HashMap<ThreadNumber, u64>,
    /// The conditions of whole runtimes.
    pub(super) conditions: Vec<Condition>,
    /// The locks with waiters.
    pub(super) locks: HeldLocks,
    /// Which tasks wait for the end of which.
    pub(super) awaited: Awaited,
    /// Tasks that can never continue, if the selection asks for them.
    pub(super) leaked: Leaked,
    /// The decoded stacks of foreign tasks.
    #[cfg(feature = "decode")]
    pub(super) decoded: Decoded,
    /// Permits that were granted to tasks, which do not take them.
    #[cfg(feature = "decode")]
    permits: Permits,
    /// Why running tasks have no stack, and how many.
    pub(super) unseen: BTreeMap<String, usize>,
}

/// What a waiting task does, by its registrations.
fn waiting(found: &Assembled) -> Doing {
    Doing {
        branches: match &found.leaves[..] {
            [_] => Vec::new(),
            several => several.to_vec(),
        },
        deadline: found.deadline,
        ..Doing::of(Does::WaitsFor(found.reason))
    }
}

/// (key, value) of labels, as encoders take them.
pub(super) type Pairs = Vec<(&'static str, &'static str)>;

/// Why the stack of a running task was not found.
enum Unseen {
    /// The task's poll is over. The end of a foreign task's poll is noticed late, at its thread's next event.
    Waits,
    For(String),
}

/// What the thread of a running task told.
#[derive(Clone, Debug)]
struct Asked {
    /// What the thread was doing.
    doing: String,
    unfinished: Option<&'static str>,
    /// Of a long poll: the branches of the task that it does not poll meanwhile.
    beside: Vec<String>,
}

impl Goroutines {
    /// Takes a snapshot, finds its names and keeps the selected tasks: tasks that are polled very often first, then
    /// running ones, then the longest in their state.
    pub(crate) fn collect(selection: Selection) -> Self {
        let fresh = selection.fresh;
        let goroutines = Goroutines::take(selection);
        if !fresh {
            return goroutines;
        }
        let ambiguous = goroutines.ambiguous();
        let selection = goroutines.selection;
        let settling = settle(&ambiguous);
        Goroutines {
            settling,
            ..Goroutines::take(selection)
        }
    }

    fn take(selection: Selection) -> Self {
        // Reads the unwind tables of modules that were loaded since.
        crate::stack::unwind::refresh();
        let rates = Rates::begin();
        let tasks = Tasks::take();
        // Before anything slow, since polls end.
        let running = Running::take(&tasks);
        let locks = Locks::take(&tasks.scale);
        let under_way = under_way::of(&tasks);
        let rates = rates.end();
        // The decoding thread works while this one finds names.
        #[cfg(feature = "decode")]
        let decoding = match selection.without_decoding {
            true => None,
            false => Decoding::begin(&tasks, selection.reads_futures),
        };
        let mut resolver = resolver();
        let mut tables = Tables {
            time_ns: tasks.time_ns,
            mappings: mappings(&resolver),
            ..Tables::default()
        };
        let mut doings = Vec::with_capacity(tasks.stack_keys.len());
        for key in &tasks.stack_keys {
            let (stack, doing) = locate(key, selection.names, &mut resolver);
            tables.stacks.push(stack);
            doings.push(doing);
        }
        tables.sites = tasks
            .sites
            .iter()
            .map(|site| named(site, selection.names, &mut resolver))
            .collect();
        let polled_on = tasks.rows.iter().filter_map(|row| {
            let key = &tasks.stack_keys[row.stack_key as usize];
            match (row.by(), key.kind) {
                (Waking::Thread(thread), Kind::Local) if key.state == tasks::State::Running => {
                    Some((thread, row.id))
                }
                _ => None,
            }
        });
        // Slow: reads the memory of all tasks.
        let joins = match doings.iter().any(|doing| doing.waits_for(Reason::Join)) {
            true => Joins::take(),
            false => Joins::default(),
        };
        let stuck_locks = StuckLocks::of(&tasks, &locks, &joins);
        let look = conditions::Look::take(&under_way, stuck_locks);
        let conditions = look.conditions(|| &mut *resolver);
        let futurelocks = conditions::futurelocks(&conditions);
        let locks = HeldLocks::of(locks, futurelocks, &tasks, &mut resolver);
        let mut goroutines = Goroutines {
            polled_on: polled_on.collect(),
            all: tasks.rows.len(),
            unlisted: count_unlisted(),
            conditions,
            locks,
            awaited: Awaited::of(joins, &tasks),
            leaked: Leaked::default(),
            tasks,
            tables,
            doings,
            selection,
            settling: Settling::default(),
            asked: HashMap::new(),
            rates,
            #[cfg(feature = "decode")]
            decoded: Decoded::default(),
            #[cfg(feature = "decode")]
            permits: Permits::default(),
            unseen: BTreeMap::new(),
        };
        goroutines.walk_running(&running, &mut resolver);
        // Other dumps need the names.
        drop(resolver);
        #[cfg(feature = "decode")]
        if let Some(decoding) = decoding {
            // While the decoding thread works. The order is the same after it, and sorted rows are sorted fast.
            goroutines.sort();
            goroutines.decoded = Decoded::take(decoding);
            goroutines.place_decoded();
            goroutines.find_cycles();
        }
        goroutines.join_queued();
        #[cfg(feature = "decode")]
        goroutines.find_given_permits();
        if goroutines.selection.leaks != Leaks::Among {
            goroutines.leaked = goroutines.find_leaked();
        }
        goroutines.select();
        for stack in &mut goroutines.tables.stacks {
            goroutines.selection.crates.condense(stack);
        }
        goroutines.sort();
        goroutines
    }

    /// Gives each running task a stack key of its own, with its stack.
    fn walk_running(&mut self, running: &Running, resolver: &mut Resolver) {
        for at in 0..self.tasks.rows.len() {
            let row = self.tasks.rows[at];
            let Some(found) = running.of(&self.tasks, &row) else {
                continue;
            };
            let mut doing = self.doings[row.stack_key as usize].clone();
            let stack = match self.walked(found, resolver) {
                Ok((walked, thread)) => {
                    let unfinished = walked.unfinished;
                    let asked = Asked {
                        doing: thread,
                        unfinished,
                        beside: self.beside(&row, found, resolver),
                    };
                    self.asked.insert(row.id, asked);
                    // A stack of hidden frames only: the name of the future says more.
                    match walked.stack.trunk.iter().all(|location| location.hidden) {
                        true => self.tables.stacks[row.stack_key as usize].clone(),
                        false => walked.stack,
                    }
                }
                Err(Unseen::Waits) => {
                    doing = Doing::of(Does::Waiting);
                    let key = self.tasks.stack_keys[row.stack_key as usize];
                    unseen(&key, FOREIGN, resolver)
                }
                Err(Unseen::For(why)) => {
                    let mut stack = self.tables.stacks[row.stack_key as usize].clone();
                    *self.unseen.entry(why.clone()).or_default() += 1;
                    stack.missing = Some(why.into());
                    stack
                }
            };
            let key = self.tasks.stack_keys[row.stack_key as usize];
            self.tasks.rows[at].stack_key = self.add(key, stack, doing);
        }
    }

    /// Where a task in a long poll waits in other branches.
    fn beside(&self, row: &Row, found: Where, resolver: &mut Resolver) -> Vec<String> {
        match found {
            Where::There(capture, Some(poll)) if self.selection.is_slow(row.since_ns) => {
                let beside = thread_stacks::beside(capture, poll, resolver);
                let told = beside
                    .iter()
                    .map(|branch| format!("{} [{}]", place(&branch.frame), branch.reason.text()));
                told.collect()
            }
            _ => Vec::new(),
        }
    }

    /// Gives foreign tasks that wait the stacks of their futures.
    #[cfg(feature = "decode")]
    fn place_decoded(&mut self) {
        // (stack key, decoded stack) → new stack key.
        let mut placed: NumberMap<(u32, usize), u32> = NumberMap::default();
        // Neighbours are mostly of one kind.
        let mut last = None;
        let decoded = std::mem::take(&mut self.decoded);
        for at in 0..self.tasks.rows.len() {
            let row = self.tasks.rows[at];
            let Some(wait) = decoded.of(row.id).filter(|wait| wait.is_foreign) else {
                continue;
            };
            let Some((stack, made)) = wait.stack() else {
                continue;
            };
            let both = (row.stack_key, stack);
            let known = match last {
                Some((last, new)) if last == both => Some(new),
                _ => placed.get(&both).copied(),
            };
            let new = known.unwrap_or_else(|| {
                let key = self.tasks.stack_keys[row.stack_key as usize];
                let doing = match key.state {
                    tasks::State::Waiting => Doing {
                        branches: made.branches.clone(),
                        ..Doing::of(Does::WaitsFor(made.reason))
                    },
                    _ => self.doings[row.stack_key as usize].clone(),
                };
                let new = self.add(key, made.stack.clone(), doing);
                placed.insert(both, new);
                new
            });
            last = Some((both, new));
            self.tasks.rows[at].stack_key = new;
        }
        self.decoded = decoded;
    }

    /// Looks for futurelocks of tokio's semaphores, if a task has waited for permits for longer than a granted one
    /// takes to its next poll.
    #[cfg(feature = "decode")]
    fn find_given_permits(&mut self) {
        if self.selection.without_decoding || self.wait_for_permits(HANDED_OVER_NS) == 0 {
            return;
        }
        let knows = |id| self.locks.are_waited_for_by(id);
        let permits = match &self.decoded {
            decoded if decoded.is_of_all => {
                Permits::among(&self.tasks, &decoded.waiting, &decoded.found, knows)
            }
            _ => Permits::take(&self.tasks, knows),
        };
        let found: Vec<_> = permits
            .given
            .iter()
            .cloned()
            .map(Condition::GivenPermits)
            .collect();
        self.add_conditions(found);
        self.permits = permits;
    }

    /// Adds the tasks that wait for each other as their futures tell, but for deadlocks that the probe knows by itself.
    #[cfg(feature = "decode")]
    fn find_cycles(&mut self) {
        if self.decoded.cycles().next().is_none() {
            return;
        }
        let members = conditions::deadlocks(&self.conditions).flat_map(|one| &one.members);
        let known: HashSet<Who> = members.map(|member| member.who).collect();
        let rows: HashMap<u64, &Row> = self.tasks.rows.iter().map(|row| (row.id, row)).collect();
        let name = |id| match rows.get(&id) {
            Some(row) => held_locks::goroutine(id, held_locks::name(&self.tasks, row).as_deref()),
            None => held_locks::goroutine(id, None),
        };
        let new = self.decoded.cycles().filter(|cycle| {
            let mut tasks = cycle.tasks();
            !tasks.all(|id| known.contains(&Who::Task(id)))
        });
        let found = new.map(|cycle| Condition::MayDeadlock {
            tasks: cycle.tasks().collect(),
            text: cycle.text(&name),
        });
        let found: Vec<_> = found.collect();
        self.add_conditions(found);
    }

    /// Behind deadlocks and futurelocks that are certain.
    #[cfg(feature = "decode")]
    fn add_conditions(&mut self, found: Vec<Condition>) {
        let known = |condition: &Condition| {
            matches!(
                condition,
                Condition::Deadlock { .. }
                    | Condition::Futurelock { .. }
                    | Condition::MayDeadlock { .. }
            )
        };
        let after = self.conditions.iter().take_while(|one| known(one)).count();
        self.conditions.splice(after..after, found);
    }

    /// How many tasks have waited at least so long for permits of tokio's own semaphores: to send, or to acquire.
    fn wait_for_permits(&self, at_least_ns: u64) -> usize {
        let rows = self.tasks.rows.iter();
        let waits = rows.filter(|row| {
            let doing = &self.doings[row.stack_key as usize];
            let reasons = [Reason::ChanSend, Reason::Semaphore].into_iter();
            let stack = &self.tables.stacks[row.stack_key as usize];
            row.since_ns >= at_least_ns
                && is_for_permits(reasons.filter(|reason| doing.waits_for(*reason)), stack)
        });
        waits.count()
    }

    /// A sentence that futurelocks of tokio's semaphores are not known, and why.
    pub(super) fn unknown_permits(&self) -> Option<String> {
        #[cfg(feature = "decode")]
        let why = match self.selection.without_decoding {
            true => "decode=0 leaves it out".to_owned(),
            false => self.permits.unknown.clone()?,
        };
        #[cfg(not(feature = "decode"))]
        let why = NO_DECODE.to_owned();
        unknown_permits(self.wait_for_permits(LONG_FOR_PERMITS_NS), &why)
    }

    fn add(&mut self, key: StackKey, stack: Stack, doing: Doing) -> u32 {
        self.doings.push(doing);
        self.tasks.stack_keys.push(key);
        self.tables.stacks.push(stack);
        self.tables.stacks.len() as u32 - 1
    }

    /// Gives queued closures the stacks of the tasks that spawned and await them.
    fn join_queued(&mut self) {
        // By task: how many closures it spawned, and its stack key.
        let mut parents: HashMap<u64, (usize, Option<u32>)> = HashMap::new();
        for row in &self.tasks.rows {
            if row.parent != 0
                && self.tasks.stack_keys[row.stack_key as usize].kind == Kind::Blocking
            {
                parents.entry(row.parent).or_default().0 += 1;
            }
        }
        for row in &self.tasks.rows {
            if let Some((_, key)) = parents.get_mut(&row.id) {
                *key = Some(row.stack_key);
            }
        }
        // (stack key of the closure, of the task) → new stack key.
        let mut joined: HashMap<(u32, u32), u32> = HashMap::new();
        for at in 0..self.tasks.rows.len() {
            let row = self.tasks.rows[at];
            let key = self.tasks.stack_keys[row.stack_key as usize];
            if key.state == tasks::State::Queued
                && let Some(&(closures, Some(parent))) = parents.get(&row.parent)
                && let Some(site) = self.tables.sites.get(row.site as usize)
                && self.awaits(parent, site, closures == 1)
            {
                let both = (row.stack_key, parent);
                self.tasks.rows[at].stack_key = match joined.get(&both) {
                    Some(known) => *known,
                    None => {
                        let stack = self.stack_below(row.stack_key, parent);
                        let doing = self.doings[row.stack_key as usize].clone();
                        let new = self.add(key, stack, doing);
                        joined.insert(both, new);
                        new
                    }
                };
            }
        }
    }

    /// The stack of a closure, which is one frame, above the stack of the task that awaits it.
    fn stack_below(&self, closure: u32, around: u32) -> Stack {
        let mut stack = self.tables.stacks[closure as usize].clone();
        let around = &self.tables.stacks[around as usize];
        stack.trunk.extend(around.trunk.iter().cloned());
        stack.elided = around.elided.map(|(gap, elided)| (gap + 1, elided));
        stack
    }

    /// Whether tasks with `stack_key` wait for the closure that they spawned at `site`. They do if they wait at that
    /// line, or, if it is their only closure, further down in that function.
    fn awaits(&self, stack_key: u32, site: &Site, only_one: bool) -> bool {
        if self.doings[stack_key as usize].does != Does::WaitsFor(Reason::Join) {
            return false;
        }
        let stack = &self.tables.stacks[stack_key as usize];
        let shown = stack.trunk.iter().filter(|location| !location.hidden);
        let frames = shown.flat_map(|location| &location.frames);
        // The frames of the library that joins come first.
        let mut own = frames.filter(|frame| !role::is_library(&frame.function));
        own.next().is_some_and(|frame| {
            // Debug information has the whole path, a location the path that the compiler was given.
            frame.file.ends_with(&*site.file)
                && (frame.line == site.line || only_one && frame.line > site.line)
        })
    }

    /// The stack of a running task and what its thread is doing.
    fn walked(&self, found: Where, resolver: &mut Resolver) -> Result<(Walked, String), Unseen> {
        let names = self.selection.names;
        match found {
            Where::There(capture, Some(poll)) => {
                Ok((of_task(capture, poll, names, resolver), capture.doing()))
            }
            Where::There(capture, None) => of_foreign(capture, names, resolver)
                .map(|walked| (walked, capture.doing()))
                .ok_or(Unseen::Waits),
            Where::Over => Err(Unseen::For(OVER.to_owned())),
            Where::Failed(error) => Err(Unseen::For(error.to_string())),
            Where::NoThread => Err(Unseen::For(NO_THREAD.to_owned())),
        }
    }

    /// The tasks with registrations that may be outdated.
    fn ambiguous(&self) -> HashSet<u64> {
        let open = |stack: &Stack| {
            let mut kinds = stack.branches.iter().map(|branch| branch.kind);
            kinds.any(|kind| kind == BranchKind::AlsoRegistered)
        };
        let rows = self.tasks.rows.iter();
        rows.filter(|row| open(&self.tables.stacks[row.stack_key as usize]))
            .map(|row| row.id)
            .collect()
    }

    fn select(&mut self) {
        let found = self.selection.finder().map(|finder| self.find(finder));
        let labelled: Option<HashSet<u64>> = self.selection.is_by_label().then(|| {
            let rows = self.tasks.rows.iter();
            rows.filter(|row| self.selection.wants_labels(&self.labels(row)))
                .map(|row| row.id)
                .collect()
        });
        self.tasks.rows.retain(|row| {
            let doing = &self.doings[row.stack_key as usize];
            let is_closure = self.tasks.stack_keys[row.stack_key as usize].kind == Kind::Blocking;
            !(is_closure && self.selection.without_closures)
                && (self.selection.leaks != Leaks::Only || self.leaked.has(row.id))
                && found.as_ref().is_none_or(|found| found.has(row))
                && labelled
                    .as_ref()
                    .is_none_or(|labelled| labelled.contains(&row.id))
                && self.selection.wants(doing, row.since_ns)
        });
    }

    /// Searches the stacks, sites and names, each once for all its tasks.
    fn find(&self, mut finder: Finder<'_>) -> Found {
        let in_stack = |stack: &Stack| shown_functions(stack).any(|name| finder.finds(name));
        let stacks = self.tables.stacks.iter().map(in_stack).collect();
        let in_site = |site: &Site| {
            let location = format!("{}:{}:{}", site.file, site.line, site.column);
            let function = site.function.as_deref();
            finder.finds(&location) || function.is_some_and(|name| finder.finds(name))
        };
        let sites = self.tables.sites.iter().map(in_site).collect();
        let names = self.tasks.names.iter();
        let names = names
            .filter(|(_, name)| finder.finds(name))
            .map(|(number, _)| *number)
            .collect();
        Found {
            stacks,
            sites,
            names,
        }
    }

    /// The local task that is polled inside the poll of this task, a root.
    fn inside(&self, row: &Row) -> Option<u64> {
        let key = &self.tasks.stack_keys[row.stack_key as usize];
        match row.by() {
            Waking::Thread(thread) if key.kind == Kind::BlockOn => {
                let inner = self.polled_on.get(&thread).copied();
                inner.filter(|_| key.state == tasks::State::Running)
            }
            _ => None,
        }
    }

    fn sort(&mut self) {
        let mut rows = std::mem::take(&mut self.tasks.rows);
        let rank = |row: &Row| {
            let rate = self.rates.get(&row.id).map_or(0, |rate| rate.now);
            (
                self.selection.first != Some(row.id),
                u64::MAX - rate,
                self.doings[row.stack_key as usize].does.state() != State::Running,
                self.inside(row).is_some(),
                u64::MAX - row.since_ns,
                row.id,
            )
        };
        rows.sort_unstable_by_key(rank);
        self.tasks.rows = rows;
    }

    /// Calls `visit` with each task: its row and its kind.
    #[cfg(feature = "rt")]
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Row, Kind, &Goroutine<'_>)) {
        for row in &self.tasks.rows {
            let kind = self.tasks.stack_keys[row.stack_key as usize].kind;
            visit(row, kind, &self.goroutine(row, &self.labels(row), &[]));
        }
    }

    /// A row in the form for the encoders.
    pub(super) fn goroutine<'a>(
        &'a self,
        row: &Row,
        labels: &'a Pairs,
        notes: &'a [&'a str],
    ) -> Goroutine<'a> {
        let does = self.doings[row.stack_key as usize].does;
        Goroutine {
            id: row.id,
            parent: (row.parent != 0).then_some(row.parent),
            state: does.state(),
            reason: self.leaked.marked(row.id, does),
            since_ns: row.since_ns,
            polls: row.polls,
            busy_ns: row.busy_ns,
            name: self.tasks.names.get(&row.name).map(|name| &**name),
            labels,
            notes,
            joins: &[],
            stack: row.stack_key,
            site: (row.site != u32::MAX).then_some(row.site),
        }
    }

    /// The labels of a task; empty for most.
    pub(super) fn labels(&self, row: &Row) -> Pairs {
        self.tasks.labels_of(row.id).pairs()
    }

    /// The notes on a task; empty for most.
    pub(super) fn notes(&self, row: &Row) -> Vec<String> {
        let mut notes = Notes::default();
        self.add_notes(&mut notes, row);
        notes.iter().map(str::to_owned).collect()
    }

    /// Adds the notes on a task.
    pub(super) fn add_notes(&self, notes: &mut Notes, row: &Row) {
        let key = &self.tasks.stack_keys[row.stack_key as usize];
        let running = self.doings[row.stack_key as usize].does.state() == State::Running;
        notes.extend(self.polls_per_second(row));
        if let Some(inner) = self.inside(row) {
            notes.extend([format!("inside it goroutine {inner} is polled")]);
        }
        if key.state == tasks::State::Queued {
            notes.extend(["waits for a thread of the blocking pool"]);
        }
        if let Some(asked) = self.asked.get(&row.id) {
            if self.selection.is_slow(row.since_ns) {
                notes.extend([format!("a long poll: its thread is {}", asked.doing)]);
            }
            notes.extend(asked.unfinished);
            let beside = asked.beside.iter();
            notes.extend(
                beside.map(|branch| format!("another branch, as of its last poll: {branch}")),
            );
        }
        match row.by() {
            Waking::Thread(number) if running => {
                notes.extend([format!("on {}", self.thread(number))]);
            }
            Waking::Task(id) if id == row.id => notes.extend(["woken by itself"]),
            Waking::Task(id) => notes.extend([format!("woken by goroutine {id}")]),
            Waking::Thread(number) => notes.extend([format!("woken by {}", self.thread(number))]),
            Waking::Unknown => {}
        }
        if let [_, _, ..] = &self.tasks.runtimes[..]
            && let Some(runtime) = self.tasks.runtime(row.runtime)
        {
            notes.extend([format!("runtime {runtime}")]);
        }
        #[cfg(feature = "decode")]
        if let Some(wait) = self.decoded.of(row.id) {
            if wait.is_foreign {
                notes.extend(["decoded"]);
            }
            wait.add_notes(notes);
        }
        notes.extend(self.locks.notes(row, key.state, |tid| self.thread_of(tid)));
        #[cfg(feature = "decode")]
        notes.extend(self.permits.notes(row.id));
        let doing = &self.doings[row.stack_key as usize];
        notes.extend(self.awaited.notes(row, doing));
        notes.extend(self.not_polled(row));
        notes.extend(self.lasting_notes(row));
    }

    /// The poll rate of a task that is polled very often.
    pub(super) fn polls_per_second(&self, row: &Row) -> Option<String> {
        let rate = self.rates.get(&row.id)?;
        let mut text = format!(
            "{} polls/s now, {} polls/s for the {:.1?} since its spawn",
            grouped(rate.now),
            grouped(rate.average),
            rate.age
        );
        if let Some(lasts) = rate.lasts() {
            let polls = grouped(rate.polls);
            text.push_str(&format!(": its {polls} polls are {lasts:.1?} at that rate"));
        }
        Some(text)
    }

    /// The notes that are the same for all tasks with the same stack key and flags.
    pub(super) fn lasting_notes(&self, row: &Row) -> impl Iterator<Item = &'static str> + use<> {
        let key = &self.tasks.stack_keys[row.stack_key as usize];
        let overflowed = key.waits.is_some_and(|waits| waits.overflowed);
        let deadline = self.doings[row.stack_key as usize].deadline;
        [
            (key.kind == Kind::BlockOn, "root of a block_on"),
            (
                key.kind == Kind::Nested,
                "wrapped future inside another task",
            ),
            (
                row.flags.lost(),
                "nothing can wake this task: no waker of it is left",
            ),
            (
                row.flags.frozen(),
                "a leaf wakes the waker it replaces: later waits may be missing",
            ),
            (row.flags.stale(), "stack as of an earlier poll"),
            (
                self.may_be_due(row, Reason::Sleep),
                "its deadline may be past: the timers of its runtime stand still",
            ),
            (
                self.may_be_due(row, Reason::Io),
                "it may be over: the I/O of its runtime stands still",
            ),
            (deadline == Some(Reason::Sleep), "with a time-out"),
            (
                deadline.is_some_and(|deadline| deadline != Reason::Sleep),
                "until it is cancelled",
            ),
            (overflowed, "more registrations than are kept"),
        ]
        .into_iter()
        .filter_map(|(applies, note)| applies.then_some(note))
    }

    /// Why a ready task is not polled, if its runtime, its `LocalSet` or the task around it is the cause.
    fn not_polled(&self, row: &Row) -> Option<String> {
        let (key, tasks) = (&self.tasks.stack_keys[row.stack_key as usize], &self.tasks);
        if key.state != tasks::State::Runnable {
            return None;
        }
        if key.kind == Kind::Nested && row.since_ns >= NESTED_LATE_NS {
            return Some("the task around it has not polled it since".to_owned());
        }
        let thread = |number| self.thread(number);
        let polled = tasks.local_sets.get(&key.local_set);
        polled
            .and_then(|polled| idle::set(*polled, &tasks.scale, thread))
            .or_else(|| idle::runtime(tasks.idle(row.runtime)?, &tasks.scale, thread))
    }

    /// Whether the task waits for `reason`, a timer or I/O, in a runtime whose timers and I/O stand still.
    fn may_be_due(&self, row: &Row, reason: Reason) -> bool {
        let doing = &self.doings[row.stack_key as usize];
        let waits = doing.waits_for(reason) || doing.deadline == Some(reason);
        waits && self.stands_still(row)
    }

    /// Whether the timers and the I/O of its runtime stand still.
    pub(super) fn stands_still(&self, row: &Row) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| {
            matches!(condition, Condition::Standstill { runtime: (number, _), .. } if *number == row.runtime)
        })
    }

    fn thread(&self, number: ThreadNumber) -> String {
        match self.tasks.threads.get(&number.0) {
            Some(thread) => conditions::named(thread),
            None => "a thread that has ended".to_owned(),
        }
    }

    /// A thread by its kernel id.
    pub(super) fn thread_of(&self, tid: u32) -> String {
        conditions::named_by_id(tid, self.tasks.threads.values())
    }
}

/// The entries of the tables with a pattern.
struct Found {
    /// By index of the stack.
    stacks: Vec<bool>,
    /// By index of the site.
    sites: Vec<bool>,
    names: HashSet<NameNumber>,
}

impl Found {
    fn has(&self, row: &Row) -> bool {
        self.stacks[row.stack_key as usize]
            || self
                .sites
                .get(row.site as usize)
                .is_some_and(|found| *found)
            || self.names.contains(&row.name)
    }
}

/// The visible functions of a stack.
fn shown_functions(stack: &Stack) -> impl Iterator<Item = &str> {
    let branches = stack.branches.iter().flat_map(|branch| &branch.locations);
    branches
        .chain(&stack.trunk)
        .filter(|location| !location.hidden)
        .flat_map(|location| &location.frames)
        .map(|frame| &*frame.function)
}

/// After so long in state ready, a wrapped future counts as not polled by the task around it.
const NESTED_LATE_NS: u64 = 100_000_000;

/// Why there is no stack.
const FOREIGN: &str = "foreign task: a dependency spawned it with plain tokio";
const OVER: &str = "its poll ended before its thread was asked";
const NO_THREAD: &str = "which thread runs it is not known";
const NO_WAIT: &str = "no wait: its last poll registered nowhere";

/// The stack of a key, and what its tasks do.
fn locate(key: &StackKey, names: Names, resolver: &mut Resolver) -> (Stack, Doing) {
    let runnable = || Doing::of(Does::Runnable);
    let running = || Doing::of(Does::Running);
    let root = || root_only(key, names);
    match (key.state, key.kind) {
        // The thread replaces this stack later.
        (tasks::State::Running, Kind::Foreign) => (unseen(key, OVER, resolver), running()),
        (tasks::State::Runnable, Kind::Foreign) => (unseen(key, FOREIGN, resolver), runnable()),
        (_, Kind::Foreign) => (unseen(key, FOREIGN, resolver), Doing::of(Does::Waiting)),
        (tasks::State::Running, _) => (root(), running()),
        (tasks::State::Blocking, _) => (root(), Doing::of(Does::Blocking)),
        (tasks::State::Queued, _) => (root(), Doing::of(Does::Queued)),
        (tasks::State::Runnable, _) | (tasks::State::Waiting, _) => {
            let waits = key.state == tasks::State::Waiting;
            let Some(registered) = key.waits else {
                return match (waits, key.meta) {
                    (false, _) => (root(), runnable()),
                    (true, None) => (unseen(key, NO_WAIT, resolver), Doing::of(Does::Waiting)),
                    (true, Some(_)) => (root(), Doing::of(Does::Waiting)),
                };
            };
            let found = assemble(registered, key.remaining, key.around, names, resolver);
            let doing = match waits && found.reason != Reason::Yield {
                true => waiting(&found),
                false => runnable(),
            };
            (found.stack, doing)
        }
    }
}

/// A stack of the root future alone, whose name is that of its type.
fn root_only(key: &StackKey, names: Names) -> Stack {
    let name = key.meta.map_or_else(String::new, |meta| {
        let name = meta.type_name();
        match names {
            Names::Short => role::root_name(name),
            Names::Full => name.to_owned(),
        }
    });
    let frame = Frame {
        function: name.into(),
        file: key.spawned_at.map_or("", |at| at.file()).into(),
        line: key.spawned_at.map_or(0, |at| at.line()),
    };
    let location = Location {
        return_address: synthetic(&frame, key.kind as u64),
        function_offset: None,
        frames: vec![frame],
        hidden: false,
    };
    Stack {
        trunk: vec![Arc::new(location)],
        ..Stack::default()
    }
}

/// In place of an unknown stack: the spawn location of its task, if known.
fn unseen(key: &StackKey, why: &str, resolver: &mut Resolver) -> Stack {
    match key.spawned_at {
        Some(location) => spawned(location, Some(why), resolver),
        None => missing(why),
    }
}

/// In place of a stack: one frame with the spawn location of its task, so that such tasks are grouped by it.
pub(super) fn spawned(
    location: &'static std::panic::Location<'static>,
    why: Option<&str>,
    resolver: &mut Resolver,
) -> Stack {
    let text = format!(
        "task spawned at {}:{}",
        shortened(location.file()),
        location.line()
    );
    let frame = Frame {
        function: resolver.text(text),
        file: resolver.text(location.file().to_owned()),
        line: location.line(),
    };
    let location = Location {
        return_address: synthetic(&frame, 0),
        function_offset: None,
        frames: vec![frame],
        hidden: false,
    };
    Stack {
        trunk: vec![Arc::new(location)],
        missing: why.map(Arc::from),
        ..Stack::default()
    }
}

/// An empty stack, and the reason.
pub(super) fn missing(why: &str) -> Stack {
    Stack {
        missing: Some(why.into()),
        ..Stack::default()
    }
}

/// A spawn site with the function that called spawn: the innermost at the address that is not part of the probe.
pub(super) fn named(site: &SpawnSite, names: Names, resolver: &mut Resolver) -> Site {
    let mut function = None;
    let mut offset = None;
    if site.pc != 0 {
        // The address is that of the instruction after the call: one byte back is inside the call.
        let code = resolver.code(site.pc as u64 - 1);
        let theirs = |frame: &&symbol::Frame| {
            !role::is_own(&frame.function) && !role::is_scaffolding(&frame.function)
        };
        function = code
            .frames
            .iter()
            .find(theirs)
            .map(|frame| frame.name(names).clone());
        offset = (code.entry != 0).then(|| site.pc as u64 - 1 - code.entry);
    }
    Site {
        function,
        file: resolver.text(site.location.file().to_owned()),
        line: site.location.line(),
        column: site.location.column(),
        function_offset: offset,
    }
}
