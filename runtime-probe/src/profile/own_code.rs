//! Recognizes frames of the program's own crates, which a reader looks for first.

use super::condensed::{crate_of, is_of_a_tower};
use super::goroutine::Goroutines;
use super::selection::Selection;
use crate::symbol::role;
use runtime_dump::source_path::shortened;
use runtime_dump::stack::Frame;
use std::collections::HashSet;

/// Whether a frame is of a crate that is not of the standard library, of a registry or of a git checkout. Without file
/// names in the binary, known libraries are recognized by name.
pub(crate) fn is_own(frame: &Frame) -> bool {
    let file = &*frame.file;
    let is_fetched = shortened(file) != file
        || [
            "/rustc/",
            "/.cargo/",
            "/git/checkouts/",
            "/rustlib/",
            "/.runtime-probe/",
        ]
        .iter()
        .any(|directory| file.contains(directory));
    !is_fetched && is_own_by_name(&frame.function)
}

/// The same by the name alone. A name without a path is a C function, and a name that does not begin with a crate
/// belongs to a primitive type.
fn is_own_by_name(function: &str) -> bool {
    function.contains("::")
        && has_a_crate(function)
        && !role::is_library(function)
        && !role::is_own(function)
        && !is_of_a_tower(function)
}

fn has_a_crate(function: &str) -> bool {
    let mut bytes = crate_of(function).bytes();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The known crates of the program: the binary's own, and those with frames in tasks.
#[derive(Debug, Default)]
pub(crate) struct OwnCrates(HashSet<String>);

impl OwnCrates {
    /// Collects the crates from the stacks of all tasks.
    pub(crate) fn now() -> OwnCrates {
        let goroutines = Goroutines::collect(Selection::default());
        let stacks = goroutines.tables.stacks.iter();
        let locations = stacks.flat_map(|stack| {
            let branches = stack.branches.iter().flat_map(|branch| &branch.locations);
            branches.chain(&stack.trunk)
        });
        let frames = locations.flat_map(|location| &location.frames);
        let own = frames.filter(|frame| !frame.file.is_empty() && is_own(frame));
        let mut own: HashSet<String> = own
            .map(|frame| crate_of(&frame.function).to_owned())
            .collect();
        let program = std::env::current_exe().ok();
        let program = program.as_deref().and_then(|path| path.file_stem());
        own.extend(program.map(|name| name.to_string_lossy().replace('-', "_")));
        OwnCrates(own)
    }

    /// Whether a function is of one of them.
    pub(crate) fn has(&self, function: &str) -> bool {
        is_own_by_name(function) && self.0.contains(crate_of(function))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_by_file_or_by_name() {
        let is_own = |function: &str, file: &str| {
            is_own(&Frame {
                function: function.into(),
                file: file.into(),
                line: 1,
            })
        };
        assert!(is_own("app::db::connect", "/home/user/app/src/db.rs"));
        assert!(is_own("<app::Conn as core::future::Future>::poll", ""));
        assert!(!is_own(
            "sqlx::query",
            "/home/user/.cargo/registry/src/mirror-1/sqlx-1.0.0/src/lib.rs"
        ));
        assert!(!is_own("tokio::sync::mutex::Mutex::lock", ""));
        assert!(!is_own(
            "<hyper::proto::Dispatcher as core::future::Future>::poll",
            ""
        ));
        assert!(!is_own("epoll_wait", ""));
        assert!(!is_own("<f64 as core::ops::Add>::add", ""));
        assert!(!is_own("<{closure} as core::ops::Fn>::call", ""));
    }
}
