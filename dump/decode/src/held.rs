//! Other contents of a suspended async body: guards of locks, and the file descriptor that it reads from.

use super::Decoder;
use super::memory::Reader;
use super::model::Detail;
use super::plan::Local;
use super::way::Way;
use crate::debug::index::Die;
use crate::debug::types::{Member, Shape};

pub(crate) const SEMAPHORE: &str = "tokio::sync::batch_semaphore::Semaphore";
const DESCRIPTOR: &str = "std::os::fd::owned::OwnedFd";

/// The most levels between a descriptor and its owner.
const MOST_DEPTH: usize = 12;

/// The parts of a state to read.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// The offset of the pointer to a lock, and the offset of the semaphore in the lock.
    locks: Vec<(u64, u64)>,
    descriptor: Option<Way>,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.descriptor.is_none()
    }

    /// Reads the parts, and adds them as details.
    pub(crate) fn read(&self, at: u64, reader: &Reader<'_>, details: &mut Vec<Detail>) {
        let lock = |(pointer, behind): &(u64, u64)| {
            let lock = reader.word(at.wrapping_add(*pointer))?;
            (lock != 0).then(|| Detail::MayHold(lock.wrapping_add(*behind)))
        };
        details.extend(self.locks.iter().filter_map(lock));
        let descriptor = self.descriptor.as_ref();
        details.extend(descriptor.and_then(|way| descriptor_at(way, at, reader)));
    }
}

/// Reads the descriptor at the end of a way.
pub(crate) fn descriptor_at(way: &Way, at: u64, reader: &Reader<'_>) -> Option<Detail> {
    let number = reader.number(way.address(at, reader)?, 4)? as u32 as i32;
    // The number -1 means no descriptor.
    (number >= 0).then_some(Detail::Descriptor(number))
}

impl Decoder<'_, '_, '_> {
    /// The parts to read of the variables of a state, which begin at `offset`. A descriptor is searched for in tokio's
    /// own futures only: a local variable of another future may be unrelated to the wait.
    pub(crate) fn held(&self, offset: u64, locals: &[Local<'_>], is_io: bool) -> Held {
        let members = || locals.iter().map(|local| local.member);
        Held {
            locks: members()
                .filter_map(|member| {
                    let (pointer, behind) = self.guard(member.of)?;
                    Some((offset + member.offset + pointer, behind))
                })
                .collect(),
            descriptor: is_io
                .then(|| {
                    members().find_map(|member| {
                        let mut way = self.descriptor(member.of, 2)?;
                        way.shift(offset + member.offset);
                        Some(way)
                    })
                })
                .flatten(),
        }
    }

    /// For a guard or permit of tokio, the offset of its pointer to the lock, and the offset of the semaphore there.
    fn guard(&self, die: Die) -> Option<(u64, u64)> {
        let of = self.types.get(die);
        let is_guard = of.path.starts_with("tokio::sync::")
            && (of.name.contains("Guard") || of.name.contains("Permit"));
        let Shape::Structure(members) = &of.shape else {
            return None;
        };
        if !is_guard {
            return None;
        }
        members.iter().find_map(|member| {
            let to = self.types.pointee(member.of)?;
            // The offset includes the counts, if the pointer is an `Arc`.
            let (semaphore, _) = self.types.find_type(to, SEMAPHORE)?;
            let (pointer, _) = self.types.peel(member.of);
            Some((member.offset + pointer, semaphore))
        })
    }

    /// The way to a descriptor in this type, through at most `references` references and structures.
    pub(crate) fn descriptor(&self, die: Die, references: usize) -> Option<Way> {
        if let Some(offset) = self.descriptor_inside(die, MOST_DEPTH) {
            return Some(Way::here(offset));
        }
        let left = references.checked_sub(1)?;
        let of = self.types.get(die);
        match &of.shape {
            Shape::Pointer(Some(to)) if of.path.starts_with('&') => {
                let mut way = self.descriptor(*to, left)?;
                way.push_pointer(0);
                Some(way)
            }
            Shape::Structure(members) => members.iter().find_map(|member| {
                let mut way = self.descriptor(member.of, left)?;
                way.shift(member.offset);
                Some(way)
            }),
            _ => None,
        }
    }

    fn descriptor_inside(&self, die: Die, depth: usize) -> Option<u64> {
        let left = depth.checked_sub(1)?;
        let of = self.types.get(die);
        if of.path == DESCRIPTOR {
            return Some(0);
        }
        let inside = |member: &Member| {
            // A type smaller than a descriptor contains none.
            (self.types.get(member.of).size >= 4)
                .then(|| self.descriptor_inside(member.of, left))
                .flatten()
                .map(|offset| member.offset + offset)
        };
        match &of.shape {
            Shape::Structure(members) => members.iter().find_map(inside),
            Shape::Enum(variants) => {
                let variants = variants.variants.iter();
                variants.map(|variant| &variant.member).find_map(inside)
            }
            _ => None,
        }
    }
}
