//! Reads of this process's own memory that cannot fault, whatever the address: the kernel copies, and returns how many
//! bytes it could read. Signal handlers use it for stacks whose bounds are not known.
//!
//! Rejected: noting the bounds of each thread's stack beforehand. Threads that the probe does not know have none, and a
//! thread may be on a stack that a library switched to.

/// The most pages of one read: its list for the kernel lies on the stack of a thread that may have little stack left.
const MOST_PAGES: usize = 32;
/// The kernel's limit of pieces in one call.
#[cfg(feature = "rt")]
pub(crate) const MOST_PIECES: usize = 1024;
/// The smallest page of all supported systems. With larger pages a read only has more pieces than necessary.
const PAGE: usize = 4096;

/// Copies words from `address` on, up to the first unreadable page. Returns the number of words. At most 31 pages.
/// Async-signal-safe, but for `errno`.
pub(crate) fn read(address: usize, to: &mut [usize]) -> usize {
    let wanted = size_of_val(to);
    debug_assert!(wanted <= (MOST_PAGES - 1) * PAGE);
    let end = address.saturating_add(wanted);
    // A piece for each page: Linux copies page by page in any case, but its manual promises it for whole pieces only.
    let next = |at: usize| (at & !(PAGE - 1)).checked_add(PAGE);
    let pages = std::iter::successors(Some(address), |at| next(*at))
        .take_while(|at| *at < end)
        .map(|at| (at, next(at).map_or(end, |next| next.min(end)) - at));
    imp::copy(pages, to) / size_of::<usize>()
}

/// Copies words from `address` on, if all of them can be read. Linux takes half as long as with a piece for each page.
#[cfg(feature = "decode")]
pub(crate) fn read_whole(address: usize, to: &mut [usize]) -> bool {
    let wanted = size_of_val(to);
    imp::copy(std::iter::once((address, wanted)), to) == wanted
}

/// Copies pieces, (address, words) each, up to the first unreadable one. Returns the number of words. Not for signal
/// handlers.
#[cfg(feature = "rt")]
pub(crate) fn read_pieces(pieces: &[(usize, usize)], to: &mut [usize]) -> usize {
    debug_assert!(pieces.len() <= MOST_PIECES);
    imp::copy_list(pieces, to) / size_of::<usize>()
}

/// Whether all `bytes` below `address` can be read: room on a thread's stack. At most 31 pages. Async-signal-safe, but for
/// `errno`.
pub(crate) fn is_readable_below(address: usize, bytes: usize) -> bool {
    let mut words = [0; MOST_PAGES];
    let pages = bytes.div_ceil(PAGE).min(MOST_PAGES);
    let Some(lowest) = address.checked_sub(pages * PAGE) else {
        return false;
    };
    let each = (0..pages).map(|page| ((lowest + page * PAGE) & !7, size_of::<usize>()));
    imp::copy(each, &mut words[..pages]) == pages * size_of::<usize>()
}

/// Whether the system permits these reads (a sandbox may not).
pub(crate) fn is_permitted() -> bool {
    let known = [0x5eed_usize];
    let mut copy = [0];
    read(known.as_ptr().addr(), &mut copy) == 1 && copy == known
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "process_vm_readv")]
mod imp {
    use super::MOST_PAGES;
    use std::ptr::{null_mut, without_provenance_mut};

    /// Copies the pieces, (address, bytes) each, one behind the other. Returns the number of bytes.
    pub(super) fn copy(pieces: impl Iterator<Item = (usize, usize)>, to: &mut [usize]) -> usize {
        let nothing = libc::iovec {
            iov_base: null_mut(),
            iov_len: 0,
        };
        let mut from = [nothing; MOST_PAGES];
        let mut count = 0;
        for (piece, (address, bytes)) in from.iter_mut().zip(pieces) {
            *piece = libc::iovec {
                iov_base: without_provenance_mut(address),
                iov_len: bytes,
            };
            count += 1;
        }
        copy_pieces(&from[..count], to)
    }

    /// As `copy`, for a list of (address, words).
    #[cfg(feature = "rt")]
    pub(super) fn copy_list(pieces: &[(usize, usize)], to: &mut [usize]) -> usize {
        let pieces = pieces.iter().map(|(address, words)| libc::iovec {
            iov_base: without_provenance_mut(*address),
            iov_len: words * size_of::<usize>(),
        });
        copy_pieces(&pieces.collect::<Vec<_>>(), to)
    }

    /// Returns how many bytes.
    fn copy_pieces(from: &[libc::iovec], to: &mut [usize]) -> usize {
        let to = libc::iovec {
            iov_base: to.as_mut_ptr().cast(),
            iov_len: size_of_val(to),
        };
        let count = from.len() as libc::c_ulong;
        // SAFETY: `to` is memory of the caller's, of that length, and both lists live through the call. The pieces need
        // not be readable: the kernel then returns fewer bytes, or an error.
        let copied =
            unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, from.as_ptr(), count, 0) };
        usize::try_from(copied).unwrap_or(0)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn copy(_: impl Iterator<Item = (usize, usize)>, _: &mut [usize]) -> usize {
        0
    }

    #[cfg(feature = "rt")]
    pub(super) fn copy_list(_: &[(usize, usize)], _: &mut [usize]) -> usize {
        0
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_across_pages_and_up_to_the_end_of_what_is_mapped() {
        let words: Vec<usize> = (0..2000).collect();
        let mut copy = vec![0; 1500];
        assert_eq!(read(words[7..].as_ptr().addr(), &mut copy), 1500);
        assert_eq!(copy, words[7..1507]);
        assert_eq!(read(8, &mut copy), 0);
        assert_eq!(read(usize::MAX - 64, &mut copy), 0);
    }

    #[test]
    #[expect(unsafe_code, reason = "maps two pages")]
    fn what_comes_before_an_unreadable_page_is_read() {
        // SAFETY: two fresh pages, which no other code uses; the second is made unreadable and no code touches it.
        let pages = unsafe {
            let (kind, access) = (
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                libc::PROT_READ | libc::PROT_WRITE,
            );
            let pages = libc::mmap(std::ptr::null_mut(), 2 * PAGE, access, kind, -1, 0);
            assert_ne!(pages, libc::MAP_FAILED);
            assert_eq!(
                libc::mprotect(pages.byte_add(PAGE), PAGE, libc::PROT_NONE),
                0
            );
            pages.addr()
        };
        let mut copy = [7; 100];
        assert_eq!(read(pages + PAGE - 80, &mut copy), 10);
        assert_eq!((copy[9], copy[10]), (0, 7));
        assert_eq!(read(pages + PAGE, &mut copy), 0);
    }

    #[test]
    fn room_below_ends_at_the_guard_page() {
        let bounds = crate::sys::thread::stack_bounds().unwrap();
        let here = (&raw const bounds).addr();
        assert!(is_readable_below(here, 16 * PAGE));
        assert!(!is_readable_below(bounds.start + 4 * PAGE, 8 * PAGE));
        assert!(!is_readable_below(PAGE, 8 * PAGE));
    }

    #[test]
    fn this_system_permits_it() {
        assert!(is_permitted());
    }
}
