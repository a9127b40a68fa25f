//! The data of a waker: the address of a record, and the generation of the poll, in one word.
//!
//! With 64-bit pointers, addresses of the user's half of memory leave the upper bits free. The slab takes no other memory
//! ([`fits`]). With 32-bit pointers, records are aligned so that the lower bits are free.

/// The generation of a waker, in its place in the data: the lower bits of the poll's phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(usize);

impl Generation {
    /// That of the waker of a closure, which is never handed out.
    #[cfg(feature = "rt")]
    pub(crate) const NONE: Generation = Generation(0);

    #[inline(always)]
    pub(super) fn of_phase(phase: u64) -> Self {
        Generation(imp::generation(phase))
    }

    /// That of a poll with this number, unless the record is frozen.
    #[cfg(feature = "rt")]
    pub(crate) fn of_poll(poll: u64) -> Self {
        Generation::of_phase(poll << 1 | 1)
    }

    /// The data of a waker of this generation.
    #[inline(always)]
    pub(crate) fn with(self, address: usize) -> usize {
        debug_assert!(fits(address, 1));
        address | self.0
    }

    /// The generation in a waker's data.
    #[cfg(feature = "rt")]
    pub(crate) fn of(data: usize) -> Self {
        Generation(data ^ address(data))
    }
}

/// The address in a waker's data.
#[inline(always)]
pub(crate) fn address(data: usize) -> usize {
    imp::address(data)
}

/// Whether records may lie in this memory.
#[inline(always)]
pub(crate) fn fits(address: usize, bytes: usize) -> bool {
    address
        .checked_add(bytes)
        .is_some_and(|end| end as u64 <= imp::LIMIT)
}

#[cfg(target_pointer_width = "64")]
mod imp {
    /// Addresses of the user's half: 47 bits on x86_64, 48 elsewhere.
    pub(super) const LIMIT: u64 = if cfg!(target_arch = "x86_64") {
        1 << 47
    } else {
        1 << 48
    };
    /// 16 bits of the phase: 32,768 generations, as a phase in a poll is odd.
    const SHIFT: u32 = 48;

    #[inline(always)]
    pub(super) fn generation(phase: u64) -> usize {
        (phase as usize) << SHIFT
    }

    #[inline(always)]
    pub(super) fn address(data: usize) -> usize {
        data << (usize::BITS - SHIFT) >> (usize::BITS - SHIFT)
    }
}

#[cfg(not(target_pointer_width = "64"))]
mod imp {
    use crate::registry::task::Record;

    pub(super) const LIMIT: u64 = u64::MAX;
    const GENERATIONS: usize = align_of::<Record>();

    pub(super) fn generation(phase: u64) -> usize {
        (phase >> 1) as usize & (GENERATIONS - 1)
    }

    pub(super) fn address(data: usize) -> usize {
        data & !(GENERATIONS - 1)
    }
}
