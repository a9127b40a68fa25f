//! What the fuzz targets share. `bash ci/fuzz.sh` runs them; a target is a file in `targets`, its seeds are in `seeds`.
//!
//! Where one slow check would hide a fast parser, they are targets of their own. The fast ones see requests alone: the
//! HTTP layer is included by path, as a module of this crate, and stands on [`echo`], a program whose profiles say how they
//! were asked for. So there is no snapshot, no symbol, no compressor and no server in them, and nothing of the product is
//! public for the sake of its tests. The target `pages` asks a program that is one, through the public API.

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

// What the HTTP layer knows under this name: the types of dumps are the product's, its profiles are ours.
extern crate self as runtime_dump;
pub use dump::goroutine;

#[path = "../../../../dump/testing/src/grammar.rs"]
pub mod grammar;

// What the pages know under this name.
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

    // What these parts show to each other only.
    #[path = "../../tests/fuzz/src/sent.rs"]
    pub mod sent;

    /// The path of a request's target, and its parameters, if it is one.
    pub fn understood(target: &str) -> Option<(String, Vec<(String, String)>)> {
        let request = request::Request::new("GET", target, Vec::new(), Vec::new()).ok()?;
        Some((request.path().to_owned(), request.params().to_vec()))
    }
}

#[path = "../../../src/pages/mod.rs"]
mod pages;

/// The parameters that the page of a path knows, if it has a list of them.
pub fn parameters(path: &str) -> Option<&'static [&'static str]> {
    pages::routes::parameters(path.strip_prefix("/debug/pprof/")?)
}

/// A duration as Go writes it, if it is one.
pub fn duration(text: &str) -> Option<std::time::Duration> {
    pages::go_duration::parse(text).ok()
}

#[path = "../../../src/profile"]
pub mod profile {
    // What the HTTP layer knows as runtime-dump's.
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
    // Asked along with them, of the same symbols.
    symbol::name::closure_depth(symbol);
    [symbol::name::readable(symbol), symbol::name::full(symbol)]
}

/// The module that a file is, if its path tells.
pub fn module(file: &str) -> Option<String> {
    symbol::module_path::of_file(file)
}
