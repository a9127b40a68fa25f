//! The ring between signal handlers and their reader: every entry is complete, no entry is read twice, and lost
//! entries are counted.

use crate::events::ring::Ring;
use loom::sync::Arc;
use loom::thread;

/// Both words are the same, so that an entry mixed from two writers shows.
fn write(ring: &Ring<2>, value: u64) {
    ring.push([value, value].into_iter());
}

fn read(ring: &Ring<2>, into: &mut Vec<u64>) {
    ring.drain(|entry| {
        assert_eq!(entry[0], entry[1]);
        into.push(entry[0]);
    });
}

#[test]
fn two_writers_and_the_reader_lose_nothing_uncounted() {
    loom::model(|| {
        let ring = Arc::new(Ring::<2>::new(2));
        let writers: Vec<_> = [[1, 2], [3, 4]]
            .into_iter()
            .map(|values| {
                let ring = ring.clone();
                thread::spawn(move || values.into_iter().for_each(|value| write(&ring, value)))
            })
            .collect();
        let mut found = Vec::new();
        read(&ring, &mut found);
        for writer in writers {
            writer.join().unwrap();
        }
        read(&ring, &mut found);
        assert_eq!(found.len() as u64 + ring.lost(), 4);
        for values in [[1, 2], [3, 4]] {
            let of: Vec<u64> = found
                .iter()
                .copied()
                .filter(|v| values.contains(v))
                .collect();
            assert!(of.is_sorted_by(|a, b| a < b), "{found:?}");
        }
    });
}

#[test]
fn a_slot_is_not_written_while_it_is_read() {
    loom::model(|| {
        let ring = Arc::new(Ring::<2>::new(2));
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || (1..=5).for_each(|value| write(&ring, value)))
        };
        let mut found = Vec::new();
        read(&ring, &mut found);
        read(&ring, &mut found);
        writer.join().unwrap();
        read(&ring, &mut found);
        assert_eq!(found.len() as u64 + ring.lost(), 5);
    });
}
