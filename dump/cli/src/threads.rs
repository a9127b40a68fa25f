//! `threads`: a line or a block for each thread, and tokio's counters of its workers.

use crate::own_frame::{call, own_frame};
use crate::refusal::Refusal;
use crate::show;
use crate::show::block::{duration, push_block};
use crate::show::style::{Style, printable, printable_lines};
use crate::show::table::Table;
use crate::source::Source;
use crate::source::arguments::{json, read_all, sources, with_sources};
use crate::tasks::frames_json;
use clap::{Arg, ArgAction, ArgMatches, Command};
use runtime_dump::parse::Parsed;
use runtime_dump::parse::blocks::{Blocks, Subject};
use serde_json::json;
use std::process::ExitCode;

pub(crate) fn command() -> Command {
    let command = Command::new("threads").about(
        "Every thread with its CPU time, state and polled task; and the workers of each runtime",
    );
    with_sources(command)
        .arg(
            Arg::new("full")
                .long("full")
                .short('f')
                .action(ArgAction::SetTrue)
                .help("A block with the stack for each thread"),
        )
        .arg(json("An array with an object for each thread").conflicts_with("full"))
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    let sources = match sources(matches) {
        Ok(sources) => sources,
        Err(refusal) => return refusal.told(),
    };
    let (read, is_whole) = read_all(&sources, dump);
    if read.is_empty() {
        return ExitCode::FAILURE;
    }
    if matches.get_flag("json") {
        return show::print(&json_text(&read), is_whole);
    }
    let style = Style::of_stdout();
    let mut text = String::new();
    for (source, dump) in &read {
        if read.len() > 1 {
            text.push_str(&style.heading(source));
        }
        for remark in &dump.remarks {
            text.push_str(&style.alarm(&printable(&format!("# {remark}"))));
            text.push('\n');
        }
        match matches.get_flag("full") {
            true => dump
                .blocks
                .iter()
                .for_each(|block| push_block(&mut text, block, Subject::Thread, style)),
            false => text.push_str(&table(dump).text(style)),
        }
        for line in &dump.tables {
            text.push_str(&style.dim(&printable_lines(line)));
            text.push('\n');
        }
    }
    show::print(&text, is_whole)
}

fn dump(source: &Source) -> Result<Blocks, Refusal> {
    match source.dump("threads?debug=2")? {
        Parsed::Blocks(dump) if dump.subject == Subject::Thread => Ok(dump),
        Parsed::Counts(counts) if counts.name == "threads" || counts.name == "threadcreate" => {
            Err(Refusal::new(format!(
                "{source}: it has threads by their stacks: `runtime-dump stacks` reads it; `threads` needs threads?debug=2"
            )))
        }
        _ => Err(Refusal::new(format!(
            "{source}: it has no threads: they are in the page threads?debug=2"
        ))),
    }
}

fn table(dump: &Blocks) -> Table {
    let mut table = Table::new(&[">ID", "STATE", ">CPU", "NAME", "WHERE", "NOTES"]);
    for block in &dump.blocks {
        let remark = block.remark.as_ref();
        let cpu = remark
            .and_then(|remark| remark.cpu_ns)
            .map_or_else(|| "-".to_owned(), duration);
        let name = remark
            .and_then(|remark| remark.name.clone())
            .unwrap_or_default();
        let place = own_frame(&block.stack.frames).map_or_else(|| "-".to_owned(), call);
        let notes = remark
            .map(|remark| remark.notes.clone())
            .unwrap_or_default();
        table.push(vec![
            block.id.to_string(),
            printable(&block.state),
            cpu,
            printable(&name),
            printable(&place),
            printable(&notes),
        ]);
    }
    table
}

fn json_text(read: &[(&Source, Blocks)]) -> String {
    let threads = read.iter().flat_map(|(source, dump)| {
        dump.blocks.iter().map(move |block| {
            let remark = block.remark.as_ref();
            json!({
                "source": source.to_string(),
                "id": block.id,
                "name": remark.and_then(|remark| remark.name.as_deref()),
                "state": block.state,
                "cpu_ns": remark.and_then(|remark| remark.cpu_ns),
                "notes": remark.map(|remark| remark.notes.as_str()),
                "frames": frames_json(&block.stack.frames),
            })
        })
    });
    let remarks = read.iter().flat_map(|(source, dump)| {
        dump.remarks
            .iter()
            .map(move |remark| json!({ "source": source.to_string(), "remark": remark }))
    });
    let document = json!({ "version": 1, "remarks": remarks.collect::<Vec<_>>(), "threads": threads.collect::<Vec<_>>() });
    format!("{document:#}\n")
}
