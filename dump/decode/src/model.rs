//! A decoded dump as plain data.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A decoded dump.
#[derive(Debug, Default)]
pub struct Dump {
    /// Runtimes and `LocalSet`s.
    pub runtimes: Vec<Runtime>,
    /// The tasks of all runtimes.
    pub tasks: Vec<Task>,
    /// Tasks in no list, with the threads that run them: blocking closures, and the workers' own tasks.
    pub unlisted: Vec<(u32, u64)>,
    /// The frames that chains refer to.
    pub frames: Vec<Frame>,
    /// The ends of channels that are in no variable.
    pub stored: Stored,
    /// Whether reading stopped at the bound of bytes.
    pub out_of_bytes: bool,
}

impl Dump {
    /// Marks the waiting tasks that were the same in an earlier dump.
    pub fn compare(&mut self, earlier: &Dump, passed: Duration) {
        let key = |task: &Task| (task.address, task.id);
        let is_comparable = |task: &&Task| task.state == State::Waiting && task.trace.is_some();
        let earlier = earlier.tasks.iter().filter(is_comparable);
        let earlier: HashMap<_, _> = earlier.map(|task| (key(task), task)).collect();
        for task in &mut self.tasks {
            // The chains are compared, too: the task may join another task whose memory is at the old address.
            let is_same = |earlier: &&Task| match (&earlier.body, &task.body) {
                (Body::Chain(one), Body::Chain(other)) => {
                    one.is_same_wait(other) && earlier.trace == task.trace
                }
                _ => false,
            };
            if is_comparable(&&*task) && earlier.get(&key(task)).is_some_and(is_same) {
                task.unchanged_for = Some(passed);
            }
        }
    }
}

/// A runtime, or a `LocalSet`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The address of the scheduler.
    pub address: u64,
    /// The kind of the scheduler.
    pub kind: Kind,
    /// The number of tasks by the runtime's own count; `None` if the runtime does not count them.
    pub counted: Option<u64>,
    /// The number of tasks in the lists.
    pub listed: u64,
    /// Whether the lists could be followed to their ends.
    pub is_whole: bool,
    /// The number of threads inside the runtime.
    pub threads: u32,
    /// The workers.
    pub workers: Vec<Worker>,
}

/// The counters of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// The time that the worker was not parked.
    pub busy_ns: u64,
    /// The number of times the worker parked.
    pub parks: u64,
}

/// The kind of a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A runtime of several threads.
    MultiThread,
    /// A runtime of one thread.
    CurrentThread,
    /// A `LocalSet`.
    LocalSet,
    /// A scheduler of unknown type.
    Other,
}

impl Kind {
    /// The name in the text.
    pub fn text(self) -> &'static str {
        match self {
            Self::MultiThread => "multi_thread runtime",
            Self::CurrentThread => "current_thread runtime",
            Self::LocalSet => "LocalSet",
            Self::Other => "runtime",
        }
    }
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// tokio's id; 0 where it cannot be read.
    pub id: u64,
    /// The address of the task's memory; 0 for a task without memory of its own.
    pub address: u64,
    /// The index of the runtime.
    pub runtime: u32,
    /// The state.
    pub state: State,
    /// Whether the task was aborted.
    pub is_cancelled: bool,
    /// Whether no waker of the task exists.
    pub has_no_waker: bool,
    /// The thread that polls the task.
    pub thread: Option<u32>,
    /// The thread whose `block_on` waits for this task.
    pub root_of: Option<u32>,
    /// A hash of the memory that a poll changes, if two looks are compared.
    pub trace: Option<u64>,
    /// The time since the earlier look, if the task was the same then.
    pub unchanged_for: Option<Duration>,
    /// The spawn location, if tokio was built with spawn locations.
    pub spawned_at: Option<(Arc<str>, u32, u32)>,
    /// The chain of futures.
    pub body: Body,
    /// If a thread polls the task, the ends of channels that it had before the poll.
    pub ends: Option<Box<Chain>>,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A thread polls the task.
    Running,
    /// The task was woken, or was not polled yet.
    Runnable,
    /// The task waits to be woken.
    Waiting,
    /// The task has ended, and its result is kept.
    Complete,
}

/// The futures of a task, as far as they could be read.
#[derive(Clone, Debug)]
pub enum Body {
    /// The futures of a task that is not being polled.
    Chain(Chain),
    /// The reason why there is no chain.
    Missing(&'static str),
}

/// Futures nested inside each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The frames, the outermost first.
    pub frames: Frames,
    /// Details beside the frames.
    pub details: Vec<Detail>,
    /// The futures that the innermost one polls side by side. Empty: the innermost one is the leaf.
    pub branches: Vec<Chain>,
    /// Futures beside the chain that permits were given to. They belong to the whole chain, so branches have none.
    pub kept: Vec<Kept>,
    /// The reason why the chain ends before its leaf.
    pub cut: Option<&'static str>,
}

