//! Entries of waiters: a copy has the words of one wait, whichever thread kept the slot between two.

use crate::registry::shelf::Shelf;
use crate::registry::{WaiterEntries, WaiterSlot, copies};
use loom::thread;

/// Each word of a copy tells whose it is.
fn check(shelf: &'static Shelf<WaiterSlot>) {
    for (lock, since, who, poll) in copies(shelf) {
        assert_eq!((lock, since, who % 8), (who / 8, who / 8, poll));
    }
}

/// A thread takes its own slot again for the next wait, without any exchange.
#[test]
fn a_reader_does_not_mix_two_waits_of_a_thread() {
    loom::model(|| {
        let shelf: &'static Shelf<WaiterSlot> = Box::leak(Box::new(Shelf::new()));
        let entries = WaiterEntries::new(shelf);
        let slot = entries.begin(1);
        let reader = thread::spawn(move || check(shelf));
        entries.end(slot);
        let again = entries.begin(2);
        assert!(std::ptr::eq(slot, again));
        reader.join().unwrap();
        assert_eq!(copies(shelf), [(2, 2, 16, 0)]);
    });
}

/// A future is dropped by another thread, which keeps the slot and uses it.
#[test]
fn a_reader_does_not_mix_the_waits_of_two_threads() {
    loom::model(|| {
        let shelf: &'static Shelf<WaiterSlot> = Box::leak(Box::new(Shelf::new()));
        let slot = WaiterEntries::new(shelf).begin(1);
        let other = thread::spawn(move || {
            let entries = WaiterEntries::new(shelf);
            entries.end(slot);
            let again = entries.begin(2);
            assert!(std::ptr::eq(slot, again));
        });
        check(shelf);
        other.join().unwrap();
        assert_eq!(copies(shelf), [(2, 2, 16, 0)]);
    });
}

/// A thread has no room for a second slot, so another thread may get it from the shelf. No slot has two owners.
#[test]
fn a_slot_passes_over_the_shelf() {
    loom::model(|| {
        let shelf: &'static Shelf<WaiterSlot> = Box::leak(Box::new(Shelf::new()));
        let entries = WaiterEntries::new(shelf);
        let (one, two) = (entries.begin(1), entries.begin(2));
        let other = thread::spawn(move || WaiterEntries::new(shelf).begin(3));
        entries.end(one);
        entries.end(two);
        let again = entries.begin(4);
        check(shelf);
        assert!(!std::ptr::eq(other.join().unwrap(), again));
        let mut waits: Vec<u64> = copies(shelf).iter().map(|(lock, ..)| *lock).collect();
        waits.sort_unstable();
        assert_eq!(waits, [3, 4]);
    });
}
