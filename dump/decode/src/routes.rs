//! The routes of walks. Thousands of tasks have one type and wait at one await, so a walk from future to future reads the
//! same numbers and finds the same frames for each of them. The first such walk records its route: the pointers that it
//! followed, the numbers that it decided by, and the details to read. The next walk follows that route, and reads nothing
//! else.
//!
//! The routes of a type are a tree. Each number that a walk decided by has a branch for each known value. A walk whose
//! number has no branch yet, or whose memory is unreadable, is done in full. A route ends where futures are polled side by
//! side. Each of these has a route of its own. A future that an async body keeps is walked in full: mostly it has returned,
//! and its memory is arbitrary.

use super::Decoder;
use super::channels::Ends;
use super::memory::Reader;
use super::plan::{CoroutineState, Part, Plan};
use crate::debug::index::Die;
use crate::numbers::NumberMap;
use std::rc::Rc;
use std::sync::Arc;

/// The most routes that are kept.
const MOST_ROUTES: usize = 1 << 14;

/// The most steps of a route.
const MOST_STEPS: usize = 256;

/// A place in the memory of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The number of the pointer that leads there; 0 for the first future itself.
    base: usize,
    offset: u64,
}

impl Place {
    pub(crate) fn address(self, bases: &[u64]) -> u64 {
        bases[self.base].wrapping_add(self.offset)
    }
}

#[derive(Debug)]
enum Step {
    /// A pointer, which is the next base.
    Pointer(Place),
    /// A number of this size, up to eight bytes, and its value.
    Number(Place, u64, u64),
}

/// Details to read at a place.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Of a state of an async body.
    State(Rc<CoroutineState>),
    /// Of the kept future with this number of a state, which is at this depth of the route.
    Kept(Rc<CoroutineState>, usize, u32),
    /// Of a structure of this type.
    Structure(Rc<Plan>, Die),
    /// The ends of channels.
    Ends(Ends),
    /// All futures there, at this depth of the route.
    Walk(Die, u32),
}

/// A route that was recorded.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) frames: Arc<[u32]>,
    pub(crate) acts: Vec<(Place, Act)>,
    /// The number of futures on the route, one inside the other.
    pub(crate) nodes: u32,
}

/// What is known behind a step.
#[derive(Debug, Default)]
enum Node {
    #[default]
    Unknown,
    Pointer(Place, Box<Node>),
    Number(Place, u64, Vec<(u64, Node)>),
    End(Rc<Route>),
}

impl Node {
    fn insert(&mut self, steps: &[Step], route: Rc<Route>) {
        let Some((step, rest)) = steps.split_first() else {
            *self = Node::End(route);
            return;
        };
        if let Node::Unknown = self {
            *self = match step {
                Step::Pointer(place) => Node::Pointer(*place, Box::default()),
                Step::Number(place, size, _) => Node::Number(*place, *size, Vec::new()),
            };
        }
        match (self, step) {
            (Node::Pointer(_, next), Step::Pointer(_)) => next.insert(rest, route),
            (Node::Number(_, _, branches), Step::Number(_, _, value)) => {
                let known = branches.iter().position(|(known, _)| known == value);
                let at = known.unwrap_or_else(|| {
                    branches.push((*value, Node::Unknown));
                    branches.len() - 1
                });
                branches[at].1.insert(rest, route);
            }
            // The numbers so far decide which step is next.
            _ => {}
        }
    }
}

/// The known routes, by the type of their first future.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    trees: NumberMap<Die, Node>,
    count: usize,
    /// The addresses of the bases of the route that was found last.
    bases: Vec<u64>,
}

impl Routes {
    /// Takes the addresses of the bases of the route that was found last. `return_bases` returns the memory.
    pub(crate) fn take_bases(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.bases)
    }

    pub(crate) fn return_bases(&mut self, bases: Vec<u64>) {
        self.bases = bases;
    }

    /// The route of the walk that begins at `part`.
    pub(crate) fn find(&mut self, (at, future): Part, reader: &Reader<'_>) -> Option<Rc<Route>> {
        self.bases.clear();
        self.bases.push(at);
        let mut node = self.trees.get(&future)?;
        loop {
            node = match node {
                Node::Unknown => return None,
                Node::End(route) => return Some(route.clone()),
                Node::Pointer(place, next) => {
                    let pointer = reader.word(place.address(&self.bases));
                    self.bases.push(pointer.filter(|to| *to != 0)?);
                    next
                }
                Node::Number(place, size, branches) => {
                    let number = reader.small(place.address(&self.bases), *size)?;
                    &branches.iter().find(|(value, _)| *value == number)?.1
                }
            };
        }
    }
}

/// The record of a walk, until it reads something that a route does not have.
#[derive(Debug)]
pub(crate) struct Trail {
    steps: Vec<Step>,
    acts: Vec<(Place, Act)>,
    /// The number and the address of the last base.
    base: (usize, u64),
    bases: usize,
    nodes: u32,
    /// The depth of the first future.
    depth: u32,
    /// The number of frames before the futures that are walked in full.
    frames: Option<usize>,
}

impl Trail {
    /// Begins a record at the address of a future, and at its depth.
    pub(crate) fn new(at: u64, depth: u32) -> Self {
        Self {
            steps: Vec::new(),
            acts: Vec::new(),
            base: (0, at),
            bases: 1,
            nodes: 0,
            depth,
            frames: None,
        }
    }

