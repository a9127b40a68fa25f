//! `/debug/pprof/cmdline`: the arguments of the process, joined by NUL bytes. A token among them is not shown.

use super::page::Page;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use runtime_probe_http::token;
use std::os::unix::ffi::OsStringExt;

/// The page.
pub(super) const PAGE: Page = Page {
    name: "cmdline",
    link: "",
    parameters: Some(&[]),
    about: "The command line of the process, its arguments separated by NUL bytes.",
    count: Page::no_entries,
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(_: &Request) -> Result<Reply, Refusal> {
    let arguments: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    Ok(Reply::text(200, token::conceal(&arguments.join(&0))))
}
