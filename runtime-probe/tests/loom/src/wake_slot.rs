//! The slot of the task's own waker: no reader overlaps a writer, and no wake is lost.

use crate::counting_waker::{alive, counting};
use crate::registry::wake_slot::{WakeSlot, Written};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

#[test]
fn a_wake_after_a_write_reaches_the_waker_last_written() {
    loom::model(|| {
        let slot = Arc::new(WakeSlot::new());
        let (old, old_waker) = counting();
        let (new, new_waker) = counting();
        // SAFETY: this thread is the poller.
        unsafe { slot.set(Written::Often, &old_waker) };
        let written = Arc::new(AtomicBool::new(false));
        let waking = thread::spawn({
            let (slot, written) = (slot.clone(), written.clone());
            move || {
                let after = written.load(Ordering::Acquire);
                // SAFETY: written with the same rule.
                unsafe { slot.wake(Written::Often) };
                after
            }
        });
        // SAFETY: as above.
        unsafe { slot.set(Written::Often, &new_waker) };
        written.store(true, Ordering::Release);
        let after = waking.join().unwrap();
        assert_eq!(old.wakes() + new.wakes(), 1);
        assert!(!after || new.wakes() == 1);
        assert_eq!(
            (alive(&old), alive(&new)),
            (1, 2),
            "the test's, and the slot's"
        );
        // SAFETY: no other thread is left.
        unsafe { slot.clear() };
        assert_eq!(alive(&new), 1);
    });
}

#[test]
fn two_wakers_and_a_poller_that_writes() {
    loom::model(|| {
        let slot = Arc::new(WakeSlot::new());
        let (one, one_waker) = counting();
        let (two, two_waker) = counting();
        // SAFETY: this thread is the poller.
        unsafe { slot.set(Written::Often, &one_waker) };
        let waking: Vec<_> = (0..2)
            .map(|_| {
                let slot = slot.clone();
                // SAFETY: written with the same rule.
                thread::spawn(move || unsafe { slot.wake(Written::Often) })
            })
            .collect();
        // SAFETY: as above.
        unsafe { slot.set(Written::Often, &two_waker) };
        for thread in waking {
            thread.join().unwrap();
        }
        // A poller that finds the same waker again writes nothing.
        // SAFETY: as above.
        unsafe { slot.set(Written::Often, &two_waker) };
        // Wakes that overlap may be one wake: each is followed by a call of a waker that was current during it.
        assert!((1..=2).contains(&(one.wakes() + two.wakes())));
        assert_eq!((alive(&one), alive(&two)), (1, 2));
    });
}

#[test]
fn a_slot_written_once_is_read_without_a_lock() {
    loom::model(|| {
        let slot = Arc::new(WakeSlot::new());
        let (counting, waker) = counting();
        // SAFETY: before any reader.
        unsafe { slot.set(Written::Once, &waker) };
        let waking: Vec<_> = (0..2)
            .map(|_| {
                let slot = slot.clone();
                // SAFETY: the spawn orders the write before.
                thread::spawn(move || unsafe { slot.wake(Written::Once) })
            })
            .collect();
        for thread in waking {
            thread.join().unwrap();
        }
        assert_eq!(counting.wakes(), 2);
        // SAFETY: no other thread is left.
        unsafe { slot.clear() };
        assert_eq!(alive(&counting), 1);
    });
}
