//! All tasks, as Go's goroutine profile shows goroutines.

use super::address_names;
use super::diagnosis::NO_TASKS;
use super::leaf_stacks::{assemble, synthetic};
use super::mappings::mappings;
use crate::registry::record::{Kind, Waking};
use crate::registry::threads::ThreadNumber;
use crate::snapshot::tasks::{self, Place, Row, SpawnSite, Tasks};
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role::{self, Reason};
use runtime_dump::count_profile::CountProfile;
use runtime_dump::goroutine::{Goroutine, State, Tables};
use runtime_dump::goroutine_text::{TextOptions, TextWriter};
use runtime_dump::stack::{Frame, Location, Site, Stack};
use std::io::{self, Write};
use std::sync::Arc;

/// The name under which Go's tools ask for it.
pub(crate) const NAME: &str = "goroutine";

/// All tasks at one moment, with names.
pub(crate) struct Goroutines {
    tasks: Tasks,
    tables: Tables,
    /// Per place: the text in the brackets, and what it means.
    reasons: Vec<(&'static str, State)>,
}

impl Goroutines {
    /// Takes a snapshot and finds its names.
    pub(crate) fn collect() -> Self {
        // A module that was loaded since has unwind tables of its own.
        crate::stack::unwind::refresh();
        let mut tasks = Tasks::take();
        let mut resolver = resolver();
        let mut tables = Tables {
            time_ns: tasks.time_ns,
            mappings: mappings(&resolver),
            ..Tables::default()
        };
        let mut reasons = Vec::with_capacity(tasks.places.len());
        for place in &tasks.places {
            let (stack, reason, state) = locate(place, &mut resolver);
            tables.stacks.push(stack);
            reasons.push((reason, state));
        }
        tables.sites = tasks
            .sites
            .iter()
            .map(|site| named(site, &mut resolver))
            .collect();
        let rank = |row: &Row| {
            (
                reasons[row.place as usize].1 != State::Running,
                u64::MAX - row.since_ns,
                row.id,
            )
        };
        tasks.rows.sort_unstable_by_key(rank);
        Goroutines {
            tasks,
            tables,
            reasons,
        }
    }

    /// Go's `debug=2`: a block per task, running ones first, then those that have waited longest.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_text(&self, mut out: impl Write, plain: bool) -> io::Result<()> {
        if self.tasks.rows.is_empty() && !plain {
            return writeln!(out, "# {NO_TASKS}");
        }
        let mut writer = TextWriter::new(out, &self.tables, TextOptions { plain });
        for row in &self.tasks.rows {
            let (reason, state) = self.reasons[row.place as usize];
            let notes = self.notes(row, state);
            let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
            writer.write(&Goroutine {
                id: row.id,
                parent: (row.parent != 0).then_some(row.parent),
                state,
                reason,
                since_ns: row.since_ns,
                polls: row.polls,
                busy_ns: row.busy_ns,
                name: None,
                notes: &notes,
                stack: row.place,
                site: (row.site != u32::MAX).then_some(row.site),
            })?;
        }
        writer.finish()
    }

