//! Frames below their callers, with a count for each moment.

use runtime_dump::parse::stacks::CountedStack;
use runtime_dump::stack::Frame;
use std::collections::HashMap;

/// The most moments that are kept. Above it, each two neighbours are merged with the larger count, so that peaks
/// remain.
const MOST_MOMENTS: usize = 240;

/// The most levels that are kept. Deeper pages are slow to lay out, and readers do not scroll that far.
const DEEPEST: usize = 256;

/// A call graph as a tree. A function with two callers occurs twice.
#[derive(Debug, Default)]
pub(super) struct Tree {
    labels: Vec<String>,
    root: Node,
    frames: usize,
    /// The number of moments that are merged into each kept one.
    per_moment: usize,
    /// The number of moments in the last kept one.
    in_last: usize,
}

/// One frame, below its callers.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The counts by moment. Missing counts at the end are 0.
    counts: Vec<i64>,
    children: HashMap<Frame, Node>,
}

impl Tree {
    /// Adds a moment.
    pub(super) fn add(&mut self, label: String, stacks: &[CountedStack]) {
        self.per_moment = self.per_moment.max(1);
        if self.labels.is_empty() || self.in_last == self.per_moment {
            if self.labels.len() == MOST_MOMENTS {
                let mut index = 0;
                self.labels.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.root.halve();
                self.per_moment *= 2;
            }
            self.labels.push(label);
            self.in_last = 0;
        }
        self.in_last += 1;
        let at = self.labels.len() - 1;
        let mut now = Node::default();
        for stack in stacks {
            let mut node = &mut now;
            node.count(0, stack.count);
            for frame in stack.frames.iter().rev().take(DEEPEST) {
                node = node.children.entry(frame.clone()).or_default();
                node.count(0, stack.count);
            }
        }
        self.root.merge(now, at, &mut self.frames);
    }

    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// The number of moments that are merged into each kept one.
    pub(super) fn per_moment(&self) -> usize {
        self.per_moment
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }
}

impl Node {
    fn count(&mut self, at: usize, count: i64) {
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].saturating_add(count);
    }

    /// Adds the counts of another tree, which has one moment.
    fn merge(&mut self, other: Node, at: usize, frames: &mut usize) {
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].max(other.counts.first().copied().unwrap_or(0));
        for (frame, child) in other.children {
            let own = self.children.entry(frame).or_insert_with(|| {
                *frames += 1;
                Node::default()
            });
            own.merge(child, at, frames);
        }
    }

    fn halve(&mut self) {
        self.counts = self
            .counts
            .chunks(2)
            .map(|pair| pair.iter().copied().max().unwrap_or(0))
            .collect();
        self.children.values_mut().for_each(Node::halve);
    }

    /// The count at a moment.
    pub(super) fn at(&self, moment: usize) -> i64 {
        self.counts.get(moment).copied().unwrap_or(0)
    }

    /// The callees, ordered by their highest count.
    pub(super) fn children(&self) -> Vec<(&Frame, &Node)> {
        let mut children: Vec<_> = self.children.iter().collect();
        children.sort_by_cached_key(|(frame, node)| {
            (
                std::cmp::Reverse(node.counts.iter().copied().max()),
                frame.function.clone(),
                frame.file.clone(),
                frame.line,
            )
        });
        children
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str) -> Frame {
        Frame {
            function: function.into(),
            file: "".into(),
            line: 0,
        }
    }

    fn stack(functions: &[&str], count: i64) -> CountedStack {
        CountedStack {
            frames: functions.iter().map(|function| frame(function)).collect(),
            count,
        }
    }

    #[test]
    fn counts_are_sums_of_what_is_below() {
        let mut tree = Tree::default();
        tree.add(
            "1".to_owned(),
            &[stack(&["leaf", "main"], 2), stack(&["other", "main"], 3)],
        );
        tree.add("2".to_owned(), &[stack(&["leaf", "main"], 7)]);
        let main = &tree.root().children[&frame("main")];
        assert_eq!((main.at(0), main.at(1), tree.frames()), (5, 7, 3));
        assert_eq!(
            (
                main.children[&frame("other")].at(0),
                main.children[&frame("other")].at(1)
            ),
            (3, 0)
        );
    }

    #[test]
    fn many_moments_become_fewer_and_peaks_stay() {
        let mut tree = Tree::default();
        for second in 0..1000_i64 {
            tree.add(
                second.to_string(),
                &[stack(&["f"], if second == 611 { 99 } else { 1 })],
            );
        }
        assert!(tree.labels().len() <= MOST_MOMENTS && tree.per_moment() == 8);
        let node = &tree.root().children[&frame("f")];
        assert_eq!(
            (0..tree.labels().len()).map(|moment| node.at(moment)).max(),
            Some(99)
        );
    }
}
