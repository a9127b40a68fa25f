//! User tasks, regions and logs, as entries.

use super::{Code, POINTER_SHIFT, RecordName, write};
use crate::clock::{self, Ticks};
use crate::events::chunks::{Entry, MOST_MORE};
use crate::labels::LabelSet;
use crate::registry::threads::{self, Slot};
use crate::source::regions::{StaticText, UserTask};
use crate::stack::wait_set::WaitSet;

/// The kind of an entry of [`Code::Said`], in bits 40 to 43. The lower bits are the id of a user task. The further
/// words are listed at each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saying {
    /// The name, the parent.
    TaskBegin,
    /// The name.
    TaskEnd,
    /// The name of the region, the name of the task.
    RegionBegin,
    RegionEnd,
    /// The category, the name of the task. Entries with the text follow.
    Log,
    /// The bytes. Instead of the id: the number of the part, whether it is the last, its number of bytes.
    Text,
    /// The name. The next spawn of this thread belongs to the user task.
    Spawns,
    /// The labels of a task, the new set below the old one, in place of the user task. The record.
    Labels,
    /// The name, the id of the span; also the next two. Above the user task: the registrations of the poll so far, and
    /// whether there is a poll.
    SpanEnter,
    SpanExit,
    SpanClose,
    /// The thread waits for another one. In place of the user task: whether it polls a task, whether it waits for a
    /// lock of ours.
    Blocks,
    /// The end of that. In place of the user task: whether it was a wait. The stack, as a set of registrations.
    Unblocks,
    /// The stack of the step of a span that follows, as a set of registrations.
    SpanPlace,
}

impl Saying {
    const ALL: [Saying; 14] = [
        Saying::TaskBegin,
        Saying::TaskEnd,
        Saying::RegionBegin,
        Saying::RegionEnd,
        Saying::Log,
        Saying::Text,
        Saying::Spawns,
        Saying::Labels,
        Saying::SpanEnter,
        Saying::SpanExit,
        Saying::SpanClose,
        Saying::Blocks,
        Saying::Unblocks,
        Saying::SpanPlace,
    ];
}

const SAYING_SHIFT: u32 = 40;
const USER_TASK: u64 = (1 << SAYING_SHIFT) - 1;
/// The bytes of a text in one entry.
const PART: usize = 8 * MOST_MORE;
/// The most bytes of a text, as in Go.
const LONGEST: usize = 1024;
const PART_SHIFT: u32 = 16;
const LAST_PART: u64 = 1 << 8;
/// The old set of labels lies above the new one.
const BEFORE_SHIFT: u32 = 16;
/// The registrations of a poll lie above the user task of a span.
const REGISTRATIONS_SHIFT: u32 = 34;
const USER_TASK_OF_SPAN: u64 = (1 << REGISTRATIONS_SHIFT) - 1;
const IN_A_POLL: u64 = 1 << 39;
/// The most registrations that a step of a span tells.
pub(crate) const MOST_REGISTRATIONS: u16 = 31;

/// Bits in place of the user task.
const BLOCKED_POLL: u64 = 1;
const WAITED: u64 = 1 << 1;
const BY_A_LOCK: u64 = 1 << 2;

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The end of the wait tells.
    Any,
    /// A lock of ours.
    Lock,
}

/// An event of the program. Texts of variable length are separate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    TaskBegin {
        task: UserTask,
        parent: u64,
    },
    TaskEnd(UserTask),
    RegionBegin {
        task: UserTask,
        name: StaticText,
    },
    RegionEnd {
        task: UserTask,
        name: StaticText,
    },
    Log {
        task: UserTask,
        category: StaticText,
    },
    /// A part of the text of the previous log.
    Text(Text),
    /// The next spawn belongs to the user task.
    Spawns(UserTask),
    /// The labels of a task changed.
    Labels {
        record: RecordName,
        before: LabelSet,
        now: LabelSet,
    },
    Span(SpanStep),
    /// The stack of the thread's step that follows.
    SpanPlace(Option<&'static WaitSet>),
    /// The thread begins to wait for another one.
    Blocks {
        is_in_a_poll: bool,
        by: By,
    },
    /// The thread goes on.
    Unblocks {
        /// Where it waited, if that is known.
        waits: Option<&'static WaitSet>,
        /// Whether it waited at all.
        is_wait: bool,
    },
}

