//! All threads of the process, by their stacks or by their creators. The latter is Go's `threadcreate`; Go has no
//! profile of the former.

use super::condensed::Crates;
use super::conditions::{self, Condition};
use super::goroutine::missing;
use super::mappings::mappings;
use super::named::NamedProfile;
use super::thread_stacks::{of_creation, of_thread, reads_stdin};
#[cfg(feature = "rt")]
use super::worker_table;
use crate::registry::threads::Role;
use crate::snapshot;
use crate::snapshot::threads::{ThreadRow, Threads};
use crate::snapshot::under_way::{self, UnderWay};
use crate::source::creation::Unseen;
use crate::source::polled_task::PolledTask;
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::proto;
use runtime_dump::stack::{Frame, Mapping, Stack};
use runtime_dump::thread;
use runtime_dump::thread::text::{Thread, write_table, write_threads};
use std::io::{self, Write};

/// The name of the profile by stack.
pub(crate) const NAME: &str = "threads";

/// The name of the profile by creator, as in Go.
pub(crate) const CREATED: &str = "threadcreate";

/// The stack of a thread that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Its current stack.
    Now,
    /// The stack of its creator.
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

/// The entry of `threads` in the list of profiles.
pub(crate) const PROFILE: NamedProfile = NamedProfile {
    name: NAME,
    most_debug: 2,
    count: snapshot::threads::count,
    write: |out, debug| write(Shown::Now, out, debug),
};

/// The entry of `threadcreate`.
pub(crate) const CREATION_PROFILE: NamedProfile = NamedProfile {
    name: CREATED,
    write: |out, debug| write(Shown::Creation, out, debug),
    ..PROFILE
};

fn write(shown: Shown, out: &mut dyn Write, debug: u32) -> io::Result<()> {
    let threads = ThreadProfile::collect(shown, Names::Short, &Crates::default());
    match debug {
        0 => out.write_all(&threads.profile().to_gzip()),
        1 => threads.write_count_text(out),
        _ => threads.write_text(out),
    }
}

const UNLISTED: &str = "no threads: /proc/self/task cannot be read";
const BEGINNING: &str = "creator unknown: the process began with this thread";
const NO_STACK: &str = "creator's stack unknown: too many threads were being created at once";

/// The shown stack and the notes of a thread.
struct Told {
    stack: Stack,
    notes: Vec<String>,
    /// (function that created it, thread in which it ran)
    created_by: Option<(Frame, u32)>,
}

/// The threads, with names.
pub(crate) struct ThreadProfile {
    threads: Threads,
    shown: Shown,
    /// For each thread.
    told: Vec<Told>,
    #[cfg_attr(
        not(feature = "rt"),
        expect(dead_code, reason = "there are no workers")
    )]
    under_way: Vec<UnderWay>,
    /// Troubles of a whole runtime.
    conditions: Vec<Condition>,
    mappings: Vec<Mapping>,
}

impl ThreadProfile {
    /// Takes a snapshot and looks up its names.
    pub(crate) fn collect(shown: Shown, names: Names, crates: &Crates) -> Self {
        // Modules may have been loaded since.
        crate::stack::unwind::refresh();
        let under_way = under_way::now();
        let conditions = conditions::of(&under_way);
        let threads = Threads::take();
        let mut resolver = resolver();
        let rows = threads.rows.iter();
        let mut told: Vec<Told> = rows
            .map(|row| match shown {
                Shown::Now => now(row, &threads, names, &mut resolver),
                Shown::Creation => creation(row, &threads, names, &mut resolver),
            })
            .collect();
        for told in &mut told {
            crates.condense(&mut told.stack);
        }
        ThreadProfile {
            mappings: mappings(&resolver),
            under_way,
            conditions,
            threads,
            shown,
            told,
        }
    }

    /// Writes a block for each thread, and below tokio's counts.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let notes = self.notes();
        let threads = self.rows(&notes);
        for condition in &self.conditions {
            writeln!(out, "# {}", condition.text())?;
        }
        write_threads(&mut out, threads)?;
        out.write_all(b"\n")?;
        self.write_tables(out)
    }

    /// An object of JSON for each thread.
    pub(crate) fn json(&self) -> Vec<u8> {
        let mut remarks: Vec<String> = self.conditions.iter().map(Condition::text).collect();
        let unlisted = self.threads.unlisted.iter();
        remarks.extend(unlisted.map(|error| format!("{UNLISTED}: {error}")));
        let notes = self.notes();
        thread::json::threads(self.threads.time_ns, &remarks, self.rows(&notes))
    }

    fn notes(&self) -> Vec<Vec<&str>> {
        let told = self.told.iter();
        told.map(|told| told.notes.iter().map(String::as_str).collect())
            .collect()
    }

    fn rows<'a>(&'a self, notes: &'a [Vec<&'a str>]) -> impl Iterator<Item = Thread<'a>> {
        let rows = self.threads.rows.iter().zip(&self.told).zip(notes);
        rows.map(|((row, told), notes)| Thread {
            id: row.id,
            name: &row.name,
            state: row.status.activity.word(),
            cpu_ns: row.cpu_ns,
            notes,
            stack: &told.stack,
            created_by: told.created_by.as_ref().map(|(by, thread)| (by, *thread)),
        })
    }

    /// Go's `debug=1`: equal stacks once, by count. tokio's counts follow.
    ///
    /// # Errors
    /// The errors of `out`.
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
        let stacks = self.told.iter().map(|told| (&told.stack, 1));
        let mut counts = CountProfile::new(self.shown.name(), stacks);
        for condition in &self.conditions {
            counts.comment(condition.text());
        }
        counts
    }

    fn write_tables(&self, mut out: impl Write) -> io::Result<()> {
        if let Some(error) = &self.threads.unlisted {
            let why = format!("{UNLISTED}: {error}");
            write_table(&mut out, &[vec![why]])?;
        }
        #[cfg(feature = "rt")]
        for table in worker_table::tables(&self.threads, &self.under_way) {
            write_table(&mut out, &table)?;
        }
        #[cfg(not(feature = "rt"))]
        write_table(&mut out, &[vec!["built without runtimes".to_owned()]])?;
        Ok(())
    }
}

