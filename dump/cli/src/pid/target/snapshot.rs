//! Copies of a process's pages. Each page is copied once.
//!
//! While the process is stopped, a missing page is fetched at its first read. Pages that are known in advance are
//! fetched in a few calls: fetching 14,000 pages one by one took 3 to 7 s, in calls of 1024 ranges 0.05 s.

use super::sys::{self, MOST_RANGES};
use crate::pid::refusal::Refusal;
use memmap2::{Advice, MmapMut, MmapOptions};
use runtime_dump_decode::Memory;
use runtime_dump_decode::numbers::NumberMap;
use std::cell::RefCell;

const PAGE: usize = 4096;

/// The most pages: 1 GiB, more than a process of a million tasks needs.
const MOST_PAGES: usize = 1 << 18;

/// The most pages of one call.
const MOST_AT_ONCE: usize = 1 << 14;

/// Copies of pages.
#[derive(Debug)]
pub(crate) struct Snapshot(RefCell<Pages>);

#[derive(Debug)]
struct Pages {
    /// A thread of the process.
    thread: u32,
    /// Whether missing pages are still fetched.
    is_open: bool,
    /// The index of each page's copy, by page number. `None` if the page is not mapped.
    places: NumberMap<u64, Option<u32>>,
    /// The memory for copies, of which `used` pages are taken. The rest takes no physical memory.
    room: MmapMut,
    used: usize,
    last: Option<(u64, u32)>,
}

impl Snapshot {
    /// Creates an empty snapshot of the process with this thread.
    pub(crate) fn new(thread: u32) -> Result<Self, Refusal> {
        let mut room = MmapOptions::new();
        let room = room.len(MOST_PAGES * PAGE).no_reserve_swap().map_anon();
        let room = room.map_err(|error| Refusal::NoRoom(error.to_string()))?;
        // The pages of 100,000 tasks are spread over so much memory that the lookup of addresses in it takes as long as
        // the reads. A system without large pages refuses this advice, and the dump is slower.
        let _ = room.advise(Advice::HugePage);
        Ok(Self(RefCell::new(Pages {
            thread,
            is_open: true,
            places: NumberMap::default(),
            room,
            used: 0,
            last: None,
        })))
    }

    /// Fetches the pages of these addresses, which MUST ascend. Otherwise a page is fetched twice.
    pub(crate) fn fetch(&self, addresses: &[u64]) {
        let mut numbers: Vec<u64> = addresses
            .iter()
            .map(|address| address / PAGE as u64)
            .collect();
        numbers.dedup();
        let pages = &mut *self.0.borrow_mut();
        numbers.retain(|number| !pages.places.contains_key(number));
        pages.fetch(&numbers);
    }

    /// Touches memory for some more pages, so that later copies need no new memory from the kernel. Returns the numbers
    /// of the present pages.
    pub(crate) fn prepare(&self) -> Vec<u64> {
        let inner = &mut *self.0.borrow_mut();
        let here = inner.places.iter();
        let mut numbers: Vec<u64> = here
            .filter_map(|(number, place)| place.map(|_| *number))
            .collect();
        numbers.sort_unstable();
        let more = numbers.len() / 8 + 64;
        let more = (inner.used..MOST_PAGES).take(more);
        inner.places.reserve(more.len());
        for page in more {
            inner.room[page * PAGE] = 1;
        }
        numbers
    }

    /// Replaces all copies by copies of these pages, whose numbers ascend.
    pub(crate) fn renew(&self, numbers: &[u64]) {
        let inner = &mut *self.0.borrow_mut();
        inner.places.clear();
        inner.used = 0;
        inner.last = None;
        inner.fetch(numbers);
    }

    /// Ends fetching before the process runs again. Reads of missing pages fail from now on.
    pub(crate) fn close(&self) {
        self.0.borrow_mut().is_open = false;
    }
}

