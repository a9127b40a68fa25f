//! `/debug/pprof/profile`: what runs while the client waits, `seconds=30` if it does not say, at `hz=100`.
//!
//! One at a time: two would take the same samples from each other.

use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::routes::only;
use super::seconds::Span;
use super::stack_format::StackFormat;
use crate::profile::cpu::{Cpu, NAME};
use crate::snapshot::cpu::{SplitBy, Watch};
use std::time::Duration;

const PARAMETERS: [&str; 5] = ["debug", "format", "hz", "labels", "seconds"];

/// As in Go.
const SECONDS: u64 = 30;

/// Go's rate: fine enough to see what takes a hundredth of the time, and nobody notices.
pub(super) const HZ: u32 = 100;

/// No kernel ticks faster.
const MOST_HZ: u32 = 1000;

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &PARAMETERS)?;
    let span = Span::of(request)?.unwrap_or(Span::of_seconds(SECONDS));
    let period = Duration::from_secs(1) / hz(request)?;
    let split_by = split_by(request)?;
    let format = StackFormat::of(request)?;
    let text = match request.number("debug")? {
        None | Some(0) => false,
        Some(1) if format == StackFormat::Proto => true,
        Some(1) => return Err(Refusal::incompatible("format", "debug")),
        Some(_) => {
            return Err(Refusal::bad_request(
                "invalid value for \"debug\" - must be 0 or 1",
            ));
        }
    };
    let watch = Watch::start(period, split_by)
        .map_err(|error| Refusal::new(500, format!("Could not enable CPU profiling: {error}")))?;
    span.wait(request.client())?;
    let Some(time) = watch.stop() else {
        return Err(Refusal::new(500, "the profile could not be made"));
    };
    let cpu = Cpu::new(&time);
    if text {
        let mut text = Vec::new();
        cpu.write_text(&mut text)
            .map_err(|error| Refusal::new(500, format!("could not write the profile: {error}")))?;
        return Ok(Reply::text(200, text));
    }
    match format {
        StackFormat::Proto => format.reply(NAME, &cpu.profile()),
        _ => format.reply(NAME, &cpu.shown_profile()),
    }
}

fn hz(request: &Request) -> Result<u32, Refusal> {
    let Some(text) = request.param("hz")? else {
        return Ok(HZ);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|hz| digits && (1..=MOST_HZ).contains(hz))
        .ok_or_else(|| {
            Refusal::bad_request(format!(
                "invalid value for \"hz\" - must be 1 to {MOST_HZ}: samples for each second of CPU time"
            ))
        })
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
