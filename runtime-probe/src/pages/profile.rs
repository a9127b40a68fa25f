//! `/debug/pprof/profile`: the CPU profile of the time that the client waits, by default `seconds=30` at `hz=100`.
//!
//! One at a time: two would share the samples.

use super::page::Page;
use super::seconds::Span;
use super::stack_format::{StackFormat, crates};
use crate::ask::cpu_session::{SplitBy, Watch};
use crate::profile::cpu::{Cpu, HZ, NAME};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::time::Duration;

const PARAMETERS: [&str; 6] = ["crate", "debug", "format", "hz", "labels", "seconds"];

/// As in Go.
const SECONDS: u64 = 30;

/// The fastest tick of a kernel.
const MOST_HZ: u32 = 1000;

/// The page.
pub(super) const PAGE: Page = Page {
    name: "profile",
    link: "?seconds=5&debug=1",
    parameters: Some(&PARAMETERS),
    about: "What uses the CPU, for seconds=30 if nothing else is said, at hz=100 samples for each second of CPU time; for go tool \
            pprof without debug=1. format=folded and format=flamegraph are the stacks of a flame graph; labels=task,thread keeps \
            the samples of tasks by name and of threads apart.",
    count: Page::no_entries,
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let span = Span::of(request)?.unwrap_or(Span::of_seconds(SECONDS));
    let period = Duration::from_secs(1) / hz(request)?;
    let split_by = split_by(request)?;
    let format = StackFormat::of(request)?;
    let crates = crates(request)?;
    let debug = request.number("debug")?.unwrap_or(0);
    format.goes_with(debug, 1)?;
    let watch = Watch::start(period, split_by)
        .map_err(|error| Refusal::new(500, format!("Could not enable CPU profiling: {error}")))?;
    span.wait(request.client())?;
    let Some(time) = watch.stop() else {
        return Err(Refusal::new(500, "the profile could not be made"));
    };
    let cpu = Cpu::new(&time, &crates);
    match format {
        _ if debug == 1 => Reply::written(|text| cpu.write_text(text)),
        StackFormat::Proto => format.reply(NAME, &cpu.profile()),
        _ => format.reply(NAME, &cpu.shown_profile()),
    }
}

fn hz(request: &Request) -> Result<u32, Refusal> {
    let must_be = || format!("1 to {MOST_HZ}: samples for each second of CPU time");
    Ok(request.up_to("hz", MOST_HZ, must_be)?.unwrap_or(HZ))
}

fn split_by(request: &Request) -> Result<SplitBy, Refusal> {
    let mut split_by = SplitBy::default();
    for name in request
        .param("labels")?
        .into_iter()
        .flat_map(|list| list.split(','))
    {
        match name {
            "task" => split_by.task = true,
            "thread" => split_by.thread = true,
            _ => {
                return Err(Refusal::bad_request(
                    "invalid value for \"labels\" - must be task, thread or task,thread",
                ));
            }
        }
    }
    Ok(split_by)
}
