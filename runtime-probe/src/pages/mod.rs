//! The pages below `/debug/pprof/`: functions from a request to a reply, a file per page.
//!
//! * [`page`]: the type of a page, and the table of all pages;
//! * [`routes`]: finds the page of a request;
//! * [`index`], [`goroutine`], [`block`], [`mutex`], [`heap`], [`profile`], [`cmdline`], [`symbol`], [`threads`], [`tasks`], [`trace`], [`custom`]: the pages;
//! * `ui`: the HTML pages;
//! * [`vars`], `metrics`: pages outside of `/debug/pprof/`;
//! * [`seconds`], [`stack_format`], [`contended`]: parameters that profiles share;
//! * [`go_duration`]: durations as Go writes them;
//! * [`dump_permit`]: how many dumps may be under way at once;
//! * [`endpoints`]: the pages for a server other than the probe's.

mod block;
mod cmdline;
mod contended;
mod custom;
mod dump_permit;
pub(crate) mod endpoints;
pub(crate) mod go_duration;
mod goroutine;
mod heap;
mod index;
mod locks;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
mod mutex;
mod page;
mod profile;
pub(crate) mod routes;
mod seconds;
mod stack_format;
mod symbol;
mod tasks;
mod threads;
mod trace;
#[cfg(feature = "ui")]
mod ui;
mod vars;
