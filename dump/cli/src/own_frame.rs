//! The program's own call of a stack, by which a line about a task names the stack.

use runtime_dump::stack::Frame;

/// The innermost call of the program's own code, or else the innermost call.
pub(crate) fn own_frame(frames: &[Frame]) -> Option<&Frame> {
    frames
        .iter()
        .find(|frame| is_own(frame))
        .or_else(|| frames.first())
}

/// Whether a call belongs to the program's own code: its file belongs to no library.
pub(crate) fn is_own(frame: &Frame) -> bool {
    !frame.file.is_empty()
        && !is_pseudo(&frame.function)
        && !is_of_a_library(&frame.file)
        && !is_of_go(&frame.function)
}

/// Whether a line is a pseudo frame.
fn is_pseudo(function: &str) -> bool {
    [
        "select.branch_",
        "also_registered.branch_",
        "waits.",
        "task spawned at ",
    ]
    .iter()
    .any(|start| function.starts_with(start))
}

fn is_of_a_library(file: &str) -> bool {
    // Directories of rustc's sources, of registries and checkouts, and of Go's root and modules.
    const FOLDERS: [&str; 7] = [
        "/rustc/",
        "library/std/",
        "library/core/",
        "/.cargo/",
        "/go/src/",
        "/go/pkg/mod/",
        "/src/runtime/",
    ];
    FOLDERS.iter().any(|folder| file.contains(folder)) || begins_with_a_version(file)
}

/// Whether a path begins like `tokio-1.54.1/src/..`, the end of a path in a registry.
fn begins_with_a_version(file: &str) -> bool {
    let first = file.split('/').next().unwrap_or_default();
    first.char_indices().any(|(at, c)| {
        c == '-' && {
            let mut parts = first[at + 1..].splitn(3, '.');
            let mut number = || {
                parts
                    .next()
                    .is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()))
            };
            number() && number() && number()
        }
    })
}

/// Whether a function belongs to Go's library, in any root: the paths of modules have a dot, and `main` is the
/// program's own.
fn is_of_go(function: &str) -> bool {
    const PACKAGES: [&str; 14] = [
        "runtime.",
        "runtime/",
        "internal/",
        "sync.",
        "sync/",
        "time.",
        "net.",
        "net/",
        "os.",
        "os/",
        "io.",
        "bufio.",
        "context.",
        "syscall.",
    ];
    PACKAGES.iter().any(|package| function.starts_with(package))
}

/// The last parts of a path, as `src/shop.rs`.
pub(crate) fn short_file(file: &str) -> &str {
    let mut slashes = file.rmatch_indices('/');
    slashes.nth(1).map_or(file, |(at, _)| &file[at + 1..])
}

/// Formats the place of a call as `FILE:LINE`. Of a call without a file it is empty.
pub(crate) fn place(frame: &Frame) -> String {
    match frame.file.is_empty() {
        true => String::new(),
        false => format!("{}:{}", short_file(&frame.file), frame.line),
    }
}

/// Formats a call as `FUNCTION FILE:LINE`.
pub(crate) fn call(frame: &Frame) -> String {
    match frame.file.is_empty() {
        true => frame.function.to_string(),
        false => format!("{} {}", frame.function, place(frame)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str) -> Frame {
        Frame {
            function: function.into(),
            file: file.into(),
            line: 1,
        }
    }

    #[test]
    fn libraries_are_told_by_their_files() {
        let frames = [
            frame("select.branch_1_of_2", "/app/src/main.rs"),
            frame(
                "tokio::sync::mutex::Mutex::lock",
                "tokio-1.54.1/src/sync/mutex.rs",
            ),
            frame(
                "core::future::f",
                "/rustc/59807616/library/core/src/future.rs",
            ),
            frame("app::shop::order", "/work/app/src/shop.rs"),
        ];
        assert_eq!(own_frame(&frames), Some(&frames[3]));
        assert_eq!(own_frame(&frames[..1]), Some(&frames[0]));
        let go = [
            frame("runtime.gopark", "/x/src/proc.go"),
            frame("main.main.func1", "/tmp/a/main.go"),
        ];
        assert_eq!(own_frame(&go), Some(&go[1]));
        assert!(is_own(&frame("my_app::f", "my-app/src/main.rs")));
    }
}
