//! Follows the future of a task down to its leaf.

use super::channels::Ends;
use super::held;
use super::kept::{KeptPart, awaits, push_given};
use super::memory::Reader;
use super::model::{Chain, Detail, Kept};
use super::plan::{Part, Phase, Plan};
use super::{Budget, Decoder};
use crate::debug::index::Die;

const TOO_MANY: &str = "futures beyond the bound are left out";
const UNREADABLE: &str = "the memory of the next future cannot be read";
const UNKNOWN: &str = "the type of the next future is not in the debug information";

const DOUBTFUL: &str = "the details of its wait are unreadable";

/// The rest of the budget of one task, and the permits found so far.
struct Walk<'r, 'm> {
    reader: &'r Reader<'m>,
    bias: u64,
    nodes: u32,
    budget: Budget,
    kept: Vec<Kept>,
}

impl Decoder<'_, '_, '_> {
    /// Follows the future at `at`.
    pub(crate) fn follow(
        &mut self,
        future: Die,
        at: u64,
        bias: u64,
        reader: &Reader<'_>,
        budget: Budget,
        chain: &mut Chain,
    ) {
        let mut walk = Walk {
            reader,
            bias,
            nodes: budget.nodes,
            budget,
            kept: Vec::new(),
        };
        let ends = self.ends_of(future);
        self.read_ends(&ends, at, reader, chain);
        if !self.walk(&mut walk, (at, future), chain, 0) && chain.frames.is_empty() {
            chain.cut = Some("its future has returned");
        }
        walk.kept.retain(|kept| !awaits(chain, kept.future));
        chain.kept = walk.kept;
    }

    fn read_ends(&mut self, ends: &Ends, at: u64, reader: &Reader<'_>, chain: &mut Chain) {
        // A guessed place may have no future, and then what looks like a collection is none.
        let is_certain = !self.is_guessing;
        let details = &mut chain.details;
        ends.read(at, reader, details, &mut self.beside, is_certain);
    }

    /// Appends the futures at `part` to the chain. Returns false if no future is there, or if the future has returned.
    fn walk(&mut self, walk: &mut Walk<'_, '_>, part: Part, chain: &mut Chain, depth: u32) -> bool {
        let (at, die) = part;
        if walk.nodes == 0 || depth >= walk.budget.depth {
            chain.cut = Some(TOO_MANY);
            return true;
        }
        walk.nodes -= 1;
        match &*self.plan(die) {
            Plan::Coroutine { place, states } => {
                let Some(number) = variant(walk, at, *place) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                let exact = states.iter().find(|state| state.value == number);
                let state = exact.or_else(|| states.iter().find(|state| state.value.is_none()));
                let Some(state) = state else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                match state.phase {
                    Phase::Over => false,
                    Phase::NotPolled => {
                        chain.frames.extend(&state.frames);
                        chain.details.push(Detail::NotPolled);
                        self.read_ends(&state.ends, at, walk.reader, chain);
                        true
                    }
                    Phase::Suspended => {
                        chain.frames.extend(&state.frames);
                        state.held.read(at, walk.reader, &mut chain.details);
                        self.read_ends(&state.ends, at, walk.reader, chain);
                        self.walk_parts(walk, at, &state.parts, chain, depth);
                        for kept in &state.kept {
                            self.walk_kept(walk, at, kept, &state.frames, chain, depth);
                        }
                        true
                    }
                }
            }
            Plan::Dynamic { pointer, vtable } => {
                let pointer = walk.reader.word(at.wrapping_add(*pointer));
                let vtable = walk.reader.word(at.wrapping_add(*vtable));
                let (Some(pointer), Some(vtable)) = (pointer, vtable) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                match self.dynamic_type(vtable.wrapping_sub(walk.bias)) {
                    Some(die) => {
                        let ends = self.ends_of(die);
                        self.read_ends(&ends, pointer, walk.reader, chain);
                        self.walk(walk, (pointer, die), chain, depth + 1)
                    }
                    None => {
                        chain.cut = Some(UNKNOWN);
                        true
                    }
                }
            }
            Plan::Pointer(of) => match walk.reader.word(at) {
                Some(pointer) => self.walk(walk, (pointer, *of), chain, depth + 1),
                None => {
                    chain.cut = Some(UNREADABLE);
                    true
                }
            },
            Plan::Variants {
                leaf: Some(leaf), ..
            } => {
                chain.frames.push(*leaf);
                true
            }
            Plan::Variants {
                place, variants, ..
            } => {
                let Some(number) = variant(walk, at, *place) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                let exact = variants
                    .iter()
                    .find(|(value, _)| value.is_some() && *value == number);
                let active = exact.or_else(|| variants.iter().find(|(value, _)| value.is_none()));
                let parts = active.map_or(&[][..], |(_, parts)| parts);
                !parts.is_empty() && self.walk_parts(walk, at, parts, chain, depth)
            }
            Plan::Structure {
                descriptor,
                frame,
                row,
                parts,
                polls_more,
            } => {
                let before = chain.frames.len();
                chain.frames.extend(frame);
                if *polls_more {
                    chain.details.push(Detail::PollsMore);
                }
                if let Some(way) = descriptor {
                    chain
                        .details
                        .extend(held::descriptor_at(way, at, walk.reader));
                }
                if let Some(row) = row {
                    let detail = row
                        .detail
                        .and_then(|detail| detail(self, walk.reader, walk.bias, (at, die)));
                    if row.is_leaf && row.detail.is_some() && detail.is_none() {
                        chain.cut = Some(DOUBTFUL);
                    }
                    chain.details.extend(detail);
                }
                let found = parts.is_empty() || self.walk_parts(walk, at, parts, chain, depth);
                if !found {
                    // Wrappers such as `Fuse` are empty after their future has returned. A connection without a request
                    // waits.
                    let is_leaf = frame.is_some_and(|frame| {
                        let function = &self.frames[frame as usize].function;
                        !function.starts_with("futures_util::")
                    });
                    if !is_leaf {
                        chain.frames.truncate(before);
                    }
                    return is_leaf;
                }
                true
            }
            Plan::Row {
                pointer,
                length,
                each,
            } => {
                let pointer = walk.reader.word(at.wrapping_add(*pointer));
                let length = walk.reader.word(at.wrapping_add(*length));
                let (Some(pointer), Some(length)) = (pointer, length) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                let size = self.types.get(*each).size;
                let some = length.min(walk.budget.children);
                let parts: Vec<Part> = (0..some)
                    .map(|number| (pointer.wrapping_add(number.wrapping_mul(size)), *each))
                    .collect();
                let found = self.walk_parts(walk, 0, &parts, chain, depth);
                if some < length {
                    chain.cut = Some(TOO_MANY);
                }
                found
            }
            Plan::Shared {
                frame,
                pointer,
                future,
            } => match walk.reader.word(at.wrapping_add(*pointer)) {
                Some(0) => false,
                Some(pointer) => {
                    chain.frames.push(*frame);
                    let part = (pointer.wrapping_add(future.0), future.1);
                    self.walk(walk, part, chain, depth + 1)
                }
                None => {
                    chain.cut = Some(UNREADABLE);
                    true
                }
            },
            Plan::Unordered { head, next, future } => {
                let mut parts: Vec<Part> = Vec::new();
                let mut task = walk.reader.word(at.wrapping_add(*head)).unwrap_or(0);
                let mut is_whole = true;
                while task != 0 {
                    if parts.len() as u64 >= walk.budget.children {
                        is_whole = false;
                        break;
                    }
                    parts.push((task.wrapping_add(future.0), future.1));
                    task = walk.reader.word(task.wrapping_add(*next)).unwrap_or(0);
                }
                let found = self.walk_parts(walk, 0, &parts, chain, depth);
                if !is_whole {
                    chain.cut = Some(TOO_MANY);
                }
                found
            }
        }
    }

    /// Searches a future which the async body at `at` keeps for permits that were given to it, and for ends of channels.
    fn walk_kept(
        &mut self,
        walk: &mut Walk<'_, '_>,
        at: u64,
        kept: &KeptPart,
        body: &[u32],
        chain: &mut Chain,
        depth: u32,
    ) {
        // A guessed place may contain no future, so kept futures are not followed there.
        if self.is_guessing {
            return;
        }
        let (offset, die) = kept.part;
        let mut beside = Chain::default();
        if !self.walk(walk, (at.wrapping_add(offset), die), &mut beside, depth + 1) {
            return;
        }
        if kept.may_acquire {
            push_given(&mut walk.kept, &kept.variable, body, &beside);
        }
        for end in beside.only_ends().details {
            if !chain.details.contains(&end) {
                chain.details.push(end);
            }
        }
    }

    /// Follows parts that are polled side by side. A single future continues the chain, several are its branches.
    fn walk_parts(
        &mut self,
        walk: &mut Walk<'_, '_>,
        at: u64,
        parts: &[Part],
        chain: &mut Chain,
        depth: u32,
    ) -> bool {
        if let [(offset, die)] = parts {
            return self.walk(walk, (at.wrapping_add(*offset), *die), chain, depth + 1);
        }
        let mut found = Vec::new();
        for (offset, die) in parts {
            let mut branch = Chain::default();
            let part = (at.wrapping_add(*offset), *die);
            if self.walk(walk, part, &mut branch, depth + 1) {
                found.push(branch);
            }
            if walk.nodes == 0 {
                break;
            }
        }
        match found.len() {
            0 => false,
            1 => {
                let only = found.swap_remove(0);
                chain.frames.extend(only.frames);
                chain.details.extend(only.details);
                chain.branches = only.branches;
                chain.cut = only.cut;
                true
            }
            _ => {
                chain.branches = found;
                true
            }
        }
    }
}

/// The number of the active variant. `Some(None)` if there is only one variant.
fn variant(walk: &Walk<'_, '_>, at: u64, place: Option<(u64, u64)>) -> Option<Option<u128>> {
    match place {
        None => Some(None),
        Some((offset, size)) => walk.reader.number(at.wrapping_add(offset), size).map(Some),
    }
}