    fn place(&self, at: u64) -> Place {
        let (base, address) = self.base;
        Place {
            base,
            offset: at.wrapping_sub(address),
        }
    }

    /// The walk has reached another future.
    pub(crate) fn add_node(&mut self) {
        self.nodes += 1;
    }

    /// The walk follows the pointer at `at`.
    pub(crate) fn add_pointer(&mut self, at: u64, to: u64) {
        self.steps.push(Step::Pointer(self.place(at)));
        self.base = (self.bases, to);
        self.bases += 1;
    }

    /// The walk decides by the number at `at`.
    pub(crate) fn add_number(&mut self, at: u64, size: u64, value: u64) {
        self.steps.push(Step::Number(self.place(at), size, value));
    }

    pub(crate) fn add_act(&mut self, at: u64, act: Act) {
        self.acts.push((self.place(at), act));
    }

    /// All futures at `at` are walked in full, behind so many frames.
    pub(crate) fn add_walk(&mut self, at: u64, act: Act, frames: usize) {
        self.add_act(at, act);
        self.frames = Some(frames);
    }

    /// A depth, below that of the first future.
    pub(crate) fn depth(&self, depth: u32) -> u32 {
        depth - self.depth
    }

    /// The base of the current part, to return to.
    pub(crate) fn base(&self) -> (usize, u64) {
        self.base
    }

    pub(crate) fn return_to(&mut self, base: Option<(usize, u64)>) {
        self.base = base.unwrap_or(self.base);
    }
}

impl Decoder<'_, '_, '_> {
    /// Keeps the route of a walk from a future of this type that has found these frames.
    pub(crate) fn keep_route(&mut self, future: Die, trail: Trail, frames: &[u32]) {
        let routes = &mut self.routes;
        if routes.count == MOST_ROUTES || trail.steps.len() > MOST_STEPS {
            return;
        }
        routes.count += 1;
        let route = Route {
            frames: frames[..trail.frames.unwrap_or(frames.len())].into(),
            acts: trail.acts,
            nodes: trail.nodes,
        };
        let tree = routes.trees.entry(future).or_default();
        tree.insert(&trail.steps, Rc::new(route));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::memory::Reader;
    use crate::model::{Chain, Detail};
    use crate::own::{Own, bounds_of, future_of, poll, with_types};
    use crate::{Budget, Decoder};
    use futures_util::future::join;
    use std::future::pending;
    use std::pin::{Pin, pin};
    use tokio::sync::mpsc::{self, Receiver};
    use tokio::sync::oneshot;

    async fn receives(mut receiver: Receiver<u8>) {
        receiver.recv().await;
    }

    async fn awaits(receiver: oneshot::Receiver<u8>) {
        let _ = receiver.await;
    }

    /// One of five waits, through trait objects.
    async fn waits_for(kind: u8) {
        let (_sender, receiver) = mpsc::channel(1);
        let (_other_sender, other_receiver) = oneshot::channel();
        let kept = receives(receiver);
        let inner: Pin<Box<dyn Future<Output = ()>>> = match kind {
            0 => Box::pin(kept),
            1 => Box::pin(awaits(other_receiver)),
            2 => Box::pin(async {
                join(kept, awaits(other_receiver)).await;
            }),
            3 => Box::pin(async {
                pending::<()>().await;
                kept.await;
            }),
            _ => return kept.await,
        };
        inner.await;
    }

    #[test]
    fn a_walk_by_a_route_finds_the_same_as_one_in_full() {
        with_types(|types, bias| {
            let future = future_of(types, "waits_for");
            let own = Own::open();
            let follow = |decoder: &mut Decoder<'_, '_, '_>, at: u64| {
                let mut chain = Chain::default();
                let reader = Reader::new(&own, u64::MAX);
                decoder.follow(future, at, bias, &reader, Budget::default(), &mut chain);
                // Without the numbers of frames, which are given out in the order of the first use.
                let of = |chain: &Chain| -> Vec<_> {
                    let numbers = chain.frames.iter();
                    numbers
                        .map(|number| decoder.frames()[*number as usize].clone())
                        .collect()
                };
                let branches: Vec<_> = chain.branches.iter().map(of).collect();
                let details = |chain: &Chain| chain.details.clone();
                let more: Vec<Vec<Detail>> = chain.branches.iter().map(details).collect();
                (
                    of(&chain),
                    branches,
                    chain.details,
                    more,
                    chain.kept,
                    chain.cut,
                )
            };
            let decoder = &mut Decoder::new(types);
            for kind in 0..5 {
                let before = decoder.routes.count;
                let (mut first, mut second) = (pin!(waits_for(kind)), pin!(waits_for(kind)));
                poll(first.as_mut());
                poll(second.as_mut());
                let [first, second] = [bounds_of(&*first).0, bounds_of(&*second).0];
                let in_full = follow(&mut Decoder::new(types), second);
                assert!(
                    in_full.5.is_none() && !in_full.2.is_empty(),
                    "{kind}: {in_full:?}"
                );
                assert_ne!(follow(decoder, first), in_full);
                // The first walk of each kind has recorded its route.
                let known = decoder.routes.count;
                assert!(known > before);
                assert_eq!(follow(decoder, second), in_full);
                assert_eq!(decoder.routes.count, known);
            }
        });
    }
}
