//! The wait reason of a task, derived from the frames of its leaf. A reason has Go's word where Go has the same kind of
//! wait, so that Go's tools group it; otherwise it has tokio's.

use super::role::{begins, is_scaffolding, owner};
use std::sync::LazyLock;

/// The reason of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A sender waits for capacity or for its receivers.
    ChanSend,
    /// A receiver waits for a message.
    ChanReceive,
    /// A wait for a mutex.
    Mutex,
    /// A wait to read under an `RwLock`.
    RwLockRead,
    /// A wait to write under an `RwLock`.
    RwLockWrite,
    /// A wait for an `RwLock` whose names do not distinguish readers from writers.
    RwLock,
    /// A wait for permits of a semaphore.
    Semaphore,
    /// A wait for a `Notify`, an event or a condition variable.
    Condition,
    /// A wait for a barrier or a group of tasks.
    WaitGroup,
    /// A wait for the end of a task.
    Join,
    /// A wait for a point in time.
    Sleep,
    /// A wait for a socket or a pipe.
    Io,
    /// A wait for the blocking pool, whether its thread has begun the work or not: files, host names, standard streams.
    Pool,
    /// A wait for the end of a process.
    Process,
    /// A wait for a signal.
    Signal,
    /// A parked thread.
    Park,
    /// A wait for several leaves at once.
    Select,
    /// A wait that never ends.
    Pending,
    /// No wait: the task yielded (`yield_now`, an exhausted budget) and is runnable.
    Yield,
    /// A wrapped future inside the task waits. The wrapped future is a task of its own.
    Inner,
    /// An idle thread: a worker or a server without work.
    Idle,
    /// The names do not identify the reason.
    Unknown,
}

impl Reason {
    /// The name of the reason. `None` for reasons that are shown as the task's state.
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Reason::ChanSend => "chan send",
            Reason::ChanReceive => "chan receive",
            Reason::Mutex => "sync.Mutex.Lock",
            Reason::RwLockRead => "sync.RWMutex.RLock",
            Reason::RwLockWrite => "sync.RWMutex.Lock",
            Reason::RwLock => "sync.RWMutex",
            Reason::Semaphore => "semacquire",
            Reason::Condition => "sync.Cond.Wait",
            Reason::WaitGroup => "sync.WaitGroup.Wait",
            Reason::Join => "join",
            Reason::Sleep => "sleep",
            Reason::Io => "IO wait",
            Reason::Pool => "blocking pool",
            Reason::Process => "process wait",
            Reason::Signal => "signal",
            Reason::Park => "park",
            Reason::Select => "select",
            Reason::Pending => "select (no cases)",
            Reason::Yield | Reason::Inner | Reason::Idle | Reason::Unknown => return None,
        })
    }

    /// The text in a dump's brackets.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Yield => "runnable",
            other => other.name().unwrap_or("waiting"),
        }
    }

    /// Whether the reason is a wait for a lock of any kind.
    pub fn is_lock(self) -> bool {
        matches!(
            self,
            Reason::Mutex | Reason::RwLockRead | Reason::RwLockWrite | Reason::RwLock
        )
    }
}

/// The kind of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A wait for another task, the subject of Go's block profile.
    Contention,
    /// A wait for a point in time.
    Sleep,
    /// A wait for the outside of the process.
    Io,
    /// No wait, or a wait that is counted elsewhere.
    None,
    /// The names do not identify the kind.
    Unknown,
}

/// Returns the kind of a wait by its reason.
pub fn sort_of(reason: Reason) -> Sort {
    match reason {
        Reason::Sleep => Sort::Sleep,
        Reason::Io | Reason::Process | Reason::Signal | Reason::Pool => Sort::Io,
        Reason::Pending | Reason::Yield | Reason::Inner | Reason::Idle => Sort::None,
        Reason::ChanSend
        | Reason::ChanReceive
        | Reason::Mutex
        | Reason::RwLockRead
        | Reason::RwLockWrite
        | Reason::RwLock
        | Reason::Semaphore
        | Reason::Condition
        | Reason::WaitGroup
        | Reason::Join
        | Reason::Park
        | Reason::Select => Sort::Contention,
        Reason::Unknown => Sort::Unknown,
    }
}

/// A wait for the peer to receive.
const FLOW_CONTROL: Reason = Reason::ChanSend;

