//! A dump as plain data.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// All that was found.
#[derive(Debug, Default)]
pub struct Dump {
    /// Runtimes and `LocalSet`s.
    pub runtimes: Vec<Runtime>,
    /// Tasks of all of them.
    pub tasks: Vec<Task>,
    /// Tasks that are in no list, by the threads that run them: blocking closures, and the workers' own.
    pub unlisted: Vec<(u32, u64)>,
    /// What chains point into.
    pub frames: Vec<Frame>,
    /// Whether reading ended at the bound of bytes.
    pub out_of_bytes: bool,
}

impl Dump {
    /// Notes which waiting tasks were the same in an earlier dump.
    pub fn compare(&mut self, earlier: &Dump, passed: Duration) {
        let key = |task: &Task| (task.address, task.id);
        let is_comparable = |task: &&Task| task.state == State::Waiting && task.trace.is_some();
        let earlier = earlier.tasks.iter().filter(is_comparable);
        let earlier: HashMap<_, _> = earlier.map(|task| (key(task), task)).collect();
        for task in &mut self.tasks {
            // The chain, too: another task may be joined, whose memory is where the first one's was.
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
    /// The address of its scheduler.
    pub address: u64,
    /// What schedules its tasks.
    pub kind: Kind,
    /// How many tasks it says that it has; `None` where it does not count them.
    pub counted: Option<u64>,
    /// How many its lists have.
    pub listed: u64,
    /// Whether the lists could be followed to their ends.
    pub is_whole: bool,
    /// How many threads are inside.
    pub threads: u32,
    /// Its workers.
    pub workers: Vec<Worker>,
}

/// What a runtime counts of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// How long it has not been parked.
    pub busy_ns: u64,
    /// The number of times it was parked.
    pub parks: u64,
}

/// What schedules the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A runtime of several threads.
    MultiThread,
    /// A runtime of one thread.
    CurrentThread,
    /// A `LocalSet`.
    LocalSet,
    /// One that this command does not know by name.
    Other,
}

impl Kind {
    /// As the text has it.
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
    /// tokio's id of it; 0 where it cannot be read.
    pub id: u64,
    /// Where its memory is; 0 for what has none of its own.
    pub address: u64,
    /// Index of its runtime.
    pub runtime: u32,
    /// What it is doing.
    pub state: State,
    /// It was aborted.
    pub is_cancelled: bool,
    /// Nothing has a waker of it.
    pub has_no_waker: bool,
    /// The thread that polls it.
    pub thread: Option<u32>,
    /// The thread that is in `block_on` for it.
    pub root_of: Option<u32>,
    /// What a poll changes, where two looks are compared.
    pub trace: Option<u64>,
    /// How long ago it was the same.
    pub unchanged_for: Option<Duration>,
    /// Where it was spawned, where tokio was built to know.
    pub spawned_at: Option<(Arc<str>, u32, u32)>,
    /// Where it is.
    pub body: Body,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A thread polls it.
    Running,
    /// It was woken, or not polled yet.
    Runnable,
    /// It waits to be woken.
    Waiting,
    /// It has ended, and its result is there.
    Complete,
}

/// Where a task is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Not polled since this wait began.
    Chain(Chain),
    /// There is none to show.
    Missing(&'static str),
}

/// Futures inside each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The outermost first.
    pub frames: Vec<u32>,
    /// What is known beside the frames.
    pub details: Vec<Detail>,
    /// The innermost polls these side by side; none: it is the leaf.
    pub branches: Vec<Chain>,
    /// Futures beside the chain that permits were given to. Of the whole chain, so empty in a branch.
    pub kept: Vec<Kept>,
    /// Why it ends before the leaf.
    pub cut: Option<&'static str>,
}

impl Chain {
    /// Whether it waits at the same place for the same things. Counts that other tasks change do not matter.
    fn is_same_wait(&self, other: &Chain) -> bool {
        let mut branches = self.branches.iter().zip(&other.branches);
        self.frames == other.frames
            && self.cut == other.cut
            && self.kept == other.kept
            && self.details.len() == other.details.len()
            && self.branches.len() == other.branches.len()
            && self
                .details
                .iter()
                .zip(&other.details)
                .all(|(one, other)| one.is_same(other))
            && branches.all(|(one, other)| one.is_same_wait(other))
    }

    /// The semaphores that it waits for permits of, in any branch.
    pub fn semaphores(&self) -> Vec<u64> {
        let own = self.details.iter().filter_map(|detail| match detail {
            Detail::Acquires { semaphore, .. } => Some(*semaphore),
            _ => None,
        });
        own.chain(self.branches.iter().flat_map(Chain::semaphores))
            .collect()
    }
}

/// A future that an async body keeps and does not await, and that a semaphore gave permits to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// The async body that keeps it, then the future down to its leaf.
    pub frames: Vec<u32>,
    /// The variable that has it; empty where that is not known.
    pub variable: Arc<str>,
    /// The semaphore's address.
    pub semaphore: u64,
    /// How many it was given.
    pub permits: u64,
    /// Where the leaf is.
    pub future: u64,
}

/// What is known of a wait beside its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detail {
    /// A timer's deadline by the monotonic clock.
    Fires {
        /// The kind of the timer.
        what: Timer,
        /// Whole seconds.
        seconds: i64,
        /// The rest.
        nanos: u32,
    },
    /// Permits of a semaphore: wanted, and there.
    Acquires {
        /// Its address.
        semaphore: u64,
        /// Permits.
        wanted: u64,
        /// Permits.
        available: u64,
    },
    /// Permits that a semaphore gave, and that the future has not been polled to take.
    Given {
        /// Its address.
        semaphore: u64,
        /// Permits.
        permits: u64,
        /// Where the future is.
        future: u64,
    },
    /// An end of a channel.
    End(ChannelEnd),
    /// A `Notify`.
    Notify(u64),
    /// The task whose end is waited for; 0 where its id cannot be read.
    Joins(u64),
    /// A guard of the lock with this semaphore is among the locals.
    MayHold(u64),
    /// A file descriptor.
    Descriptor(i32),
    /// A blocking closure, for which no thread was free.
    Queued,
    /// The future was made, and nothing has polled it yet.
    NotPolled,
}

impl Detail {
    /// Whether both are the same but for counts that other tasks change.
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
    /// The channel's address.
    pub channel: u64,
    /// The kind of the channel.
    pub kind: Channel,
    /// Which end.
    pub end: End,
    /// The semaphore that counts the room in a bounded channel.
    pub semaphore: Option<u64>,
    /// For how many messages a bounded channel has room.
    pub room: Option<u64>,
    /// How many senders the channel counts.
    pub senders: Option<u64>,
    /// The task waits at this end for the other.
    pub waits: bool,
    /// An async block captured it. The block may have moved it since.
    pub is_captured: bool,
}

/// The kinds of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `mpsc`, bounded or not.
    Mpsc,
    /// `oneshot`
    Oneshot,
    /// `watch`
    Watch,
    /// `broadcast`
    Broadcast,
}

/// The ends of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// What messages are sent through.
    Sender,
    /// What messages are received from.
    Receiver,
}

/// What a deadline is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// `sleep` or an interval.
    Sleep,
    /// What ends another future.
    Timeout,
}

/// A future's function, and the line of the await that it is suspended at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Its readable name.
    pub function: Arc<str>,
    /// Empty where unknown.
    pub file: Arc<str>,
    /// 0 where unknown.
    pub line: u32,
    /// A wrapper that a library puts around a future.
    pub is_folded: bool,
}
