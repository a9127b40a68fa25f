//! `graph`: the call graph of a log or of one dump, with the counts of each frame over time, as one HTML file.
//!
//! * [`tree`]: frames below their callers;
//! * [`page`]: the HTML.

mod page;
mod tree;

use crate::refusal::Refusal;
use crate::show;
use crate::source::Source;
use crate::source::arguments::{output, read_all, sources, with_sources};
use clap::{ArgMatches, Command};
use runtime_dump::parse::stacks::{CountedStack, of_counts};
use runtime_dump::parse::{Parsed, rfc3339};
use std::path::PathBuf;
use std::process::ExitCode;
use tree::Tree;

pub(crate) fn command() -> Command {
    let command = Command::new("graph").about("The call graph of a log of `watch -o`, or of dumps, as one HTML file: counts over time, with folding and search");
    with_sources(command).arg(output("The file to write; it needs no other files").required(true))
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    match graph(matches) {
        Ok(code) => code,
        Err(refusal) => refusal.told(),
    }
}

fn graph(matches: &ArgMatches) -> Result<ExitCode, Refusal> {
    let sources = sources(matches)?;
    let path: &PathBuf = matches.get_one("output").expect("clap asks for it");
    let (read, is_whole) = read_all(&sources, moments);
    if read.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let mut titles = Vec::new();
    let mut tree = Tree::default();
    for (source, moments) in read {
        titles.push(source.to_string());
        for moment in moments {
            tree.add(moment.label, &moment.stacks);
        }
    }
    std::fs::write(path, page::html(&titles.join(", "), &tree))
        .map_err(|error| Refusal::file("write", path, &error))?;
    show::line(&format!(
        "{}: {} moments, {} frames",
        path.display(),
        tree.labels().len(),
        tree.frames()
    ));
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The counts of one moment.
struct Moment {
    label: String,
    stacks: Vec<CountedStack>,
}

fn moments(source: &Source) -> Result<Vec<Moment>, Refusal> {
    let parsed = source.dump("goroutine?debug=1")?;
    let Parsed::Log(log) = &parsed else {
        return Ok(vec![Moment {
            label: source.to_string(),
            stacks: parsed.stacks(),
        }]);
    };
    let moments = log
        .samples
        .iter()
        .enumerate()
        .map(|(index, sample)| Moment {
            label: sample
                .time_ns
                .map_or_else(|| format!("look {}", index + 1), rfc3339),
            stacks: of_counts(&sample.counts),
        });
    Ok(moments.collect())
}
