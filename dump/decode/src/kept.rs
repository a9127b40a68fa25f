//! Futures that an async body keeps beside the awaited one, such as those that `select!` polls by `&mut`.
//!
//! A semaphore may have given permits to such a future, and tokio has woken the task then. If the task was polled since
//! and did not poll that future, the permits are lost to all other waiters: a futurelock.
//!
//! Such a future may have the end of a channel, too, which its task then has.

use super::Decoder;
use super::leaf::{ACQUIRE, SHARED, UNORDERED, row_of};
use super::model::{Chain, Detail, Kept};
use super::plan::{Local, Part, is_owner};
use crate::debug::index::Die;
use crate::debug::types::Shape;
use std::sync::Arc;

/// A part of an async body that may contain such a future.
#[derive(Debug)]
pub(crate) struct KeptPart {
    /// The name of the variable; empty for a variable of the compiler's.
    pub(crate) variable: Arc<str>,
    pub(crate) part: Part,
    /// Whether a future in it may wait for a semaphore. If not, only the ends of channels in it are read.
    pub(crate) may_acquire: bool,
}

impl Decoder<'_, '_, '_> {
    /// The kept parts among the variables of a state, which begin at `offset`.
    pub(crate) fn kept(&mut self, offset: u64, locals: &[Local<'_>]) -> Vec<KeptPart> {
        let members = locals.iter().map(|local| local.member);
        let mut kept = Vec::new();
        for member in members {
            let may_acquire = self.may_acquire(member.of);
            if may_acquire || self.has_async_body(member.of) {
                kept.push(KeptPart {
                    variable: match member.name.starts_with("__") {
                        true => "".into(),
                        false => member.name.as_str().into(),
                    },
                    part: (offset + member.offset, member.of),
                    may_acquire,
                });
            }
        }
        kept
    }

    /// Whether the type is a future that is more than a known leaf, so that it may have ends of channels.
    fn has_async_body(&mut self, die: Die) -> bool {
        let of = self.types.get(die);
        self.holds_future(die) && !row_of(&of.path).is_some_and(|row| row.is_leaf)
    }

    /// Whether a future of this type may wait for a semaphore, as far as the type is known.
    fn may_acquire(&mut self, die: Die) -> bool {
        if let Some(known) = self.acquires.get(&die) {
            return *known;
        }
        // A recursive type needs another reason to acquire.
        self.acquires.insert(die, false);
        let may = self.holds_future(die) && self.contains_acquire(die);
        self.acquires.insert(die, may);
        may
    }

    fn contains_acquire(&mut self, die: Die) -> bool {
        let of = self.types.get(die);
        let path = &of.path;
        if path.starts_with(ACQUIRE) {
            return true;
        }
        // The futures behind these types are known at run time only.
        if self.wide_pointer(die).is_some()
            || [UNORDERED, SHARED]
                .iter()
                .any(|prefix| path.starts_with(prefix))
        {
            return true;
        }
        if let Some((_, _, each)) = self.slice(die) {
            return self.may_acquire(each);
        }
        if path.starts_with("alloc::vec::Vec<") {
            let each = of.parameters.iter().find(|(name, _)| name == "T");
            return each.is_some_and(|(_, each)| self.may_acquire(*each));
        }
        match &of.shape {
            Shape::Enum(variants) => variants
                .variants
                .iter()
                .any(|variant| self.may_acquire(variant.member.of)),
            Shape::Structure(members) => members.iter().any(|member| self.may_acquire(member.of)),
            Shape::Pointer(Some(inner)) => is_owner(path) && self.may_acquire(*inner),
            _ => false,
        }
    }
}

/// Adds the futures of a chain that permits were given to. If several variables lead to the same future, a named
/// variable is kept.
pub(crate) fn push_given(into: &mut Vec<Kept>, variable: &Arc<str>, outer: &[u32], chain: &Chain) {
    let frames: Vec<u32> = outer.iter().chain(chain.frames.iter()).copied().collect();
    for detail in &chain.details {
        let Detail::Given {
            semaphore,
            permits,
            future,
        } = *detail
        else {
            continue;
        };
        let new = Kept {
            frames: frames.clone(),
            variable: variable.clone(),
            semaphore,
            permits,
            future,
        };
        match into.iter_mut().find(|known| known.future == future) {
            Some(known) if known.variable.is_empty() => *known = new,
            Some(_) => {}
            None => into.push(new),
        }
    }
    for branch in &chain.branches {
        push_given(into, variable, &frames, branch);
    }
}

/// Whether the chain awaits that future.
pub(crate) fn awaits(chain: &Chain, future: u64) -> bool {
    let is_it =
        |detail: &Detail| matches!(detail, Detail::Given { future: it, .. } if *it == future);
    chain.details.iter().any(is_it) || chain.branches.iter().any(|branch| awaits(branch, future))
}
