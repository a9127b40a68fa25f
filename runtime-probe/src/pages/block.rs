//! `/debug/pprof/block`: where tasks waited for each other, since the start (`debug=0`, `debug=1`, `format=`) or while
//! the client waits (`seconds=`). `rate=` sets a rate for that time only.

use super::contended::{Question, RateParameter};
use super::page::Page;
use super::stack_format::crates;
use crate::demand::Demand;
use crate::profile::block::{Included, NAME, collect, count};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

const PARAMETERS: [&str; 7] = [
    "crate", "debug", "format", "include", "ongoing", "rate", "seconds",
];

const RATE: RateParameter = RateParameter {
    name: "rate",
    unit: "nanoseconds of waiting for each sample",
    most: i64::MAX,
    demand: Demand::Waits,
};

/// The page.
pub(super) const PAGE: Page = Page {
    name: "block",
    link: "?debug=1",
    parameters: Some(&PARAMETERS),
    about: "Where tasks waited for each other: channels, locks, semaphores, joins. Counts only while a rate is set; \
            seconds=10&rate=10000 sets one for ten seconds. include=sleep,io adds those waits, ongoing=1 those that have not \
            ended.",
    count: |_| count(),
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let question = Question::of(request, &RATE)?;
    let ongoing = question.ongoing(request)?;
    let included = included(request, ongoing.is_some())?;
    let crates = crates(request)?;
    question.answer(request, NAME, || collect(included, &crates))
}

fn included(request: &Request, ongoing: bool) -> Result<Included, Refusal> {
    let mut included = Included {
        ongoing,
        ..Included::default()
    };
    for name in request
        .param("include")?
        .into_iter()
        .flat_map(|list| list.split(','))
    {
        match name {
            "sleep" => included.sleep = true,
            "io" => included.io = true,
            _ => {
                return Err(Refusal::bad_request(
                    "invalid value for \"include\" - must be sleep, io or sleep,io",
                ));
            }
        }
    }
    Ok(included)
}
