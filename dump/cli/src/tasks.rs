//! `tasks`: a line or a block for each task.

use crate::own_frame::{own_frame, place};
use crate::refusal::Refusal;
use crate::show;
use crate::show::block::{duration, push_block};
use crate::show::style::{Style, printable};
use crate::show::table::Table;
use crate::source::Source;
use crate::source::arguments::{json, read_all, sources, time, with_sources};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use regex_lite::Regex;
use runtime_dump::goroutine::Join;
use runtime_dump::parse::Parsed;
use runtime_dump::parse::blocks::{Block, Blocks, Subject};
use runtime_dump::parse::joins::joins;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn command() -> Command {
    let command = Command::new("tasks").about("Every task with its wait reason, waiting time and location; of one service, several, or dumps in files (debug=2, Go's too)");
    with_filters(with_sources(command))
        .arg(Arg::new("full").long("full").short('f').action(ArgAction::SetTrue).help("A block with the stack for each task"))
        .arg(
            Arg::new("leaked")
                .long("leaked")
                .action(ArgAction::SetTrue)
                .help("Only tasks that can never continue: they have no waker left, or are in a deadlock or behind one"),
        )
        .arg(json("An array with an object for each task: the fields of goroutine?format=json, and its source").conflicts_with("full"))
}

/// Adds the filters of `tasks` and `stacks`.
pub(crate) fn with_filters(command: Command) -> Command {
    let value = |name: &'static str, value_name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value_name).help(help)
    };
    command
        .arg(
            value(
                "match",
                "REGEX",
                "Only tasks with a name, function or spawn location in which REGEX is found",
            )
            .value_parser(|text: &str| Regex::new(text)),
        )
        .arg(value(
            "state",
            "LIST",
            "Only tasks in these states or with these reasons: running,sleep,sync.Mutex.Lock",
        ))
        .arg(
            value(
                "minwait",
                "TIME",
                "Only tasks that have been in their state for TIME: 10s, 1m30s",
            )
            .value_parser(time),
        )
        .arg(
            value(
                "limit",
                "N",
                "At most N of each source; the number left out is printed",
            )
            .value_parser(value_parser!(usize)),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let sources = match sources(matches) {
        Ok(sources) => sources,
        Err(refusal) => return refusal.told(),
    };
    let filter = Filter::of(matches);
    let (read, is_whole) = read_all(&sources, |source| {
        let mut dump = match matches.get_flag("leaked") {
            true => leaked(source)?,
            false => dump(source)?,
        };
        let left_out = filter.apply(&mut dump);
        Ok((dump, left_out))
    });
    if read.is_empty() {
        return ExitCode::FAILURE;
    }
    let text = match () {
        () if matches.get_flag("json") => json_text(&read),
        () if matches.get_flag("full") => full_text(&read, Style::of_stdout()),
        () => table_text(&read, Style::of_stdout()),
    };
    show::print(&text, is_whole)
}

/// The tasks of a source that can never continue.
fn leaked(source: &Source) -> Result<Blocks, Refusal> {
    let mut dump = read(source, "goroutineleak?debug=2")?;
    dump.blocks.retain(|block| block.is_leaked);
    Ok(dump)
}

/// The tasks of a source.
pub(crate) fn dump(source: &Source) -> Result<Blocks, Refusal> {
    read(source, "goroutine?debug=2")
}

fn read(source: &Source, page: &str) -> Result<Blocks, Refusal> {
    let wrong = |what: &str| {
        Err(Refusal::new(format!(
            "{source}: it has {what}: tasks need a dump with debug=2; `runtime-dump stacks` reads it"
        )))
    };
    match source.dump(page)? {
        Parsed::Blocks(dump) if dump.subject == Subject::Task => Ok(dump),
        Parsed::Blocks(_) => wrong("threads"),
        Parsed::Counts(_) | Parsed::Log(_) => wrong("stacks with their counts"),
        Parsed::Profile(_) => wrong("a profile"),
    }
}

