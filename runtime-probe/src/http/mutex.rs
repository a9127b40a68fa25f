//! `/debug/pprof/mutex`: who made others wait for a lock, since the start (`debug=0`, `debug=1`, `format=`) or while the
//! client waits (`seconds=`), then also at a fraction for that time only (`fraction=`). `ongoing=1` adds who waits now.

use super::contended::{Question, RateParameter};
use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::routes::only;
use super::stack_format::crates;
use crate::demand::Demand;
use crate::profile::mutex::{NAME, collect};

const FRACTION: RateParameter = RateParameter {
    name: "fraction",
    unit: "contended unlocks for each sample",
    most: i32::MAX as i64,
    demand: Demand::Releases,
};

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(
        request,
        &["crate", "debug", "format", "fraction", "ongoing", "seconds"],
    )?;
    let question = Question::of(request, &FRACTION)?;
    let ongoing = question.ongoing(request)?;
    let crates = crates(request)?;
    question.answer(request, NAME, || collect(ongoing.is_some(), &crates))
}
