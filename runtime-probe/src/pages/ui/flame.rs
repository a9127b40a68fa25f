//! A flame graph as SVG: a box for each function, below its caller, as wide as its part of the whole. Widths are in per
//! cent, so the picture fits any screen, and each box cuts off its own text. Boxes are links that zoom.

use super::html::Html;
use super::kept::{Taken, Unit};
use super::quantity::{Bytes, Count, Time};
use crate::profile::condensed::crate_of;
use crate::profile::selection::{Finder, grouped};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The height of a box in pixels.
const HEIGHT: usize = 20;

/// Narrower boxes are not drawn. In per cent of the picture: a pixel of 1200.
const NARROWEST: f64 = 0.08;

/// Narrower boxes have no text. In per cent of the picture.
const NARROWEST_TEXT: f64 = 1.2;

/// The most boxes of a picture: 1 MB.
const MOST_BOXES: usize = 4_000;

/// Deeper boxes are not drawn.
const DEEPEST: usize = 400;

/// A function at one place of the graph.
#[derive(Debug, Default)]
struct Node {
    name: u32,
    parent: usize,
    depth: usize,
    value: i64,
    /// The value in the base profile.
    base: i64,
    children: BTreeMap<u32, usize>,
}

/// Functions below their callers, or above their callees.
#[derive(Debug)]
pub(super) struct Graph<'t> {
    taken: &'t Taken,
    names: Vec<&'t str>,
    /// Whether each name is of the program's own crates.
    own: Vec<bool>,
    /// The first node is the root, named "all".
    nodes: Vec<Node>,
    has_base: bool,
    /// The number of stacks with a negative value, which are not drawn.
    fewer: usize,
}

/// How a graph is drawn.
pub(super) struct Drawn<'d, 'f> {
    /// The number of the node that has the whole width.
    pub(super) zoom: usize,
    pub(super) finder: Option<Finder<'f>>,
    /// The address of the page with a node zoomed.
    pub(super) link: &'d dyn Fn(usize) -> String,
}

