//! A hash of the memory that a poll of a task changes: the task's own memory and that behind its pointers. Equal hashes
//! of two looks mean that no trace of a poll was found. They do not prove that there was no poll.
//!
//! With the memory of the task alone, 5 of 11 tasks counted as idle although they were woken 20 times a second. With
//! the memory behind up to three pointers (the slot of a channel, the readiness of a socket, a boxed deadline) 1 did.

use super::Decoder;
use super::layout::Layout;
use super::memory::Reader;
use crate::debug::index::{Die, Poll};
use crate::debug::types::{Shape, Type};
use crate::numbers::NumberHasher;
use std::hash::Hasher;

const MOST_POINTERS: u32 = 3;

/// The most bytes that are read of one value.
const MOST_BYTES: u64 = 4096;

/// The most values of one task.
const MOST_VALUES: u32 = 64;

/// The most nested values.
const MOST_DEPTH: u32 = 12;

/// Types that all tasks of a runtime share, or that belong to other tasks.
const OTHERS: [&str; 6] = [
    "tokio::runtime::scheduler::",
    "tokio::runtime::driver::",
    "tokio::runtime::handle::",
    "tokio::runtime::task::",
    "core::task::wake::",
    "tracing::",
];

struct Trace<'r, 'm> {
    reader: &'r Reader<'m>,
    bias: u64,
    hasher: NumberHasher,
    values_left: u32,
}

impl Trace<'_, '_> {
    fn add(&mut self, at: u64, size: u64) {
        for offset in (0..size.min(MOST_BYTES)).step_by(8) {
            self.add_word(at.wrapping_add(offset), (size - offset).min(8));
        }
    }

    fn add_word(&mut self, at: u64, size: u64) {
        // The pointer of an empty vector points to unmapped memory, in both looks alike.
        let number = self.reader.number(at, size).unwrap_or(u128::MAX);
        self.hasher.write_u64(number as u64);
    }
}

impl Decoder<'_, '_, '_> {
    /// The hash of a task.
    pub(crate) fn trace(
        &mut self,
        at: u64,
        layout: &Layout,
        poll: Poll,
        bias: u64,
        reader: &Reader<'_>,
    ) -> u64 {
        let mut trace = Trace {
            reader,
            bias,
            hasher: NumberHasher::default(),
            values_left: MOST_VALUES,
        };
        trace.hasher.write_u32(poll.future);
        let (stage, of) = layout.stage;
        let at = at.wrapping_add(stage);
        trace.add(at, self.types.get(of).size);
        self.follow_pointers(&mut trace, (at, of), MOST_POINTERS, MOST_DEPTH);
        trace.hasher.finish()
    }

    /// Adds the values that the pointers of a value point to.
    fn follow_pointers(
        &mut self,
        trace: &mut Trace<'_, '_>,
        part: (u64, Die),
        left: u32,
        depth: u32,
    ) {
        let (at, die) = part;
        let of = self.types.get(die);
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        if of.size < 8 || is_of_others(&of) {
            return;
        }
        if let Some((pointer, vtable)) = self.wide_pointer(die) {
            let word = |offset| trace.reader.word(at.wrapping_add(offset));
            if let (Some(pointer), Some(vtable)) = (word(pointer), word(vtable))
                && let Some(inner) = self.dynamic_type(vtable.wrapping_sub(trace.bias))
            {
                self.add_value(trace, (pointer, inner), left, depth);
            }
            return;
        }
        match &of.shape {
            Shape::Pointer(Some(inner)) => {
                if let Some(pointer) = trace.reader.word(at).filter(|pointer| *pointer != 0) {
                    self.add_value(trace, (pointer, *inner), left, depth);
                }
            }
            Shape::Structure(members) => {
                for member in members {
                    let part = (at.wrapping_add(member.offset), member.of);
                    self.follow_pointers(trace, part, left, depth);
                }
            }
            Shape::Enum(variants) => {
                let number = variants.discriminant.map(|(offset, size)| {
                    let number = trace.reader.number(at.wrapping_add(offset), size);
                    number.unwrap_or(u128::MAX)
                });
                if let Some((_, variant)) = variants.active(number) {
                    let part = (at.wrapping_add(variant.member.offset), variant.member.of);
                    self.follow_pointers(trace, part, left, depth);
                }
            }
            _ => {}
        }
    }

    fn add_value(&mut self, trace: &mut Trace<'_, '_>, part: (u64, Die), left: u32, depth: u32) {
        let (at, die) = part;
        let of = self.types.get(die);
        let (Some(left), Some(values)) = (left.checked_sub(1), trace.values_left.checked_sub(1))
        else {
            return;
        };
        // Constants do not change, and a future of size 0 has no memory.
        if is_of_others(&of) || of.size == 0 {
            return;
        }
        trace.values_left = values;
        trace.add(at, of.size);
        self.follow_pointers(trace, part, left, depth);
    }
}

/// Whether the value can change without a poll of this task.
fn is_of_others(of: &Type) -> bool {
    let path = of.path.trim_start_matches("alloc::sync::ArcInner<");
    OTHERS.iter().any(|prefix| path.starts_with(prefix))
}
