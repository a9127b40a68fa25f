//! The details of a wait as text. A stack does not contain them.

use crate::model::{Chain, Channel, ChannelEnd, Detail, End, Frame, Kept, Timer};
use crate::stacks::reason_of;
use crate::waits::is_of;
use runtime_dump::goroutine::notes::{Notes, push_decimal, push_hex};
use runtime_dump::naming::reason::Reason;
use std::fmt::{self, Display};
use std::num::NonZeroU64;

/// The options of the notes on a chain.
pub struct Words<'w> {
    /// The time of the monotonic clock, in seconds and nanoseconds; `None` where unknown.
    pub now: Option<(i64, u32)>,
    /// Returns the tasks that may end a wait, as text.
    pub others: &'w dyn Fn(&Detail) -> Option<String>,
    /// Whether notes on a branch have the branch's number, in the order of the chain's branches.
    pub numbers_branches: bool,
    /// Selects the details that have notes.
    pub tells: &'w dyn Fn(&Detail) -> bool,
}

impl fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Words")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Chain {
    /// Adds a note for each selected detail.
    pub fn add_notes(&self, notes: &mut Notes, words: &Words<'_>) {
        let since = notes.len();
        add_details((notes, since), self, words, Branch::Trunk);
    }
}

impl Detail {
    /// Appends the detail as text. `now` is the time of the monotonic clock. Returns `None` if there is no text, as for a
    /// timer without the time.
    fn push(&self, out: &mut String, now: Option<(i64, u32)>) -> Option<()> {
        match *self {
            Detail::Fires {
                what,
                seconds,
                nanos,
            } => {
                let (now, now_nanos) = now?;
                let at = |seconds: i64, nanos: u32| {
                    let seconds = seconds.saturating_mul(1_000_000_000);
                    seconds.saturating_add(i64::from(nanos))
                };
                let left = at(seconds, nanos).saturating_sub(at(now, now_nanos));
                out.push_str(match what {
                    Timer::Sleep => "fires",
                    Timer::Timeout => "times out",
                });
                out.push_str(match left {
                    0.. => " in ",
                    _ => " since ",
                });
                Span(left.unsigned_abs()).push(out);
            }
            Detail::Acquires {
                semaphore,
                wanted,
                available,
            } => {
                out.push_str("wants ");
                push_decimal(out, wanted);
                out.push_str(" of the ");
                push_decimal(out, available);
                out.push_str(" permits of semaphore ");
                push_hex(out, semaphore);
            }
            Detail::Given {
                semaphore, permits, ..
            } => {
                out.push_str("was given ");
                out.push_str(&counted(permits));
                out.push_str(" of semaphore ");
                push_hex(out, semaphore);
                out.push_str(", and has not been polled since");
            }
            Detail::End(end) => return end.push(out),
            Detail::Joins(0) => return None,
            Detail::Joins(id) => {
                out.push_str("joins goroutine ");
                push_decimal(out, id);
            }
            Detail::MayHold(semaphore) => {
                out.push_str("may hold semaphore ");
                push_hex(out, semaphore);
            }
            Detail::Descriptor(number) => {
                out.push_str("file descriptor ");
                out.push_str(&number.to_string());
            }
            Detail::Queued => out.push_str("waits for a thread of the blocking pool"),
            Detail::NotPolled => out.push_str("not polled yet"),
            Detail::PollsMore | Detail::Collection(_) => return None,
        }
        Some(())
    }
}

impl ChannelEnd {
    /// Appends the wait at this end as text. Returns `None` if the task does not wait at it.
    fn push(&self, out: &mut String) -> Option<()> {
        if !self.waits {
            return None;
        }
        out.push_str("waits for ");
        out.push_str(match (self.end, self.kind) {
            (End::Sender, Channel::Mpsc) => "room in channel ",
            (End::Sender, _) => return None,
            (End::Receiver, Channel::Mpsc | Channel::Broadcast) => "a message of channel ",
            (End::Receiver, Channel::Oneshot) => "the value of channel ",
            (End::Receiver, Channel::Watch) => "a change of channel ",
            (End::Receiver, Channel::Notify) => "Notify ",
        });
        push_hex(out, self.channel);
        match (self.end, self.room.map(NonZeroU64::get), self.senders) {
            (End::Sender, Some(1), _) => out.push_str(", which has room for 1 message"),
            (End::Sender, Some(room), _) => {
                out.push_str(", which has room for ");
                push_decimal(out, room);
                out.push_str(" messages");
            }
            (End::Receiver, _, Some(1)) => out.push_str(", which has 1 Sender"),
            (End::Receiver, _, Some(senders)) => {
                out.push_str(", which has ");
                push_decimal(out, senders.into());
                out.push_str(" Senders");
            }
            _ => {}
        }
        Some(())
    }
}

impl Kept {
    /// The thing that was given: "room in a channel".
    pub fn thing(&self, frames: &[Frame]) -> String {
        let (reason, _) = self.call(frames);
        match reason {
            Reason::ChanSend => "room in a channel".into(),
            Reason::Mutex => "a Mutex".into(),
            reason if reason.is_lock() => "an RwLock".into(),
            _ => format!("{} of a semaphore", counted(self.permits)),
        }
    }