impl<'t> Graph<'t> {
    /// The graph of a profile, and of the base that it is compared with. The same profile gives the same numbers of
    /// nodes.
    pub(super) fn new(taken: &'t Taken, base: Option<&'t Taken>, is_inverted: bool) -> Graph<'t> {
        let mut graph = Graph {
            taken,
            names: Vec::new(),
            own: Vec::new(),
            nodes: vec![Node::default()],
            has_base: base.is_some(),
            fewer: taken.stacks.iter().filter(|(_, value)| *value < 0).count(),
        };
        let mut known: BTreeMap<&str, u32> = BTreeMap::new();
        for (of, is_base) in [(Some(taken), false), (base, true)] {
            let Some(of) = of else { continue };
            let names: Vec<u32> = of
                .names
                .iter()
                .zip(&of.own)
                .map(|(name, own)| {
                    *known.entry(name).or_insert_with(|| {
                        graph.names.push(name);
                        graph.own.push(*own);
                        graph.names.len() as u32 - 1
                    })
                })
                .collect();
            for (frames, value) in of.stacks.iter().filter(|(_, value)| *value > 0) {
                let mut frames: Vec<u32> =
                    frames.iter().map(|name| names[*name as usize]).collect();
                if is_inverted {
                    frames.reverse();
                }
                graph.add(&frames, *value, is_base);
            }
        }
        graph
    }

    fn add(&mut self, frames: &[u32], value: i64, is_base: bool) {
        let mut at = 0;
        for name in [None].into_iter().chain(frames.iter().map(Some)) {
            if let Some(name) = name {
                let (parent, new) = (at, self.nodes.len());
                let depth = self.nodes[parent].depth + 1;
                at = *self.nodes[parent].children.entry(*name).or_insert(new);
                if at == new {
                    self.nodes.push(Node {
                        name: *name,
                        parent,
                        depth,
                        ..Node::default()
                    });
                }
            }
            let node = &mut self.nodes[at];
            let sum = if is_base {
                &mut node.base
            } else {
                &mut node.value
            };
            *sum = sum.saturating_add(value);
        }
    }

    /// Whether there is such a node.
    pub(super) fn has(&self, node: usize) -> bool {
        node < self.nodes.len()
    }

    /// Draws the graph. Returns the part of all that the finder found, if there is a finder.
    pub(super) fn draw(&self, html: &mut Html, mut drawn: Drawn<'_, '_>) -> Option<f64> {
        let found = drawn.finder.as_mut().map(|finder| {
            let names: Vec<bool> = self.names.iter().map(|name| finder.finds(name)).collect();
            names
        });
        let boxes = self.boxes(drawn.zoom);
        let left_out = boxes.left_out;
        let deepest = boxes.all.iter().map(|(_, row, ..)| *row).max().unwrap_or(0);
        html.tag("svg")
            .class("flame")
            .attr("width", "100%")
            .attr("height", (deepest + 1) * HEIGHT)
            .attr("role", "group")
            .attr("aria-label", "Flame graph")
            .with(|html| {
                for (at, row, x, width) in &boxes.all {
                    let is_hit = found
                        .as_ref()
                        .map(|found| *at != 0 && found[self.nodes[*at].name as usize]);
                    let above = *row < self.nodes[drawn.zoom].depth;
                    html.tag("a").attr("href", (drawn.link)(*at)).with(|html| {
                        html.tag("svg")
                            .class(match (is_hit, above) {
                                (Some(true), _) => "hit",
                                (Some(false), _) => "miss",
                                (None, true) => "above",
                                (None, false) => "",
                            })
                            .attr("x", format_args!("{x:.3}%"))
                            .attr("y", row * HEIGHT)
                            .attr("width", format_args!("{width:.3}%"))
                            .attr("height", HEIGHT - 1)
                            .with(|html| {
                                html.tag("title").text(self.title(*at));
                                html.tag("rect")
                                    .class(self.colour(*at))
                                    .attr("width", "100%")
                                    .attr("height", "100%")
                                    .attr("rx", 2)
                                    .text("");
                                if *width >= NARROWEST_TEXT {
                                    html.tag("text")
                                        .attr("x", 4)
                                        .attr("y", 14)
                                        .text(self.name(*at));
                                }
                            });
                    });
                }
            });
        if self.fewer > 0 {
            html.tag("p").class("note").text(format_args!(
                "{} stacks that became fewer are left out: the table has them.",
                grouped(self.fewer as u64)
            ));
        }
        if left_out > 0 {
            html.tag("p").class("note").text(format_args!(
                "{} boxes are too narrow, or too many, to be drawn: zoom shows them",
                grouped(left_out as u64)
            ));
        }
        found.map(|found| self.part_found(&found))
    }

    fn name(&self, at: usize) -> &str {
        match at {
            0 => "all",
            _ => self.names[self.nodes[at].name as usize],
        }
    }

    /// The tooltip of a box.
    fn title(&self, at: usize) -> String {
        let node = &self.nodes[at];
        let all = self.nodes[0].value.max(1);
        let mut title = format!(
            "{}\n{}, {:.1} %",
            self.name(at),
            valued(self.taken.kind.unit, node.value),
            100.0 * node.value as f64 / all as f64
        );
        if self.has_base {
            title.push_str(&format!(
                ", {} before",
                valued(self.taken.kind.unit, node.base)
            ));
        }
        title
    }

    fn colour(&self, at: usize) -> &'static str {
        const OWN: [&str; 4] = ["f0", "f1", "f2", "f3"];
        const OTHER: [&str; 2] = ["f4", "f5"];
        let node = &self.nodes[at];
        if self.has_base {
            let change = node.value.saturating_sub(node.base) as f64
                / node.value.max(node.base).max(1) as f64;
            return match change {
                _ if change > 0.5 => "more much",
                _ if change > 0.05 => "more",
                _ if change < -0.5 => "less much",
                _ if change < -0.05 => "less",
                _ => "same",
            };
        }
        let name = self.name(at);
        let package = crate_of(name);
        let mut hasher = DefaultHasher::new();
        package.hash(&mut hasher);
        let hash = hasher.finish() as usize;
        match package {
            _ if at == 0 => "f7",
            "core" | "std" | "alloc" => "f7",
            "tokio" => "f6",
            _ if !name.contains("::") => "f7",
            _ if self.own[node.name as usize] => OWN[hash % OWN.len()],
            _ => OTHER[hash % OTHER.len()],
        }
    }

    /// The boxes of a picture in which a node has the whole width, below its callers.
    fn boxes(&self, zoom: usize) -> Boxes {
        let mut boxes = Boxes {
            all: Vec::new(),
            left_out: 0,
        };
        let mut above = Vec::new();
        let mut at = zoom;
        while at != 0 {
            at = self.nodes[at].parent;
            above.push(at);
        }
        boxes.all.extend(
            above
                .into_iter()
                .rev()
                .map(|at| (at, self.nodes[at].depth, 0.0, 100.0)),
        );
        // Depth first: a box comes after its caller's.
        let mut open = vec![(zoom, 0.0, 100.0)];
        while let Some((at, x, width)) = open.pop() {
            let node = &self.nodes[at];
            if boxes.all.len() >= MOST_BOXES || node.depth > DEEPEST {
                boxes.left_out += 1;
                continue;
            }
            boxes.all.push((at, node.depth, x, width));
            let mut x = x;
            for (_, child) in self.by_name(node) {
                let part = self.nodes[child].value as f64 / node.value.max(1) as f64;
                let wide = width * part;
                match wide >= NARROWEST {
                    true => open.push((child, x, wide)),
                    false => boxes.left_out += 1,
                }
                x += wide;
            }
        }
        boxes
    }

    /// The children ordered by name, so that two graphs can be compared.
    fn by_name(&self, node: &Node) -> Vec<(&str, usize)> {
        let children = node.children.iter();
        let mut children: Vec<_> = children
            .map(|(name, child)| (self.names[*name as usize], *child))
            .collect();
        children.sort_unstable();
        children
    }

    /// The part of all that is in or below a function that was found.
    fn part_found(&self, found: &[bool]) -> f64 {
        let mut sum = 0;
        let mut open: Vec<usize> = self.nodes[0].children.values().copied().collect();
        while let Some(at) = open.pop() {
            let node = &self.nodes[at];
            match found[node.name as usize] {
                true => sum += node.value,
                false => open.extend(node.children.values()),
            }
        }
        sum as f64 / self.nodes[0].value.max(1) as f64
    }
}