/// Prefixes of the functions of leaves, with the reason of a wait there. The outermost match within the leaf's own
/// libraries counts: a `watch` waits in a `Notify`, a `Mutex` in a semaphore.
const REASONS: &[(&str, Reason)] = &[
    ("tokio::task::yield_now", Reason::Yield),
    ("tokio::task::coop::poll_proceed", Reason::Yield),
    ("tokio::task::coop::register_waker", Reason::Yield),
    ("tokio::task::coop::consume_budget", Reason::Yield),
    ("tokio::runtime::context::defer", Reason::Yield),
    // The module in which a worker keeps the wakers of yielded tasks.
    ("tokio::runtime::scheduler", Reason::Yield),
    ("tokio::sync::mpsc::bounded::Sender", Reason::ChanSend),
    (
        "tokio::sync::mpsc::unbounded::UnboundedSender",
        Reason::ChanSend,
    ),
    ("tokio::sync::mpsc::bounded::Permit", Reason::ChanSend),
    ("tokio::sync::mpsc", Reason::ChanReceive),
    ("tokio::sync::oneshot::Sender", Reason::ChanSend),
    ("tokio::sync::oneshot::poll_closed", Reason::ChanSend),
    ("tokio::sync::oneshot", Reason::ChanReceive),
    ("tokio::sync::broadcast::Sender", Reason::ChanSend),
    ("tokio::sync::broadcast", Reason::ChanReceive),
    ("tokio::sync::watch::Sender", Reason::ChanSend),
    // The only async block of that file is in `Sender::closed`.
    ("tokio::sync::watch::{async block}", Reason::ChanSend),
    ("tokio::sync::watch", Reason::ChanReceive),
    ("tokio::sync::mutex", Reason::Mutex),
    ("tokio::sync::rwlock::RwLock::read", Reason::RwLockRead),
    ("tokio::sync::rwlock::RwLock::write", Reason::RwLockWrite),
    // Line tables do not distinguish a reader from a writer.
    ("tokio::sync::rwlock", Reason::RwLock),
    ("tokio::sync::semaphore", Reason::Semaphore),
    ("tokio::sync::batch_semaphore", Reason::Semaphore),
    ("tokio::sync::notify", Reason::Condition),
    ("tokio::sync::barrier", Reason::WaitGroup),
    ("tokio::sync::once_cell", Reason::Mutex),
    ("tokio::sync::set_once", Reason::Condition),
    ("tokio::runtime::task::join", Reason::Join),
    ("tokio::task::join_set", Reason::Join),
    ("tokio::util::idle_notified_set", Reason::Join),
    ("tokio::time", Reason::Sleep),
    ("tokio::runtime::time", Reason::Sleep),
    ("tokio::runtime::io", Reason::Io),
    // Operations of io_uring.
    ("tokio::runtime::driver::op", Reason::Io),
    // The two functions that look up host names.
    ("tokio::net::addr", Reason::Pool),
    ("tokio::net::lookup_host", Reason::Pool),
    ("tokio::net", Reason::Io),
    // The standard streams.
    ("tokio::io::blocking", Reason::Pool),
    ("tokio::io", Reason::Io),
    ("tokio::fs", Reason::Pool),
    ("tokio::process", Reason::Process),
    ("tokio::signal", Reason::Signal),
    ("tokio_util::sync::cancellation_token", Reason::Condition),
    ("tokio_util::sync::mpsc", Reason::ChanSend),
    ("tokio_util::sync::poll_semaphore", Reason::Semaphore),
    ("tokio_util::task::task_tracker", Reason::WaitGroup),
    ("tokio_util::time", Reason::Sleep),
    ("tokio_util::codec", Reason::Io),
    ("futures_channel::mpsc::Sender", Reason::ChanSend),
    ("futures_channel::mpsc::UnboundedSender", Reason::ChanSend),
    (
        "futures_channel::mpsc::BoundedSenderInner",
        Reason::ChanSend,
    ),
    ("futures_channel::mpsc", Reason::ChanReceive),
    ("futures_channel::oneshot::Sender", Reason::ChanSend),
    ("futures_channel::oneshot", Reason::ChanReceive),
    ("futures_util::lock", Reason::Mutex),
    // The futures have wakers of their own, so their number and their waits are not visible.
    ("futures_util::stream::futures_unordered", Reason::Unknown),
    ("futures_util::future::pending", Reason::Pending),
    ("async_channel::Send", Reason::ChanSend),
    // Line tables do not distinguish a sender from a receiver.
    ("async_channel::poll_with_strategy", Reason::Unknown),
    ("async_channel", Reason::ChanReceive),
    ("event_listener", Reason::Condition),
    ("async_lock::rwlock::futures::Write", Reason::RwLockWrite),
    ("async_lock::rwlock::futures::Upgrade", Reason::RwLockWrite),
    ("async_lock::rwlock::futures::Read", Reason::RwLockRead),
    // Line tables do not distinguish a reader from a writer.
    ("async_lock::rwlock", Reason::RwLock),
    ("async_lock::semaphore", Reason::Semaphore),
    ("async_lock::barrier", Reason::WaitGroup),
    ("async_lock", Reason::Mutex),
    ("flume::async::SendFut", Reason::ChanSend),
    ("flume::Shared::send", Reason::ChanSend),
    ("flume::send", Reason::ChanSend),
    ("flume::async::RecvFut", Reason::ChanReceive),
    ("flume::async::poll_inner", Reason::ChanReceive),
    ("flume::Shared::recv", Reason::ChanReceive),
    ("flume::recv", Reason::ChanReceive),
    // With line tables only, `flume::async::poll` is a sender or a receiver.
    ("flume", Reason::Unknown),
    ("want::", Reason::Condition),
    // The connection's task forwards the peer's data.
    ("hyper::body::", Reason::Io),
    ("hyper::client::conn::http1::SendRequest", Reason::Io),
    ("hyper::client::conn::http2::SendRequest", Reason::Io),
    // The names of the async fns of `SendRequest` with line tables only. No other async fns of these files wait.
    ("hyper::client::conn::http1::{async", Reason::Io),
    ("hyper::client::conn::http2::{async", Reason::Io),
    // A sender beyond the peer's window or limit of streams waits until the peer's program reads data, as in a full
    // channel.
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
    ("h2::", Reason::Io),
    ("tokio_tungstenite::", Reason::Io),
];