/// The frames that a new chain has room for.
pub(crate) const USUAL_FRAMES: usize = 16;

/// The numbers of a chain's frames.
#[derive(Clone, Debug)]
pub enum Frames {
    /// Of this chain alone.
    Own(Vec<u32>),
    /// Of many chains: they were found by the same route.
    Shared(Arc<[u32]>),
}

impl Frames {
    /// The numbers, to be changed.
    pub(crate) fn to_mut(&mut self) -> &mut Vec<u32> {
        if let Frames::Shared(shared) = self {
            // Most callers add frames.
            let mut own = Vec::with_capacity(shared.len() + USUAL_FRAMES);
            own.extend_from_slice(shared);
            *self = Frames::Own(own);
        }
        match self {
            Frames::Own(own) => own,
            Frames::Shared(_) => unreachable!("made its own above"),
        }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Frames::Own(Vec::new())
    }
}

impl Deref for Frames {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Frames::Own(own) => own,
            Frames::Shared(shared) => shared,
        }
    }
}

impl PartialEq for Frames {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Frames {}

impl Hash for Frames {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl Chain {
    /// A chain without frames, of the ends of channels and of collections with ends only. The task waits at none of them.
    pub fn only_ends(&self) -> Chain {
        let mut chain = Chain::default();
        self.each_end(&mut |end| chain.details.push(end));
        chain
    }

    /// Passes the details that `only_ends` has.
    pub(crate) fn each_end(&self, visit: &mut impl FnMut(Detail)) {
        for detail in &self.details {
            match detail {
                Detail::Collection(_) => visit(*detail),
                Detail::End(end) => visit(Detail::End(ChannelEnd {
                    waits: false,
                    ..*end
                })),
                _ => {}
            }
        }
        for branch in &self.branches {
            branch.each_end(visit);
        }
    }

    /// Whether both chains are the same wait. Counts that other tasks change are not compared, nor are ends at which the
    /// task does not wait: other tasks change what is shared.
    fn is_same_wait(&self, other: &Chain) -> bool {
        let mut branches = self.branches.iter().zip(&other.branches);
        let [own, others] = [self, other].map(|chain| {
            let details = chain.details.iter();
            details.filter(|detail| match detail {
                Detail::End(end) => end.waits,
                Detail::Collection(_) => false,
                _ => true,
            })
        });
        self.frames == other.frames
            && self.cut == other.cut
            && self.kept == other.kept
            && own.clone().count() == others.clone().count()
            && self.branches.len() == other.branches.len()
            && own.zip(others).all(|(one, other)| one.is_same(other))
            && branches.all(|(one, other)| one.is_same_wait(other))
    }

    /// The semaphores that the chain waits for, in all branches.
    pub fn semaphores(&self) -> Vec<u64> {
        let own = self.details.iter().filter_map(|detail| match detail {
            Detail::Acquires { semaphore, .. } => Some(*semaphore),
            _ => None,
        });
        own.chain(self.branches.iter().flat_map(Chain::semaphores))
            .collect()
    }
}

/// A future that an async body keeps and does not await, and that a semaphore has given permits to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// The frames of the async body that keeps the future, then of the future down to its leaf.
    pub frames: Vec<u32>,
    /// The name of the variable; empty where unknown.
    pub variable: Arc<str>,
    /// The address of the semaphore.
    pub semaphore: u64,
    /// The number of permits.
    pub permits: u64,
    /// The address of the leaf.
    pub future: u64,
}

/// A detail of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// A timer's deadline by the monotonic clock.
    Fires {
        /// The kind of the timer.
        what: Timer,
        /// Whole seconds.
        seconds: i64,
        /// The nanoseconds beside the whole seconds.
        nanos: u32,
    },
    /// A wait for permits of a semaphore.
    Acquires {
        /// The address of the semaphore.
        semaphore: u64,
        /// The wanted permits.
        wanted: u64,
        /// The available permits.
        available: u64,
    },
    /// Permits that a semaphore has given to a future, which was not polled since.
    Given {
        /// The address of the semaphore.
        semaphore: u64,
        /// The given permits.
        permits: u64,
        /// The address of the future.
        future: u64,
    },
    /// An end of a channel.
    End(ChannelEnd),
    /// A collection that has ends of channels.
    Collection(CollectionId),
    /// The id of the task whose end is awaited; 0 where it cannot be read.
    Joins(u64),
    /// A guard of the lock with this semaphore is among the locals, so the task may hold the lock.
    MayHold(u64),
    /// A file descriptor.
    Descriptor(i32),
    /// A blocking closure waits for a free thread.
    Queued,
    /// The future was created and not polled yet.
    NotPolled,
    /// The future is no async body, and may poll more than the futures that are part of it.
    PollsMore,
}