struct Boxes {
    /// (node, row, left edge, width); the last two in per cent.
    all: Vec<(usize, usize, f64, f64)>,
    left_out: usize,
}

/// A value in its unit; differences can be negative.
pub(super) fn valued(unit: Unit, value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let size = value.unsigned_abs();
    match unit {
        Unit::Nanoseconds => format!("{sign}{}", Time(size)),
        Unit::Bytes => format!("{sign}{}", Bytes(size)),
        Unit::Tasks => format!("{sign}{}", Count(size, "task")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Kind;
    use super::*;

    static KIND: Kind = Kind {
        name: "goroutine",
        title: "Tasks",
        page: "goroutine",
        unit: Unit::Tasks,
    };

    fn taken(folded: &str) -> Taken {
        let mut taken = Taken::read(&KIND, Some(1), folded);
        taken.own = vec![false; taken.names.len()];
        taken
    }

    #[test]
    fn boxes_are_as_wide_as_their_part_and_beside_each_other() {
        let taken = taken("a;b 6\na;c 2\nd 2\na;e -7\n");
        let graph = Graph::new(&taken, None, false);
        let boxes = graph.boxes(0).all.into_iter();
        let mut boxes: Vec<_> = boxes
            .map(|(at, row, x, width)| (graph.name(at).to_owned(), row, x.round(), width.round()))
            .collect();
        boxes.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("a", 1, 0.0, 80.0),
            ("all", 0, 0.0, 100.0),
            ("b", 2, 0.0, 60.0),
            ("c", 2, 60.0, 20.0),
            ("d", 1, 80.0, 20.0),
        ];
        assert_eq!(
            boxes,
            expected.map(|(name, row, x, width)| (name.to_owned(), row, x, width))
        );
        assert_eq!(graph.fewer, 1);
    }

    #[test]
    fn a_zoomed_box_has_the_whole_width_below_those_that_it_is_below() {
        let taken = taken("a;b;c 3\na;d 1\n");
        let graph = Graph::new(&taken, None, false);
        let b = graph
            .nodes
            .iter()
            .position(|node| node.depth == 2 && node.value == 3);
        let boxes = graph.boxes(b.unwrap()).all;
        let names: Vec<&str> = boxes.iter().map(|(at, ..)| graph.name(*at)).collect();
        assert_eq!(names, ["all", "a", "b", "c"]);
        assert!(
            boxes
                .iter()
                .all(|(_, _, x, width)| (*x, *width) == (0.0, 100.0))
        );
    }

    #[test]
    fn a_turned_graph_begins_with_the_leaves() {
        let taken = taken("a;b;c 3\nd;c 1\n");
        let graph = Graph::new(&taken, None, true);
        let boxes = graph.boxes(0).all;
        let names: Vec<&str> = boxes.iter().map(|(at, ..)| graph.name(*at)).collect();
        assert_eq!(names[..2], ["all", "c"]);
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn a_very_deep_and_a_very_wide_graph_are_cut() {
        let deep = (0..DEEPEST + 50)
            .map(|at| format!("f{at}"))
            .collect::<Vec<_>>();
        let deep = taken(&format!("{} 1\n", deep.join(";")));
        assert_eq!(Graph::new(&deep, None, false).boxes(0).left_out, 1);
        let wide: String = (0..5_000).map(|at| format!("f{at} 1\n")).collect();
        let wide = taken(&wide);
        let boxes = Graph::new(&wide, None, false).boxes(0);
        assert_eq!((boxes.all.len(), boxes.left_out), (1, 5_000));
    }
}
