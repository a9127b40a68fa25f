//! Lists that two threads insert at once.

use crate::primitive::{AtomicU64, Ordering};
use crate::stack::word_lists::WordLists;
use loom::sync::Arc;
use loom::thread;

fn lists() -> Arc<WordLists> {
    let zeros = |count| Vec::leak((0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>());
    Arc::new(WordLists::new(zeros(4), zeros(16)))
}

/// Equal lists are one list, whose sums lose nothing; a reader finds only complete lists.
#[test]
fn equal_lists_of_two_threads_are_one() {
    loom::model(|| {
        let lists = lists();
        let enter = |lists: &WordLists| {
            let list = lists.intern([7, 8].into_iter(), 1, 0).unwrap();
            lists.sums(list)[0].fetch_add(1, Ordering::Relaxed);
        };
        let other = {
            let lists = lists.clone();
            thread::spawn(move || enter(&lists))
        };
        enter(&lists);
        for list in lists.all() {
            assert_eq!(lists.words(list), [7, 8]);
        }
        other.join().unwrap();
        let all: Vec<_> = lists.all().collect();
        assert_eq!(all.len(), 1);
        assert_eq!(lists.sums(all[0])[0].load(Ordering::Relaxed), 2);
    });
}

/// Two different lists with the same index are both found again.
#[test]
fn different_lists_of_two_threads_are_two() {
    loom::model(|| {
        let lists = lists();
        let other = {
            let lists = lists.clone();
            thread::spawn(move || lists.intern([1].into_iter(), 1, 0).unwrap())
        };
        let own = lists.intern([2].into_iter(), 1, 0).unwrap();
        let other = other.join().unwrap();
        assert_ne!(own, other);
        assert_eq!((lists.words(own), lists.words(other)), (vec![2], vec![1]));
        assert_eq!(lists.intern([1].into_iter(), 1, 0), Some(other));
    });
}
