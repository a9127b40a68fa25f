//! What the fuzz targets share. `bash ci/fuzz.sh` runs them; a target is a file in `targets`, its seeds are in `seeds`.
//!
//! Endpoints are reached through the public API. What is private (the parsers of the server, the names of functions) is
//! included by path, as modules of this crate: nothing of the product is public for the sake of its tests.

#![allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    missing_docs,
    reason = "files of another crate, of which the targets use a part"
)]

pub mod asked;
pub mod models;

pub use http::{duration, sent};

#[path = "../../../../dump/tests/support/grammar.rs"]
pub mod grammar;

#[path = "../../../src/http"]
mod http {
    pub(crate) mod access;
    mod base64;
    pub(crate) mod body;
    pub(crate) mod client;
    pub(crate) mod go_duration;
    pub(crate) mod head;
    mod host;
    pub(crate) mod inbox;
    pub(crate) mod limits;
    mod query;
    pub(crate) mod refusal;
    pub(crate) mod reply;
    pub(crate) mod request;
    mod socket;
    pub(crate) mod token;
    pub(crate) mod transmit;

    // What these parts show to each other only.
    #[path = "../../tests/fuzz/src/sent.rs"]
    pub mod sent;

    /// A duration as Go writes it, if it is one.
    pub fn duration(text: &str) -> Option<std::time::Duration> {
        go_duration::parse(text).ok()
    }
}

#[path = "../../../src/symbol"]
mod symbol {
    pub(crate) mod module_path;
    pub(crate) mod name;
}

#[path = "../../../src/sys"]
mod sys {
    pub(crate) mod socket;
}

/// The names that a dump may give a function.
pub fn function_names(symbol: &str) -> [String; 2] {
    // Asked along with them, of the same symbols.
    symbol::name::closure_depth(symbol);
    [symbol::name::readable(symbol), symbol::name::full(symbol)]
}

/// The module that a file is, if its path tells.
pub fn module(file: &str) -> Option<String> {
    symbol::module_path::of_file(file)
}
