//! The labels of a task, each set in the upper 16 bits of an address that is written once: addresses of code and statics are
//! below 2^48. Where pointers are shorter, a task has none.

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
    /// Those under which the task registered last, or was spawned.
    pub(crate) fn labels(&self) -> LabelSet {
        labels_of(self.pc.load(Ordering::Relaxed))
    }

    /// Only the poller.
    pub(crate) fn set_labels(&self, set: LabelSet) {
        let pc = self.pc.load(Ordering::Relaxed);
        self.pc.store(pack(pc, set), Ordering::Relaxed);
    }

    /// Those of the spawner, which hold wherever a poll puts no others in force.
    pub(crate) fn inherited_labels(&self) -> LabelSet {
        labels_of(self.location.load(Ordering::Relaxed).addr())
    }

    /// A nested future has those of the poll around it. Only the poller, between two polls.
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
