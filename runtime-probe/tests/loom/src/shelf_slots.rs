//! Slots that several threads take and give back: no slot has two owners at once.

use crate::registry::shelf::{Shelf, Slot};
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

struct Used {
    next: AtomicU32,
    owners: AtomicU32,
}

impl Slot for Used {
    fn new() -> Self {
        Used {
            next: AtomicU32::new(0),
            owners: AtomicU32::new(0),
        }
    }

    fn next(&self) -> &AtomicU32 {
        &self.next
    }
}

fn use_one(shelf: &'static Shelf<Used>) {
    let Some((number, slot)) = shelf.take() else {
        panic!("two threads use three slots at most");
    };
    // Relaxed: the exchange that gave the slot orders the writes of the owner before.
    assert_eq!(slot.owners.load(Ordering::Relaxed), 0);
    slot.owners.store(1, Ordering::Relaxed);
    slot.owners.store(0, Ordering::Relaxed);
    shelf.give(number);
}

#[test]
fn a_slot_has_one_owner() {
    loom::model(|| {
        let shelf: &'static Shelf<Used> = Box::leak(Box::new(Shelf::new()));
        let other = thread::spawn(move || {
            use_one(shelf);
            use_one(shelf);
        });
        use_one(shelf);
        other.join().unwrap();
    });
}

/// The head has the same number again after two other threads took it and gave it back; the count beside it differs.
#[test]
fn a_head_that_came_back_is_another() {
    loom::model(|| {
        let shelf: &'static Shelf<Used> = Box::leak(Box::new(Shelf::new()));
        let (first, _) = shelf.take().unwrap();
        let (second, _) = shelf.take().unwrap();
        shelf.give(second);
        shelf.give(first);
        let other = thread::spawn(move || {
            let (one, _) = shelf.take().unwrap();
            let (two, slot) = shelf.take().unwrap();
            slot.owners.store(1, Ordering::Relaxed);
            shelf.give(one);
            (two, slot)
        });
        use_one(shelf);
        let (two, slot) = other.join().unwrap();
        assert_eq!(slot.owners.load(Ordering::Relaxed), 1);
        slot.owners.store(0, Ordering::Relaxed);
        shelf.give(two);
    });
}
