//! Pages of a process, each copied once.
//!
//! While the process stands still, a page that is not there yet is fetched when it is first read. Many pages that are known
//! in advance are fetched in few calls: 14,000 pages one by one took 3 to 7 s, in calls of 1024 pages 0.2 s.

use super::sys::{self, MOST_RANGES};
use crate::pid::decode::Memory;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

const PAGE: usize = 4096;

/// The most that is copied: 1 GiB. More than a process of a million tasks has in them.
const MOST_PAGES: usize = 1 << 18;

/// Copies of pages.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pid: u32,
    pages: RefCell<Pages>,
    /// Whether pages that are not here are still fetched.
    is_open: Cell<bool>,
}

#[derive(Debug, Default)]
struct Pages {
    /// By number; `None`: it is not mapped.
    places: HashMap<u64, Option<u32>>,
    bytes: Vec<u8>,
    last: Option<(u64, u32)>,
}

impl Snapshot {
    /// Of nothing yet.
    pub(crate) fn new(pid: u32) -> Self {
        Self {
            pid,
            pages: RefCell::default(),
            is_open: Cell::new(true),
        }
    }

    /// The numbers of the pages that are here.
    pub(crate) fn pages(&self) -> Vec<u64> {
        let pages = self.pages.borrow();
        let mut numbers: Vec<u64> = pages
            .places
            .iter()
            .filter_map(|(number, place)| place.map(|_| *number))
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// Makes room, so that the copies below touch no memory of ours for the first time.
    pub(crate) fn prepare(&self, pages: usize) {
        let mut inner = self.pages.borrow_mut();
        let bytes = pages.min(MOST_PAGES) * PAGE;
        inner.bytes.resize(bytes, 1);
        inner.bytes.clear();
        inner.places.reserve(pages);
    }

    /// Fetches pages by their numbers.
    pub(crate) fn fetch(&self, numbers: &[u64]) {
        let inner = &mut *self.pages.borrow_mut();
        let room = MOST_PAGES.saturating_sub(inner.bytes.len() / PAGE);
        let mut rest = &numbers[..numbers.len().min(room)];
        while !rest.is_empty() {
            let some = &rest[..rest.len().min(MOST_RANGES)];
            let starts: Vec<u64> = some.iter().map(|number| number * PAGE as u64).collect();
            let from = inner.bytes.len();
            inner.bytes.resize(from + some.len() * PAGE, 0);
            let copied = sys::read_ranges(self.pid, &starts, PAGE, &mut inner.bytes[from..]) / PAGE;
            inner.bytes.truncate(from + copied * PAGE);
            for (index, number) in some[..copied].iter().enumerate() {
                let place = u32::try_from(from / PAGE + index).ok();
                inner.places.insert(*number, place);
            }
            // What stands behind a page that is not mapped comes with the next call.
            if let Some(missing) = some.get(copied) {
                inner.places.insert(*missing, None);
            }
            rest = &rest[(copied + 1).min(some.len())..];
        }
    }

    /// The process may run again: what is not here is not there.
    pub(crate) fn close(&self) {
        self.is_open.set(false);
    }

    fn place(&self, number: u64) -> Option<u32> {
        if let Some((last, place)) = self.pages.borrow().last
            && last == number
        {
            return Some(place);
        }
        let known = self.pages.borrow().places.get(&number).copied();
        let place = match known {
            Some(place) => place?,
            None if !self.is_open.get() => return None,
            None => {
                self.fetch(&[number]);
                self.pages.borrow().places.get(&number).copied()??
            }
        };
        self.pages.borrow_mut().last = Some((number, place));
        Some(place)
    }
}

impl Memory for Snapshot {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let (mut address, mut into) = (address, into);
        while !into.is_empty() {
            let Some(place) = self.place(address / PAGE as u64) else {
                return false;
            };
            let offset = (address % PAGE as u64) as usize;
            let some = into.len().min(PAGE - offset);
            let from = place as usize * PAGE + offset;
            let pages = self.pages.borrow();
            let Some(bytes) = pages.bytes.get(from..from + some) else {
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