/// The current stack of a thread, and its notes.
fn now(row: &ThreadRow, threads: &Threads, names: Names, resolver: &mut Resolver) -> Told {
    let mut notes = notes(row, threads);
    let stack = match &row.stack {
        Err(why) => missing(&why.to_string()),
        Ok(capture) => {
            if let Some(channel) = &capture.channel {
                notes.push(format!("in {channel}"));
            }
            if reads_stdin(capture, resolver) {
                notes.push("reads standard input, which nothing but input ends".to_owned());
            }
            let walked = of_thread(capture, names, resolver);
            notes.extend(walked.unfinished.map(str::to_owned));
            walked.stack
        }
    };
    let mut created_by = None;
    if let Some(creation) = threads.creations.get(&row.id) {
        let created = of_creation(creation, names, resolver);
        created_by = created.by.map(|by| (by, creation.by));
        let task = Some(creation.polled).filter(|task| created.in_task && task.id != 0);
        notes.extend(task.map(|task| creator(&task, threads)));
        if created_by.is_none() {
            notes.push(format!("created in thread {}", creation.by));
        }
    }
    Told {
        stack,
        notes,
        created_by,
    }
}

/// The creator's stack, and the notes of a thread.
fn creation(row: &ThreadRow, threads: &Threads, names: Names, resolver: &mut Resolver) -> Told {
    let mut notes = notes(row, threads);
    let stack = match threads.creations.get(&row.id) {
        None if row.id == std::process::id() => missing(BEGINNING),
        None => missing(unseen(threads.unseen)),
        Some(creation) => {
            let created = of_creation(creation, names, resolver);
            let task = Some(creation.polled).filter(|task| created.in_task && task.id != 0);
            notes.extend(task.map(|task| creator(&task, threads)));
            notes.push(format!("created in thread {}", creation.by));
            match creation.pcs.is_empty() {
                true => missing(NO_STACK),
                false => created.stack,
            }
        }
    };
    Told {
        stack,
        notes,
        created_by: None,
    }
}

/// Why the creator of a thread is not known.
fn unseen(why: Unseen) -> &'static str {
    match why {
        Unseen::NoInterpose => {
            "creator unknown: only with the feature interpose it is noted who creates a thread"
        }
        Unseen::Static => {
            "creator unknown: a statically linked program has no pthread_create beside libc's"
        }
        Unseen::NotLinux => "creator unknown: it is noted on Linux only",
        Unseen::Past => {
            "creator unknown: the probe was not there yet when it was created, or a library created it past libc's own pthread_create"
        }
        Unseen::Full => "creator unknown: there were more threads than are kept apart",
    }
}

/// A note on the task that created a thread.
fn creator(task: &PolledTask, threads: &Threads) -> String {
    let mut text = format!("created by goroutine {}", task.id);
    if let Some(name) = threads.names.get(&task.name) {
        text.push_str(&format!(" {name:?}"));
    }
    if let Some(at) = task.spawned_at() {
        let (file, line, column) = (at.file(), at.line(), at.column());
        text.push_str(&format!(" (spawned at {file}:{line}:{column})"));
    }
    text
}

/// The notes that need no stack.
fn notes(row: &ThreadRow, threads: &Threads) -> Vec<String> {
    let mut notes = Vec::new();
    let mut runtimes = threads.runtimes.iter();
    if let Some(runtime) = runtimes.find(|one| one.number == row.runtime) {
        let role = match row.role {
            Role::Pool => ", blocking pool",
            Role::Worker => ", worker",
            Role::Other => "",
        };
        notes.push(format!("runtime {}{role}", runtime.name));
    }
    let polls = row.stack.iter().flat_map(|capture| &capture.polls);
    notes.extend(polls.map(|poll| format!("polls goroutine {}", poll.id)));
    notes
}
