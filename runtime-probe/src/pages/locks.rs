//! `/debug/pprof/locks`: the locks with waiters, and their holders. `/debug/pprof/deadlocks`: the cycles of waiters and
//! holders, with the stacks of their tasks. Go has neither page.

use super::dump_permit::DumpPermit;
use super::page::Page;
use crate::profile::lock_table::{LockTable, count, deadlocks};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;

/// The page of the locks.
pub(super) const PAGE: Page = Page {
    name: "locks",
    link: "",
    parameters: Some(&["format"]),
    about: "Locks that something waits for now: the type and where it was created, who has it since when, and what waits, by line. \
            Deadlocks are told above them. format=json is the same for programs.",
    count: |_| count(),
    takes_post: false,
    answer: |request| {
        let is_json = match request.param("format")? {
            None => false,
            Some("json") => true,
            Some(_) => {
                return Err(Refusal::bad_request(
                    "invalid value for \"format\" - must be json",
                ));
            }
        };
        let table = table()?;
        match is_json {
            true => Ok(Reply::new(200, "application/json", table.json())),
            false => Reply::written(|text| table.write(text)),
        }
    },
};

/// The page of the cycles.
pub(super) const DEADLOCKS_PAGE: Page = Page {
    name: "deadlocks",
    parameters: Some(&[]),
    about: "Tasks and threads that wait for locks of each other: each cycle by name, and the stacks of its tasks.",
    count: deadlocks,
    answer: |_| {
        let table = table()?;
        Reply::written(|text| table.write_deadlocks(text))
    },
    ..PAGE
};

fn table() -> Result<LockTable, Refusal> {
    let _permit = DumpPermit::take()?;
    Ok(LockTable::collect())
}
