//! `/debug/vars`: variables as JSON, as Go's `expvar` serves them.

use super::routes::only;
use crate::profile::vars;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let json = "application/json; charset=utf-8";
    Ok(Reply::new(200, json, vars::document()))
}