    /// Go's `debug=1`: equal stacks once, by count.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_count_text(&self, out: impl Write) -> io::Result<()> {
        let counts = self.counts();
        address_names::remember(counts.locations());
        counts.write_text(out)
    }

    /// Go's `debug=0`: gzipped `profile.proto`.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_profile(&self, mut out: impl Write) -> io::Result<()> {
        let profile = self
            .counts()
            .to_profile(&self.tables.mappings, self.tables.time_ns);
        out.write_all(&profile.to_gzip())
    }

    fn counts(&self) -> CountProfile {
        let mut counts = vec![0u64; self.tables.stacks.len()];
        for row in &self.tasks.rows {
            counts[row.place as usize] += 1;
        }
        CountProfile::new(NAME, self.tables.stacks.iter().zip(counts))
    }

    /// What else is known of a task; nothing, for most.
    fn notes(&self, row: &Row, state: State) -> Vec<String> {
        let mut notes = Vec::new();
        let place = &self.tasks.places[row.place as usize];
        match (state, place.state) {
            (State::Running, _) => notes.push(format!("on {}", self.thread(row.thread))),
            (_, tasks::State::Queued) => {
                notes.push("waits for a thread of the blocking pool".to_owned())
            }
            _ => {}
        }
        match row.woken_by {
            Some(Waking::Task(id)) if id == row.id => notes.push("woken by itself".to_owned()),
            Some(Waking::Task(id)) => notes.push(format!("woken by goroutine {id}")),
            Some(Waking::Thread(number)) => notes.push(format!("woken by {}", self.thread(number))),
            Some(Waking::Unknown) | None => {}
        }
        match place.kind {
            Kind::BlockOn => notes.push("root of a block_on".to_owned()),
            Kind::Nested => notes.push("wrapped future inside another task".to_owned()),
            _ => {}
        }
        if row.flags.lost {
            notes.push("nothing can wake this task: no waker of it is left".to_owned());
        }
        if row.flags.frozen {
            notes.push("a leaf wakes the waker it replaces: later waits may be missing".to_owned());
        }
        if row.flags.stale {
            notes.push("stack as of an earlier poll".to_owned());
        }
        if place.waits.is_some_and(|waits| waits.overflowed) {
            notes.push("more registrations than are kept".to_owned());
        }
        notes
    }

    fn thread(&self, number: ThreadNumber) -> String {
        match self.tasks.threads.get(&number.0) {
            Some(thread) if thread.name.is_empty() => format!("thread {}", thread.tid),
            Some(thread) => format!("thread {} ({})", thread.tid, thread.name),
            None => "a thread that has ended".to_owned(),
        }
    }
}

/// Why there is no stack.
const FOREIGN: &str = "foreign task: a dependency spawned it with plain tokio";
const NO_WAIT: &str = "no wait: its last poll registered nowhere";

/// The stack of a place, the text in the brackets, and the state it means.
fn locate(place: &Place, resolver: &mut Resolver) -> (Stack, &'static str, State) {
    let root = || root_only(place, resolver_name(place));
    match (place.state, place.kind) {
        (tasks::State::Running, Kind::Foreign) => (missing(FOREIGN), "running", State::Running),
        (tasks::State::Runnable, Kind::Foreign) => (missing(FOREIGN), "runnable", State::Runnable),
        (_, Kind::Foreign) => (missing(FOREIGN), "waiting", State::Waiting),
        (tasks::State::Running, _) => (root(), "running", State::Running),
        (tasks::State::Blocking, _) => (root(), "blocking", State::Running),
        (tasks::State::Queued, _) => (root(), "runnable", State::Runnable),
        (tasks::State::Runnable, _) | (tasks::State::Waiting, _) => {
            let waiting = place.state == tasks::State::Waiting;
            let Some(waits) = place.waits else {
                return match (waiting, place.meta) {
                    (false, _) => (root(), "runnable", State::Runnable),
                    (true, None) => (missing(NO_WAIT), "waiting", State::Waiting),
                    (true, Some(_)) => (root(), "waiting", State::Waiting),
                };
            };
            let (stack, reason) = assemble(waits, place.around, resolver);
            if waiting && reason != Reason::Yield {
                (stack, reason.text(), State::Waiting)
            } else {
                (stack, "runnable", State::Runnable)
            }
        }
    }
}

fn resolver_name(place: &Place) -> String {
    place
        .meta
        .map_or_else(String::new, |meta| role::root_name((meta.type_name)()))
}

/// A stack of the root alone: its name is known by its type.
fn root_only(place: &Place, name: String) -> Stack {
    let frame = Frame {
        function: name.into(),
        file: "".into(),
        line: 0,
    };
    let location = Location {
        return_address: synthetic(&frame, place.kind as u64),
        function_offset: None,
        frames: vec![frame],
        hidden: false,
    };
    Stack {
        trunk: vec![Arc::new(location)],
        ..Stack::default()
    }
}

fn missing(why: &str) -> Stack {
    Stack {
        missing: Some(why.into()),
        ..Stack::default()
    }
}

/// The function that called spawn: the first at the address that is not part of the probe.
fn named(site: &SpawnSite, resolver: &mut Resolver) -> Site {
    let mut function = None;
    let mut offset = None;
    if site.pc != 0 {
        // The address is that of the instruction after the one that read it: one back is inside.
        let code = resolver.code(site.pc as u64 - 1);
        let theirs = |name: &&Arc<str>| !role::is_own(name) && !role::is_scaffolding(name);
        function = code
            .frames
            .iter()
            .map(|frame| &frame.function)
            .find(theirs)
            .cloned();
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
