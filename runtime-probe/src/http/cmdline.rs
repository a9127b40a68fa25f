//! `/debug/pprof/cmdline`: the arguments of the process, joined by NUL bytes. A token among them is not shown.

use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::routes::only;
use super::token;
use std::os::unix::ffi::OsStringExt;

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let arguments: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    Ok(Reply::text(200, token::conceal(&arguments.join(&0))))
}
