//! Futures that a thread is blocked on.
//!
//! The debug information has the types of these futures, by the code address of the thread. It does not have their
//! addresses: the variable is optimized out, or the future was moved away from it. So each address of the frame is
//! tried. A future counts if it is suspended and can be read down to its leaf. Of several places that look alike, its
//! collections tell which one has the future.

use super::channels::Beside;
use super::memory::Reader;
use super::model::{Body, Chain, Detail, State, Task};
use super::plan::Part;
use super::{Budget, Decoder, Process, ThreadView};
use crate::debug::index::Die;

/// The most addresses that are tried for one thread: 512 KB of stack.
const MOST_PLACES: u64 = 1 << 16;

impl Decoder<'_, '_, '_> {
    /// The root future of a thread as a task; `None` if the thread is outside of `block_on`.
    pub(crate) fn root(
        &mut self,
        thread: &ThreadView,
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Option<Task> {
        let frames = || thread.roots.iter().rev();
        let mut futures: Vec<Die> = Vec::new();
        for root in frames() {
            for future in &root.futures {
                if !futures.contains(future) {
                    futures.push(*future);
                }
            }
        }
        if futures.is_empty() {
            return None;
        }
        let body = match self.alike(thread, &futures, process, reader, budget) {
            Alike::None => Body::Missing("its future is not found on the stack of its thread"),
            Alike::Not => Body::Missing("several places on its thread's stack may be its future"),
            Alike::All {
                mut chain,
                future,
                places,
            } => {
                let parts: Vec<Part> = places.into_iter().map(|at| (at, future)).collect();
                let collections = self.surest_collections(&parts, process, reader, budget);
                chain.details.extend(collections);
                Body::Chain(chain)
            }
        };
        Some(Task {
            id: 0,
            address: 0,
            runtime: 0,
            state: State::Waiting,
            is_cancelled: false,
            has_no_waker: false,
            thread: None,
            root_of: Some(thread.tid),
            trace: None,
            unchanged_for: None,
            ends: None,
            spawned_at: None,
            body,
        })
    }

    /// The places on the stack of a thread that look like one of these futures, the outermost future first.
    fn alike(
        &mut self,
        thread: &ThreadView,
        futures: &[Die],
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Alike {
        let mut alike = Alike::None;
        let mut places_left = MOST_PLACES;
        // The ends in messages at a guessed place are no ends of this dump.
        let beside = std::mem::take(&mut self.beside);
        self.is_guessing = true;
        for future in futures {
            for root in thread.roots.iter().rev() {
                let mut at = root.low.next_multiple_of(8);
                while at < root.high && places_left > 0 {
                    places_left -= 1;
                    let mut chain = Chain::default();
                    self.follow(*future, at, process.bias, reader, budget, &mut chain);
                    if is_sound(&chain) {
                        alike.add(chain, *future, at);
                    }
                    at += 8;
                }
            }
            if !matches!(alike, Alike::None) {
                break;
            }
        }
        self.is_guessing = false;
        self.beside = beside;
        alike
    }

    /// The collections of the future at one of these places.
    ///
    /// The state of a future at `pending` is one byte, which a place without the future has by chance. That place has no
    /// pointer to readable elements, and no length below a capacity. So the place with the most collections counts.
    ///
    /// Rejected: the place that a word of the stack or a register points to. `block_on` of a multi-thread runtime
    /// addresses its future by the stack pointer, and no word points to it.
    fn surest_collections(
        &mut self,
        places: &[Part],
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Vec<Detail> {
        let mut surest = places.first().copied();
        if places.len() > 1 {
            let beside = std::mem::take(&mut self.beside);
            let mut most: Vec<Detail> = Vec::new();
            for place in places {
                let found = self.collections_at(*place, process, reader, budget);
                self.beside = Beside::default();
                if found.len() > most.len() {
                    (surest, most) = (Some(*place), found);
                } else if found.len() == most.len() && found != most {
                    surest = None;
                }
            }
            self.beside = beside;
        }
        surest.map_or_else(Vec::new, |place| {
            self.collections_at(place, process, reader, budget)
        })
    }

    fn collections_at(
        &mut self,
        (at, future): Part,
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Vec<Detail> {
        let mut whole = Chain::default();
        self.follow(future, at, process.bias, reader, budget, &mut whole);
        let ends = whole.only_ends().details.into_iter();
        ends.filter(|detail| matches!(detail, Detail::Collection(_)))
            .collect()
    }
}

/// The places that may be a future.
enum Alike {
    None,
    /// These places have the same chain.
    All {
        chain: Chain,
        future: Die,
        places: Vec<u64>,
    },
    /// The chains differ.
    Not,
}

impl Alike {
    fn add(&mut self, chain: Chain, future: Die, at: u64) {
        match self {
            Self::None => {
                *self = Self::All {
                    chain,
                    future,
                    places: vec![at],
                };
            }
            Self::All {
                chain: known,
                places,
                ..
            } if *known == chain => places.push(at),
            _ => *self = Self::Not,
        }
    }
}

/// Whether a chain was read down to its leaves, and every future in it was polled.
fn is_sound(chain: &Chain) -> bool {
    chain.cut.is_none()
        && !(chain.frames.is_empty() && chain.branches.is_empty())
        && !chain.details.contains(&Detail::NotPolled)
        && chain.branches.iter().all(is_sound)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::debug::types::{Enum, Shape};
    use crate::own::{Own, bounds_of, future_of, poll, with_types};
    use crate::{Look, RootFrame};
    use std::future::pending;
    use std::pin::pin;
    use tokio::sync::mpsc::{self, Sender};

    async fn waits_with_senders(number: usize) {
        let senders: Vec<Sender<u8>> = (0..number).map(|_| mpsc::channel(1).0).collect();
        pending::<()>().await;
        drop(senders);
    }

    /// The numbers of collections and of ends in them of the root on a stack of these places, the lowest one first.
    fn collections_among(
        decoder: &mut Decoder<'_, '_, '_>,
        future: Die,
        places: &[(u64, u64)],
    ) -> (usize, usize) {
        // The innermost frame comes first, and the outermost one is searched first.
        let roots = places.iter().rev().map(|(low, high)| RootFrame {
            futures: vec![future],
            low: *low,
            high: *high,
        });
        let thread = ThreadView {
            tid: 1,
            pointer: 0,
            roots: roots.collect(),
        };
        let process = Process {
            memory: &Own::open(),
            bias: 0,
            thread_locals: 0,
            threads: &[thread],
            seeds: &[],
            is_traced: false,
        };
        let mut dump = decoder.decode(&process, Budget::default(), Look::Decode);
        let Body::Chain(chain) = dump.tasks.pop().unwrap().body else {
            panic!("the root is not found");
        };
        let is_collection = |detail: &&Detail| matches!(detail, Detail::Collection(_));
        let collections = chain.details.iter().filter(is_collection);
        (collections.count(), dump.stored.collected.len())
    }

    #[test]
    fn the_collections_of_a_root_are_read_at_the_place_that_has_them() {
        with_types(|types, _| {
            let future = future_of(types, "waits_with_senders");
            let mut two = pin!(waits_with_senders(2));
            let mut other_two = pin!(waits_with_senders(2));
            poll(two.as_mut());
            poll(other_two.as_mut());
            // Words that look like the future by the byte of its state.
            let of = types.get(future);
            let Shape::Enum(Enum {
                discriminant: Some((place, 1)),
                variants,
            }) = &of.shape
            else {
                panic!("{of:?}");
            };
            let mut variants = variants.iter();
            let waits = variants.find(|variant| types.get(variant.member.of).name == "Suspend0");
            let number = waits.and_then(|variant| variant.value).unwrap() as u64;
            let mut words = vec![0_u64; of.size as usize / 8];
            words[*place as usize / 8] = number << (8 * (place % 8));

            let decoder = &mut Decoder::new(types);
            let mut ends_at = |places: &[_]| collections_among(decoder, future, places);
            let words = bounds_of(&words[..]);
            let (two, other_two) = (bounds_of(&*two), bounds_of(&*other_two));
            assert_eq!(ends_at(&[words]), (0, 0));
            assert_eq!(ends_at(&[two]), (1, 2));
            assert_eq!(ends_at(&[words, two]), (1, 2));
            assert_eq!(ends_at(&[two, words]), (1, 2));
            // Each of the two may be the future.
            assert_eq!(ends_at(&[two, other_two]), (0, 0));
        });
    }
}
