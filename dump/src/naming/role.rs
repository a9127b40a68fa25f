//! The role of a frame: scaffolding, a library's own code, or the user's code.

use super::name::readable;

/// Functions between a future and the future that it polls. They do not help the reader of a stack.
const SCAFFOLDING: &[&str] = &[
    "runtime_probe::",
    "runtime_probe_http::",
    "core::",
    "std::",
    "alloc::",
    // Unoptimized code has a frame `__rust_try` under every `catch_unwind`.
    "__rust_",
    "tokio::loom",
    "tokio::macros",
    "tokio::task::coop",
    "tokio::util::trace",
    "tokio::runtime::context",
    "tokio::runtime::coop",
    "tokio::sync::task::atomic_waker",
    "tokio::future::",
    "tokio::time::timeout::poll_delay",
    "tokio::time::timeout::{closure}",
    "futures_core::",
    "futures_sink::",
    "futures_task::",
    "futures_util::async_await",
    "futures_util::future::future::FutureExt",
    "futures_util::future::future::fuse",
    "futures_util::future::future::poll_unpin",
    "futures_util::future::future::shared::Inner",
    "futures_util::future::maybe_done",
    "futures_util::future::poll_fn",
    "futures_util::sink::SinkExt",
    "futures_util::sink::feed",
    "futures_util::sink::send",
    "futures_util::stream::stream::StreamExt",
    "futures_util::stream::stream::next",
    "futures_util::stream::stream::poll_next_unpin",
    "atomic_waker::",
    "event_listener_strategy::",
    "http_body_util::combinators::frame",
    "tokio_util::sync::reusable_box",
    "pin_project_lite::",
    // The function that catches panics.
    "__rust_try",
    // Generic code that a linker folded, and blanket implementations. Their names begin with a type parameter.
    "F as ",
    "P as ",
    "T as ",
    "S as ",
    "Fut as ",
];

/// Prefixes of functions that belong to libraries. The frames below a leaf's public call are the library's own
/// machinery.
const LIBRARIES: &[&str] = &[
    "runtime_probe::",
    "runtime_probe_http::",
    "core::",
    "std::",
    "alloc::",
    "__rust_",
    "tokio::",
    "tokio_util::",
    "tokio_stream::",
    "futures_channel::",
    "futures_util::",
    "futures_core::",
    "futures_sink::",
    "futures_task::",
    "async_channel::",
    "async_lock::",
    "event_listener",
    "concurrent_queue::",
    "flume::",
    "parking_lot",
    // dashmap's own lock, built on parking_lot's queues.
    "dashmap::lock::",
    "lock_api::",
    "mio::",
    "want::",
    "atomic_waker::",
    "h2::",
    "http_body_util::combinators::frame",
    "hyper::body::",
    "hyper::client::conn::http1::SendRequest",
    "hyper::client::conn::http1::{async",
    "hyper::client::conn::http2::SendRequest",
    "hyper::client::conn::http2::{async",
    "hyper::client::dispatch",
    "hyper::common::future",
    "tokio_tungstenite::",
    "tungstenite::",
    "__rust_try",
    "F as ",
    "P as ",
    "T as ",
    "S as ",
    "Fut as ",
];

/// The part of a function's name that identifies its owner. A trait's method belongs to the type that implements the
/// trait: `<tokio::net::TcpStream as ..>` counts as tokio's.
pub(super) fn owner(function: &str) -> &str {
    let Some(inside) = function.strip_prefix('<') else {
        return function;
    };
    let inside = inside.strip_prefix('&').unwrap_or(inside);
    inside.strip_prefix("mut ").unwrap_or(inside)
}

pub(super) fn begins(function: &str, prefixes: &[&str]) -> bool {
    prefixes
        .iter()
        .any(|prefix| owner(function).starts_with(prefix))
}

/// Whether the function is scaffolding.
pub fn is_scaffolding(function: &str) -> bool {
    begins(function, SCAFFOLDING)
}

/// Whether the function is part of the probe.
pub fn is_own(function: &str) -> bool {
    begins(function, &["runtime_probe::", "runtime_probe_http::"])
}

/// Whether the function belongs to a library, so that a leaf may consist of it.
pub fn is_library(function: &str) -> bool {
    begins(function, LIBRARIES)
}

/// Whether the function's name is of another language than Rust, for the most part of C.
pub fn is_c(function: &str) -> bool {
    !function.contains("::") && !function.starts_with("__rust_")
}

/// Whether tokio polls every task through this function: the outermost function that belongs to one task only.
pub fn polls_task(function: &str) -> bool {
    owner(function).starts_with("tokio::runtime::task::raw::poll")
}

/// Whether the C library begins a thread with this function. The function may lack a symbol.
pub fn begins_thread(function: &str) -> bool {
    const BEGIN: [&str; 6] = [
        "start_thread",
        "_start",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
    ];
    BEGIN.contains(&function) || function.starts_with("__libc_start_") || function.starts_with("0x")
}

/// Whether the function is tokio's wrapper around the future of a task, or around a blocking closure.
pub fn is_harness(function: &str) -> bool {
    let owner = owner(function);
    owner.starts_with("tokio::runtime::task::")
        || owner.starts_with("tokio::runtime::blocking::task::")
}

/// Whether a worker sleeps in the function while another worker waits for timers and I/O.
pub fn sleeps_as_a_worker(function: &str) -> bool {
    function.starts_with("tokio::runtime::scheduler::multi_thread::park::")
        && function.ends_with("park_condvar")
}