/// Selects tasks. A server can filter, too, but files have to be filtered here, so all dumps are.
pub(crate) struct Filter {
    pattern: Option<Regex>,
    states: Vec<String>,
    min_wait: Duration,
    limit: usize,
}

impl Filter {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let states = matches
            .get_one::<String>("state")
            .map(|list| list.split(',').map(str::to_owned).collect());
        Self {
            pattern: matches.get_one::<Regex>("match").cloned(),
            states: states.unwrap_or_default(),
            min_wait: matches.get_one("minwait").copied().unwrap_or_default(),
            limit: matches.get_one("limit").copied().unwrap_or(usize::MAX),
        }
    }

    /// The filter without its limit.
    pub(crate) fn without_limit(self) -> Self {
        Self {
            limit: usize::MAX,
            ..self
        }
    }

    /// Removes the other tasks from a dump. Returns the number of selected tasks that the limit leaves out.
    pub(crate) fn apply(&self, dump: &mut Blocks) -> usize {
        dump.blocks.retain(|block| self.keeps(block));
        let left_out = dump.blocks.len().saturating_sub(self.limit);
        dump.blocks.truncate(self.limit);
        left_out
    }

    fn keeps(&self, block: &Block) -> bool {
        let state = block
            .remark
            .as_ref()
            .and_then(|remark| remark.state)
            .map(|state| state.word());
        let in_state = self.states.is_empty()
            || self
                .states
                .iter()
                .any(|wanted| *wanted == block.state || Some(&**wanted) == state);
        let for_long = Duration::from_nanos(block.since_ns().unwrap_or(0)) >= self.min_wait;
        in_state
            && for_long
            && self
                .pattern
                .as_ref()
                .is_none_or(|pattern| matches_block(pattern, block))
    }
}

fn matches_block(pattern: &Regex, block: &Block) -> bool {
    let remark = block.remark.as_ref();
    let texts = remark.and_then(|remark| remark.name.as_deref()).into_iter();
    let texts = texts.chain(remark.and_then(|remark| remark.spawned_at.as_deref()));
    let texts = texts.chain(block.created_by.as_ref().map(|by| &*by.frame.function));
    let texts = texts.chain(block.stack.frames.iter().map(|frame| &*frame.function));
    texts.into_iter().any(|text| pattern.is_match(text))
}

type Read<'s> = [(&'s Source, (Blocks, usize))];

/// Appends the remarks on a whole dump, and the number of tasks that the limit leaves out.
fn push_remarks(text: &mut String, read: &Read<'_>, style: Style) {
    for (source, (dump, left_out)) in read {
        let name = if read.len() > 1 {
            format!("{source}: ")
        } else {
            String::new()
        };
        for remark in &dump.remarks {
            text.push_str(&style.alarm(&printable(&format!("# {name}{remark}"))));
            text.push('\n');
        }
        if *left_out > 0 {
            text.push_str(&style.alarm(&format!("# {name}--limit leaves out {left_out} tasks")));
            text.push('\n');
        }
        if dump.blocks.is_empty() {
            text.push_str(&format!("# {name}no tasks\n"));
        }
    }
}

fn full_text(read: &Read<'_>, style: Style) -> String {
    let mut text = String::new();
    push_remarks(&mut text, read, style);
    for (source, (dump, _)) in read {
        if read.len() > 1 {
            text.push_str(&style.heading(source));
        }
        for block in &dump.blocks {
            push_block(&mut text, block, Subject::Task, style);
        }
    }
    text
}

