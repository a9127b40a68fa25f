//! The label sets of a task: those in force in the word of marks, those of the spawner in the upper 16 bits of `next`, because
//! addresses of records are below 2^48. With 32-bit pointers, tasks inherit no labels.

use super::Record;
use crate::labels::LabelSet;
use crate::primitive::Ordering;

const ADDRESS: u64 = u64::MAX >> 16;

/// Where the word of marks has the labels: above the others.
const LABELS_SHIFT: u32 = 48;

/// The address and the set in one word.
#[inline(always)]
pub(super) fn pack(address: usize, set: LabelSet) -> usize {
    address_of(address) | (u64::from(set.number()) << 48) as usize
}

#[inline(always)]
pub(super) fn address_of(word: usize) -> usize {
    word & ADDRESS as usize
}

/// The set in the word of marks.
#[inline(always)]
pub(super) fn labels_of(marks: u64) -> LabelSet {
    LabelSet::of_number((marks >> LABELS_SHIFT) as u16)
}

impl Record {
    /// The labels in force at the task's last registration, or at its spawn.
    pub(crate) fn labels(&self) -> LabelSet {
        labels_of(self.marks.load(Ordering::Relaxed))
    }

    /// Sets these labels. Only the poller.
    pub(crate) fn set_labels(&self, set: LabelSet) {
        let others = self.marks.load(Ordering::Relaxed) & ((1 << LABELS_SHIFT) - 1);
        let labels = u64::from(set.number()) << LABELS_SHIFT;
        self.marks.store(others | labels, Ordering::Relaxed);
    }

    /// The labels of the spawner. They are in force if a poll sets no others.
    pub(crate) fn inherited_labels(&self) -> LabelSet {
        let word = self.next.load(Ordering::Relaxed).addr();
        LabelSet::of_number((word as u64 >> 48) as u16)
    }

    /// Sets the inherited labels: a nested future inherits those of the poll around it. Only the poller, between two
    /// polls.
    pub(crate) fn inherit(&self, set: LabelSet) {
        let before = self.inherited_labels();
        if set == before {
            return;
        }
        let next = self.next.load(Ordering::Relaxed);
        let next = next.map_addr(|address| pack(address, set));
        self.next.store(next, Ordering::Relaxed);
        if self.labels() == before {
            self.set_labels(set);
        }
    }
}
