//! `stacks`: each distinct stack with the number of its tasks, added up over all sources.

use crate::refusal::Refusal;
use crate::show;
use crate::show::block::{duration, push_frames};
use crate::show::style::{Style, printable};
use crate::source::Source;
use crate::source::arguments::{json, read_all, sources, with_sources};
use crate::tasks::{Filter, frames_json, with_filters};
use clap::{Arg, ArgMatches, Command};
use runtime_dump::parse::Parsed;
use runtime_dump::parse::stacks::{merged, shown_first};
use runtime_dump::stack::Frame;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) fn command() -> Command {
    let command = Command::new("stacks").about("Each distinct stack with its count, the most frequent first: a leak is at the top. Reads debug=1, debug=2 and profile.proto, Go's too");
    with_filters(with_sources(command))
        .arg(
            Arg::new("page")
                .long("page")
                .value_name("PAGE")
                .help("Another page of the server that has a profile: heap?seconds=10, block?seconds=10&rate=10000, mutex, profile?seconds=5"),
        )
        .arg(json("An array with an object for each stack"))
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let sources = match sources(matches) {
        Ok(sources) => sources,
        Err(refusal) => return refusal.told(),
    };
    let (read, is_whole) = read_all(&sources, |source| Dump::read(source, matches));
    if read.is_empty() {
        return ExitCode::FAILURE;
    }
    let mut remarks = Vec::new();
    // If the units of the sources differ, the numbers are shown without a unit.
    let unit = read
        .first()
        .map(|(_, dump)| dump.unit.clone())
        .unwrap_or_default();
    let is_one = read.iter().all(|(_, dump)| dump.unit == unit);
    let unit = if is_one { unit } else { String::new() };
    let mut states: HashMap<Arc<[Frame]>, States> = HashMap::new();
    let mut all = Vec::new();
    for (source, dump) in read {
        let name = if sources.len() > 1 {
            format!("{source}: ")
        } else {
            String::new()
        };
        remarks.extend(dump.remarks.iter().map(|remark| format!("{name}{remark}")));
        for (frames, count, state) in dump.stacks {
            let sum = states.entry(frames.clone()).or_default();
            if let Some((reason, since_ns)) = state {
                *sum.reasons.entry(reason).or_default() += count;
                sum.longest_ns = sum.longest_ns.max(since_ns);
            }
            *sum.sources.entry(source.to_string()).or_default() += count;
            all.push((frames, count));
        }
    }
    let stacks = merged(all);
    let limit = matches.get_one("limit").copied().unwrap_or(usize::MAX);
    if stacks.len() > limit {
        remarks.push(format!(
            "--limit leaves out {} of {} stacks",
            stacks.len() - limit,
            stacks.len()
        ));
    }
    let shown = stacks.iter().take(limit);
    let text = if matches.get_flag("json") {
        let stacks: Vec<_> = shown
            .map(|stack| {
                let states = &states[&stack.frames];
                json!({
                    "count": stack.count, "reasons": states.reasons, "longest_ns": states.longest_ns, "sources": states.sources,
                    "frames": frames_json(&stack.frames),
                })
            })
            .collect();
        format!(
            "{:#}\n",
            json!({ "version": 1, "remarks": remarks, "stacks": stacks })
        )
    } else {
        let style = Style::of_stdout();
        let mut text: String = remarks
            .iter()
            .map(|remark| style.alarm(&printable(&format!("# {remark}"))) + "\n")
            .collect();
        if stacks.is_empty() {
            text.push_str("# no stacks\n");
        }
        for stack in shown {
            text.push_str(&style.header(&header(stack.count, &unit, &states[&stack.frames])));
            text.push('\n');
            push_frames(&mut text, &stack.frames, None, style);
            text.push('\n');
        }
        text
    };
    show::print(&text, is_whole)
}

/// The unit of the counts; empty for tasks.
pub(crate) fn unit(parsed: &Parsed) -> &str {
    match parsed {
        Parsed::Profile(profile) => {
            let measure = profile.sample_type.get(shown_first(profile));
            measure.map_or("", |measure| profile.string(measure.unit))
        }
        _ => "",
    }
}

