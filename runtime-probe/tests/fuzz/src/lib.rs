//! The code that the fuzz targets share. `bash ci/fuzz.sh` runs them. A target is a file in `targets`, its seeds are
//! in `seeds`.
//!
//! A slow check has a target of its own, so that it does not slow down the fuzzing of a fast parser. The fast targets
//! handle requests only: the HTTP layer is included by path, as a module of this crate, and runs on [`echo`], a
//! program whose profiles echo their parameters. So they have no snapshot, no symbols, no compressor and no server,
//! and no item of the product is public for its tests only. The target `pages` asks a real program, through the
//! public API.

#![allow(
    dead_code,
    unused_imports,
    unfulfilled_lint_expectations,
    missing_docs,
    reason = "files of another crate, of which the targets use a part"
)]

pub mod asked;
pub mod models;

pub use http::{sent, understood};

mod echo;

// The HTTP layer uses this name: the types of dumps are the product's, its profiles are those of `echo`.
extern crate self as runtime_dump;
pub use dump::goroutine;

#[path = "../../../../dump/testing/src/grammar.rs"]
pub mod grammar;

// The pages use this name.
extern crate self as runtime_probe_http;
pub(crate) use http::{access, client, exchange, limits, refusal, reply, request, token};

#[path = "../../../http/src"]
mod http {
    pub(crate) mod access;
    mod base64;
    pub(crate) mod body;
    pub(crate) mod client;
    pub(crate) mod exchange;
    mod foreign_page;
    pub(crate) mod head;
    mod host;
    pub(crate) mod inbox;
    pub(crate) mod limits;
    pub(crate) mod pace;
    mod query;
    pub(crate) mod refusal;
    pub(crate) mod reply;
    pub(crate) mod request;
    mod socket;
    mod sys;
    pub(crate) mod token;
    pub(crate) mod transmit;

    // Items that only these modules use.
    #[path = "../../tests/fuzz/src/sent.rs"]
    pub mod sent;

    /// The path and the parameters of a request's target, if it is valid.
    pub fn understood(target: &str) -> Option<(String, Vec<(String, String)>)> {
        let request = request::Request::new("GET", target, Vec::new(), Vec::new()).ok()?;
        Some((request.path().to_owned(), request.params().to_vec()))
    }
}

#[path = "../../../src/pages/mod.rs"]
mod pages;

/// The parameters of the page of a path, if the page has a list of them.
pub fn parameters(path: &str) -> Option<&'static [&'static str]> {
    pages::routes::parameters(path.strip_prefix("/debug/pprof/")?)
}

/// A duration as Go writes it, if it is one.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    pages::go_duration::parse(text).ok()
}

#[path = "../../../src/profile"]
pub mod profile {
    // The HTTP layer uses these as items of runtime-dump.
    pub use crate::echo::{folded, proto};

    pub(crate) mod doing;
    pub(crate) mod selection;

    pub(crate) use crate::echo::condensed;
    pub(crate) use crate::echo::{
        address_names, block, conditions, contended, cpu, custom, diagnosis, heap,
    };
    pub(crate) use crate::echo::{
        goroutine, goroutine_forms, leaks, lock_table, mutex, sites, threads, trace, vars,
    };
}

#[path = "../../../src/primitive.rs"]
mod primitive;

mod ask {
    pub(crate) use crate::echo::{flight, sampling as cpu_session};
}

pub(crate) use echo::demand;

mod snapshot {
    pub(crate) use crate::echo::{heap, tasks, tasks as sites, thread_count as threads};
}

mod source {
    pub(crate) mod heap {
        pub(crate) fn answering<R>(answer: impl FnOnce() -> R) -> R {
            answer()
        }
    }

    pub(crate) fn is_on() -> bool {
        true
    }

    pub(crate) fn start() -> bool {
        true
    }
}

mod symbol {
    pub(crate) use dump::naming::{module_path, name, reason, role};
}

/// The names that a dump may give a function.
pub fn function_names(symbol: &str) -> [String; 2] {
    // Called with the same symbols.
    symbol::name::closure_depth(symbol);
    [symbol::name::readable(symbol), symbol::name::full(symbol)]
}

/// The module of a file, if its path tells.
pub fn module(file: &str) -> Option<String> {
    symbol::module_path::of_file(file)
}
