//! `record` and `open`: one file with the state of a service, for a colleague.
//!
//! * [`bundle`]: the file, a tar compressed by zstd;
//! * [`redact`]: the removal of labels from its files.

mod bundle;
mod redact;

use crate::own_frame::{call, own_frame};
use crate::refusal::{Refusal, said};
use crate::show;
use crate::show::progress::Progress;
use crate::show::style::printable;
use crate::source::Source;
use crate::source::arguments::{output, source, time_in, with_source};
use bundle::{Entry, pack, unpack};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use runtime_dump::parse::{Parsed, parse, rfc3339};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The requests before, during and after the recording: the name in the bundle, and the page. `{}` is the number of
/// seconds.
const BEFORE: [(&str, &str); 1] = [("before.txt", "goroutine?debug=2")];
const DURING: [(&str, &str); 6] = [
    ("cpu.pb.gz", "profile?seconds={}"),
    ("block.pb.gz", "block?seconds={}&rate=10000"),
    ("mutex.pb.gz", "mutex?seconds={}&fraction=1"),
    ("heap.pb.gz", "heap?seconds={}"),
    ("tasks.json", "tasks?format=json&seconds={}"),
    ("trace.out", "trace?seconds={}"),
];
const AFTER: [(&str, &str); 5] = [
    ("after.txt", "goroutine?debug=2"),
    ("leaked.txt", "goroutineleak?debug=1"),
    ("threads.txt", "threads?debug=2"),
    ("locks.txt", "locks"),
    // The server leaves tokens out of the command line.
    ("cmdline.txt", "cmdline"),
];

/// The longest trace. Each second takes some megabytes.
const LONGEST_TRACE: u64 = 5;

pub(crate) fn record_command() -> Command {
    let command = Command::new("record").about("Records a service into one file: dumps before and after, profiles and a trace of the time between, threads and locks").after_help(
        "The file does not contain the token; the service's command line in it does not either. The file contains names and labels of tasks, and the messages that the program writes to a trace: check it before you pass it on. --without-labels removes the labels from all files.",
    );
    with_source(command)
        .arg(output("The file to write, a .tar.zst").required(true))
        .arg(
            Arg::new("for")
                .long("for")
                .value_name("TIME")
                .default_value("30s")
                .value_parser(time_in(
                    Duration::from_secs(1)..=Duration::from_secs(3600),
                    "a time from 1s to 1h",
                ))
                .help("The length of the recording; the trace covers the first 5 s"),
        )
        .arg(
            Arg::new("without-labels")
                .long("without-labels")
                .action(ArgAction::SetTrue)
                .help("Removes the labels of tasks and threads in dumps, of tasks in the trace, and of samples in profiles"),
        )
}

pub(crate) fn open_command() -> Command {
    Command::new("open")
        .about("Shows a bundle of `record`")
        .arg(Arg::new("FILE").required(true).value_parser(value_parser!(PathBuf)).help("The bundle"))
        .arg(
            Arg::new("into")
                .long("into")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Writes its files into a directory, for `runtime-dump stacks`, `go tool pprof` and `go tool trace`"),
        )
}

pub(crate) fn run_record(matches: &ArgMatches) -> ExitCode {
    said(record(matches))
}

pub(crate) fn run_open(matches: &ArgMatches) -> ExitCode {
    match open(matches) {
        Ok(text) => show::print(&text, true),
        Err(refusal) => refusal.told(),
    }
}

/// The name in the bundle, and the answer of the page or the refusal.
type Answer = (&'static str, Result<Vec<u8>, Refusal>);

fn record(matches: &ArgMatches) -> Result<String, Refusal> {
    let source = source(matches)?;
    if !source.is_live() {
        return Err(Refusal::new(format!(
            "{source}: only a server can be recorded"
        )));
    }
    let path: &PathBuf = matches.get_one("output").expect("clap asks for it");
    let span: &Duration = matches.get_one("for").expect("it has a default");
    let seconds = span.as_secs();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let time = rfc3339(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));

    let mut answers: Vec<Answer> = Vec::new();
    for (name, page) in BEFORE {
        // A service that does not answer at all is an error. A missing page is a line of the manifest.
        answers.push((name, Ok(source.bytes(page, Duration::ZERO)?)));
    }
    let progress = Progress::start("recording", Duration::from_secs(seconds));
    let is_redacted = matches.get_flag("without-labels");
    answers.extend(at_once(&source, seconds, is_redacted));
    drop(progress);
    answers.extend(AFTER.map(|(name, page)| (name, source.bytes(page, Duration::ZERO))));

    let mut entries = Vec::new();
    let mut missing = Vec::new();
    for (name, answer) in answers {
        let answer = match answer {
            Ok(bytes) if is_redacted => redact::without_labels(name, bytes)
                .map_err(|why| Refusal::new(format!("its labels cannot be left out: {why}"))),
            answer => answer,
        };
        match answer {
            Ok(bytes) => entries.push(Entry {
                name: name.to_owned(),
                bytes,
            }),
            Err(refusal) => missing.push(json!({ "file": name, "why": refusal.to_string() })),
        }
    }
    let manifest = json!({
        "version": 1,
        "recorded": time,
        "seconds": seconds,
        "labels": if is_redacted { "left out" } else { "kept" },
        "source": source.to_string(),
        "build_id": build_id(&entries),
        "missing": missing,
    });
    entries.insert(
        0,
        Entry {
            name: "manifest.json".to_owned(),
            bytes: format!("{manifest:#}\n").into_bytes(),
        },
    );
    let bytes = pack(&entries).map_err(|error| Refusal::new(format!("cannot pack: {error}")))?;
    std::fs::write(path, &bytes).map_err(|error| Refusal::file("write", path, &error))?;
    let told = match missing.len() {
        0 => String::new(),
        count => format!(", {count} not there: `runtime-dump open` says why"),
    };
    Ok(format!(
        "{}: {} files{told}, {} bytes",
        path.display(),
        entries.len(),
        bytes.len()
    ))
}

