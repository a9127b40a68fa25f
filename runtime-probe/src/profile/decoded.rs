//! Stacks of foreign tasks from their futures in memory.
//!
//! A decoded stack counts only if the task was not polled meanwhile: after the decoding, tokio's word of its state and
//! the record's count of polls have to be as before. Otherwise the task stays without a stack.

use super::leaf_stacks::synthetic;
use super::selection::grouped;
use crate::registry::runtimes;
use crate::snapshot::tasks::Tasks;
use crate::snapshot::unpolled::Unpolled;
use crate::symbol::own_futures::{Answer, Asked, Found, Question, Wait, ask};
use runtime_dump::stack::{Branch, Location, Stack};
use runtime_dump_decode::stacks::ChainStack;
use std::sync::Arc;

/// The decoded stacks of waiting foreign tasks.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    found: Found,
    still: Unpolled,
    /// The remark of the dump; `None` if there is no such task.
    pub(super) remark: Option<String>,
}

/// The tasks that are being decoded.
pub(super) struct Decoding {
    waiting: Unpolled,
    asked: Asked,
}

impl Decoding {
    /// Has the foreign tasks of a snapshot decoded, on the decoding thread. `None` if there are none.
    pub(super) fn begin(tasks: &Tasks) -> Option<Self> {
        let waiting = Unpolled::foreign(tasks);
        (waiting.len() > 0).then(|| Decoding {
            asked: ask(question(&waiting)),
            waiting,
        })
    }
}

impl Decoded {
    /// Waits for the decoding.
    pub(super) fn of_all(Decoding { waiting, asked }: Decoding) -> Self {
        let all = grouped(waiting.len() as u64);
        let without = |why: String| Self {
            remark: Some(format!("{all} foreign tasks are not decoded: {why}")),
            ..Self::default()
        };
        let mut found = match asked.answer() {
            Answer::Found(found) => found,
            Answer::Reading => {
                return without(
                    "the debug information is being read; a later dump has their stacks".to_owned(),
                );
            }
            Answer::Busy => return without("other dumps are being decoded".to_owned()),
            Answer::Unusable(why) => return without(why),
        };
        for made in &mut found.stacks {
            made.stack = with_own_addresses(&made.stack);
        }
        let still = waiting.still();
        let decoded = found.waits.keys().filter(|id| still.contains(**id)).count();
        let mut remark = format!(
            "{} of {all} foreign tasks are decoded; the index of types takes {:.0} MB",
            grouped(decoded as u64),
            found.index_bytes as f64 / 1e6
        );
        if found.left_out > 0 {
            let left_out = grouped(found.left_out as u64);
            remark += &format!("; for {left_out} there was no time");
        }
        Self {
            found,
            still,
            remark: Some(remark),
        }
    }

    /// The wait of a task, and its stack.
    pub(super) fn of(&self, id: u64) -> Option<(&Wait, &ChainStack)> {
        let wait = self.found.waits.get(&id)?;
        let known = self.still.contains(id);
        Some((wait, self.found.stacks.get(wait.stack)?)).filter(|_| known)
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
