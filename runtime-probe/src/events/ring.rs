//! Entries from the signal handlers of all threads to one reader: a bounded queue whose writers never wait.
//!
//! Allowed in [`Ring::push`]: loads, stores and compare-exchanges of the ring's own words. Forbidden: locks,
//! allocation, panics. It runs inside signal handlers, which may have interrupted any of these, and another `push`.
//!
//! An entry is a list of words. Words are atomics, so nothing here needs unsafe code. Their meaning is known to the
//! writers and the reader.
//!
//! Each slot has a sequence number, which tells its state (Dmitry Vyukov's bounded queue):
//!
//! | sequence number of the slot for position p | state |
//! |---|---|
//! | p | free, for the writer that takes position p |
//! | p + 1 | written, for the reader |
//! | p + slots | free again, for the next round |
//!
//! 1. A writer MUST take a position by the compare-exchange of `next` before it writes. Otherwise two write one slot.
//! 2. The sequence number MUST be stored with Release after the words, and loaded with Acquire before them, on both
//!    sides. Otherwise an entry is read before it is complete, or is overwritten before it is read.
//! 3. A writer that is preempted between the two delays the reader, but no other writer. When the ring is full, entries
//!    of other writers are lost and counted.

use crate::primitive::{AtomicU64, Mutex, Ordering, lock};

/// The queue. Entries have at most `WORDS` words.
pub(crate) struct Ring<const WORDS: usize> {
    slots: Box<[Slot<WORDS>]>,
    /// The position of the next entry to be written.
    next: AtomicU64,
    lost: AtomicU64,
    /// The position of the next entry to be read. Writers do not touch it.
    read: Mutex<u64>,
}

struct Slot<const WORDS: usize> {
    sequence: AtomicU64,
    len: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Ring<WORDS> {
    /// A ring of at least so many slots: a power of two, and at least two, because with one slot the states "written"
    /// and "free again" have the same number.
    pub(crate) fn new(slots: usize) -> Self {
        let slot = |position| Slot {
            sequence: AtomicU64::new(position),
            len: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        Ring {
            slots: (0..slots.max(2).next_power_of_two() as u64)
                .map(slot)
                .collect(),
            next: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            read: Mutex::new(0),
        }
    }

    /// Writes an entry: at most `WORDS` words of the iterator. Returns whether there was room. A lost entry is counted.
    pub(crate) fn push(&self, words: impl Iterator<Item = u64>) -> bool {
        let mut position = self.next.load(Ordering::Relaxed);
        let slot = loop {
            let slot = self.slot(position);
            // Acquire: pairs with the Release of the reader, which read this slot's previous entry.
            let sequence = slot.sequence.load(Ordering::Acquire);
            if sequence != position {
                let now = self.next.load(Ordering::Relaxed);
                if now == position {
                    // No other writer took the position, and the slot is not free: the ring is full.
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    return false;
                }
                position = now;
                continue;
            }
            match self.next.compare_exchange(
                position,
                position + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break slot,
                Err(now) => position = now,
            }
        };
        let mut len = 0;
        for (place, word) in slot.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
            len += 1;
        }
        slot.len.store(len, Ordering::Relaxed);
        // Release: pairs with the Acquire in `drain`.
        slot.sequence.store(position + 1, Ordering::Release);
        true
    }

    /// Visits all complete entries, in the order in which they were begun. One reader at a time.
    pub(crate) fn drain(&self, mut visit: impl FnMut(&[u64])) {
        let mut read = lock(&self.read);
        let mut entry = [0; WORDS];
        loop {
            let slot = self.slot(*read);
            // Acquire: pairs with the Release in `push`.
            if slot.sequence.load(Ordering::Acquire) != *read + 1 {
                return;
            }
            let len = (slot.len.load(Ordering::Relaxed) as usize).min(WORDS);
            for (to, from) in entry.iter_mut().zip(&slot.words[..len]) {
                *to = from.load(Ordering::Relaxed);
            }
            // Release: pairs with the Acquire of the writer of the next round.
            slot.sequence
                .store(*read + self.slots.len() as u64, Ordering::Release);
            *read += 1;
            visit(&entry[..len]);
        }
    }

    /// How many entries were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn slot(&self, position: u64) -> &Slot<WORDS> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, VecDeque};

    fn read(ring: &Ring<3>) -> Vec<Vec<u64>> {
        let mut entries = Vec::new();
        ring.drain(|entry| entries.push(entry.to_vec()));
        entries
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<u64>),
        Drain,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => proptest::collection::vec(any::<u64>(), 0..5).prop_map(Step::Push),
            1 => Just(Step::Drain),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_bounded_queue(steps in proptest::collection::vec(step(), 0..100)) {
            let ring = Ring::<3>::new(4);
            let (mut model, mut lost) = (VecDeque::new(), 0);
            for step in steps {
                match step {
                    Step::Push(mut words) => {
                        let room = model.len() < 4;
                        prop_assert_eq!(ring.push(words.iter().copied()), room);
                        words.truncate(3);
                        if room {
                            model.push_back(words);
                        } else {
                            lost += 1;
                        }
                    }
                    Step::Drain => {
                        prop_assert_eq!(read(&ring), model.drain(..).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(ring.lost(), lost);
            }
            prop_assert_eq!(read(&ring), Vec::from(model));
        }
    }

    #[test]
    fn threads_lose_nothing_uncounted_and_no_entry_is_of_two() {
        const EACH: u64 = 20_000;
        let ring = Ring::<3>::new(64);
        let mut entries: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut collect = || {
            ring.drain(|entry| {
                let [writer, number, sum] = entry else {
                    panic!("{entry:?}")
                };
                assert_eq!(writer ^ number, *sum);
                entries.entry(*writer).or_default().push(*number);
            });
        };
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let ring = &ring;
                    scope.spawn(move || {
                        for number in 0..EACH {
                            ring.push([writer, number, writer ^ number].into_iter());
                        }
                    })
                })
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                collect();
            }
        });
        collect();
        let read: usize = entries.values().map(Vec::len).sum();
        assert_eq!(read as u64 + ring.lost(), 3 * EACH);
        // The entries of each writer are in its order.
        assert!(
            entries
                .values()
                .all(|numbers| numbers.is_sorted_by(|a, b| a < b))
        );
    }
}
