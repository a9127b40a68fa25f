//! `/debug/pprof/heap` and `/debug/pprof/allocs`: the allocations by stack (`debug=0`, `debug=1`, `format=`), or their
//! change while the client waits (`seconds=`). `gc=1` returns free memory to the system first.

use super::page::Page;
use super::seconds::Span;
use super::stack_format::{StackFormat, crates};
use crate::profile::heap::{Allocations, Shows, count, give_back, unavailable};
use crate::snapshot::heap::SplitBy;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

const PARAMETERS: [&str; 6] = ["crate", "debug", "format", "gc", "labels", "seconds"];

/// The page of live allocations.
pub(super) const PAGE: Page = Page {
    name: Shows::InUse.name(),
    link: "?debug=1",
    parameters: Some(&PARAMETERS),
    about: "What is allocated and alive, by the stack that allocated it, for go tool pprof without debug=1. Needs the global \
            allocator pprof::heap::Allocator. seconds=10 is what changes meanwhile; gc=1 gives free memory back to the system \
            first; labels=task,age keeps what is alive apart by the task that allocated it and by its age.",
    count: |_| count(),
    takes_post: false,
    answer: |request| answer(request, Shows::InUse),
};

/// The page of all allocations since the start.
pub(super) const ALLOCS_PAGE: Page = Page {
    name: Shows::Allocated.name(),
    link: "?debug=1",
    parameters: Some(&PARAMETERS),
    about: "The same as heap, with all that was allocated since the start in the first place.",
    count: |_| count(),
    takes_post: false,
    answer: |request| answer(request, Shows::Allocated),
};

/// Answers a request.
fn answer(request: &Request, shows: Shows) -> Result<Reply, Refusal> {
    let span = Span::of(request)?;
    let debug = request.number("debug")?.unwrap_or(0);
    let format = StackFormat::of(request)?;
    format.goes_with(debug, 1)?;
    if span.is_some() && debug != 0 {
        return Err(Refusal::incompatible("seconds", "debug"));
    }
    let gc = request.switch("gc")?;
    let split_by = split_by(request)?;
    let crates = crates(request)?;
    if let Some(why) = unavailable() {
        return Err(Refusal::new(501, why));
    }
    let given_back = gc.then(give_back);
    let collect = || Allocations::collect(shows, split_by, &crates);
    let (mut allocations, name) = match span {
        None => (collect(), shows.name().to_owned()),
        Some(span) => {
            let before = collect();
            let span = span.wait(request.client())?;
            (
                collect().since(&before, span),
                format!("{}-delta", shows.name()),
            )
        }
    };
    given_back
        .into_iter()
        .for_each(|remark| allocations.comment(remark));
    match format {
        _ if debug == 1 => Reply::written(|text| allocations.write_text(text)),
        StackFormat::Proto => format.reply(&name, &allocations.profile()),
        _ => format.reply(&name, &allocations.shown_profile()),
    }
}

fn split_by(request: &Request) -> Result<SplitBy, Refusal> {
    let mut split_by = SplitBy::default();
    for name in request
        .param("labels")?
        .into_iter()
        .flat_map(|list| list.split(','))
    {
        match name {
            "age" => split_by.age = true,
            // Samples of tasks always have this label.
            "spawned_at" => {}
            "task" => split_by.task = true,
            _ => {
                return Err(Refusal::bad_request(
                    "invalid value for \"labels\" - must be of age, spawned_at and task",
                ));
            }
        }
    }
    Ok(split_by)
}