impl Pages {
    /// Fetches missing pages.
    fn fetch(&mut self, numbers: &[u64]) {
        let room = MOST_PAGES.saturating_sub(self.used);
        let mut rest = &numbers[..numbers.len().min(room)];
        let mut ranges: Vec<(u64, usize)> = Vec::new();
        while !rest.is_empty() {
            ranges.clear();
            let mut some = 0;
            for number in rest.iter().take(MOST_AT_ONCE) {
                let start = number.wrapping_mul(PAGE as u64);
                let is_full = ranges.len() == MOST_RANGES;
                match ranges.last_mut() {
                    Some((first, length)) if first.checked_add(*length as u64) == Some(start) => {
                        *length += PAGE;
                    }
                    _ if is_full => break,
                    _ => ranges.push((start, PAGE)),
                }
                some += 1;
            }
            let into = self.used * PAGE..(self.used + some) * PAGE;
            let copied = sys::read_ranges(self.thread, &ranges, &mut self.room[into]) / PAGE;
            for (index, number) in rest[..copied].iter().enumerate() {
                let place = u32::try_from(self.used + index).ok();
                self.places.insert(*number, place);
            }
            self.used += copied;
            // A call stops at an unmapped page. The pages after it are fetched by the next call.
            if copied < some {
                self.places.insert(rest[copied], None);
            }
            rest = &rest[(copied + 1).min(some)..];
        }
    }

    fn place(&mut self, number: u64) -> Option<u32> {
        if let Some((last, place)) = self.last
            && last == number
        {
            return Some(place);
        }
        let place = match self.places.get(&number) {
            Some(place) => (*place)?,
            None if !self.is_open => return None,
            None => {
                self.fetch(&[number]);
                self.places.get(&number).copied()??
            }
        };
        self.last = Some((number, place));
        Some(place)
    }
}

impl Memory for Snapshot {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let pages = &mut *self.0.borrow_mut();
        let (mut address, mut into) = (address, into);
        while !into.is_empty() {
            let Some(place) = pages.place(address / PAGE as u64) else {
                return false;
            };
            let offset = (address % PAGE as u64) as usize;
            let some = into.len().min(PAGE - offset);
            let from = place as usize * PAGE + offset;
            let Some(bytes) = pages.room.get(from..from + some) else {
                return false;
            };
            into[..some].copy_from_slice(bytes);
            into = &mut into[some..];
            let Some(next) = address.checked_add(some as u64) else {
                return into.is_empty();
            };
            address = next;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_behind_one_that_is_not_mapped_are_copied() {
        let own: Vec<u8> = (0..8 * PAGE).map(|at| (at / PAGE) as u8).collect();
        let first = (own.as_ptr() as u64).div_ceil(PAGE as u64);
        let numbers = [1, first, first + 1, first + 3, first + 4];
        let snapshot = Snapshot::new(std::process::id()).unwrap();
        let mut byte = [0];
        assert!(snapshot.read((first + 5) * PAGE as u64, &mut byte));
        assert_eq!(snapshot.prepare(), [first + 5]);
        snapshot.renew(&numbers);
        snapshot.close();
        assert_eq!(snapshot.prepare(), numbers[1..]);
        assert!(!snapshot.read((first + 5) * PAGE as u64, &mut byte));
        let read = |number: u64, offset: u64| {
            let mut bytes = [0; 16];
            snapshot
                .read(number * PAGE as u64 + offset, &mut bytes)
                .then_some(bytes)
        };
        let at = |address: u64| own[(address - own.as_ptr() as u64) as usize];
        for number in &numbers[1..] {
            let bytes = read(*number, 0).unwrap();
            assert_eq!(bytes[0], at(number * PAGE as u64));
        }
        // The reads cross from one present page to another, and from a present page to a missing one.
        let bytes = read(first, PAGE as u64 - 8).unwrap();
        assert_eq!(bytes[15], at((first + 1) * PAGE as u64));
        assert_eq!(read(first + 1, PAGE as u64 - 8), None);
        assert_eq!(read(1, 0), None);
    }
}