/// Whether the function belongs to the driver, which waits for timers and I/O and wakes their tasks.
pub fn is_driver(function: &str) -> bool {
    let drives = |rest: &str| {
        rest.starts_with("driver::")
            || rest.starts_with("time::Driver::")
            || rest.starts_with("io::driver::Driver::")
            || rest.starts_with("signal::Driver::")
            || rest.starts_with("process::Driver::")
    };
    owner(function)
        .strip_prefix("tokio::runtime::")
        .is_some_and(drives)
}

/// Whether the function belongs to std's standard input.
pub fn is_stdin(function: &str) -> bool {
    owner(function).starts_with("std::io::stdio::Stdin")
}

/// Whether the function belongs to a scheduler.
pub fn is_in_scheduler(function: &str) -> bool {
    owner(function).starts_with("tokio::runtime::scheduler::")
}

/// Whether the function belongs to the blocking pool, which starts all threads of a runtime.
pub fn is_in_blocking_pool(function: &str) -> bool {
    owner(function).starts_with("tokio::runtime::blocking::pool::")
}

/// The name of a root future, from its type. A type of the facade is shown as tokio's.
pub fn root_name(type_name: &str) -> String {
    let name = readable(type_name);
    match name.strip_prefix("runtime_probe::") {
        Some(rest) => format!("tokio::{rest}"),
        None => name,
    }
}

/// The type that a function drops, under its own name, for functions of `drop` and of the compiler's drop glue. `full`
/// is the name with generic arguments. The inner `None` means that the type is unknown.
pub fn dropped(full: &str) -> Option<Option<String>> {
    let rest = ["core::ptr::drop_in_place", "core::mem::drop"]
        .iter()
        .find_map(|name| full.strip_prefix(name))?;
    let inside = rest.strip_prefix("::").unwrap_or(rest).strip_prefix('<');
    let inside = inside.and_then(|inside| inside.strip_suffix('>'));
    Some(inside.map(root_name))
}

/// Libraries that poll a caller's future beside a wait of their own.
const BESIDE: &[&str] = &[
    "tokio::time::timeout::",
    "tokio_util::sync::cancellation_token::CancellationToken::run_until_cancelled",
    "tokio_util::sync::cancellation_token::RunUntilCancelled",
    // The name of that async fn with line tables only.
    "tokio_util::sync::cancellation_token::{async",
];

/// Whether a function polls a caller's future beside a wait of its own, such as a timer.
pub fn is_beside(function: &str) -> bool {
    begins(function, BESIDE)
}

/// Whether a file contains the code of the macros `select!`, `join!` and the like, of tokio or futures. The user did
/// not write the lines of such a file.
pub fn is_macro_file(file: &str) -> bool {
    file.contains("/src/macros/") || file.contains("/src/async_await/")
}

/// Whether a function is only a timer, such as one library's wrapper for another's timer.
pub fn is_clock(function: &str) -> bool {
    begins(function, &["hyper_util::rt::tokio::TokioSleep"])
}

/// Leaves that register a waker before they check whether they are ready.
const REGISTER_FIRST: &[&str] = &[
    "tokio::time::",
    "tokio::runtime::time::",
    "tokio_util::time::",
    "tokio::task::join_set::",
    "tokio::util::idle_notified_set::",
    "futures_util::stream::futures_unordered::",
];

/// Whether a leaf is a single timer of tokio's, by its public call.
pub fn is_timer(function: &str) -> bool {
    begins(
        function,
        &["tokio::time::sleep::", "tokio::time::interval::"],
    )
}

/// Whether a leaf registers a waker although it is ready, by its public call.
pub fn registers_when_ready(function: &str) -> bool {
    begins(function, REGISTER_FIRST)
}

/// The type that a method belongs to, as far as the function's name contains it.
pub fn type_of(function: &str) -> &str {
    let owner = owner(function);
    match owner.split_once(" as ") {
        Some((owner, _)) => owner,
        None => owner.rsplit_once("::").map_or(owner, |(owner, _)| owner),
    }
}

/// Functions that poll any number of futures by one call, in a loop.
const MANY: &[&str] = &[
    "futures_util::future::join_all::",
    "futures_util::future::try_join_all::",
    "futures_util::future::select_all::",
    "futures_util::future::select_ok::",
];

/// Whether a function polls any number of futures by one call.
pub fn polls_many(function: &str) -> bool {
    begins(function, MANY)
}

/// Whether a function that polls several futures is of a known kind that waits for all of them.
pub fn is_poll_fn(function: &str) -> bool {
    let owner = owner(function);
    owner.starts_with("core::future::poll_fn::")
        || owner.starts_with("futures_util::future::poll_fn::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_value_is_named_by_its_type() {
        let of = |name| dropped(name).map(|inside| inside.unwrap_or_default());
        let glue = "core::ptr::drop_in_place<runtime_probe::runtime::runtime::Runtime>";
        assert_eq!(
            of(glue).as_deref(),
            Some("tokio::runtime::runtime::Runtime")
        );
        let call = "core::mem::drop::<std::sync::mpsc::Sender<()>>";
        assert_eq!(of(call).as_deref(), Some("std::sync::mpsc::Sender"));
        assert_eq!(of("core::mem::drop").as_deref(), Some(""));
        assert_eq!(of("core::mem::replace<u8>"), None);
    }

    #[test]
    fn methods_of_traits_belong_to_their_type() {
        assert!(is_scaffolding(
            "<core::pin::Pin as core::future::future::Future>::poll"
        ));
        assert!(!is_scaffolding(
            "<app::Connection as core::future::future::Future>::poll"
        ));
    }
}
