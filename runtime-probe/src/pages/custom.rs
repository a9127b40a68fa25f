//! `/debug/pprof/NAME` for a profile of the program's own (`debug=0`, `debug=1`, `format=`).

use super::stack_format::{StackFormat, crates};
use crate::profile::custom::{self, Custom};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// The parameters of such a profile, if there is one of that name.
pub(super) fn parameters(name: &str) -> Option<&'static [&'static str]> {
    custom::find(name).map(|_| &["crate", "debug", "format"][..])
}

/// Answers a request; `None` if there is no such profile.
pub(super) fn answer(request: &Request, name: &str) -> Option<Result<Reply, Refusal>> {
    let profile = custom::find(name)?;
    Some((|| {
        let format = StackFormat::of(request)?;
        let debug = request.number("debug")?.unwrap_or(0);
        format.goes_with(debug, 1)?;
        let values = Custom::collect(profile, &crates(request)?);
        match debug {
            0 if format == StackFormat::Proto => format.reply(name, &values.profile()),
            0 => format.reply(name, &values.shown_profile()),
            _ => Reply::written(|text| values.write_text(text)),
        }
    })())
}
