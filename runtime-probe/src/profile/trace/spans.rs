//! Spans of the crate `tracing`, as regions.
//!
//! A future that is instrumented with a span enters and exits it in each poll. The region lasts over the waits: a task
//! that exits a span in which the poll has registered somewhere waits inside of it.

use super::Trace;
use crate::clock::{Scale, Ticks};
use crate::source::trace::{Happened, MOST_REGISTRATIONS, Said, SpanStep, Step, What};
use crate::stack::wait_set::WaitSet;
use runtime_dump::trace::UserWhat;
use std::collections::{HashMap, HashSet};

/// The task that a thread polls, or the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Inside {
    Task(u64),
    Thread(u64),
}

/// A span with an open region.
#[derive(Clone, Copy, Debug)]
struct Open {
    span: u64,
    user_task: u64,
    /// How often it was entered and not exited.
    entered: u32,
    /// The registrations of the current poll when it was entered.
    registrations: u16,
}

/// The spans with open regions, each inside of the task that entered it.
#[derive(Debug, Default)]
pub(super) struct Spans {
    open: HashMap<Inside, Vec<Open>>,
}

/// The most regions of a task that go on over waits of which the probe knows nothing. The steps of a task look through
/// its open regions, and Perfetto's viewer has a track for each. Beyond it, each poll is a region.
const MOST_OPEN: usize = 256;

/// What a step makes of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    Begins,
    Ends { user_task: u64 },
    GoesOn,
}

impl Spans {
    /// A poll of the task begins: its registrations count anew. Spans that are entered were exited before, unless a
    /// guard lives across an await. Its exit ends the region all the same.
    pub(super) fn poll_begins(&mut self, task: u64) {
        for open in self.open.get_mut(&Inside::Task(task)).into_iter().flatten() {
            (open.entered, open.registrations) = (0, 0);
        }
    }

    /// The regions of the task end with it.
    pub(super) fn task_ends(&mut self, task: u64) {
        self.open.remove(&Inside::Task(task));
    }

    fn step(&mut self, inside: Inside, step: &SpanStep, user_task: u64) -> Region {
        let open = self.open.entry(inside).or_default();
        let count = open.len();
        let known = open.iter().rposition(|known| known.span == step.span);
        let region = match (step.step, known.map(|at| (at, &mut open[at]))) {
            (Step::Enter, Some((_, known))) => {
                if known.entered == 0 {
                    known.registrations = step.registrations;
                }
                known.entered += 1;
                Region::GoesOn
            }
            (Step::Enter, None) => {
                open.push(Open {
                    span: step.span,
                    user_task,
                    entered: 1,
                    registrations: step.registrations,
                });
                Region::Begins
            }
            (Step::Exit, Some((at, known))) => {
                known.entered = known.entered.saturating_sub(1);
                let is_unknown = step.registrations >= MOST_REGISTRATIONS;
                let waits = matches!(inside, Inside::Task(_))
                    && (step.registrations > known.registrations || is_unknown);
                let is_full = is_unknown && count > MOST_OPEN;
                match known.entered == 0 && (!waits || is_full) {
                    true => Region::Ends {
                        user_task: open.remove(at).user_task,
                    },
                    false => Region::GoesOn,
                }
            }
            // It was entered before the trace.
            (Step::Exit, None) if step.registrations == 0 => Region::Ends { user_task },
            (Step::Close, Some((at, _))) => Region::Ends {
                user_task: open.remove(at).user_task,
            },
            (Step::Exit | Step::Close, None) => Region::GoesOn,
        };
        if open.is_empty() {
            self.open.remove(&inside);
        }
        region
    }
}

impl Trace<'_> {
    /// A step in a poll that began before the trace, and is not known, is left out.
    pub(super) fn span(&mut self, happened: &Happened, step: &SpanStep, scale: &Scale) {
        let thread = u64::from(happened.thread);
        let polls = self.polls.get(&thread);
        let inside = match polls.and_then(|polls| polls.last()) {
            Some(polled) => Inside::Task(polled.task.id),
            None if step.is_in_a_poll => return,
            None => Inside::Thread(thread),
        };
        let user_task = match self.user.is_told(step.user_task) {
            true => self.or_inherited(thread, step.user_task),
            // It began before the trace, and no event of its own has told its name.
            false => 0,
        };
        let region = self.spans.step(inside, step, user_task);
        let name = self.writer.text(step.name.text());
        match region {
            Region::Begins => {
                self.say(happened, user_task, UserWhat::RegionBegin { name }, scale);
            }
            Region::Ends { user_task } => {
                self.say(happened, user_task, UserWhat::RegionEnd { name }, scale);
            }
            Region::GoesOn => {}
        }
    }
}

