//! Memory outside of every allocator: reserved as a whole, and backed page by page as it is written.

use crate::primitive::AtomicU64;

/// `count` words, all 0, for the life of the process. `None` if the system has no room. One system call, no lock, no
/// allocation.
pub(crate) fn words(count: usize) -> Option<&'static [AtomicU64]> {
    imp::words(count)
}

#[cfg(all(unix, not(probe_loom)))]
#[expect(unsafe_code, reason = "mmap")]
mod imp {
    use crate::primitive::AtomicU64;
    use std::ptr::null_mut;

    pub(super) fn words(count: usize) -> Option<&'static [AtomicU64]> {
        let bytes = count.checked_mul(size_of::<AtomicU64>())?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        // SAFETY: asks for fresh pages at any address.
        let pages = unsafe { libc::mmap(null_mut(), bytes, access, kind, -1, 0) };
        if pages == libc::MAP_FAILED || bytes == 0 {
            return None;
        }
        // SAFETY: fresh pages of that many bytes, readable and writable, aligned to a page and never unmapped; zeros
        // are valid atomics.
        Some(unsafe { std::slice::from_raw_parts(pages.cast::<AtomicU64>(), count) })
    }
}

#[cfg(not(all(unix, not(probe_loom))))]
mod imp {
    use crate::primitive::AtomicU64;

    pub(super) fn words(_: usize) -> Option<&'static [AtomicU64]> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::primitive::Ordering;

    #[test]
    fn words_are_zero_and_can_be_written() {
        let words = words(1 << 20).unwrap();
        assert!(
            words
                .iter()
                .step_by(511)
                .all(|word| word.load(Ordering::Relaxed) == 0)
        );
        words[(1 << 20) - 1].store(7, Ordering::Relaxed);
        assert_eq!(words[(1 << 20) - 1].load(Ordering::Relaxed), 7);
    }

    #[test]
    fn there_is_no_room_for_everything() {
        assert!(super::words(usize::MAX / 64).is_none());
        assert!(super::words(usize::MAX).is_none());
    }
}
