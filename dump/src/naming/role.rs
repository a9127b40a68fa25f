//! What a frame is for: a leaf that waits for something, scaffolding, or the user's own code.
//!
//! The reason of a wait is told by the leaf's frames. Go's words stand where the meaning is the same, so that Go's
//! tools group them; where Go has none, tokio's.

use super::name::readable;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// By name.
    Known(&'static str),
    /// It does not wait: it yielded (`yield_now`, an exhausted budget) and is runnable.
    Yield,
    /// A wrapped future inside the task waits, which is a task of its own.
    Inner,
    /// A thread has nothing to do: a worker or a server that waits for work.
    Idle,
    /// The names do not tell.
    Unknown,
}

impl Reason {
    /// As in a dump's brackets.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Known(text) => text,
            Reason::Yield => "runnable",
            Reason::Inner | Reason::Idle | Reason::Unknown => "waiting",
        }
    }

    /// Whether it is a wait for a lock, whichever.
    pub fn is_lock(self) -> bool {
        matches!(self, Reason::Known(text) if text.starts_with("sync.Mutex") || text.starts_with("sync.RWMutex"))
    }
}

/// What kind of waiting a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// For another task: what Go's block profile is about.
    Contention,
    /// For a point in time.
    Sleep,
    /// For the world outside of the process.
    Io,
    /// It is none, or it is counted elsewhere.
    None,
    /// The names do not tell.
    Unknown,
}

/// The kind of waiting that a leaf's reason is.
pub fn sort_of(reason: Reason) -> Sort {
    match reason {
        Reason::Known("sleep") => Sort::Sleep,
        Reason::Known("IO wait" | "process wait" | "signal" | POOL) => Sort::Io,
        Reason::Known(PENDING) | Reason::Yield | Reason::Inner | Reason::Idle => Sort::None,
        Reason::Known(_) => Sort::Contention,
        Reason::Unknown => Sort::Unknown,
    }
}

/// Several leaves at once.
pub const SELECT: &str = "select";

/// Nothing at all, for ever.
const PENDING: &str = "select (no cases)";

/// A thread of the blocking pool, which has begun with what is waited for or not: files, names, standard streams.
const POOL: &str = "blocking pool";

/// For room at the peer's.
const FLOW_CONTROL: Reason = Reason::Known("chan send");