impl Detail {
    /// Whether both details are equal, apart from counts that other tasks change.
    fn is_same(&self, other: &Detail) -> bool {
        match (*self, *other) {
            (
                Detail::Acquires {
                    semaphore: one,
                    wanted,
                    ..
                },
                Detail::Acquires {
                    semaphore: other,
                    wanted: as_many,
                    ..
                },
            ) => one == other && wanted == as_many,
            (Detail::End(one), Detail::End(other)) => {
                ChannelEnd {
                    senders: other.senders,
                    has_weak_senders: other.has_weak_senders,
                    ..one
                } == other
            }
            (one, other) => one == other,
        }
    }
}

/// An end of one of tokio's channels, among a task's locals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelEnd {
    /// The address of the channel.
    pub channel: u64,
    /// The kind of the channel.
    pub kind: Channel,
    /// The end, sender or receiver.
    pub end: End,
    /// The semaphore that counts the room in a bounded channel.
    pub semaphore: Option<NonZeroU64>,
    /// The capacity of a bounded channel, in messages.
    pub room: Option<NonZeroU64>,
    /// The number of senders, by the channel's own count.
    pub senders: Option<u32>,
    /// Whether the channel has a `WeakSender`, which another `Sender` may be made from.
    pub has_weak_senders: bool,
    /// Whether the task waits at this end for the other one.
    pub waits: bool,
    /// Whether an async block has captured the end. The block may have moved it since.
    pub is_captured: bool,
    /// Whether the program has ends of this type where the decoder does not look.
    pub is_elsewhere: bool,
}

/// An end of a channel in a message that was not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreceived {
    /// The address of the channel.
    pub channel: u64,
    /// The end.
    pub end: End,
    /// The address of the channel that the message is in.
    pub inbox: u64,
}

/// The ends of channels that are in no variable.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The ends in messages that were not received.
    pub unreceived: Vec<Unreceived>,
    /// The ends in collections.
    pub collected: Vec<Collected>,
    /// The number of elements of collections that were not read, as they are beyond the bounds.
    pub left_out: u64,
    /// The parents of cancellation tokens.
    pub parents: Vec<Parent>,
}

/// The `Notify` of a cancellation token, and that of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parent {
    /// The address of the token's `Notify`.
    pub notify: u64,
    /// The address of the parent's one.
    pub parent: u64,
}

/// A sentence on the elements of collections beyond the bounds; `None` without any.
pub fn left_out(elements: u64) -> Option<String> {
    let (are, them) = match elements {
        0 => return None,
        1 => ("element", "an end of a channel in it is not named"),
        _ => ("elements", "ends of channels in them are not named"),
    };
    Some(format!(
        "{elements} {are} of collections are beyond the bound of what is read: {them}"
    ))
}

/// A collection: its first element, table or node, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId {
    /// The address.
    pub at: u64,
    /// The number of elements.
    pub length: u64,
}

/// An end of a channel in a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Collected {
    /// The address of the channel.
    pub channel: u64,
    /// The end.
    pub end: End,
    /// Whether the channel is a `Notify`.
    pub is_notify: bool,
    /// The collection that the end is in, also by way of other collections.
    pub collection: CollectionId,
}

/// The kinds of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `mpsc`, bounded or not.
    Mpsc,
    /// `oneshot`.
    Oneshot,
    /// `watch`.
    Watch,
    /// `broadcast`.
    Broadcast,
    /// A `Notify`: each task that has it may be the sender.
    Notify,
}

/// The ends of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The end that messages are sent through.
    Sender,
    /// The end that messages are received from.
    Receiver,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            End::Sender => End::Receiver,
            End::Receiver => End::Sender,
        }
    }
}

/// The kind of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// `sleep` or an interval.
    Sleep,
    /// A timer that ends another future.
    Timeout,
}

/// The function of a future, and the line of the await at which it is suspended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The readable name.
    pub function: Arc<str>,
    /// The path of the source file; empty where unknown.
    pub file: Arc<str>,
    /// The line; 0 where unknown.
    pub line: u32,
    /// Whether the future is a library's wrapper around another future.
    pub is_folded: bool,
}
