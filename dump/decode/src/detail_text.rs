//! The details of a wait as text. A stack does not contain them.

use crate::model::{Chain, Channel, ChannelEnd, Detail, End, Frame, Kept, Timer};
use crate::stacks::reason_of;
use crate::waits::is_of;
use runtime_dump::naming::reason::Reason;
use std::fmt::{self, Display, Write};
use std::num::NonZeroU64;

/// The room for a note at first. Most notes are shorter.
const USUAL_BYTES: usize = 96;

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
    /// One note for each selected detail.
    pub fn notes(&self, words: &Words<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        push_details(&mut notes, self, words, "");
        notes
    }
}

impl Detail {
    /// The detail as text. `now` is the time of the monotonic clock; without it a timer has no text.
    pub fn text(&self, now: Option<(i64, u32)>) -> Option<String> {
        Some(match *self {
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
                let verb = match what {
                    Timer::Sleep => "fires",
                    Timer::Timeout => "times out",
                };
                match left {
                    0.. => format!("{verb} in {}", Span(left.unsigned_abs())),
                    _ => format!("{verb} since {}", Span(left.unsigned_abs())),
                }
            }
            Detail::Acquires {
                semaphore,
                wanted,
                available,
            } => format!("wants {wanted} of the {available} permits of semaphore {semaphore:#x}"),
            Detail::Given {
                semaphore, permits, ..
            } => format!(
                "was given {} of semaphore {semaphore:#x}, and has not been polled since",
                counted(permits)
            ),
            Detail::End(end) => return end.text(),
            Detail::Joins(0) => return None,
            Detail::Joins(id) => format!("joins goroutine {id}"),
            Detail::MayHold(semaphore) => format!("may hold semaphore {semaphore:#x}"),
            Detail::Descriptor(number) => format!("file descriptor {number}"),
            Detail::Queued => "waits for a thread of the blocking pool".into(),
            Detail::NotPolled => "not polled yet".into(),
            Detail::PollsMore | Detail::Collection(_) => return None,
        })
    }
}

impl ChannelEnd {
    /// The wait at this end as text; `None` if the task does not wait at it.
    fn text(&self) -> Option<String> {
        if !self.waits {
            return None;
        }
        let waits_for = match (self.end, self.kind) {
            (End::Sender, Channel::Mpsc) => "room in channel",
            (End::Sender, _) => return None,
            (End::Receiver, Channel::Mpsc | Channel::Broadcast) => "a message of channel",
            (End::Receiver, Channel::Oneshot) => "the value of channel",
            (End::Receiver, Channel::Watch) => "a change of channel",
            (End::Receiver, Channel::Notify) => "Notify",
        };
        let mut text = String::with_capacity(USUAL_BYTES);
        let written = write!(text, "waits for {waits_for} {:#x}", self.channel);
        let written =
            written.and_then(
                |()| match (self.end, self.room.map(NonZeroU64::get), self.senders) {
                    (End::Sender, Some(1), _) => text.write_str(", which has room for 1 message"),
                    (End::Sender, Some(room), _) => {
                        write!(text, ", which has room for {room} messages")
                    }
                    (End::Receiver, _, Some(1)) => text.write_str(", which has 1 Sender"),
                    (End::Receiver, _, Some(senders)) => {
                        write!(text, ", which has {senders} Senders")
                    }
                    _ => Ok(()),
                },
            );
        written.is_ok().then_some(text)
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

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0 / 100_000_000;
        let seconds = tenths / 10;
        let (hours, minutes) = (seconds / 3600, seconds / 60);
        match seconds {
            0..60 => write!(f, "{seconds}.{}s", tenths % 10),
            60..3600 => write!(f, "{minutes}m{}s", seconds % 60),
            _ => write!(f, "{hours}h{}m{}s", minutes % 60, seconds % 60),
        }
    }
}

fn push_details(notes: &mut Vec<String>, chain: &Chain, words: &Words<'_>, before: &str) {
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
        if !is_of_channel(detail)
            && let Some(text) = detail.text(words.now)
        {
            let note = match before {
                "" => text,
                _ => format!("{before}{text}"),
            };
            // A future and the future inside it may have the same descriptor.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        let others = (words.others)(detail);
        notes.extend(others.map(|others| format!("{before}{others}")));
    }
    if let Some(why) = chain.cut.filter(|_| !chain.frames.is_empty()) {
        notes.push(format!("{before}{why}"));
    }
    let mut leaves = Vec::new();
    flatten(&mut leaves, chain);
    if chain.branches.is_empty() {
        return;
    }
    for (number, details) in leaves.iter().enumerate() {
        for chain in details {
            let branch = Chain {
                details: chain.details.clone(),
                cut: chain.cut,
                frames: chain.frames.clone(),
                branches: Vec::new(),
                kept: Vec::new(),
            };
            let before = match words.numbers_branches {
                true => format!("branch {}: ", number + 1),
                false => String::new(),
            };
            push_details(notes, &branch, words, &before);
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
