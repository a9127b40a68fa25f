//! Finds tasks by their ids, in the lists of a running process.
//!
//! Other threads push and remove tasks meanwhile, so a walk may go wrong at any step. Each task on the way is checked:
//! its scheduler must be that of the list, and its link back must lead to the previous task. After a failed check the
//! list is walked from its other end, where the oldest tasks are. Then the whole walk is tried again.

use crate::debug::index::Die;
use crate::layout::AnyTask;
use crate::memory::Reader;
use crate::numbers::NumberMap;
use crate::{Budget, Decoder, Memory};
use std::rc::Rc;

/// The most walks along the lists of a scheduler.
const TRIES: usize = 4;

/// The largest accepted offset in a task. Futures may be large.
const MOST_OFFSET: u64 = 1 << 30;

/// A search through the lists of a scheduler.
struct Hunt<'h, 'm> {
    reader: &'h Reader<'m>,
    /// The scheduler pointer in its tasks.
    scheduler: u64,
    /// The index of each wanted id in `found`.
    wanted: &'h NumberMap<u64, usize>,
    /// The addresses of the tasks; 0 for those that were not found yet.
    found: &'h mut [u64],
    /// The number of those.
    missing: &'h mut usize,
    /// The number of tasks that may still be visited.
    left: u64,
    /// The offsets of scheduler, trailer and id in a task, by its vtable.
    parts: NumberMap<u64, (u64, u64, u64)>,
}

/// The direction of a walk along a list.
#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Forward,
    Back,
}

impl Decoder<'_, '_, '_> {
    /// Returns the addresses of the tasks with these ids, in the order of the ids, and 0 for those that are in no list of a
    /// scheduler. Each scheduler must have one of `words` as pointer to it, as in a `tokio::runtime::Handle`. `renew` makes
    /// `memory` forget its copies.
    pub fn locate(
        &mut self,
        memory: &dyn Memory,
        renew: &dyn Fn(),
        words: &[u64],
        ids: &[u64],
        budget: Budget,
    ) -> Vec<u64> {
        let mut found = vec![0; ids.len()];
        let wanted: NumberMap<u64, usize> = ids.iter().copied().zip(0..).collect();
        let mut missing = wanted.len();
        let types = self.arcs_of_schedulers();
        for word in words.iter().filter(|word| **word != 0) {
            for (offset, of) in types.iter() {
                for number in 0..TRIES {
                    // The copies of the last walk are recent enough for decoding.
                    if missing == 0 {
                        return found;
                    }
                    if number > 0 {
                        renew();
                    }
                    let reader = Reader::new(memory, budget.bytes);
                    let mut hunt = Hunt {
                        reader: &reader,
                        scheduler: *word,
                        wanted: &wanted,
                        found: &mut found,
                        missing: &mut missing,
                        left: budget.tasks,
                        parts: NumberMap::default(),
                    };
                    if self.hunt((word.wrapping_add(*offset), *of), &mut hunt) {
                        break;
                    }
                }
            }
        }
        found
    }

    /// The types of schedulers, with their offsets behind an `Arc`'s counts. A type in several units is returned once.
    fn arcs_of_schedulers(&mut self) -> Rc<[(u64, Die)]> {
        if let Some(known) = &self.schedulers_behind_arcs {
            return known.clone();
        }
        let mut known: Vec<String> = Vec::new();
        let polls: Vec<_> = self.types.index.polls.values().flatten().copied().collect();
        let mut all = Vec::new();
        for poll in polls {
            let of = self.layout(poll).and_then(|layout| layout.scheduler);
            if let Some((_, of)) = of
                && let Some((offset, of)) = self.behind_arc(0, of)
                && !known.contains(&self.types.get(of).path)
            {
                known.push(self.types.get(of).path.clone());
                all.push((offset, of));
            }
        }
        let all: Rc<[(u64, Die)]> = all.into();
        self.schedulers_behind_arcs = Some(all.clone());
        all
    }

    /// Walks all lists of a scheduler. Returns whether all were followed to their ends.
    fn hunt(&mut self, (at, of): (u64, Die), hunt: &mut Hunt<'_, '_>) -> bool {
        let Some(any) = self.any_layout() else {
            return true;
        };
        // Vtables of older versions of tokio lack these offsets.
        let (Some(offsets), vtable) = (any.any, any.vtable) else {
            return true;
        };
        let Some(lists) = self.ends_of_lists(at, of, hunt.reader) else {
            return true;
        };
        let mut is_whole = true;
        for (head, tail) in lists {
            let mut walk =
                |from, direction| Self::walk_list(from, direction, offsets, vtable, hunt);
            is_whole &= walk(head, Direction::Forward) || walk(tail, Direction::Back);
        }
        is_whole
    }

    /// The heads and tails of the lists of a scheduler's tasks.
    fn ends_of_lists(&self, at: u64, of: Die, reader: &Reader<'_>) -> Option<Vec<(u64, u64)>> {
        let (heads, _) = self.lists(at, of, reader)?;
        let (tails, _) = self.lists_at(at, of, "tail", reader)?;
        Some(heads.into_iter().zip(tails).collect())
    }

    /// Walks a list in one direction. Returns whether the end was reached.
    fn walk_list(
        from: u64,
        direction: Direction,
        any: AnyTask,
        vtable: u64,
        hunt: &mut Hunt<'_, '_>,
    ) -> bool {
        let (mut at, mut previous) = (from, 0);
        while at != 0 {
            let reader = hunt.reader;
            let word = |at: u64| reader.word(at);
            let mut step = || {
                let vtable = word(at.wrapping_add(vtable))?;
                let parts = match hunt.parts.get(&vtable) {
                    Some(known) => *known,
                    None => {
                        let offset = |place: u64| {
                            let offset = word(vtable.wrapping_add(place))?;
                            (offset < MOST_OFFSET).then_some(offset)
                        };
                        let parts = (
                            offset(any.scheduler)?,
                            offset(any.trailer)?,
                            offset(any.id)?,
                        );
                        hunt.parts.insert(vtable, parts);
                        parts
                    }
                };
                let (scheduler, trailer, id) = parts;
                let scheduler = word(at.wrapping_add(scheduler))?;
                let trailer = at.wrapping_add(trailer);
                let next = word(trailer.wrapping_add(any.next))?;
                let prev = word(trailer.wrapping_add(any.prev))?;
                let id = word(at.wrapping_add(id))?;
                Some((scheduler, next, prev, id))
            };
            let Some((scheduler, next, prev, id)) = step() else {
                return false;
            };
            let (onward, back) = match direction {
                Direction::Forward => (next, prev),
                Direction::Back => (prev, next),
            };
            if scheduler != hunt.scheduler || back != previous || hunt.left == 0 {
                return false;
            }
            hunt.left -= 1;
            if let Some(number) = hunt.wanted.get(&id) {
                let found = std::mem::replace(&mut hunt.found[*number], at);
                *hunt.missing -= usize::from(found == 0);
            }
            (previous, at) = (at, onward);
        }
        true
    }

    /// The address of a task's state word, which changes at each poll and each wake.
    pub fn state_of(&mut self, address: u64) -> Option<u64> {
        Some(address.wrapping_add(self.any_layout()?.state))
    }
}