/// Prefixes of the functions of leaves, and what waiting there means. The outermost match of the leaf's own libraries
/// counts: a `watch` waits in a `Notify`, a `Mutex` in a semaphore.
const REASONS: &[(&str, Reason)] = &[
    ("tokio::task::yield_now", Reason::Yield),
    ("tokio::task::coop::poll_proceed", Reason::Yield),
    ("tokio::task::coop::register_waker", Reason::Yield),
    ("tokio::task::coop::consume_budget", Reason::Yield),
    ("tokio::runtime::context::defer", Reason::Yield),
    // Where a worker keeps the wakers of tasks that yielded.
    ("tokio::runtime::scheduler", Reason::Yield),
    (
        "tokio::sync::mpsc::bounded::Sender",
        Reason::Known("chan send"),
    ),
    (
        "tokio::sync::mpsc::unbounded::UnboundedSender",
        Reason::Known("chan send"),
    ),
    (
        "tokio::sync::mpsc::bounded::Permit",
        Reason::Known("chan send"),
    ),
    ("tokio::sync::mpsc", Reason::Known("chan receive")),
    ("tokio::sync::oneshot::Sender", Reason::Known("chan send")),
    (
        "tokio::sync::oneshot::poll_closed",
        Reason::Known("chan send"),
    ),
    ("tokio::sync::oneshot", Reason::Known("chan receive")),
    ("tokio::sync::broadcast::Sender", Reason::Known("chan send")),
    ("tokio::sync::broadcast", Reason::Known("chan receive")),
    ("tokio::sync::watch::Sender", Reason::Known("chan send")),
    // The one async block of that file is in `Sender::closed`.
    (
        "tokio::sync::watch::{async block}",
        Reason::Known("chan send"),
    ),
    ("tokio::sync::watch", Reason::Known("chan receive")),
    ("tokio::sync::mutex", Reason::Known("sync.Mutex.Lock")),
    (
        "tokio::sync::rwlock::RwLock::read",
        Reason::Known("sync.RWMutex.RLock"),
    ),
    (
        "tokio::sync::rwlock::RwLock::write",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    // Line tables alone do not tell a reader from a writer.
    ("tokio::sync::rwlock", Reason::Known("sync.RWMutex")),
    ("tokio::sync::semaphore", Reason::Known("semacquire")),
    ("tokio::sync::batch_semaphore", Reason::Known("semacquire")),
    ("tokio::sync::notify", Reason::Known("sync.Cond.Wait")),
    ("tokio::sync::barrier", Reason::Known("sync.WaitGroup.Wait")),
    ("tokio::sync::once_cell", Reason::Known("sync.Mutex.Lock")),
    ("tokio::sync::set_once", Reason::Known("sync.Cond.Wait")),
    ("tokio::runtime::task::join", Reason::Known("join")),
    ("tokio::task::join_set", Reason::Known("join")),
    ("tokio::util::idle_notified_set", Reason::Known("join")),
    ("tokio::time", Reason::Known("sleep")),
    ("tokio::runtime::time", Reason::Known("sleep")),
    ("tokio::runtime::io", Reason::Known("IO wait")),
    // An operation of io_uring.
    ("tokio::runtime::driver::op", Reason::Known("IO wait")),
    // The two that look up names.
    ("tokio::net::addr", Reason::Known(POOL)),
    ("tokio::net::lookup_host", Reason::Known(POOL)),
    ("tokio::net", Reason::Known("IO wait")),
    // Standard streams.
    ("tokio::io::blocking", Reason::Known(POOL)),
    ("tokio::io", Reason::Known("IO wait")),
    ("tokio::fs", Reason::Known(POOL)),
    ("tokio::process", Reason::Known("process wait")),
    ("tokio::signal", Reason::Known("signal")),
    (
        "tokio_util::sync::cancellation_token",
        Reason::Known("sync.Cond.Wait"),
    ),
    ("tokio_util::sync::mpsc", Reason::Known("chan send")),
    (
        "tokio_util::sync::poll_semaphore",
        Reason::Known("semacquire"),
    ),
    (
        "tokio_util::task::task_tracker",
        Reason::Known("sync.WaitGroup.Wait"),
    ),
    ("tokio_util::time", Reason::Known("sleep")),
    ("tokio_util::codec", Reason::Known("IO wait")),
    ("futures_channel::mpsc::Sender", Reason::Known("chan send")),
    (
        "futures_channel::mpsc::UnboundedSender",
        Reason::Known("chan send"),
    ),
    (
        "futures_channel::mpsc::BoundedSenderInner",
        Reason::Known("chan send"),
    ),
    ("futures_channel::mpsc", Reason::Known("chan receive")),
    (
        "futures_channel::oneshot::Sender",
        Reason::Known("chan send"),
    ),
    ("futures_channel::oneshot", Reason::Known("chan receive")),
    ("futures_util::lock", Reason::Known("sync.Mutex.Lock")),
    // Its futures have wakers of its own: how many there are, and what they wait for, is not seen.
    ("futures_util::stream::futures_unordered", Reason::Unknown),
    ("futures_util::future::pending", Reason::Known(PENDING)),
    ("async_channel::Send", Reason::Known("chan send")),
    // Line tables alone do not tell a sender from a receiver.
    ("async_channel::poll_with_strategy", Reason::Unknown),
    ("async_channel", Reason::Known("chan receive")),
    ("event_listener", Reason::Known("sync.Cond.Wait")),
    (
        "async_lock::rwlock::futures::Write",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    (
        "async_lock::rwlock::futures::Upgrade",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    (
        "async_lock::rwlock::futures::Read",
        Reason::Known("sync.RWMutex.RLock"),
    ),
    // Line tables alone do not tell a reader from a writer.
    ("async_lock::rwlock", Reason::Known("sync.RWMutex")),
    ("async_lock::semaphore", Reason::Known("semacquire")),
    ("async_lock::barrier", Reason::Known("sync.WaitGroup.Wait")),
    ("async_lock", Reason::Known("sync.Mutex.Lock")),
    ("flume::async::SendFut", Reason::Known("chan send")),
    ("flume::Shared::send", Reason::Known("chan send")),
    ("flume::send", Reason::Known("chan send")),
    ("flume::async::RecvFut", Reason::Known("chan receive")),
    ("flume::async::poll_inner", Reason::Known("chan receive")),
    ("flume::Shared::recv", Reason::Known("chan receive")),
    ("flume::recv", Reason::Known("chan receive")),
    // `flume::async::poll` from line tables is either.
    ("flume", Reason::Unknown),
    ("want::", Reason::Known("sync.Cond.Wait")),
    // The connection's task passes on what comes from the peer.
    ("hyper::body::", Reason::Known("IO wait")),
    (
        "hyper::client::conn::http1::SendRequest",
        Reason::Known("IO wait"),
    ),
    (
        "hyper::client::conn::http2::SendRequest",
        Reason::Known("IO wait"),
    ),
    // As line tables alone name the async fns of `SendRequest`; no others of these files wait.
    (
        "hyper::client::conn::http1::{async",
        Reason::Known("IO wait"),
    ),
    (
        "hyper::client::conn::http2::{async",
        Reason::Known("IO wait"),
    ),
    // Who sends more than the peer's window takes, or opens more streams than the peer allows, waits for the peer's
    // program to take it, as in a full channel.
    ("h2::share::SendStream::poll_capacity", FLOW_CONTROL),
    ("h2::share::poll_capacity", FLOW_CONTROL),
    (
        "h2::proto::streams::send::Send::poll_capacity",
        FLOW_CONTROL,
    ),
    ("h2::proto::streams::send::poll_capacity", FLOW_CONTROL),
    (
        "h2::proto::streams::streams::StreamRef::poll_capacity",
        FLOW_CONTROL,
    ),
    ("h2::proto::streams::streams::poll_capacity", FLOW_CONTROL),
    (
        "h2::proto::streams::streams::Streams::poll_pending_open",
        FLOW_CONTROL,
    ),
    (
        "h2::proto::streams::streams::poll_pending_open",
        FLOW_CONTROL,
    ),
    ("h2::client::SendRequest::poll_ready", FLOW_CONTROL),
    ("h2::client::poll_ready", FLOW_CONTROL),
    ("h2::client::ReadySendRequest", FLOW_CONTROL),
    ("h2::", Reason::Known("IO wait")),
    ("tokio_tungstenite::", Reason::Known("IO wait")),
];

/// The same for what threads wait in.
const THREADS: &[(&str, Reason)] = &[
    ("std::sys::sync::mutex::", Reason::Known("sync.Mutex.Lock")),
    (
        "std::sync::poison::mutex::",
        Reason::Known("sync.Mutex.Lock"),
    ),
    (
        "std::sync::reentrant_lock::",
        Reason::Known("sync.Mutex.Lock"),
    ),
    (
        "std::sys::sync::rwlock::futex::RwLock::read",
        Reason::Known("sync.RWMutex.RLock"),
    ),
    (
        "std::sys::sync::rwlock::futex::RwLock::write",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    (
        "std::sync::poison::rwlock::RwLock::read",
        Reason::Known("sync.RWMutex.RLock"),
    ),
    (
        "std::sync::poison::rwlock::RwLock::write",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    ("std::sys::sync::condvar::", Reason::Known("sync.Cond.Wait")),
    (
        "std::sync::poison::condvar::",
        Reason::Known("sync.Cond.Wait"),
    ),
    ("std::sync::barrier::", Reason::Known("sync.WaitGroup.Wait")),
    ("std::sys::sync::once::", Reason::Known("sync.Mutex.Lock")),
    ("std::sync::mpmc::Sender", Reason::Known("chan send")),
    ("std::sync::mpmc::", Reason::Known("chan receive")),
    ("std::sync::mpsc::SyncSender", Reason::Known("chan send")),
    ("std::sync::mpsc::Receiver", Reason::Known("chan receive")),
    ("std::thread::functions::park", Reason::Known("park")),
    ("std::thread::park", Reason::Known("park")),
    ("std::thread::thread::Thread::park", Reason::Known("park")),
    ("std::sys::sync::thread_parking::", Reason::Known("park")),
    ("parking_lot::raw_mutex::", Reason::Known("sync.Mutex.Lock")),
    (
        "parking_lot::raw_rwlock::RawRwLock::lock_shared",
        Reason::Known("sync.RWMutex.RLock"),
    ),
    (
        "parking_lot::raw_rwlock::RawRwLock::lock_exclusive",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    ("parking_lot::raw_rwlock::", Reason::Known("sync.RWMutex")),
    ("parking_lot::condvar::", Reason::Known("sync.Cond.Wait")),
    (
        "dashmap::lock::RawRwLock::lock_shared",
        Reason::Known("sync.RWMutex.RLock"),
    ),
    (
        "dashmap::lock::RawRwLock::lock_exclusive",
        Reason::Known("sync.RWMutex.Lock"),
    ),
    ("tokio::runtime::park::", Reason::Idle),
    ("tokio::runtime::blocking::pool::", Reason::Idle),
    ("tokio::runtime::scheduler::", Reason::Yield),
    ("runtime_probe_http::", Reason::Idle),
    ("runtime_probe::duty::", Reason::Idle),
    ("runtime_probe::ask::", Reason::Idle),
    ("runtime_probe::pprof::", Reason::Idle),
];

/// Code that a reader of a stack does not care for: plumbing between a future and the one it polls.
const SCAFFOLDING: &[&str] = &[
    "runtime_probe::",
    "runtime_probe_http::",
    "core::",
    "std::",
    "alloc::",
    // `__rust_try`: a frame of its own in unoptimized code, under every `catch_unwind`.
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
    // Where a panic is caught.
    "__rust_try",
    // Generic code that a linker folded, or blanket implementations: named by a type parameter.
    "F as ",
    "P as ",
    "T as ",
    "S as ",
    "Fut as ",
];

/// Whether everything below a leaf's public call is its own machinery.
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
    // Its own lock, on parking_lot's parking places.
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

/// A method of a trait is told by the type that has it: `<tokio::net::TcpStream as ..>` counts as tokio's.
fn owner(function: &str) -> &str {
    let Some(inside) = function.strip_prefix('<') else {
        return function;
    };
    let inside = inside.strip_prefix('&').unwrap_or(inside);
    inside.strip_prefix("mut ").unwrap_or(inside)
}

fn begins(function: &str, prefixes: &[&str]) -> bool {
    prefixes
        .iter()
        .any(|prefix| owner(function).starts_with(prefix))
}

/// Whether the function is plumbing.
pub fn is_scaffolding(function: &str) -> bool {
    begins(function, SCAFFOLDING)
}

/// Whether the function is part of the probe.
pub fn is_own(function: &str) -> bool {
    begins(function, &["runtime_probe::", "runtime_probe_http::"])
}

/// Whether a leaf may consist of such functions.
pub fn is_library(function: &str) -> bool {
    begins(function, LIBRARIES)
}

/// Whether it is a function of another language than Rust, by its name: the C library's, for the most part.
pub fn is_c(function: &str) -> bool {
    !function.contains("::") && !function.starts_with("__rust_")
}

/// Whether it is where tokio polls a task from, whatever the task: the outermost function that is the task's alone.
pub fn polls_task(function: &str) -> bool {
    owner(function).starts_with("tokio::runtime::task::raw::poll")
}

/// Whether it is what the C library begins a thread with; it may have no symbols.
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

/// Whether it is of what tokio puts around the future of a task, or around a blocking closure.
pub fn is_harness(function: &str) -> bool {
    let owner = owner(function);
    owner.starts_with("tokio::runtime::task::")
        || owner.starts_with("tokio::runtime::blocking::task::")
}

/// Whether it is where a worker sleeps that has left timers and I/O to another one.
pub fn sleeps_as_a_worker(function: &str) -> bool {
    function.starts_with("tokio::runtime::scheduler::multi_thread::park::")
        && function.ends_with("park_condvar")
}

/// Whether it is of std's standard input.
pub fn is_stdin(function: &str) -> bool {
    owner(function).starts_with("std::io::stdio::Stdin")
}

/// Whether it is of what runs tasks.
pub fn is_in_scheduler(function: &str) -> bool {
    owner(function).starts_with("tokio::runtime::scheduler::")
}

/// Whether it is of the pool that all threads of a runtime are of.
pub fn is_in_blocking_pool(function: &str) -> bool {
    owner(function).starts_with("tokio::runtime::blocking::pool::")
}

/// All reasons by name, in order.
pub fn reasons() -> &'static BTreeSet<&'static str> {
    static ALL: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
        let named = REASONS.iter().filter_map(|(_, reason)| match reason {
            Reason::Known(text) => Some(*text),
            Reason::Yield | Reason::Inner | Reason::Idle | Reason::Unknown => None,
        });
        named.chain([SELECT]).collect()
    });
    &ALL
}

/// What waiting in this function means, if it is a leaf's.
pub fn reason_of(function: &str) -> Option<Reason> {
    if function.starts_with("runtime_probe::source::instrumented::prepare") {
        return Some(Reason::Inner);
    }
    if let Some((_, reason)) = THREADS
        .iter()
        .find(|(prefix, _)| function.starts_with(prefix))
    {
        return Some(*reason);
    }
    if is_scaffolding(function) && !function.starts_with("tokio::") {
        return None;
    }
    let owner = owner(function);
    REASONS
        .iter()
        .find(|(prefix, _)| owner.starts_with(prefix))
        .map(|(_, reason)| *reason)
}

/// The reason of a leaf: that of its outermost frame, with exceptions. `outer` is what the frame `function` means.
pub fn combine(inner: Reason, outer: Reason, function: &str) -> Reason {
    match (inner, outer) {
        // A task yields inside some other wait's code.
        (Reason::Yield, _) => Reason::Yield,
        // A receiver waits in the channel itself; who waits in a channel's semaphore wants to send.
        (Reason::Known("semacquire" | "chan send"), Reason::Known("chan receive")) => {
            Reason::Known("chan send")
        }
        // Who waits in the `Notify` of such a channel is a sender that waits for the receivers to go. (A receiver of
        // a `watch` waits in a `Notify`, too.)
        (Reason::Known("sync.Cond.Wait"), Reason::Known("chan receive"))
            if function.starts_with("tokio::sync::mpsc")
                || function.starts_with("tokio::sync::broadcast") =>
        {
            Reason::Known("chan send")
        }
        // Reading from standard input, or connecting to a name that is looked up first.
        (Reason::Known(POOL), Reason::Known("IO wait")) => Reason::Known(POOL),
        // A file, by io_uring.
        (Reason::Known("IO wait"), Reason::Known(POOL)) => Reason::Known("IO wait"),
        // A request that was not sent yet waits for those before it.
        (Reason::Known("sync.Cond.Wait"), Reason::Known("IO wait"))
            if function.starts_with("hyper::client") =>
        {
            Reason::Known("sync.Cond.Wait")
        }
        // Whatever of h2's is around it.
        (FLOW_CONTROL, Reason::Known("IO wait")) if function.starts_with("h2::") => FLOW_CONTROL,
        // A name that tells nothing takes nothing away, but a `Notify` or an event is a part of something else.
        (Reason::Known(inner), Reason::Unknown) if inner != "sync.Cond.Wait" => {
            Reason::Known(inner)
        }
        (_, outer) => outer,
    }
}

/// Of what tokio makes other waits, and what it therefore means if the functions around it, inlined, are not known: a
/// mutex, a full channel and a `RwLock` wait in the same semaphore.
const PARTS: &[&str] = &[
    "tokio::sync::batch_semaphore",
    "tokio::sync::semaphore",
    "tokio::sync::notify",
    "event_listener",
];

/// The reason of a wait in `function`, when nothing is known of the library's functions around it.
pub fn alone(reason: Reason, function: &str) -> Reason {
    if begins(function, PARTS) {
        Reason::Unknown
    } else {
        reason
    }
}

/// The name of a future at the root, from its type. The facade's own stand for tokio's.
pub fn root_name(type_name: &str) -> String {
    let name = readable(type_name);
    match name.strip_prefix("runtime_probe::") {
        Some(rest) => format!("tokio::{rest}"),
        None => name,
    }
}

/// The type whose end a function is, under its own name, if the compiler made it or `drop` was called. `full` is the name with
/// generic arguments; `None` within is where they are not known.
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
    // As line tables alone name that async fn.
    "tokio_util::sync::cancellation_token::{async",
];

/// Whether a function polls a caller's future beside a wait of its own, such as a timer.
pub fn is_beside(function: &str) -> bool {
    begins(function, BESIDE)
}

/// Whether a file holds the code of the macros `select!`, `join!` and the like, tokio's or futures': a frame there has no line that its reader wrote.
pub fn is_macro_file(file: &str) -> bool {
    file.contains("/src/macros/") || file.contains("/src/async_await/")
}

/// Futures of libraries that poll several futures for their own sake.
const TOGETHER: &[&str] = &["futures_util::", "futures_lite::", "futures_concurrency::"];

/// Whether a wrapper polls a caller's future beside a leaf with such a call, for such a reason, that may end it.
pub fn may_end(wrapper: &str, call: &str, reason: Reason) -> bool {
    const TOKENS: &[&str] = &["tokio_util::sync::cancellation_token::"];
    match begins(wrapper, TOKENS) {
        true => begins(call, TOKENS),
        false => reason == Reason::Known("sleep") && !begins(wrapper, TOGETHER),
    }
}

/// Whether a function is nothing but a clock's, such as one library's name for another's timer.
pub fn is_clock(function: &str) -> bool {
    begins(function, &["hyper_util::rt::tokio::TokioSleep"])
}

/// Leaves that register before they look whether they are ready.
const REGISTER_FIRST: &[&str] = &[
    "tokio::time::",
    "tokio::runtime::time::",
    "tokio_util::time::",
    "tokio::task::join_set::",
    "tokio::util::idle_notified_set::",
    "futures_util::stream::futures_unordered::",
];

/// Whether a leaf, by its public call, is one timer of tokio's.
pub fn is_timer(function: &str) -> bool {
    begins(
        function,
        &["tokio::time::sleep::", "tokio::time::interval::"],
    )
}

/// Whether a leaf, by its public call, registers although it is ready.
pub fn registers_when_ready(function: &str) -> bool {
    begins(function, REGISTER_FIRST)
}

/// The type whose method a function is, as far as its name tells.
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

/// Whether a function that polls several futures is known to be of the kind that waits for them together.
pub fn is_poll_fn(function: &str) -> bool {
    let owner = owner(function);
    owner.starts_with("core::future::poll_fn::")
        || owner.starts_with("futures_util::future::poll_fn::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_is_the_most_special() {
        for (index, (prefix, _)) in REASONS.iter().enumerate() {
            let hidden = REASONS[..index]
                .iter()
                .find(|(earlier, _)| prefix.starts_with(earlier));
            assert!(
                hidden.is_none(),
                "{prefix} never matches: {hidden:?} comes before"
            );
        }
    }

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
    fn flow_control_is_no_io() {
        let calls = [
            "h2::proto::streams::send::Send::poll_capacity",
            "h2::proto::streams::streams::StreamRef::poll_capacity",
            "h2::share::SendStream::poll_capacity",
        ];
        let reason = calls.iter().fold(Reason::Unknown, |inner, call| {
            combine(inner, reason_of(call).unwrap(), call)
        });
        assert_eq!(sort_of(reason), Sort::Contention);
        let receives = reason_of("h2::share::RecvStream::poll_data");
        assert_eq!(receives, Some(Reason::Known("IO wait")));
    }

    #[test]
    fn methods_of_traits_belong_to_their_type() {
        assert_eq!(
            reason_of("<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll"),
            Some(Reason::Known("chan receive"))
        );
        assert!(is_scaffolding(
            "<core::pin::Pin as core::future::future::Future>::poll"
        ));
        assert!(!is_scaffolding(
            "<app::Connection as core::future::future::Future>::poll"
        ));
    }
}
