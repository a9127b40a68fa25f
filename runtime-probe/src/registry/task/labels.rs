//! The label sets of a task. Each is in the upper 16 bits of an address in the record: addresses of code and statics
//! are below 2^48. With 32-bit pointers, tasks have no labels.

use super::Record;
use crate::labels::LabelSet;
use crate::primitive::Ordering;

const ADDRESS: u64 = u64::MAX >> 16;

/// The address and the set in one word.
pub(super) fn pack(address: usize, set: LabelSet) -> usize {
    address_of(address) | (u64::from(set.number()) << 48) as usize
}

pub(super) fn address_of(word: usize) -> usize {
    word & ADDRESS as usize
}

pub(super) fn labels_of(word: usize) -> LabelSet {
    LabelSet::of_number((word as u64 >> 48) as u16)
}

impl Record {
    /// The labels in force at the task's last registration, or at its spawn.
    pub(crate) fn labels(&self) -> LabelSet {
        labels_of(self.pc.load(Ordering::Relaxed))
    }

    /// Sets these labels. Only the poller.
    pub(crate) fn set_labels(&self, set: LabelSet) {
        let pc = self.pc.load(Ordering::Relaxed);
        self.pc.store(pack(pc, set), Ordering::Relaxed);
    }

    /// The labels of the spawner. They are in force if a poll sets no others.
    pub(crate) fn inherited_labels(&self) -> LabelSet {
        labels_of(self.location.load(Ordering::Relaxed).addr())
    }

    /// Sets the inherited labels: a nested future inherits those of the poll around it. Only the poller, between two
    /// polls.
    pub(crate) fn inherit(&self, set: LabelSet) {
        let before = self.inherited_labels();
        if set == before {
            return;
        }
        let location = self.location.load(Ordering::Relaxed);
        let location = location.map_addr(|address| pack(address, set));
        self.location.store(location, Ordering::Relaxed);
        if self.labels() == before {
            self.set_labels(set);
        }
    }
}
