//! The forms of a dump, for people and tools.
//!
//! * [`forms`]: JSON, folded stacks, `profile.proto`;
//! * [`rows`]: tasks as rows of runtime-dump's model, with stacks, reasons and notes.

mod forms;
mod rows;

use rows::Rows;
use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::goroutine::{Goroutine, Group};
use runtime_dump::stack::{Location, Stack};
use runtime_dump::thread;
use runtime_dump_decode::detail_text::Span;
use runtime_dump_decode::model::{Dump, Runtime, left_out};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

/// The most ids of a group that are named.
const NAMED_IN_GROUP: usize = 3;

/// The most workers of a runtime that are shown.
const WORKERS: usize = 64;

/// The options of the output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Whether only Go's own lines are written.
    pub(crate) plain: bool,
    /// Whether tasks with equal stacks are written once.
    pub(crate) group: bool,
    /// A text that must be in the name of a task's function.
    pub(crate) matches: Option<String>,
    /// The state or reason that a task must have.
    pub(crate) state: Option<String>,
    /// The most blocks.
    pub(crate) limit: Option<usize>,
    /// Whether libraries' wrappers and machinery are included.
    pub(crate) verbose: bool,
    pub(crate) form: Form,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Go's goroutine dump.
    #[default]
    Text,
    Json,
    Folded,
    /// `profile.proto`, compressed.
    Profile,
}

/// The process of a dump.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The title, as in `12 tasks of process 7 (app)`.
    pub(crate) title: String,
    /// The time of the monotonic clock; `None` where unknown.
    pub(crate) now: Option<(i64, u32)>,
    pub(crate) threads: Vec<Thread>,
}

impl Source {
    /// The thread with this id.
    fn thread(&self, tid: u32) -> Option<&Thread> {
        self.threads.iter().find(|thread| thread.tid == tid)
    }
}

/// A thread with its stack.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) name: String,
    /// The reason why there is no name.
    pub(crate) no_name: Option<&'static str>,
    pub(crate) state: &'static str,
    pub(crate) cpu_ns: Option<u64>,
    /// The stack, innermost frame first.
    pub(crate) stack: Vec<Arc<Location>>,
}

/// Writes a block for each thread.
pub(crate) fn write_threads(
    threads: &[Thread],
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let has = |thread: &&Thread| {
        let mut frames = thread.stack.iter().flat_map(|location| &location.frames);
        options
            .matches
            .as_ref()
            .is_none_or(|text| frames.any(|frame| frame.function.contains(text)))
    };
    let stacks: Vec<(&Thread, Stack)> = threads
        .iter()
        .filter(has)
        .filter(|thread| {
            options
                .state
                .as_deref()
                .is_none_or(|state| state == thread.state)
        })
        .take(options.limit.unwrap_or(usize::MAX))
        .map(|thread| (thread, rows::thread_stack(thread, options.verbose)))
        .collect();
    thread::text::write_threads(
        out,
        stacks.iter().map(|(thread, stack)| thread::text::Thread {
            id: thread.tid,
            name: &thread.name,
            state: thread.state,
            cpu_ns: thread.cpu_ns,
            notes: thread.no_name.as_slice(),
            stack,
            created_by: None,
        }),
    )
}

/// Writes the tasks.
pub(crate) fn write(
    dump: &Dump,
    source: &Source,
    options: &Options,
    mut out: &mut dyn Write,
) -> io::Result<()> {
    let rows = Rows::of(dump, source, options);
    let most = options.limit.unwrap_or(usize::MAX);
    match options.form {
        Form::Text => {}
        Form::Json => return forms::write_json(&rows, most, out),
        Form::Folded => return forms::write_folded(&rows, most, out),
        Form::Profile => return forms::write_profile(&rows, most, &source.title, out),
    }
    if !options.plain {
        write_head(dump, source, &rows, &mut out)?;
    }
    let text_options = TextOptions {
        plain: options.plain,
    };
    let mut writer = TextWriter::new(&mut out, &rows.tables, text_options).untimed();
    if options.group {
        let mut groups: HashMap<(u32, Option<u32>, &str), usize> = HashMap::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        for (at, row) in rows.rows.iter().enumerate() {
            let key = (row.stack, row.site, row.reason.as_str());
            let number = *groups.entry(key).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            members[number].push(at);
        }
        members.sort_by_key(|members| std::cmp::Reverse(members.len()));
        for members in members.iter().take(most) {
            let longest: Vec<(u64, u64)> = members
                .iter()
                .take(NAMED_IN_GROUP)
                .map(|at| (rows.rows[*at].id, 0))
                .collect();
            let first = &rows.rows[members[0]];
            // The notes that all tasks of the group have.
            let shared: Vec<&str> = first
                .notes
                .iter()
                .filter(|note| members.iter().all(|at| rows.rows[*at].notes.contains(note)))
                .map(String::as_str)
                .collect();
            writer.write_group(&Group {
                example: goroutine(first, &shared),
                count: members.len() as u64,
                longest: &longest,
            })?;
        }
    } else {
        for row in rows.rows.iter().take(most) {
            let notes: Vec<&str> = row.notes.iter().map(String::as_str).collect();
            writer.write(&goroutine(row, &notes))?;
        }
    }
    writer.finish()
}

fn goroutine<'r>(row: &'r rows::Row, notes: &'r [&'r str]) -> Goroutine<'r> {
    Goroutine {
        id: row.id,
        parent: None,
        state: row.state,
        reason: &row.reason,
        since_ns: 0,
        polls: 0,
        busy_ns: 0,
        name: None,
        labels: &[],
        notes,
        joins: &[],
        stack: row.stack,
        site: row.site,
    }
}

/// Writes the remarks above the first task.
fn write_head(dump: &Dump, source: &Source, rows: &Rows, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# {} tasks of {}", rows.total, source.title)?;
    for trouble in &rows.troubles {
        writeln!(out, "# {trouble}")?;
    }
    writeln!(
        out,
        "# not recorded without the probe: times of waits and polls"
    )?;
    for (number, runtime) in dump.runtimes.iter().enumerate() {
        writeln!(out, "# runtime {}: {}", number + 1, line_of(runtime))?;
        for (number, worker) in runtime.workers.iter().take(WORKERS).enumerate() {
            let busy = Span(worker.busy_ns);
            let parks = worker.parks;
            writeln!(
                out,
                "#   worker {number}: busy for {busy}, parked {parks} times"
            )?;
        }
    }
    if rows.rows.len() < rows.total {
        writeln!(out, "# {} of them are shown", rows.rows.len())?;
    }
    if let Some(limit) = left_out(dump.stored.left_out) {
        writeln!(out, "# {limit}")?;
    }
    if dump.out_of_bytes {
        writeln!(
            out,
            "# the dump ends at the bound of what is read of a process"
        )?;
    }
    writeln!(out)
}

fn line_of(runtime: &Runtime) -> String {
    let mut line = format!("{}, {} tasks", runtime.kind.text(), runtime.listed);
    if !runtime.is_whole {
        line += match runtime.counted {
            Some(counted) => format!(" of {counted}"),
            None => " at least".into(),
        }
        .as_str();
        line += ": its list could not be followed to the end";
    }
    line += &format!(", {} threads inside", runtime.threads);
    line
}
