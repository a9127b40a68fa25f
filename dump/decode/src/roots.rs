//! Futures that a thread is blocked on.
//!
//! The debug information has the types of these futures, by the code address of the thread. It does not have their
//! addresses: the variable is optimized out, or the future was moved away from it. So each address of the frame is
//! tried. A future counts if it is suspended and can be read down to its leaf.

use super::memory::Reader;
use super::model::{Body, Chain, Detail, State, Task};
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
        let mut found: Option<(Chain, (u64, Die))> = None;
        let mut is_ambiguous = false;
        let mut places = MOST_PLACES;
        self.is_guessing = true;
        'futures: for future in futures {
            for root in frames() {
                let mut at = root.low.next_multiple_of(8);
                while at < root.high && places > 0 {
                    places -= 1;
                    let mut chain = Chain::default();
                    self.follow(future, at, process.bias, reader, budget, &mut chain);
                    if is_sound(&chain) {
                        let known = found.as_ref();
                        is_ambiguous |= known.is_some_and(|(known, _)| *known != chain);
                        found.get_or_insert((chain, (at, future)));
                    }
                    at += 8;
                }
            }
            if found.is_some() {
                break 'futures;
            }
        }
        self.is_guessing = false;
        let body = match found {
            Some(_) if is_ambiguous => {
                Body::Missing("several places on its thread's stack may be its future")
            }
            Some((mut chain, (at, future))) => {
                // Now the place is known.
                let mut whole = Chain::default();
                self.follow(future, at, process.bias, reader, budget, &mut whole);
                let ends = whole.only_ends().details.into_iter();
                let is_collection = |detail: &Detail| matches!(detail, Detail::Collection(_));
                chain.details.extend(ends.filter(is_collection));
                Body::Chain(chain)
            }
            None => Body::Missing("its future is not found on the stack of its thread"),
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
}

/// Whether a chain was read down to its leaves, and every future in it was polled.
fn is_sound(chain: &Chain) -> bool {
    chain.cut.is_none()
        && !(chain.frames.is_empty() && chain.branches.is_empty())
        && !chain.details.contains(&Detail::NotPolled)
        && chain.branches.iter().all(is_sound)
}
