//! `/debug/pprof/threads` and `/debug/pprof/threadcreate`: all threads, by their stacks or by their creators: counted
//! (`debug=0`, `format=`, `debug=1`) or a block for each (`debug=2`).

use super::dump_permit::DumpPermit;
use super::page::Page;
use super::stack_format::{StackFormat, crates};
use crate::profile::threads::{Shown, ThreadProfile};
use crate::snapshot;
use crate::symbol::name::Names;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

const PARAMETERS: [&str; 4] = ["crate", "debug", "format", "names"];

/// The page of the threads by creator.
pub(super) const CREATION_PAGE: Page = Page {
    name: "threadcreate",
    link: "?debug=1",
    parameters: Some(&PARAMETERS),
    about: "The threads of the process, counted by who created them, which the feature interpose notes. debug=2 writes a block per thread.",
    count: |_| snapshot::threads::count(),
    takes_post: false,
    answer: |request| answer(request, Shown::Creation),
};

/// The page of the threads by stack.
pub(super) const PAGE: Page = Page {
    name: "threads",
    link: "?debug=1",
    parameters: Some(&PARAMETERS),
    about: "Where the threads of the process are, each asked by a signal. debug=2 writes a block per thread, with its state and \
            the CPU time it has used, format=json an object. Below them, what tokio counts of its runtimes and workers.",
    count: |_| snapshot::threads::count(),
    takes_post: false,
    answer: |request| answer(request, Shown::Now),
};

/// Answers a request.
fn answer(request: &Request, shown: Shown) -> Result<Reply, Refusal> {
    let is_json = request.param("format")? == Some("json");
    let format = match is_json {
        true => StackFormat::Proto,
        false => StackFormat::of(request)?,
    };
    let names = names(request)?;
    let crates = crates(request)?;
    let debug = request.number("debug")?.unwrap_or(0);
    format.goes_with(debug, 2)?;
    if is_json && debug != 0 {
        return Err(Refusal::incompatible("format", "debug"));
    }
    let _permit = DumpPermit::take()?;
    let threads = ThreadProfile::collect(shown, names, &crates);
    match debug {
        0 if is_json => Ok(Reply::new(200, "application/json", threads.json())),
        0 if format == StackFormat::Proto => format.reply(shown.name(), &threads.profile()),
        0 => format.reply(shown.name(), &threads.shown_profile()),
        1 => Reply::written(|text| threads.write_count_text(text)),
        _ => Reply::written(|text| threads.write_text(text)),
    }
}

/// The form of function names that is asked for.
pub(super) fn names(request: &Request) -> Result<Names, Refusal> {
    match request.param("names")? {
        None | Some("short") => Ok(Names::Short),
        Some("full") => Ok(Names::Full),
        Some(_) => Err(Refusal::bad_request(
            "invalid value for \"names\" - must be short or full",
        )),
    }
}