fn table_text(read: &Read<'_>, style: Style) -> String {
    let mut text = String::new();
    push_remarks(&mut text, read, style);
    let several = read.len() > 1;
    let mut header = vec![">ID", "STATE", ">SINCE", ">POLLS", ">BUSY", "TASK", "WHERE"];
    if several {
        header.insert(0, "SOURCE");
    }
    let mut table = Table::new(&header);
    for (source, (dump, _)) in read {
        for block in &dump.blocks {
            let mut row = row(block);
            if several {
                row.insert(0, source.to_string());
            }
            table.push(row);
        }
    }
    text.push_str(&table.text(style));
    text
}

fn row(block: &Block) -> Vec<String> {
    let remark = block.remark.as_ref();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let frame = own_frame(&block.stack.frames);
    let name = remark.and_then(|remark| remark.name.clone());
    let function = frame.map(|frame| frame.function.to_string());
    let task = match (name, function) {
        (Some(name), Some(function)) => format!("{name} ({function})"),
        (name, function) => or_dash(name.or(function)),
    };
    let count = if block.count() > 1 {
        format!(" x{}", block.count())
    } else {
        String::new()
    };
    let leaked = if block.is_leaked { " (leaked)" } else { "" };
    vec![
        format!("{}{count}", block.id),
        printable(&format!("{}{leaked}", block.state)),
        or_dash(block.since_ns().map(duration)),
        or_dash(
            remark
                .and_then(|remark| remark.polls)
                .map(|polls| polls.to_string()),
        ),
        or_dash(remark.and_then(|remark| remark.busy_ns).map(duration)),
        printable(&task),
        printable(&or_dash(frame.map(place).filter(|place| !place.is_empty()))),
    ]
}

fn json_text(read: &Read<'_>) -> String {
    let tasks = read.iter().flat_map(|(source, (dump, _))| {
        dump.blocks
            .iter()
            .map(move |block| task_json(&source.to_string(), block))
    });
    let remarks = read.iter().flat_map(|(source, (dump, left_out))| {
        let limit = (*left_out > 0).then(|| format!("--limit leaves out {left_out} tasks"));
        dump.remarks
            .iter()
            .cloned()
            .chain(limit)
            .map(move |remark| json!({ "source": source.to_string(), "remark": remark }))
    });
    let document = json!({ "version": 1, "remarks": remarks.collect::<Vec<_>>(), "goroutines": tasks.collect::<Vec<_>>() });
    format!("{document:#}\n")
}

fn task_json(source: &str, block: &Block) -> Value {
    let remark = block.remark.as_ref();
    json!({
        "source": source,
        "id": block.id,
        "count": block.count(),
        "parent": block.created_by.as_ref().and_then(|by| by.parent),
        "name": remark.and_then(|remark| remark.name.as_deref()),
        "state": remark.and_then(|remark| remark.state).map(|state| state.word()),
        "reason": block.state,
        "leaked": block.is_leaked,
        "wait_ns": block.since_ns(),
        "polls": remark.and_then(|remark| remark.polls),
        "busy_ns": remark.and_then(|remark| remark.busy_ns),
        "spawned_at": remark.and_then(|remark| remark.spawned_at.as_deref()),
        "spawned_by": block.created_by.as_ref().map(|by| &*by.frame.function),
        "labels": block.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<serde_json::Map<_, _>>(),
        "notes": remark.map(|remark| remark.notes.as_str()),
        "joins": remark.map(|remark| joins(&remark.notes)).unwrap_or_default().iter().map(join_json).collect::<Value>(),
        "frames": frames_json(&block.stack.frames),
        "frames_elided": block.stack.elided.map_or(0, |(_, count)| count),
    })
}

fn join_json(join: &Join) -> Value {
    let tasks = join
        .tasks
        .iter()
        .map(|task| json!({ "id": task.id, "name": task.name }));
    json!({ "members": join.members, "tasks": tasks.collect::<Value>() })
}

pub(crate) fn frames_json(frames: &[runtime_dump::stack::Frame]) -> Value {
    frames.iter().map(|frame| json!({ "function": &*frame.function, "file": &*frame.file, "line": frame.line })).collect()
}
