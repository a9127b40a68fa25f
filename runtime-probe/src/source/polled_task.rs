//! The task that a thread polls, as words that a signal handler, or the creator of a thread, can store.

use super::{labels, waker};
use crate::labels::LabelSet;
use crate::primitive::Ordering;
use crate::registry::names::NameNumber;
use crate::registry::task::Kind;
use crate::registry::threads;
use crate::stack::raw::FutureMeta;
use std::panic::Location;

/// A task that was being polled; it may have ended since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PolledTask {
    /// 0 if the thread polled no task.
    pub(crate) id: u64,
    /// The number of its name.
    pub(crate) name: NameNumber,
    /// Also `None` for a foreign task: see [`PolledTask::spawned_at`].
    location: Option<&'static Location<'static>>,
    /// The future whose poll the stack ends at; `None` for the stack of a thread.
    pub(crate) root: Option<&'static FutureMeta>,
    /// The labels in force on the thread.
    pub(crate) labels: LabelSet,
}

impl PolledTask {
    /// The number of words.
    pub(super) const WORDS: usize = 4;

    /// The task of this thread, and the address at which its frames end. Nested futures belong to the task. Allowed in
    /// a signal handler.
    pub(super) fn here() -> (PolledTask, usize) {
        let polls = waker::interrupted();
        match polls.min_by_key(|poll| poll.record.kind() == Kind::Nested) {
            Some(poll) => {
                let polled = PolledTask {
                    id: poll.record.id(),
                    name: poll.record.name(),
                    location: poll.record.location(),
                    root: Some(poll.meta),
                    labels: labels::current(),
                };
                (polled, poll.root)
            }
            None => {
                let foreign =
                    threads::if_listed().map_or(0, |slot| slot.foreign.load(Ordering::Relaxed));
                let polled = PolledTask {
                    id: foreign,
                    name: NameNumber::default(),
                    location: None,
                    root: None,
                    labels: labels::current(),
                };
                (polled, usize::MAX)
            }
        }
    }

    pub(super) fn words(&self) -> [u64; Self::WORDS] {
        [
            self.id,
            u64::from(self.labels.number()) << 32 | u64::from(self.name.0),
            address(self.location),
            address(self.root),
        ]
    }

    /// Decodes [`PolledTask::words`].
    #[expect(unsafe_code, reason = "references come back as addresses")]
    pub(super) fn read(words: &[u64; Self::WORDS]) -> PolledTask {
        let [id, name_and_labels, location, root] = *words;
        PolledTask {
            id,
            name: NameNumber(name_and_labels as u32),
            labels: LabelSet::of_number((name_and_labels >> 32) as u16),
            // SAFETY: 0, or the address of a location that is 'static: the tables of words are written by `words` only.
            location: unsafe { (location as *const Location<'static>).as_ref() },
            // SAFETY: as above, of a type's `META`.
            root: unsafe { (root as *const FutureMeta).as_ref() },
        }
    }

    /// The spawn location of an own task. That of a foreign task needs a lock.
    pub(super) fn own_location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// The spawn location.
    pub(crate) fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.location.or_else(|| foreign_spawned_at(self))
    }
}

fn address<T>(reference: Option<&'static T>) -> u64 {
    reference.map_or(0, |reference| std::ptr::from_ref(reference).addr() as u64)
}

/// The spawn location of a foreign task.
#[cfg(feature = "rt")]
fn foreign_spawned_at(polled: &PolledTask) -> Option<&'static Location<'static>> {
    match polled.root {
        Some(_) => None,
        None => super::foreign::spawned_at(polled.id),
    }
}

/// Without a runtime there are no foreign tasks.
#[cfg(not(feature = "rt"))]
fn foreign_spawned_at(_: &PolledTask) -> Option<&'static Location<'static>> {
    None
}
