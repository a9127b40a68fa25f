//! The table of distinct values: equal values get one entry, whichever thread inserts first.

use crate::stack::intern::Intern;
use loom::sync::Arc;
use loom::thread;

/// A value with plain content: loom finds a reader that is not ordered after the write.
struct Plain(loom::cell::UnsafeCell<u32>);

// SAFETY: written only before the table publishes the value; loom checks exactly that.
unsafe impl Sync for Plain {}

fn of(table: &Intern<Plain, 1>, value: u32) -> &'static Plain {
    table
        .intern(
            7,
            // SAFETY: published values are never written.
            |other| other.0.with(|content| unsafe { *content }) == value,
            || {
                let plain = Plain(loom::cell::UnsafeCell::new(0));
                // SAFETY: not yet shared.
                plain.0.with_mut(|content| unsafe { *content = value });
                plain
            },
        )
        .expect("the table has room")
}

#[test]
fn equal_values_of_two_threads_are_one() {
    loom::model(|| {
        let table = Arc::new(Intern::new(10));
        let other = table.clone();
        let thread = thread::spawn(move || std::ptr::from_ref(of(&other, 1)) as usize);
        let own = std::ptr::from_ref(of(&table, 1)) as usize;
        assert_eq!(own, thread.join().unwrap());
        assert_eq!(table.len(), 1);
    });
}

#[test]
fn different_values_of_one_bucket_both_stay() {
    loom::model(|| {
        let table = Arc::new(Intern::new(10));
        let threads: Vec<_> = [[1, 2], [2, 3]]
            .into_iter()
            .map(|values| {
                let table = table.clone();
                thread::spawn(move || {
                    values.map(|value| (value, std::ptr::from_ref(of(&table, value)) as usize))
                })
            })
            .collect();
        let found: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(table.len(), 3);
        for (value, place) in found {
            assert_eq!(std::ptr::from_ref(of(&table, value)) as usize, place);
        }
    });
}

#[test]
fn three_threads_agree_while_the_bucket_grows() {
    loom::model(|| {
        let table = Arc::new(Intern::new(10));
        let spawn = |value| {
            let table = table.clone();
            thread::spawn(move || std::ptr::from_ref(of(&table, value)) as usize)
        };
        let (one, two) = (spawn(1), spawn(2));
        let own = std::ptr::from_ref(of(&table, 1)) as usize;
        assert_eq!(own, one.join().unwrap());
        assert_ne!(own, two.join().unwrap());
        assert_eq!(table.len(), 2);
    });
}

#[test]
fn a_full_table_takes_no_more_than_one_value_a_thread_too_many() {
    loom::model(|| {
        let table = Arc::new(Intern::<Plain, 1>::new(1));
        let intern = |table: &Intern<Plain, 1>, value: u32| {
            table
                .intern(
                    7,
                    // SAFETY: published values are never written.
                    |other| other.0.with(|content| unsafe { *content }) == value,
                    || Plain(loom::cell::UnsafeCell::new(value)),
                )
                .is_some()
        };
        let other = table.clone();
        let thread = thread::spawn(move || intern(&other, 1));
        let own = intern(&table, 2);
        let theirs = thread.join().unwrap();
        assert!(own || theirs);
        assert_eq!(table.len(), usize::from(own) + usize::from(theirs));
        assert!(!intern(&table, 3));
    });
}
