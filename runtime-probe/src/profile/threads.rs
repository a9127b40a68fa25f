//! All threads of the process: where each is, or who created it. Go's `threadcreate`, and what Go has no profile for.

use super::goroutine::missing;
use super::mappings::mappings;
use super::thread_stacks::of_thread;
#[cfg(feature = "rt")]
use super::worker_table;
use crate::snapshot::threads::{ThreadRow, Threads};
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use runtime_dump::count_profile::CountProfile;
use runtime_dump::proto;
use runtime_dump::stack::{Mapping, Stack};
use runtime_dump::thread_text::{Thread, write_table, write_threads};
use std::io::{self, Write};

/// The name of the profile of where threads are.
pub(crate) const NAME: &str = "threads";

/// The name under which Go's tools ask for who created them.
pub(crate) const CREATED: &str = "threadcreate";

/// Which stack of a thread is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Where it is.
    Now,
    /// Who created it.
    Creation,
}

impl Shown {
    /// The name of the profile.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shown::Now => NAME,
            Shown::Creation => CREATED,
        }
    }
}

const NO_CREATOR: &str = "creator unknown: nothing notes yet who creates a thread";

/// The threads, with names.
pub(crate) struct ThreadProfile {
    threads: Threads,
    shown: Shown,
    /// For each thread: its stack, and what else is known.
    stacks: Vec<(Stack, Vec<String>)>,
    mappings: Vec<Mapping>,
}

impl ThreadProfile {
    /// Takes a snapshot and finds its names.
    pub(crate) fn collect(shown: Shown, names: Names) -> Self {
        // A module that was loaded since has unwind tables of its own.
        crate::stack::unwind::refresh();
        let threads = Threads::take();
        let mut resolver = resolver();
        let rows = threads.rows.iter();
        let stacks = rows
            .map(|row| match shown {
                Shown::Now => now(row, &threads, names, &mut resolver),
                Shown::Creation => (missing(NO_CREATOR), notes(row, &threads)),
            })
            .collect();
        ThreadProfile {
            mappings: mappings(&resolver),
            threads,
            shown,
            stacks,
        }
    }

    /// A block for each thread, and below what tokio counts.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let notes: Vec<Vec<&str>> = self
            .stacks
            .iter()
            .map(|(_, notes)| notes.iter().map(String::as_str).collect())
            .collect();
        let rows = self.threads.rows.iter().zip(&self.stacks).zip(&notes);
        let threads = rows.map(|((row, (stack, _)), notes)| Thread {
            id: row.id,
            name: &row.name,
            state: row.status.activity.word(),
            cpu_ns: row.cpu_ns,
            notes,
            stack,
            created_by: None,
        });
        write_threads(&mut out, threads)?;
        out.write_all(b"\n")?;
        self.write_tables(out)
    }

    /// Go's `debug=1`: equal stacks once, by count; and what tokio counts.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write_count_text(&self, mut out: impl Write) -> io::Result<()> {
        let counts = self.counts();
        super::address_names::remember(counts.locations());
        counts.write_text(&mut out)?;
        self.write_tables(out)
    }

    /// Go's `debug=0`.
    pub(crate) fn profile(&self) -> proto::Profile {
        self.counts()
            .to_profile(&self.mappings, self.threads.time_ns)
    }

    /// The same without scaffolding.
    pub(crate) fn shown_profile(&self) -> proto::Profile {
        self.counts()
            .shown()
            .to_profile(&self.mappings, self.threads.time_ns)
    }

    fn counts(&self) -> CountProfile {
        let stacks = self.stacks.iter().map(|(stack, _)| (stack, 1));
        CountProfile::new(self.shown.name(), stacks)
    }

    fn write_tables(&self, mut out: impl Write) -> io::Result<()> {
        #[cfg(feature = "rt")]
        for table in worker_table::tables(&self.threads) {
            write_table(&mut out, &table)?;
        }
        #[cfg(not(feature = "rt"))]
        write_table(&mut out, &[vec!["built without runtimes".to_owned()]])?;
        Ok(())
    }
}

/// Where a thread is, and what else is known of it.
fn now(
    row: &ThreadRow,
    threads: &Threads,
    names: Names,
    resolver: &mut Resolver,
) -> (Stack, Vec<String>) {
    let mut notes = notes(row, threads);
    match &row.stack {
        Err(why) => (missing(&why.to_string()), notes),
        Ok(capture) => {
            if let Some(channel) = &capture.channel {
                notes.push(format!("in {channel}"));
            }
            let walked = of_thread(capture, names, resolver);
            notes.extend(walked.unfinished.map(str::to_owned));
            (walked.stack, notes)
        }
    }
}

/// What is known of a thread without its stack.
fn notes(row: &ThreadRow, threads: &Threads) -> Vec<String> {
    let mut notes = Vec::new();
    let mut runtimes = threads.runtimes.iter();
    if let Some(runtime) = runtimes.find(|one| one.number == row.runtime) {
        notes.push(format!("runtime {}", runtime.name));
    }
    let polls = row.stack.iter().flat_map(|capture| &capture.polls);
    notes.extend(polls.map(|poll| format!("polls goroutine {}", poll.id)));
    notes
}