/// Formats `100 x`, `2.5s`, `1.5MB`.
pub(crate) fn value(count: i64, unit: &str) -> String {
    let sign = if count < 0 { "-" } else { "" };
    let size = count.unsigned_abs();
    match unit {
        "nanoseconds" => format!("{sign}{}", duration(size)),
        "bytes" => match size {
            0..1_000 => format!("{count}B"),
            1_000..1_000_000 => format!("{sign}{:.1}kB", size as f64 / 1e3),
            _ => format!("{sign}{:.1}MB", size as f64 / 1e6),
        },
        _ => format!("{count} x"),
    }
}

/// The wait reasons and the sources of the tasks of one stack.
#[derive(Default)]
struct States {
    reasons: BTreeMap<String, i64>,
    longest_ns: Option<u64>,
    sources: BTreeMap<String, i64>,
}

/// Formats `100 x [chan receive], the longest for 2m5s`.
fn header(count: i64, unit: &str, states: &States) -> String {
    let reasons = match states.reasons.len() {
        0 => String::new(),
        1 => format!(" [{}]", states.reasons.keys().next().expect("there is one")),
        _ => {
            let reasons: Vec<String> = states
                .reasons
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            format!(" [{}]", reasons.join(", "))
        }
    };
    let longest = states
        .longest_ns
        .map(|ns| format!(", the longest for {}", duration(ns)))
        .unwrap_or_default();
    let sources = match states.sources.len() {
        0 | 1 => String::new(),
        _ => {
            let sources: Vec<String> = states
                .sources
                .iter()
                .map(|(source, count)| format!("{count} of {source}"))
                .collect();
            format!("; {}", sources.join(", "))
        }
    };
    printable(&format!(
        "{}{reasons}{longest}{sources}",
        value(count, unit)
    ))
}

/// The stacks of one source.
struct Dump {
    remarks: Vec<String>,
    /// The unit of the counts; empty for tasks.
    unit: String,
    stacks: Vec<(Arc<[Frame]>, i64, Option<Doing>)>,
}

/// The state or wait reason of a task, and the nanoseconds in it.
type Doing = (String, Option<u64>);

impl Dump {
    fn read(source: &Source, matches: &ArgMatches) -> Result<Self, Refusal> {
        let page = matches
            .get_one::<String>("page")
            .map_or("goroutine?debug=2", String::as_str);
        let mut parsed = source.dump(page)?;
        if let Parsed::Blocks(dump) = &mut parsed {
            // The limit applies to stacks here, not to tasks.
            Filter::of(matches).without_limit().apply(dump);
            let stacks = dump.blocks.iter().map(|block| {
                let count = i64::try_from(block.count()).unwrap_or(i64::MAX);
                (
                    block.stack.frames.clone(),
                    count,
                    Some((block.state.clone(), block.since_ns())),
                )
            });
            return Ok(Self {
                stacks: stacks.collect(),
                remarks: std::mem::take(&mut dump.remarks),
                unit: String::new(),
            });
        }
        for filter in ["match", "state", "minwait"] {
            if matches.contains_id(filter) {
                return Err(Refusal::new(format!(
                    "{source}: --{filter} needs a dump with debug=2: this one has no tasks one by one"
                )));
            }
        }
        let remarks = match &parsed {
            Parsed::Counts(counts) => counts.remarks.clone(),
            Parsed::Log(log) => vec![format!("the last of {} dumps of a log", log.samples.len())],
            Parsed::Blocks(_) => Vec::new(),
            Parsed::Profile(profile) => {
                let measure = profile.sample_type.get(shown_first(profile));
                let measure = measure
                    .map(|measure| (profile.string(measure.r#type), profile.string(measure.unit)));
                let comments = profile
                    .comment
                    .iter()
                    .map(|comment| profile.string(*comment).to_owned());
                let remarks: Vec<String> = comments.collect();
                measure
                    .map(|(kind, unit)| format!("counts are {kind}, in the unit {unit}"))
                    .into_iter()
                    .chain(remarks)
                    .collect()
            }
        };
        let unit = unit(&parsed).to_owned();
        let stacks = parsed
            .stacks()
            .into_iter()
            .map(|stack| (stack.frames, stack.count, None));
        Ok(Self {
            remarks,
            unit,
            stacks: stacks.collect(),
        })
    }
}