/// Asks all pages that collect, at the same time.
fn at_once(source: &Source, seconds: u64, is_redacted: bool) -> Vec<Answer> {
    thread::scope(|scope| {
        let threads = DURING.map(|(name, page)| {
            let seconds = if name == "trace.out" {
                seconds.min(LONGEST_TRACE)
            } else {
                seconds
            };
            let mut page = page.replace("{}", &seconds.to_string());
            // The labels of all other files are removed here.
            if is_redacted && name == "trace.out" {
                page.push_str("&labels=0");
            }
            (
                name,
                scope.spawn(move || source.bytes(&page, Duration::from_secs(seconds))),
            )
        });
        threads
            .into_iter()
            .map(|(name, thread)| (name, thread.join().expect("no reader panics")))
            .collect()
    })
}

/// The build id of the program, from its profiles.
fn build_id(entries: &[Entry]) -> Option<String> {
    entries
        .iter()
        .filter(|entry| entry.name.ends_with(".pb.gz"))
        .find_map(|entry| match parse(&entry.bytes) {
            Ok(Parsed::Profile(profile)) => {
                let id = profile
                    .mapping
                    .first()
                    .map(|mapping| profile.string(mapping.build_id).to_owned());
                id.filter(|id| !id.is_empty())
            }
            _ => None,
        })
}

fn open(matches: &ArgMatches) -> Result<String, Refusal> {
    let path: &PathBuf = matches.get_one("FILE").expect("clap asks for it");
    let bytes = std::fs::read(path).map_err(|error| Refusal::file("read", path, &error))?;
    let entries = unpack(&bytes).map_err(|error| {
        Refusal::new(format!(
            "{}: it is no bundle of `runtime-dump record`: {error}",
            path.display()
        ))
    })?;
    let mut text = String::new();
    if let Some(directory) = matches.get_one::<PathBuf>("into") {
        std::fs::create_dir_all(directory)
            .map_err(|error| Refusal::file("make", directory, &error))?;
        for entry in &entries {
            let file = directory.join(&entry.name);
            std::fs::write(&file, &entry.bytes)
                .map_err(|error| Refusal::file("write", &file, &error))?;
        }
        text.push_str(&format!(
            "{} files are in {}\n",
            entries.len(),
            directory.display()
        ));
    }
    let file = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| &entry.bytes[..])
    };
    let manifest: Value = file("manifest.json")
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let said = |key: &str| printable(manifest[key].as_str().unwrap_or("unknown"));
    text.push_str(&format!(
        "{}, recorded {} for {} s, build id {}\n",
        said("source"),
        said("recorded"),
        manifest["seconds"].as_u64().unwrap_or(0),
        said("build_id")
    ));
    if let Some(cmdline) = file("cmdline.txt") {
        let arguments = cmdline
            .split(|byte| *byte == 0)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>();
        text.push_str(&format!("{}\n", printable(&arguments.join(" "))));
    }
    for missing in manifest["missing"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        let part = |key: &str| printable(missing[key].as_str().unwrap_or_default());
        text.push_str(&format!("not there: {}: {}\n", part("file"), part("why")));
    }
    for entry in entries.iter().filter(|entry| entry.name != "manifest.json") {
        text.push_str(&format!(
            "{:>10} bytes  {}\n",
            entry.bytes.len(),
            printable(&entry.name)
        ));
    }
    if let (Some(before), Some(after)) = (file("before.txt"), file("after.txt")) {
        text.push_str(&changes(before, after));
    }
    Ok(text)
}

/// The change of the number of tasks by site, from before to after, the largest increase first.
fn changes(before: &[u8], after: &[u8]) -> String {
    let (Ok(before), Ok(after)) = (parse(before), parse(after)) else {
        return "its dumps cannot be read\n".to_owned();
    };
    let mut text = String::new();
    if let Parsed::Blocks(dump) = &after {
        dump.remarks
            .iter()
            .for_each(|remark| text.push_str(&format!("# {}\n", printable(remark))));
    }
    let mut sites: HashMap<String, (i64, i64)> = HashMap::new();
    for stack in before.stacks() {
        sites
            .entry(own_frame(&stack.frames).map(call).unwrap_or_default())
            .or_default()
            .0 += stack.count;
    }
    for stack in after.stacks() {
        sites
            .entry(own_frame(&stack.frames).map(call).unwrap_or_default())
            .or_default()
            .1 += stack.count;
    }
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(name, (before, after))| (before - after, -after, name.clone()));
    text.push_str("tasks before and after:\n");
    for (name, (before, after)) in sites.iter().take(20) {
        text.push_str(&format!(
            "{before:>10} -> {after:<10}  {}\n",
            printable(name)
        ));
    }
    if sites.len() > 20 {
        text.push_str(&format!("and {} sites more\n", sites.len() - 20));
    }
    text
}
