//! `/debug/pprof/tasks`: tasks by spawn location, as JSON (`debug=0`) or text (`debug=1`), since the start or while the
//! client waits (`seconds=`). With `seconds=` the times are always recorded. `sort=` sets the order.

use super::page::Page;
use super::seconds::Span;
use crate::demand::{Demand, Lease};
use crate::profile::diagnosis::OFF;
use crate::profile::sites::{SortBy, SpawnSites};
use crate::snapshot;
use crate::source;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// The page.
pub(super) const PAGE: Page = Page {
    name: "tasks",
    link: "?debug=1",
    parameters: Some(&["debug", "format", "seconds", "sort"]),
    about: "Tasks by where they are spawned: how many are alive, were spawned and have finished or panicked, and how often they \
            were polled, and with the probe's allocator how many bytes they have. seconds=10 notes for ten seconds how long polls, waits, and the delays before polls are. debug=0 is JSON.",
    count: |_| snapshot::sites::count(),
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let debug = request.number("debug")?.unwrap_or(0);
    match request.param("format")? {
        None => {}
        Some("json") if debug == 0 => {}
        Some("json") => return Err(Refusal::incompatible("format", "debug")),
        Some(_) => {
            return Err(Refusal::bad_request(
                "invalid value for \"format\" - must be json",
            ));
        }
    }
    if debug > 1 {
        return Err(Refusal::bad_request(
            "invalid value for \"debug\" - must be 0 (JSON) or 1 (text)",
        ));
    }
    let sort_by = match request.param("sort")? {
        None => SortBy::default(),
        Some(word) => SortBy::named(word).ok_or_else(|| {
            Refusal::bad_request(
                "invalid value for \"sort\" - must be alive, polls, busy, waits or heap",
            )
        })?,
    };
    let sites = match Span::of(request)? {
        None => SpawnSites::collect(),
        Some(_) if !source::is_on() => return Err(Refusal::bad_request(OFF)),
        Some(span) => {
            let lease = Lease::of_all(Demand::TaskTimes);
            let before = SpawnSites::collect();
            let span = span.wait(request.client())?;
            let delta = SpawnSites::collect().delta(&before, span);
            drop(lease);
            delta
        }
    };
    if sort_by.needs_times() && !sites.is_timed() {
        return Err(Refusal::bad_request(
            "sort=busy and sort=waits need times, which are not noted now: seconds=10 notes them for ten seconds",
        ));
    }
    if let (SortBy::Heap, Some(why)) = (sort_by, sites.no_bytes()) {
        return Err(Refusal::new(501, why));
    }
    let sites = sites.sorted_by(sort_by);
    match debug {
        0 => Ok(Reply::new(200, "application/json", sites.json())),
        _ => Reply::written(|text| sites.write_text(text)),
    }
}
