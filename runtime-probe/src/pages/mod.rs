//! What is answered below `/debug/pprof/`: functions from a request to a reply, a file per page.
//!
//! * [`page`]: what a page is, and the table of them;
//! * [`routes`]: which request gets which answer;
//! * [`index`], [`goroutine`], [`block`], [`mutex`], [`heap`], [`profile`], [`cmdline`], [`symbol`], [`threads`], [`tasks`], [`trace`], [`custom`]: the pages;
//! * `ui`: pages to look at;
//! * [`vars`], `metrics`: pages beside these;
//! * [`seconds`], [`stack_format`], [`contended`]: parameters that profiles share;
//! * [`go_duration`]: durations as Go writes them;
//! * [`dump_permit`]: how many dumps may be under way at once;
//! * [`endpoints`]: the pages for another server than ours.

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