    /// Whether the thing is a lock.
    pub fn is_lock(&self, frames: &[Frame]) -> bool {
        self.call(frames).0.is_lock()
    }

    /// The future that the permits were given to: ``the future `claim` of shop::claim
    /// (tokio::sync::mpsc::bounded::Sender::send)``.
    pub fn through(&self, frames: &[Frame]) -> String {
        let name = |number: Option<&u32>| {
            let frame = number.and_then(|number| frames.get(*number as usize));
            frame.map_or("", |frame| &*frame.function)
        };
        let future = match &*self.variable {
            "" => "a future".to_owned(),
            variable => format!("the future `{variable}`"),
        };
        let (_, call) = self.call(frames);
        let call = call.map_or("", |call| name(Some(&call)));
        format!("{future} of {} ({call})", name(self.frames.first()))
    }

    /// The reason of the wait, and the library's call that waited.
    fn call(&self, frames: &[Frame]) -> (Reason, Option<u32>) {
        let numbers: Vec<u32> = self.frames.iter().rev().copied().collect();
        let (reason, at) = reason_of(frames, &numbers);
        (reason, numbers.get(at).copied())
    }

    /// The note on the task.
    pub fn text(&self, frames: &[Frame]) -> String {
        format!(
            "was given {}, semaphore {:#x}, through {}, which it has not polled since",
            self.thing(frames),
            self.semaphore,
            self.through(frames)
        )
    }
}

/// Formats `1 permit`, `3 permits`.
fn counted(permits: u64) -> String {
    match permits {
        1 => "1 permit".into(),
        several => format!("{several} permits"),
    }
}

/// Nanoseconds, shown as `3.2s`, `5m3s`, `2h0m3s`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub u64);

impl Span {
    fn push(self, out: &mut String) {
        let tenths = self.0 / 100_000_000;
        let seconds = tenths / 10;
        let (hours, minutes) = (seconds / 3600, seconds / 60);
        match seconds {
            0..60 => {
                push_decimal(out, seconds);
                out.push('.');
                push_decimal(out, tenths % 10);
                out.push('s');
                return;
            }
            60..3600 => push_decimal(out, minutes),
            _ => {
                push_decimal(out, hours);
                out.push('h');
                push_decimal(out, minutes % 60);
            }
        }
        out.push('m');
        push_decimal(out, seconds % 60);
        out.push('s');
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push(&mut text);
        f.write_str(&text)
    }
}

/// The part of a chain that a note is on.
#[derive(Clone, Copy)]
enum Branch {
    Trunk,
    /// A branch that is not told apart.
    Any,
    /// A branch by its number.
    Number(u64),
}

impl Branch {
    fn push(self, out: &mut String) {
        if let Branch::Number(number) = self {
            out.push_str("branch ");
            push_decimal(out, number);
            out.push_str(": ");
        }
    }
}

/// Adds the notes of a chain after the first `since` notes, without those of its branches unless it is the trunk.
fn add_details(
    (notes, since): (&mut Notes, usize),
    chain: &Chain,
    words: &Words<'_>,
    branch: Branch,
) {
    // The text of the channel includes the wait for its room.
    let is_of_channel = |detail: &Detail| {
        let Detail::Acquires { semaphore, .. } = detail else {
            return false;
        };
        chain
            .details
            .iter()
            .any(|other| matches!(other, Detail::End(end) if is_of(*end, *semaphore)))
    };
    for detail in chain.details.iter().filter(|detail| (words.tells)(detail)) {
        if !is_of_channel(detail) {
            // A future and the future inside it may have the same descriptor.
            notes.add_new(since, |out| {
                branch.push(out);
                detail.push(out, words.now)
            });
        }
        notes.add(|out| {
            let others = (words.others)(detail)?;
            branch.push(out);
            out.push_str(&others);
            Some(())
        });
    }
    if let Some(why) = chain.cut.filter(|_| !chain.frames.is_empty()) {
        notes.add(|out| {
            branch.push(out);
            out.push_str(why);
            Some(())
        });
    }
    if chain.branches.is_empty() || !matches!(branch, Branch::Trunk) {
        return;
    }
    let mut leaves = Vec::new();
    flatten(&mut leaves, chain);
    for (number, way) in (1..).zip(&leaves) {
        let branch = match words.numbers_branches {
            true => Branch::Number(number),
            false => Branch::Any,
        };
        for chain in way {
            add_details((notes, since), chain, words, branch);
        }
    }
}

/// The chains from each branch to its leaf. The outermost chain is left out.
fn flatten<'c>(leaves: &mut Vec<Vec<&'c Chain>>, chain: &'c Chain) {
    fn go<'c>(leaves: &mut Vec<Vec<&'c Chain>>, way: &[&'c Chain], chain: &'c Chain) {
        let mut way = way.to_vec();
        way.push(chain);
        if chain.branches.is_empty() {
            leaves.push(way);
            return;
        }
        for branch in &chain.branches {
            go(leaves, &way, branch);
        }
    }
    for branch in &chain.branches {
        go(leaves, &[], branch);
    }
}
