//! Pages of this process, copied by the kernel, so that no address faults.
//!
//! Other threads change them meanwhile. Who reads compares what tells of a change before and after.

use crate::sys::own_memory;
use runtime_dump_decode::Memory;
use runtime_dump_decode::numbers::NumberMap;
use std::cell::RefCell;

const PAGE: usize = 4096;
const WORDS: usize = PAGE / size_of::<usize>();

/// Copies that are kept: 16 MiB.
const MOST_PAGES: usize = 4096;

type Page = Option<Box<[usize; WORDS]>>;

/// Copies of pages, each made when it is first read. `None`: it cannot be read.
#[derive(Default)]
pub(super) struct OwnPages(RefCell<NumberMap<u64, Page>>);

impl OwnPages {
    /// What is read from now on is copied anew.
    pub(super) fn renew(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Memory for OwnPages {
    fn read(&self, mut address: u64, mut into: &mut [u8]) -> bool {
        while !into.is_empty() {
            let offset = (address % PAGE as u64) as usize;
            let some = into.len().min(PAGE - offset);
            let (now, later) = into.split_at_mut(some);
            let mut pages = self.0.borrow_mut();
            if pages.len() >= MOST_PAGES {
                pages.clear();
            }
            let number = address / PAGE as u64;
            let page = pages.entry(number).or_insert_with(|| copy(number));
            let Some(words) = page else { return false };
            let first = offset / size_of::<usize>();
            let bytes = words[first..].iter().flat_map(|word| word.to_ne_bytes());
            let bytes = bytes.skip(offset % size_of::<usize>());
            now.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            into = later;
            let Some(next) = address.checked_add(some as u64) else {
                return into.is_empty();
            };
            address = next;
        }
        true
    }
}

fn copy(number: u64) -> Page {
    let mut words = Box::new([0; WORDS]);
    let address = usize::try_from(number.checked_mul(PAGE as u64)?).ok()?;
    (own_memory::read(address, &mut words[..]) == WORDS).then_some(words)
}

/// The same without copies that are kept: what is there now.
pub(super) struct Now;

impl Memory for Now {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let pages = OwnPages::default();
        pages.read(address, into)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_across_pages_and_kept_until_they_are_renewed() {
        let mut own: Vec<u8> = (0..3 * PAGE).map(|at| (at % 251) as u8).collect();
        let pages = OwnPages::default();
        let read = |at: usize, length: usize| {
            let mut bytes = vec![0; length];
            let address = own[at..].as_ptr() as u64;
            pages.read(address, &mut bytes).then_some(bytes)
        };
        for (at, length) in [(3, 8), (1, 1), (PAGE - 3, PAGE + 5), (0, 0)] {
            assert_eq!(read(at, length).unwrap(), own[at..at + length]);
        }
        assert_eq!(read(3, 1).unwrap(), [3]);
        let address = own[3..].as_ptr() as u64;
        own[3] = 77;
        let mut byte = [0];
        assert!(pages.read(address, &mut byte) && byte == [3]);
        assert!(Now.read(address, &mut byte) && byte == [77]);
        pages.renew();
        assert!(pages.read(address, &mut byte) && byte == [77]);
        for nowhere in [8, u64::MAX - 3] {
            assert!(!pages.read(nowhere, &mut [0; 8]));
        }
    }
}
