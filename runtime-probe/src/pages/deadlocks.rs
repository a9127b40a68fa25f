//! `/debug/pprof/deadlocks`: tasks and threads that wait for locks of each other, with the stacks of these tasks. Go has none.

use super::dump_permit::DumpPermit;
use super::page::Page;
use super::routes::only;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::profile::lock_table::{LockTable, deadlocks};

/// The page.
pub(super) const PAGE: Page = Page {
    name: "deadlocks",
    link: "",
    about: "Tasks and threads that wait for locks of each other: each cycle by name, and the stacks of its tasks.",
    count: deadlocks,
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let permit = DumpPermit::take()?;
    let table = LockTable::collect();
    drop(permit);
    Reply::written(|text| table.write_deadlocks(text))
}
