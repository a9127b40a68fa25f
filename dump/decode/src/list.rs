//! A walk along a list of tasks. A stopped thread may have been changing the list at one position.
//!
//! tokio changes a list under its lock, so at most one task is being pushed or removed, and one of the two links beside
//! it may be stale. One of 36 dumps met that while tasks came and went.

/// The position of a walk along a list.
#[derive(Debug, Default)]
pub(crate) struct ListWalk {
    previous: u64,
    before_previous: u64,
    is_mended: bool,
}

/// The next step of a walk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The task in question is the next one.
    This,
    /// Another task comes first. Only the link back leads to it.
    First(u64),
    /// The memory is no list.
    Broken,
}

impl ListWalk {
    /// Decides on the task at `at`, whose link back is `prev`. `links` returns the links back and forward of another
    /// task.
    pub(crate) fn step(
        &mut self,
        at: u64,
        prev: u64,
        links: impl FnOnce(u64) -> Option<(u64, u64)>,
    ) -> Step {
        if prev != self.previous {
            if self.is_mended {
                return Step::Broken;
            }
            self.is_mended = true;
            if prev != 0 && links(prev) == Some((self.previous, at)) {
                return Step::First(prev);
            }
            // The link back skips the previous task, which is being removed.
            if prev != self.before_previous {
                return Step::Broken;
            }
        }
        self.before_previous = self.previous;
        self.previous = at;
        Step::This
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Nodes by number, with their links back and forward. 0 means none. The head is the forward link of 0.
    #[derive(Clone)]
    struct List(BTreeMap<u64, (u64, u64)>);

    #[derive(Clone, Copy)]
    enum Store {
        Prev(u64, u64),
        Next(u64, u64),
    }

    impl List {
        fn new(length: u64) -> Self {
            let mut nodes = BTreeMap::from([(0, (0, 1))]);
            for node in 1..=length {
                nodes.insert(node, (node - 1, (node + 1) % (length + 1)));
            }
            Self(nodes)
        }

        fn store(&mut self, store: Store) {
            match store {
                Store::Prev(node, value) => self.0.entry(node).or_default().0 = value,
                Store::Next(node, value) => self.0.entry(node).or_default().1 = value,
            }
        }

        fn walk(&self) -> Option<Vec<u64>> {
            let mut walk = ListWalk::default();
            let mut found = Vec::new();
            let mut at = self.0[&0].1;
            while at != 0 {
                let links = |node: u64| self.0.get(&node).copied();
                match walk.step(at, self.0[&at].0, links) {
                    Step::This => {
                        found.push(at);
                        at = self.0[&at].1;
                    }
                    Step::First(node) => at = node,
                    Step::Broken => return None,
                }
            }
            Some(found)
        }
    }

    #[test]
    fn a_list_that_is_being_changed_has_all_its_other_tasks() {
        let list = List::new(4);
        assert_eq!(list.walk(), Some(vec![1, 2, 3, 4]));
        let mut changes = vec![(5, vec![Store::Prev(1, 5), Store::Next(0, 5)])];
        for node in 1..=4 {
            let (prev, next) = list.0[&node];
            let mut stores = vec![Store::Next(prev, next)];
            if next != 0 {
                stores.push(Store::Prev(next, prev));
            }
            changes.push((node, stores));
        }
        for (node, stores) in changes {
            // The compiler may reorder the two stores.
            for order in [stores.clone(), stores.into_iter().rev().collect()] {
                let mut list = list.clone();
                if node == 5 {
                    list.0.insert(5, (0, 1));
                }
                for store in order {
                    list.store(store);
                    let mut found = list.walk().expect("a list");
                    found.retain(|found| *found != node);
                    let others: Vec<u64> = (1..=4).filter(|other| *other != node).collect();
                    assert_eq!(found, others);
                }
            }
        }
    }

    #[test]
    fn what_is_linked_to_elsewhere_is_no_list() {
        let mut list = List::new(4);
        list.store(Store::Prev(3, 9));
        assert_eq!(list.walk(), None);
        let mut list = List::new(6);
        list.store(Store::Prev(3, 1));
        list.store(Store::Prev(6, 4));
        assert_eq!(list.walk(), None);
    }
}