impl Trace<'_> {
    /// The indices of the exits of instrumented futures in a `FuturesUnordered`. Such a future registers with a waker
    /// of that, so it is not known whether it waits. It is dropped, and its span closed, when it has finished. So the
    /// exits are no ends.
    pub(super) fn exits_of_children(&mut self, happened: &[Happened]) -> Vec<usize> {
        let mut places: HashMap<u32, &'static WaitSet> = HashMap::new();
        let mut exits = Vec::new();
        for (index, happened) in happened.iter().enumerate() {
            match happened.what {
                What::Said(Said::SpanPlace(Some(place))) => {
                    places.insert(happened.thread, place);
                }
                What::Said(Said::Span(step)) => {
                    let place = places.remove(&happened.thread);
                    let place = place.filter(|_| step.step == Step::Exit);
                    exits.extend(
                        place
                            .filter(|place| self.names.is_of_a_child(place))
                            .map(|_| index),
                    );
                }
                _ => {}
            }
        }
        exits
    }
}

/// An instrumented future that has finished is dropped inside of its span, which is entered once more for that: in the
/// poll that it finished in, with nothing between. That is a part of the same region.
///
/// Returns the indices of the exits before such a drop, which are no ends.
pub(super) fn exits_before_a_drop(happened: &[Happened]) -> HashSet<usize> {
    let mut exits = HashSet::new();
    let mut threads: HashMap<u32, Seen> = HashMap::new();
    for (index, happened) in happened.iter().enumerate() {
        let What::Said(Said::Span(step)) = happened.what else {
            if let What::Said(Said::SpanPlace(_)) = happened.what {
                continue;
            }
            if let Some(seen) = threads.get_mut(&happened.thread) {
                seen.exited = None;
                if matches!(
                    happened.what,
                    What::PollBegin { .. } | What::PollEnd(_) | What::ForeignPoll { .. }
                ) {
                    seen.again.clear();
                }
            }
            continue;
        };
        let seen = threads.entry(happened.thread).or_default();
        let (span, at) = (step.span, happened.at);
        let last = seen.exited.take().filter(|last| last.span == span);
        match (step.step, last) {
            (Step::Enter, Some(exited)) => {
                let again = Again {
                    exited: exited.index,
                    at,
                    is_short: at - exited.at < SHORT,
                };
                seen.again.insert(span, again);
            }
            (Step::Enter, None) => drop(seen.again.remove(&span)),
            (Step::Exit, _) => {
                seen.exited = Some(Exited { span, index, at });
                let again = seen.again.get(&span);
                let again = again.filter(|again| again.is_short && at - again.at < SHORT);
                exits.extend(again.map(|again| again.exited));
            }
            (Step::Close, Some(_)) => {
                exits.extend(seen.again.remove(&span).map(|again| again.exited));
            }
            (Step::Close, None) => {}
        }
    }
    exits
}

/// A span that another handle keeps open is not closed after the drop. Then the drop is known by its length, and by the
/// time before it: below 4 µs at 3 GHz. Without optimisation the two are 1.5 µs and 0.9 µs long. Spans of this length that
/// are entered again at once are one region, too.
const SHORT: Ticks = 12_000;

/// The steps of a thread.
#[derive(Debug, Default)]
struct Seen {
    /// The last event of the thread, if it is an exit.
    exited: Option<Exited>,
    /// By span that was entered again at once.
    again: HashMap<u64, Again>,
}

#[derive(Clone, Copy, Debug)]
struct Exited {
    span: u64,
    index: usize,
    at: Ticks,
}

#[derive(Clone, Copy, Debug)]
struct Again {
    /// The index of the exit before.
    exited: usize,
    at: Ticks,
    is_short: bool,
}

/// The same exit as one of a task that waits inside of the span.
pub(super) fn as_a_wait(happened: &Happened) -> Happened {
    let mut exit = *happened;
    if let What::Said(Said::Span(step)) = &mut exit.what {
        step.registrations = MOST_REGISTRATIONS;
    }
    exit
}
