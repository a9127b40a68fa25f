//! `/debug/pprof/locks`: the locks that something waits for now, with their holders. Go has none.

use super::dump_permit::DumpPermit;
use super::page::Page;
use super::routes::only;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::http::request::Request;
use crate::profile::lock_table::{LockTable, count};

/// The page.
pub(super) const PAGE: Page = Page {
    name: "locks",
    link: "",
    about: "Locks that something waits for now: the type and where it was created, who has it since when, and what waits, by line. \
            Deadlocks are told above them.",
    count,
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let permit = DumpPermit::take()?;
    let table = LockTable::collect();
    drop(permit);
    Reply::written(|text| table.write(text))
}