/// Prefixes of the functions that threads wait in, with their reasons.
const THREADS: &[(&str, Reason)] = &[
    ("std::sys::sync::mutex::", Reason::Mutex),
    ("std::sync::poison::mutex::", Reason::Mutex),
    ("std::sync::reentrant_lock::", Reason::Mutex),
    (
        "std::sys::sync::rwlock::futex::RwLock::read",
        Reason::RwLockRead,
    ),
    (
        "std::sys::sync::rwlock::futex::RwLock::write",
        Reason::RwLockWrite,
    ),
    (
        "std::sync::poison::rwlock::RwLock::read",
        Reason::RwLockRead,
    ),
    (
        "std::sync::poison::rwlock::RwLock::write",
        Reason::RwLockWrite,
    ),
    ("std::sys::sync::condvar::", Reason::Condition),
    ("std::sync::poison::condvar::", Reason::Condition),
    ("std::sync::barrier::", Reason::WaitGroup),
    ("std::sys::sync::once::", Reason::Mutex),
    ("std::sync::mpmc::Sender", Reason::ChanSend),
    ("std::sync::mpmc::", Reason::ChanReceive),
    ("std::sync::mpsc::SyncSender", Reason::ChanSend),
    ("std::sync::mpsc::Receiver", Reason::ChanReceive),
    ("std::thread::functions::park", Reason::Park),
    ("std::thread::park", Reason::Park),
    ("std::thread::thread::Thread::park", Reason::Park),
    ("std::sys::sync::thread_parking::", Reason::Park),
    ("parking_lot::raw_mutex::", Reason::Mutex),
    (
        "parking_lot::raw_rwlock::RawRwLock::lock_shared",
        Reason::RwLockRead,
    ),
    (
        "parking_lot::raw_rwlock::RawRwLock::lock_exclusive",
        Reason::RwLockWrite,
    ),
    ("parking_lot::raw_rwlock::", Reason::RwLock),
    ("parking_lot::condvar::", Reason::Condition),
    ("dashmap::lock::RawRwLock::lock_shared", Reason::RwLockRead),
    (
        "dashmap::lock::RawRwLock::lock_exclusive",
        Reason::RwLockWrite,
    ),
    ("tokio::runtime::park::", Reason::Idle),
    ("tokio::runtime::blocking::pool::", Reason::Idle),
    ("tokio::runtime::scheduler::", Reason::Yield),
    ("runtime_probe_http::", Reason::Idle),
    ("runtime_probe::duty::", Reason::Idle),
    ("runtime_probe::ask::", Reason::Idle),
    ("runtime_probe::pprof::", Reason::Idle),
];