/// What happens to a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Enter,
    Exit,
    Close,
}

/// A step of a span of the crate `tracing`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanStep {
    pub(crate) step: Step,
    /// The subscriber's id of the span.
    pub(crate) span: u64,
    pub(crate) name: StaticText,
    /// The id of the user task in force; 0 for none.
    pub(crate) user_task: u64,
    /// How many registrations the poll has made so far. [`MOST_REGISTRATIONS`] stands for more, and for a number that is
    /// not known.
    pub(crate) registrations: u16,
    /// Whether the thread polls a task.
    pub(crate) is_in_a_poll: bool,
}

/// A part of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    /// The number of the part, from 0 on.
    pub(crate) part: u8,
    pub(crate) is_last: bool,
    length: u8,
    bytes: [u8; PART],
}

impl Text {
    pub(crate) fn bytes(&self) -> &[u8] {
        let length = usize::from(self.length).min(PART);
        &self.bytes[..length]
    }
}

/// Writes that the next spawn belongs to a user task.
pub(super) fn spawns(slot: &Slot, now: Ticks, task: UserTask) {
    say(slot, now, Saying::Spawns, task.id, [task.name.word(), 0]);
}

/// Records that the labels of a task changed.
pub(super) fn labels(slot: &Slot, at: Ticks, record: u64, before: LabelSet, now: LabelSet) {
    let sets = u64::from(now.number()) | u64::from(before.number()) << BEFORE_SHIFT;
    say(slot, at, Saying::Labels, sets, [record, 0]);
}

/// Writes that the thread begins to wait for another one.
#[cfg(any(feature = "sync", all(feature = "interpose", target_os = "linux")))]
pub(super) fn blocks(slot: &Slot, at: Ticks, is_in_a_poll: bool, by: By) {
    let in_a_poll = if is_in_a_poll { BLOCKED_POLL } else { 0 };
    let by = if by == By::Lock { BY_A_LOCK } else { 0 };
    say(slot, at, Saying::Blocks, in_a_poll | by, [0; MOST_MORE]);
}

/// Writes that the thread goes on.
#[cfg(any(feature = "sync", all(feature = "interpose", target_os = "linux")))]
pub(super) fn unblocks(slot: &Slot, at: Ticks, waits: Option<&'static WaitSet>, is_wait: bool) {
    let waited = if is_wait { WAITED } else { 0 };
    let more = [super::pointer(waits), 0];
    say(slot, at, Saying::Unblocks, waited, more);
}

/// Writes a step of a span.
#[cfg(feature = "tracing-subscriber")]
pub(in crate::source) fn span(slot: &Slot, at: Ticks, step: &SpanStep) {
    let saying = match step.step {
        Step::Enter => Saying::SpanEnter,
        Step::Exit => Saying::SpanExit,
        Step::Close => Saying::SpanClose,
    };
    let registrations = step.registrations.min(MOST_REGISTRATIONS);
    let low = step.user_task & USER_TASK_OF_SPAN
        | u64::from(registrations) << REGISTRATIONS_SHIFT
        | if step.is_in_a_poll { IN_A_POLL } else { 0 };
    say(slot, at, saying, low, [step.name.word(), step.span]);
}

/// Writes the stack of the step that follows.
#[cfg(feature = "tracing-subscriber")]
pub(in crate::source) fn span_place(slot: &Slot, at: Ticks, waits: Option<&'static WaitSet>) {
    say(slot, at, Saying::SpanPlace, 0, [super::pointer(waits), 0]);
}

fn say(slot: &Slot, at: Ticks, saying: Saying, low: u64, more: [u64; MOST_MORE]) {
    let payload = (saying as u64) << SAYING_SHIFT | low & USER_TASK;
    write(slot, at, Code::Said, payload, more);
}

/// Writes an event of the program.
#[cold]
pub(in crate::source) fn said(said: Said) {
    if !crate::source::start_here() {
        return;
    }
    let (saying, task, more) = match said {
        Said::TaskBegin { task, parent } => (Saying::TaskBegin, task, [task.name.word(), parent]),
        Said::TaskEnd(task) => (Saying::TaskEnd, task, [task.name.word(), 0]),
        Said::RegionBegin { task, name } => {
            let more = [name.word(), task.name.word()];
            (Saying::RegionBegin, task, more)
        }
        Said::RegionEnd { task, name } => {
            let more = [name.word(), task.name.word()];
            (Saying::RegionEnd, task, more)
        }
        Said::Log { .. }
        | Said::Text(_)
        | Said::Spawns(_)
        | Said::Labels { .. }
        | Said::Span(_)
        | Said::SpanPlace(_)
        | Said::Blocks { .. }
        | Said::Unblocks { .. } => return,
    };
    say(threads::slot(), clock::ticks(), saying, task.id, more);
}

