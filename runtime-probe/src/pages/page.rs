//! A page below `/debug/pprof/`, and the table of all pages, which the routes, the index and the tests read.

use super::{
    block, cmdline, goroutine, heap, locks, mutex, profile, symbol, tasks, threads, trace,
};
use crate::profile::conditions::Condition;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) name: &'static str,
    /// The query of the link on the index.
    pub(super) link: &'static str,
    /// The known parameters. `None` if the query is no list of parameters.
    pub(super) parameters: Option<&'static [&'static str]>,
    /// A description, for the index.
    pub(super) about: &'static str,
    /// The number of entries now, given the conditions of the process.
    pub(super) count: fn(&[Condition]) -> usize,
    pub(super) takes_post: bool,
    pub(super) answer: fn(&Request) -> Result<Reply, Refusal>,
}

impl Page {
    /// The count of a page that is no list, as in Go.
    pub(super) fn no_entries(_: &[Condition]) -> usize {
        0
    }
}

/// All pages but the index, ordered by name.
pub(super) static PAGES: [Page; 15] = [
    heap::ALLOCS_PAGE,
    block::PAGE,
    cmdline::PAGE,
    locks::DEADLOCKS_PAGE,
    goroutine::PAGE,
    goroutine::LEAKS_PAGE,
    heap::PAGE,
    locks::PAGE,
    mutex::PAGE,
    profile::PAGE,
    symbol::PAGE,
    tasks::PAGE,
    threads::CREATION_PAGE,
    threads::PAGE,
    trace::PAGE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_sorted_and_described() {
        assert!(PAGES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(PAGES.iter().all(|page| page.about.ends_with('.')));
        let endpoints = include_str!("../../docs/endpoints.md");
        for Page { name, .. } in &PAGES {
            assert!(
                endpoints.contains(&format!("| `{name}` |")),
                "{name} is not in endpoints.md"
            );
        }
        let parameters = PAGES.iter().filter_map(|page| page.parameters).flatten();
        for parameter in parameters {
            assert!(
                endpoints.contains(&format!("{parameter}=")),
                "{parameter} is not in endpoints.md"
            );
        }
    }
}