/// All reasons of waits of tasks that have a name, in the order of their names.
pub fn reasons() -> &'static [Reason] {
    static ALL: LazyLock<Vec<Reason>> = LazyLock::new(|| {
        let of_tasks = REASONS.iter().map(|(_, reason)| *reason);
        let named = of_tasks.chain([Reason::Select]);
        let mut named: Vec<_> = named.filter(|reason| reason.name().is_some()).collect();
        named.sort_unstable_by_key(|reason| reason.text());
        named.dedup();
        named
    });
    &ALL
}

/// The reason of a wait in this function; `None` if the function is no leaf's.
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

/// Combines the reason of a leaf's inner frames with that of the next outer frame. `outer` is the reason of `function`.
/// The outer reason counts, with exceptions.
pub fn combine(inner: Reason, outer: Reason, function: &str) -> Reason {
    match (inner, outer) {
        // A task can yield inside the code of another wait.
        (Reason::Yield, _) => Reason::Yield,
        // A receiver waits in the channel itself. A sender waits in the channel's semaphore.
        (Reason::Semaphore | Reason::ChanSend, Reason::ChanReceive) => Reason::ChanSend,
        // A wait in the `Notify` of such a channel: a sender waits for the end of the receivers. A receiver of a
        // `watch` waits in a `Notify`, too.
        (Reason::Condition, Reason::ChanReceive)
            if function.starts_with("tokio::sync::mpsc")
                || function.starts_with("tokio::sync::broadcast") =>
        {
            Reason::ChanSend
        }
        // A read of standard input, or a connect that looks up its host name first.
        (Reason::Pool, Reason::Io) => Reason::Pool,
        // A file operation through io_uring.
        (Reason::Io, Reason::Pool) => Reason::Io,
        // A request that is not sent yet waits for earlier requests.
        (Reason::Condition, Reason::Io) if function.starts_with("hyper::client") => {
            Reason::Condition
        }
        // A wait for the peer keeps its reason in any function of h2.
        (FLOW_CONTROL, Reason::Io) if function.starts_with("h2::") => FLOW_CONTROL,
        // An unknown outer function keeps the inner reason, except a `Notify` or an event, which is a part of another wait.
        (inner, Reason::Unknown) if inner.name().is_some() && inner != Reason::Condition => inner,
        (_, outer) => outer,
    }
}

/// Primitives that tokio builds other waits from. A mutex, a full channel and an `RwLock` wait in the same semaphore.
/// If the functions around the primitive were inlined and have no names, the reason of the wait is uncertain.
const PARTS: &[&str] = &[
    "tokio::sync::batch_semaphore",
    "tokio::sync::semaphore",
    "tokio::sync::notify",
    "event_listener",
];

/// The reason of a wait in `function`, where the names of the library's functions around it are unknown.
pub fn alone(reason: Reason, function: &str) -> Reason {
    if begins(function, PARTS) {
        Reason::Unknown
    } else {
        reason
    }
}

/// Libraries whose futures poll several futures together.
const TOGETHER: &[&str] = &["futures_util::", "futures_lite::", "futures_concurrency::"];

/// Whether a leaf may end the caller's future that a wrapper polls beside it. `call` and `reason` are those of the
/// leaf.
pub fn may_end(wrapper: &str, call: &str, reason: Reason) -> bool {
    const TOKENS: &[&str] = &["tokio_util::sync::cancellation_token::"];
    match begins(wrapper, TOKENS) {
        true => begins(call, TOKENS),
        false => reason == Reason::Sleep && !begins(wrapper, TOGETHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

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
        assert_eq!(receives, Some(Reason::Io));
    }

    #[test]
    fn methods_of_traits_belong_to_their_type() {
        assert_eq!(
            reason_of("<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll"),
            Some(Reason::ChanReceive)
        );
    }

    #[test]
    fn each_name_is_of_one_reason() {
        const NAMED: [Reason; 18] = [
            Reason::ChanSend,
            Reason::ChanReceive,
            Reason::Mutex,
            Reason::RwLockRead,
            Reason::RwLockWrite,
            Reason::RwLock,
            Reason::Semaphore,
            Reason::Condition,
            Reason::WaitGroup,
            Reason::Join,
            Reason::Sleep,
            Reason::Io,
            Reason::Pool,
            Reason::Process,
            Reason::Signal,
            Reason::Park,
            Reason::Select,
            Reason::Pending,
        ];
        let texts: BTreeSet<&str> = NAMED.iter().filter_map(|one| one.name()).collect();
        assert_eq!(texts.len(), NAMED.len());
        assert!(
            REASONS
                .iter()
                .chain(THREADS)
                .all(|(_, reason)| { reason.name().is_none() || NAMED.contains(reason) })
        );
    }
}
