//! Follows the future of a task down to its leaf.

use super::channels::Ends;
use super::held;
use super::kept::{KeptPart, awaits, push_given};
use super::memory::Reader;
use super::model::{Chain, Detail, Frames, Kept, USUAL_FRAMES};
use super::plan::{CoroutineState, Part, Phase, Plan};
use super::routes::{Act, Route, Trail};
use super::{Budget, Decoder};
use crate::debug::index::Die;
use crate::debug::types::POINTER;
use std::rc::Rc;

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
    /// The record of the walk, while it is one from future to future.
    trail: Option<Trail>,
}

impl Walk<'_, '_> {
    fn record(&mut self, add: impl FnOnce(&mut Trail)) {
        if let Some(trail) = &mut self.trail {
            add(trail);
        }
    }
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
            trail: None,
        };
        let ends = self.ends_of(future);
        self.read_ends(&ends, at, reader, chain);
        if !self.walk_from(&mut walk, (at, future), chain, 0) && chain.frames.is_empty() {
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

    /// Like `walk` for a new chain: by a known route, or with a record of the route.
    fn walk_from(
        &mut self,
        walk: &mut Walk<'_, '_>,
        part: Part,
        chain: &mut Chain,
        depth: u32,
    ) -> bool {
        // A route has the details of a future that is certainly there.
        if self.is_guessing {
            return self.walk(walk, part, chain, depth);
        }
        let outer = walk.trail.take();
        let found = match self.routes.find(part, walk.reader) {
            Some(route) => {
                self.walk_by(&route, walk, chain, depth) || self.walk(walk, part, chain, depth)
            }
            None => {
                walk.trail = Some(Trail::new(part.0, depth));
                let found = self.walk(walk, part, chain, depth);
                if let Some(trail) = walk.trail.take().filter(|_| chain.cut.is_none()) {
                    self.keep_route(part.1, trail, &chain.frames);
                }
                found
            }
        };
        walk.trail = outer;
        found
    }

    /// Walks by the route that was found last. Returns false, and leaves the chain as it was, if the budget is too small or if
    /// futures that the route was recorded with are not there.
    fn walk_by(
        &mut self,
        route: &Route,
        walk: &mut Walk<'_, '_>,
        chain: &mut Chain,
        depth: u32,
    ) -> bool {
        if route.nodes >= walk.nodes || depth + route.nodes >= walk.budget.depth {
            return false;
        }
        let (nodes, kept, details) = (walk.nodes, walk.kept.len(), chain.details.len());
        walk.nodes -= route.nodes;
        match chain.frames.is_empty() {
            true => chain.frames = Frames::Shared(route.frames.clone()),
            false => chain.frames.to_mut().extend_from_slice(&route.frames),
        }
        let bases = self.routes.take_bases();
        let is_whole = route.acts.iter().all(|(place, act)| {
            let at = place.address(&bases);
            match act {
                Act::State(state) => self.read_state(state, at, walk.reader, chain),
                Act::Structure(plan, die) => self.read_structure(plan, (at, *die), walk, chain),
                Act::Ends(ends) => self.read_ends(ends, at, walk.reader, chain),
                Act::Kept(state, number, inner) => {
                    let kept = &state.kept[*number];
                    self.walk_kept(walk, at, kept, &state.frames, chain, depth + inner);
                }
                Act::Walk(die, inner) => {
                    return self.walk(walk, (at, *die), chain, depth + inner);
                }
            }
            true
        });
        self.routes.return_bases(bases);
        if !is_whole {
            chain.details.truncate(details);
            chain.frames = Frames::default();
            chain.branches.clear();
            chain.cut = None;
            walk.kept.truncate(kept);
            walk.nodes = nodes;
        }
        is_whole
    }

    fn read_state(
        &mut self,
        state: &CoroutineState,
        at: u64,
        reader: &Reader<'_>,
        chain: &mut Chain,
    ) {
        if state.phase == Phase::NotPolled {
            chain.details.push(Detail::NotPolled);
        }
        state.held.read(at, reader, &mut chain.details);
        self.read_ends(&state.ends, at, reader, chain);
    }

    fn read_structure(
        &mut self,
        plan: &Plan,
        (at, die): Part,
        walk: &Walk<'_, '_>,
        chain: &mut Chain,
    ) {
        let Plan::Structure {
            descriptor,
            row,
            polls_more,
            ..
        } = plan
        else {
            return;
        };
        if *polls_more {
            chain.details.push(Detail::PollsMore);
        }
        if let Some(way) = descriptor {
            let descriptor = held::descriptor_at(way, at, walk.reader);
            chain.details.extend(descriptor);
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
    }

    /// Appends the futures at `part` to the chain. Returns false if no future is there, or if the future has returned.
    fn walk(&mut self, walk: &mut Walk<'_, '_>, part: Part, chain: &mut Chain, depth: u32) -> bool {
        let (at, die) = part;
        if walk.nodes == 0 || depth >= walk.budget.depth {
            chain.cut = Some(TOO_MANY);
            return true;
        }
        let plan = self.plan(die);
        let trail = match &mut walk.trail {
            Some(trail) if plan.is_way() => {
                trail.add_node();
                None
            }
            Some(trail) => {
                trail.add_walk(at, Act::Walk(die, trail.depth(depth)), chain.frames.len());
                walk.trail.take()
            }
            None => None,
        };
        walk.nodes -= 1;
        let found = self.walk_plan(walk, &plan, part, chain, depth);
        walk.trail = trail.or(walk.trail.take()).filter(|_| found);
        found
    }

    fn walk_plan(
        &mut self,
        walk: &mut Walk<'_, '_>,
        plan: &Rc<Plan>,
        (at, die): Part,
        chain: &mut Chain,
        depth: u32,
    ) -> bool {
        match &**plan {
            Plan::Coroutine { place, states } => {
                let Some(number) = variant(walk, at, *place) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                let Some(state) = active(states, number, |state| state.value) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                if state.phase == Phase::Over {
                    return false;
                }
                push_frames(chain, &state.frames);
                if state.has_details() {
                    walk.record(|trail| trail.add_act(at, Act::State(state.clone())));
                    self.read_state(state, at, walk.reader, chain);
                }
                let base = walk.trail.as_ref().map(Trail::base);
                self.walk_parts(walk, at, &state.parts, chain, depth);
                for (number, kept) in state.kept.iter().enumerate() {
                    self.walk_kept(walk, at, kept, &state.frames, chain, depth);
                    walk.record(|trail| {
                        trail.return_to(base);
                        trail.add_act(at, Act::Kept(state.clone(), number, trail.depth(depth)));
                    });
                }
                true
            }
            Plan::Dynamic { pointer, vtable } => {
                let places = (at.wrapping_add(*pointer), at.wrapping_add(*vtable));
                let pointer = walk.reader.word(places.0);
                let vtable = walk.reader.word(places.1);
                let (Some(pointer), Some(vtable)) = (pointer, vtable) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                match self.dynamic_type(vtable.wrapping_sub(walk.bias)) {
                    Some(die) => {
                        let ends = self.ends_of(die);
                        walk.record(|trail| {
                            trail.add_number(places.1, POINTER, vtable);
                            trail.add_pointer(places.0, pointer);
                        });
                        if !ends.is_empty() {
                            walk.record(|trail| trail.add_act(pointer, Act::Ends(ends.clone())));
                            self.read_ends(&ends, pointer, walk.reader, chain);
                        }
                        self.walk(walk, (pointer, die), chain, depth + 1)
                    }
                    None => {
                        chain.cut = Some(UNKNOWN);
                        true
                    }
                }
            }
            Plan::Pointer(of) => match walk.reader.word(at) {
                Some(pointer) => {
                    walk.record(|trail| trail.add_pointer(at, pointer));
                    self.walk(walk, (pointer, *of), chain, depth + 1)
                }
                None => {
                    chain.cut = Some(UNREADABLE);
                    true
                }
            },
            Plan::Variants {
                leaf: Some(leaf), ..
            } => {
                chain.frames.to_mut().push(*leaf);
                true
            }
            Plan::Variants {
                place, variants, ..
            } => {
                let Some(number) = variant(walk, at, *place) else {
                    chain.cut = Some(UNREADABLE);
                    return true;
                };
                let active = active(variants, number, |(value, _)| *value);
                let parts = active.map_or(&[][..], |(_, parts)| parts);
                !parts.is_empty() && self.walk_parts(walk, at, parts, chain, depth)
            }
            Plan::Structure { frame, parts, .. } => {
                let before = chain.frames.len();
                push_frames(chain, frame.as_slice());
                if plan.has_details() {
                    walk.record(|trail| trail.add_act(at, Act::Structure(plan.clone(), die)));
                }
                self.read_structure(plan, (at, die), walk, chain);
                let found = parts.is_empty() || self.walk_parts(walk, at, parts, chain, depth);
                if !found {
                    // Wrappers such as `Fuse` are empty after their future has returned. A connection without a request
                    // waits.
                    let is_leaf = frame.is_some_and(|frame| {
                        let function = &self.frames[frame as usize].function;
                        !function.starts_with("futures_util::")
                    });
                    if !is_leaf {
                        chain.frames.to_mut().truncate(before);
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
                pointer: pointer_at,
                future,
            } => match walk.reader.word(at.wrapping_add(*pointer_at)) {
                Some(0) => false,
                Some(pointer) => {
                    walk.record(|trail| trail.add_pointer(at.wrapping_add(*pointer_at), pointer));
                    chain.frames.to_mut().push(*frame);
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
        // Memory of a future that was moved away is arbitrary: each of its values would be a route of its own.
        let trail = walk.trail.take();
        let found = self.walk(walk, (at.wrapping_add(offset), die), &mut beside, depth + 1);
        walk.trail = trail;
        if !found {
            return;
        }
        if kept.may_acquire {
            push_given(&mut walk.kept, &kept.variable, body, &beside);
        }
        beside.each_end(&mut |end| {
            if !chain.details.contains(&end) {
                chain.details.push(end);
            }
        });
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
            if self.walk_from(walk, part, &mut branch, depth + 1) {
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
                match chain.frames.is_empty() {
                    true => chain.frames = only.frames,
                    false => chain.frames.to_mut().extend_from_slice(&only.frames),
                }
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

fn push_frames(chain: &mut Chain, frames: &[u32]) {
    let into = chain.frames.to_mut();
    if into.is_empty() {
        into.reserve(USUAL_FRAMES);
    }
    into.extend_from_slice(frames);
}

/// The variant with this number, or the variant of all other numbers.
fn active<V>(
    variants: &[V],
    number: Option<u128>,
    value: impl Fn(&V) -> Option<u128>,
) -> Option<&V> {
    // The variants of most types have their numbers from 0 on.
    let nth = number.and_then(|number| variants.get(usize::try_from(number).ok()?));
    nth.filter(|variant| value(variant) == number)
        .or_else(|| variants.iter().find(|variant| value(variant) == number))
        .or_else(|| variants.iter().find(|variant| value(variant).is_none()))
}

/// The number of the active variant. `Some(None)` if there is only one variant.
fn variant(walk: &mut Walk<'_, '_>, at: u64, place: Option<(u64, u64)>) -> Option<Option<u128>> {
    let Some((offset, size)) = place else {
        return Some(None);
    };
    let at = at.wrapping_add(offset);
    let number = walk.reader.number(at, size)?;
    match u64::try_from(number) {
        Ok(value) if size <= POINTER => walk.record(|trail| trail.add_number(at, size, value)),
        // A route has no such number.
        _ => walk.trail = None,
    }
    Some(Some(number))
}
