//! Copies of pages of this process, made by the kernel, so that no address faults.
//!
//! Other threads change the pages meanwhile. The reader checks for changes before and after.
//!
//! The copies are in one block, which is allocated once. Rejected: a block for each page, freed after each dump. That
//! cost more than the kernel's copying.

use crate::sys::own_memory;
use runtime_dump_decode::Memory;
use runtime_dump_decode::numbers::NumberMap;
use std::cell::RefCell;

const PAGE: usize = 4096;
const WORD: usize = size_of::<usize>();
const WORDS: usize = PAGE / WORD;

/// The most copies: 4 MiB.
const MOST_PAGES: usize = 1024;

/// The pages of one system call, from a multiple of this: tasks of one type lie side by side, and lists of them are
/// walked upwards and downwards.
const WINDOW: usize = 16;

/// How many pages are found without a look into the map.
const RECENT: usize = 16;

/// No page has this number.
const NO_PAGE: (u64, usize) = (u64::MAX, 0);

/// Copies of pages. Each is made when the page is first read.
pub(super) struct OwnPages(RefCell<Copies>);

struct Copies {
    words: Box<[usize]>,
    /// The number of pages in `words`.
    made: usize,
    /// The begin of a page in `words`, by its number; `None` if the page cannot be read.
    by_number: NumberMap<u64, Option<usize>>,
    /// The numbers of pages of the last reads, and their begins in `words`, by the last bits of the number.
    recent: [(u64, usize); RECENT],
}

impl OwnPages {
    pub(super) fn new() -> Self {
        Self(RefCell::new(Copies {
            words: vec![0; MOST_PAGES * WORDS].into_boxed_slice(),
            made: 0,
            by_number: NumberMap::default(),
            recent: [NO_PAGE; RECENT],
        }))
    }

    /// Drops all copies, so that later reads copy again.
    pub(super) fn renew(&self) {
        self.0.borrow_mut().forget();
    }
}

impl Copies {
    fn forget(&mut self) {
        self.by_number.clear();
        self.made = 0;
        self.recent = [NO_PAGE; RECENT];
    }

    /// The word of a page with this index.
    #[inline]
    fn word(&mut self, page: u64, index: usize) -> Option<usize> {
        let begin = self.begin(page)?;
        self.words.get(begin + index).copied()
    }

    /// The begin of a page in `words`.
    #[inline]
    fn begin(&mut self, page: u64) -> Option<usize> {
        let (recent, at) = self.recent[page as usize % RECENT];
        match recent == page {
            true => Some(at),
            false => self.find(page),
        }
    }

    /// The same for a page that was not read recently.
    #[cold]
    fn find(&mut self, number: u64) -> Option<usize> {
        let known = self.by_number.get(&number).copied();
        let at = known.unwrap_or_else(|| self.copy(number))?;
        self.recent[number as usize % RECENT] = (number, at);
        Some(at)
    }

    fn copy(&mut self, number: u64) -> Option<usize> {
        if self.made + WINDOW > MOST_PAGES {
            self.forget();
        }
        // The pages around it that are not copied yet. A page below may not be readable; then that copy ends before
        // this page.
        let unknown = |number: &u64| !self.by_number.contains_key(number);
        let window = number - number % WINDOW as u64;
        let first = (window..number).rev().take_while(unknown).last();
        let end = (number + 1..window + WINDOW as u64)
            .take_while(unknown)
            .last()
            .map_or(number + 1, |last| last + 1);
        let first = first.unwrap_or(number);
        self.copy_pages(first, end);
        if first < number && !self.by_number.contains_key(&number) {
            self.copy_pages(number, end);
        }
        *self.by_number.entry(number).or_insert(None)
    }

    /// Copies these pages up to the first unreadable one, as far as there is room.
    fn copy_pages(&mut self, first: u64, end: u64) {
        let pages = ((end - first) as usize).min(MOST_PAGES - self.made);
        let begin = self.made * WORDS;
        let to = &mut self.words[begin..begin + pages * WORDS];
        let address = first.checked_mul(PAGE as u64);
        let address = address.and_then(|address| usize::try_from(address).ok());
        let copied = address.map_or(0, |address| match own_memory::read_whole(address, to) {
            true => pages,
            false => own_memory::read(address, to) / WORDS,
        });
        for page in 0..copied {
            let at = begin + page * WORDS;
            self.by_number.insert(first + page as u64, Some(at));
        }
        self.made += copied;
    }
}

impl Memory for OwnPages {
    fn read(&self, mut address: u64, mut into: &mut [u8]) -> bool {
        let mut copies = self.0.borrow_mut();
        while !into.is_empty() {
            let offset = (address % PAGE as u64) as usize;
            let (first, within) = (offset / WORD, offset % WORD);
            let Some(word) = copies.word(address / PAGE as u64, first) else {
                return false;
            };
            let some = into.len().min(WORD - within);
            let (now, later) = into.split_at_mut(some);
            now.copy_from_slice(&word.to_ne_bytes()[within..within + some]);
            into = later;
            let Some(next) = address.checked_add(some as u64) else {
                return into.is_empty();
            };
            address = next;
        }
        true
    }

    #[cfg(target_pointer_width = "64")]
    fn word(&self, address: u64) -> Option<u64> {
        let offset = (address % PAGE as u64) as usize;
        if !offset.is_multiple_of(WORD) {
            let mut bytes = [0; WORD];
            return self
                .read(address, &mut bytes)
                .then(|| u64::from_ne_bytes(bytes));
        }
        let mut copies = self.0.borrow_mut();
        let word = copies.word(address / PAGE as u64, offset / WORD)?;
        Some(word as u64)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_across_pages_and_kept_until_they_are_renewed() {
        let mut own: Vec<u8> = (0..3 * PAGE).map(|at| (at % 251) as u8).collect();
        let pages = OwnPages::new();
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
        pages.renew();
        assert!(pages.read(address, &mut byte) && byte == [77]);
        for nowhere in [8, u64::MAX - 3] {
            assert!(!pages.read(nowhere, &mut [0; 8]));
        }
    }

    #[test]
    fn more_pages_than_are_kept_are_read() {
        let own: Vec<usize> = (0..2 * MOST_PAGES * WORDS).collect();
        let pages = OwnPages::new();
        for at in (0..own.len()).step_by(WORDS / 2).chain([1, 5 * WORDS]) {
            let mut bytes = [0; 8];
            assert!(pages.read((&raw const own[at]) as u64, &mut bytes));
            assert_eq!(usize::from_ne_bytes(bytes), at);
        }
    }
}
