//! What the futures in memory tell of waiting tasks: stacks of foreign ones, and which channel a task waits at.
//!
//! A decoded future counts only if the task was not polled meanwhile: after the decoding, tokio's word of its state and
//! the record's count of polls have to be as before. Otherwise nothing is told of it.

use super::leaf_stacks::synthetic;
use super::selection::grouped;
use crate::registry::runtimes;
use crate::snapshot::tasks::Tasks;
use crate::snapshot::unpolled::{self, Unpolled};
use crate::symbol::own_futures::{Answer, Asked, Found, Question, Wait, ask};
use runtime_dump::goroutine::notes::Notes;
use runtime_dump::stack::{Branch, Location, Stack};
use runtime_dump_decode::model::left_out;
use runtime_dump_decode::numbers::Sorted;
use runtime_dump_decode::stacks::ChainStack;
use runtime_dump_decode::waits::Cycle;
use std::sync::Arc;

/// The most waiting tasks of the probe's own that are read beside the foreign ones, so that a dump does not take many times as long.
const MOST_OWN: usize = 10_000;

const BUSY: &str = "other dumps are being decoded";

/// What the futures of waiting tasks tell.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) found: Found,
    pub(super) waiting: Unpolled,
    still: Unpolled,
    /// The index in [`Found::waits`] of each task that was not polled meanwhile, and whether it is a foreign one.
    told: Sorted<(u32, bool)>,
    /// Whether the futures of all waiting tasks were read.
    pub(super) is_of_all: bool,
    /// The remark of the dump; `None` if there is nothing to say.
    pub(super) remark: Option<String>,
}

/// The decoded wait of one task.
pub(super) struct DecodedWait<'d> {
    id: u64,
    wait: &'d Wait,
    /// Whether the task is a foreign one.
    pub(super) is_foreign: bool,
    found: &'d Found,
}

/// The tasks that are being decoded.
pub(super) struct Decoding {
    waiting: Unpolled,
    foreign: Unpolled,
    is_of_all: bool,
    asked: Asked,
}

impl Decoding {
    /// Has the foreign tasks of a snapshot decoded, or all that wait, on the decoding thread. `None` if there are none.
    pub(super) fn begin(tasks: &Tasks, all: bool) -> Option<Self> {
        let foreign = Unpolled::foreign(tasks);
        let is_of_all = all && Unpolled::count_waiting(tasks) <= foreign.len() + MOST_OWN;
        let waiting = match is_of_all {
            true => foreign.and(&Unpolled::waiting(tasks)),
            false => foreign.clone(),
        };
        (waiting.len() > 0).then(|| {
            let mut question = question(&waiting);
            if is_of_all {
                // An end of a channel may be with a task that runs.
                let others = unpolled::polled_or_ready(tasks, &waiting);
                question.ids.extend(others);
            }
            Decoding {
                asked: ask(question),
                waiting,
                foreign,
                is_of_all,
            }
        })
    }
}

impl Decoded {
    /// Waits for the decoding.
    pub(super) fn take(decoding: Decoding) -> Self {
        let Decoding {
            waiting,
            foreign,
            is_of_all,
            asked,
        } = decoding;
        let all = grouped(foreign.len() as u64);
        let without = |of_foreign: &str, of_others: Option<&str>| Self {
            remark: match foreign.len() == 0 {
                true => of_others.map(|why| format!("channels are not named: {why}")),
                false => Some(format!("{all} foreign tasks are not decoded: {of_foreign}")),
            },
            ..Self::default()
        };
        let mut still = Unpolled::default();
        let answer = match asked.until_read() {
            Ok(read) => {
                still = waiting.still();
                read.answer()
            }
            Err(answer) => answer,
        };
        let mut found = match answer {
            Answer::Found(found) => *found,
            Answer::Reading => {
                return without(
                    "the debug information is being read; a later dump has their stacks",
                    Some("the debug information is being read; a later dump names them"),
                );
            }
            Answer::Busy => return without(BUSY, Some(BUSY)),
            // Most programs have no types.
            Answer::Unusable(why) => return without(&why, None),
        };
        for made in &mut found.stacks {
            made.stack = with_own_addresses(&made.stack);
        }
        let numbered = (0..).zip(&found.waits);
        let told = numbered.filter_map(|(at, (id, _))| {
            let is_foreign = foreign.contains(*id);
            still.contains(*id).then_some((*id, (at, is_foreign)))
        });
        let told = Sorted::of(told.collect());
        let decoded = told.iter().filter(|(_, (_, is_foreign))| *is_foreign);
        let mut remark = format!(
            "{} of {all} foreign tasks are decoded; the index of types takes {:.0} MB",
            grouped(decoded.count() as u64),
            found.index_bytes as f64 / 1e6
        );
        if found.left_out > 0 {
            let left_out = grouped(found.left_out as u64);
            remark += &format!("; for {left_out} there was no time");
        }
        let remark = (foreign.len() > 0).then_some(remark);
        let limit = left_out(found.left_out_of_collections);
        let remark: Vec<String> = remark.into_iter().chain(limit).collect();
        Self {
            remark: (!remark.is_empty()).then(|| remark.join("; ")),
            found,
            waiting,
            still,
            told,
            is_of_all,
        }
    }

    /// The tasks that wait for each other, as far as their futures tell. None was polled meanwhile. A task that was not read
    /// may have an end of a channel, so cycles through channels need all tasks.
    pub(super) fn cycles(&self) -> impl Iterator<Item = &Cycle> {
        let is_whole = self.is_of_all && self.found.left_out == 0;
        let cycles = self.found.cycles.iter();
        let cycles = cycles.filter(move |cycle| is_whole || cycle.is_of_locks());
        cycles.filter(|cycle| cycle.tasks().all(|id| self.still.contains(id)))
    }

    /// The wait of a task.
    pub(super) fn of(&self, id: u64) -> Option<DecodedWait<'_>> {
        let (at, is_foreign) = *self.told.get(id)?;
        let (id, wait) = self.found.waits.get(at as usize)?;
        Some(DecodedWait {
            id: *id,
            wait,
            is_foreign,
            found: &self.found,
        })
    }
}

impl DecodedWait<'_> {
    /// The number of its stack, and the stack.
    pub(super) fn stack(&self) -> Option<(usize, &ChainStack)> {
        let number = self.wait.stack;
        Some((number, self.found.stacks.get(number)?))
    }

    pub(super) fn add_notes(&self, notes: &mut Notes) {
        self.found
            .add_notes(notes, self.id, self.wait, self.is_foreign);
    }
}

/// The question for these tasks.
pub(super) fn question(of: &Unpolled) -> Question {
    let runtimes = runtimes::alive();
    Question {
        handles: runtimes
            .iter()
            .flat_map(|runtime| runtime.handle())
            .collect(),
        ids: of.ids().collect(),
    }
}

/// Sets synthetic addresses, made from the frames: the same in each dump, and different from those of other kinds of
/// stacks.
fn with_own_addresses(stack: &Stack) -> Stack {
    let renamed = |locations: &[Arc<Location>]| {
        let locations = locations.iter().map(|location| {
            Arc::new(Location {
                return_address: synthetic(&location.frames, 1),
                ..(**location).clone()
            })
        });
        locations.collect()
    };
    let branches = stack.branches.iter().map(|branch| Branch {
        kind: branch.kind,
        locations: renamed(&branch.locations),
    });
    Stack {
        trunk: renamed(&stack.trunk),
        branches: branches.collect(),
        ..stack.clone()
    }
}
