//! `locks`: the locks that tasks wait for, their holders, and deadlocks. A server knows all locks. A dump of tasks
//! contains the locks in its remarks only.

use crate::own_frame::{call, own_frame};
use crate::refusal::Refusal;
use crate::show;
use crate::show::block::duration;
use crate::show::style::{Style, printable, printable_lines};
use crate::source::Source;
use crate::source::arguments::{json, read_all, sources, with_sources};
use crate::tasks;
use clap::{ArgMatches, Command};
use runtime_dump::parse::blocks::{Block, Blocks};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn command() -> Command {
    let command = Command::new("locks").about("The locks with waiters: who holds each, who waits for it, since when and where; and deadlocks");
    with_sources(command).arg(json(
        "An array with a document for each source: the page locks?format=json",
    ))
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let sources = match sources(matches) {
        Ok(sources) => sources,
        Err(refusal) => return refusal.told(),
    };
    let style = Style::of_stdout();
    if matches.get_flag("json") {
        let (read, is_whole) = read_all(&sources, document);
        let documents: Vec<Value> = read
            .into_iter()
            .map(|(source, locks)| json!({ "source": source.to_string(), "locks": locks }))
            .collect();
        return show::print(&format!("{:#}\n", Value::from(documents)), is_whole);
    }
    let (read, is_whole) = read_all(&sources, text);
    let mut shown = String::new();
    for (source, text) in &read {
        if read.len() > 1 {
            shown.push_str(&style.heading(source));
        }
        for line in printable_lines(text).lines() {
            let line = match line {
                line if line.starts_with("# ") => style.alarm(line),
                line if line.starts_with('\t') => line.to_owned(),
                line => style.header(line),
            };
            shown.push_str(&line);
            shown.push('\n');
        }
    }
    show::print(&shown, is_whole)
}

fn document(source: &Source) -> Result<Value, Refusal> {
    if !source.is_live() {
        return Err(Refusal::new(format!(
            "{source}: --json needs a server: a dump of tasks has locks as text only"
        )));
    }
    let bytes = source.bytes("locks?format=json", Duration::ZERO)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::new(format!("{source}: no JSON: {error}")))
}

fn text(source: &Source) -> Result<String, Refusal> {
    if source.is_live() {
        return Ok(String::from_utf8_lossy(&source.bytes("locks", Duration::ZERO)?).into_owned());
    }
    Ok(of_tasks(&tasks::dump(source)?))
}

/// The remarks of a dump on locks: `waits for a Mutex<..> created at .., held by ..`.
fn of_tasks(dump: &Blocks) -> String {
    let mut text = String::new();
    for remark in dump
        .remarks
        .iter()
        .filter(|remark| remark.starts_with("deadlock: "))
    {
        text.push_str(&format!("# {remark}\n"));
    }
    let mut locks: BTreeMap<&str, Vec<&Block>> = BTreeMap::new();
    for block in &dump.blocks {
        let notes = block.remark.as_ref().map_or("", |remark| &remark.notes);
        if let Some(lock) = notes
            .find("waits for a")
            .map(|at| &notes[at + "waits for ".len()..])
            && lock.contains(" created at ")
        {
            locks.entry(lock).or_default().push(block);
        }
    }
    if locks.is_empty() {
        text.push_str("# no task of this dump is said to wait for a lock; remarks about locks are in dumps of runtime-probe without plain=1\n");
    }
    for (lock, waiters) in locks {
        let longest = waiters
            .iter()
            .filter_map(|block| block.since_ns())
            .max()
            .map(|ns| format!(", the first for {}", duration(ns)));
        text.push_str(&format!(
            "{}\n\t{} wait{}\n",
            printable(lock),
            waiters.len(),
            longest.unwrap_or_default()
        ));
        for block in waiters.iter().take(20) {
            let place = own_frame(&block.stack.frames).map(call).unwrap_or_default();
            text.push_str(&format!(
                "\t\tgoroutine {} [{}] at {}\n",
                block.id,
                block.state,
                printable(&place)
            ));
        }
        if waiters.len() > 20 {
            text.push_str(&format!("\t\t{} more\n", waiters.len() - 20));
        }
    }
    text
}