/// Writes a log with the first [`LONGEST`] bytes of its text.
#[cold]
pub(in crate::source) fn log(task: UserTask, category: StaticText, message: &str) {
    if !crate::source::start_here() {
        return;
    }
    let (slot, now) = (threads::slot(), clock::ticks());
    let more = [category.word(), task.name.word()];
    say(slot, now, Saying::Log, task.id, more);
    let fits = |at: &usize| message.is_char_boundary(*at);
    let kept = (0..=message.len().min(LONGEST)).rev().find(fits);
    let mut parts = message.as_bytes()[..kept.unwrap_or(0)].chunks(PART);
    let mut next = Some(parts.next().unwrap_or_default());
    for number in 0_u64.. {
        let Some(part) = next else { return };
        next = parts.next();
        let last = if next.is_none() { LAST_PART } else { 0 };
        let mut words = [0; MOST_MORE];
        for (word, bytes) in words.iter_mut().zip(part.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        let low = number << PART_SHIFT | last | part.len() as u64;
        say(slot, now, Saying::Text, low, words);
    }
}

impl Said {
    #[expect(unsafe_code, reason = "an interned set comes back as an address")]
    pub(super) fn read(entry: &Entry) -> Option<Said> {
        let [first, second] = entry.more;
        let low = entry.payload & USER_TASK;
        let task = |name| UserTask {
            id: low,
            name: StaticText::of_word(name),
        };
        let name = StaticText::of_word(first);
        let waits = || {
            let waits = (first << POINTER_SHIFT) as *const WaitSet;
            // SAFETY: 0, or the address of an interned set, which lives for ever; only this file writes entries of
            // these kinds.
            unsafe { waits.as_ref() }
        };
        let span = |step| {
            Said::Span(SpanStep {
                step,
                span: second,
                name,
                user_task: low & USER_TASK_OF_SPAN,
                registrations: (low >> REGISTRATIONS_SHIFT) as u16 & MOST_REGISTRATIONS,
                is_in_a_poll: low & IN_A_POLL != 0,
            })
        };
        let index = (entry.payload >> SAYING_SHIFT) as usize;
        Some(match Saying::ALL.get(index)? {
            Saying::TaskBegin => Said::TaskBegin {
                task: task(first),
                parent: second,
            },
            Saying::TaskEnd => Said::TaskEnd(task(first)),
            Saying::RegionBegin => Said::RegionBegin {
                task: task(second),
                name,
            },
            Saying::RegionEnd => Said::RegionEnd {
                task: task(second),
                name,
            },
            Saying::Log => Said::Log {
                task: task(second),
                category: name,
            },
            Saying::Text => {
                let mut bytes = [0; PART];
                for (bytes, word) in bytes.chunks_mut(8).zip([first, second]) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
                Said::Text(Text {
                    part: (low >> PART_SHIFT) as u8,
                    is_last: low & LAST_PART != 0,
                    length: low as u8,
                    bytes,
                })
            }
            Saying::Spawns => Said::Spawns(task(first)),
            Saying::Labels => Said::Labels {
                record: RecordName(first),
                before: LabelSet::of_number((low >> BEFORE_SHIFT) as u16),
                now: LabelSet::of_number(low as u16),
            },
            Saying::SpanEnter => span(Step::Enter),
            Saying::SpanExit => span(Step::Exit),
            Saying::SpanClose => span(Step::Close),
            Saying::Blocks => Said::Blocks {
                is_in_a_poll: low & BLOCKED_POLL != 0,
                by: match low & BY_A_LOCK {
                    0 => By::Any,
                    _ => By::Lock,
                },
            },
            Saying::Unblocks => Said::Unblocks {
                waits: waits(),
                is_wait: low & WAITED != 0,
            },
            Saying::SpanPlace => Said::SpanPlace(waits()),
        })
    }
}
