//! `/debug/pprof/mutex`: the holders that made others wait for a lock, since the start (`debug=0`, `debug=1`,
//! `format=`) or while the client waits (`seconds=`). `fraction=` sets a fraction for that time only. `ongoing=1` adds
//! the waits that are under way.

use super::contended::{Question, RateParameter};
use super::page::Page;
use super::stack_format::crates;
use crate::demand::Demand;
use crate::profile::mutex::{NAME, collect, count};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

const FRACTION: RateParameter = RateParameter {
    name: "fraction",
    unit: "contended unlocks for each sample",
    most: i32::MAX as i64,
    demand: Demand::Releases,
};

/// The page.
pub(super) const PAGE: Page = Page {
    name: "mutex",
    link: "?debug=1",
    parameters: Some(&["crate", "debug", "format", "fraction", "ongoing", "seconds"]),
    about: "Who made others wait for a lock: the waiters' time, at the stack that released it. Counts only while a fraction is \
            set; seconds=10&fraction=1 sets one for ten seconds.",
    count: |_| count(),
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let question = Question::of(request, &FRACTION)?;
    let ongoing = question.ongoing(request)?;
    let crates = crates(request)?;
    question.answer(request, NAME, || collect(ongoing.is_some(), &crates))
}
