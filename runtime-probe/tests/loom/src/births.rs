//! The table of the creators of threads: an entry belongs to one thread, and ends with it.

use crate::registry::births::Births;
use loom::sync::Arc;
use loom::thread;

/// A thread that is created, runs and ends. Both words are its number, so that an entry mixed from two threads shows.
fn live(births: &Births<1, 2>, tid: u32) -> bool {
    let Some(slot) = births.announce([u64::from(tid); 2].into_iter()) else {
        return false;
    };
    slot.begin(tid);
    slot.end();
    true
}

fn read(births: &Births<1, 2>) {
    births.alive(|tid, words| assert_eq!(words, [u64::from(tid); 2]));
}

#[test]
fn a_reader_sees_whole_entries_of_a_slot_that_changes_hands() {
    loom::model(|| {
        let births = Arc::new(Births::<1, 2>::new());
        let creator = {
            let births = births.clone();
            thread::spawn(move || assert!((1..=2).all(|tid| live(&births, tid))))
        };
        read(&births);
        creator.join().unwrap();
        births.alive(|tid, _| panic!("{tid} has ended"));
    });
}

#[test]
fn two_creators_share_no_slot() {
    loom::model(|| {
        let births = Arc::new(Births::<1, 2>::new());
        let creators: Vec<_> = [1, 2]
            .into_iter()
            .map(|tid| {
                let births = births.clone();
                thread::spawn(move || u64::from(!live(&births, tid)))
            })
            .collect();
        read(&births);
        let missed: u64 = creators.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(births.missed(), missed);
    });
}
