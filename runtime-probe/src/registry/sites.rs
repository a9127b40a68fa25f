//! Spawn sites, each as one pointer: source line, code, kind and future of the tasks that are spawned there. A record has a pointer
//! to its site, and the site has one to the sums of its ended tasks, so that the end of a task looks nothing up.
//!
//! A spawn finds its site in a table by its address ([`RECENT`]), whose entries are written once. Rejected: an entry for each call in
//! its own code, by inline assembly: about 9 instructions less by its code (it was not built), but only where the assembler knows ELF sections.

use super::task::{Kind, Spawn};
use crate::primitive::{AtomicPtr, Ordering};
use crate::stack::intern::{Intern, mix};
use crate::stack::raw::FutureMeta;
use crate::tally::task_times::{Entry, SpawnSite, TASKS};
use std::panic::Location;

/// The most sites: 64 B each, so 4 MB. A program has as many as it has calls of spawn. Tasks of further sites have none.
const MOST: usize = 1 << 16;

static SITES: Intern<Site, { 1 << 10 }> = Intern::new(MOST);

/// How many spawns are found without a hash.
const PLACES: usize = 1024;

/// Sites by the address of the spawn. Entries are written once, so threads that spawn at sites of one place do not write in turn.
static RECENT: [AtomicPtr<Site>; PLACES] =
    [const { AtomicPtr::new(std::ptr::from_ref(Site::NOWHERE).cast_mut()) }; PLACES];

static NOWHERE: Site = Site {
    kind: Kind::Task,
    location: None,
    pc: 0,
    meta: None,
    ends: AtomicPtr::new(std::ptr::null_mut()),
};

/// A spawn site with the kind and the type of the future.
#[derive(Debug)]
#[repr(align(8))]
pub(crate) struct Site {
    pub(crate) kind: Kind,
    pub(crate) location: Option<&'static Location<'static>>,
    /// An address inside the spawning function; 0 if unknown.
    pub(crate) pc: usize,
    pub(crate) meta: Option<&'static FutureMeta>,
    /// The sums of its ended tasks. Null before the first end.
    ends: AtomicPtr<Entry>,
}

impl Site {
    /// Of tasks whose spawn is not known, and of those that found the table full.
    pub(crate) const NOWHERE: &'static Site = &NOWHERE;

    /// Whether tasks of further sites have none.
    pub(crate) fn are_full() -> bool {
        SITES.is_full()
    }

    /// The one site equal to this; [`Site::NOWHERE`] when the table is full.
    #[inline(always)]
    pub(crate) fn of(
        kind: Kind,
        spawn: Option<Spawn>,
        meta: Option<&'static FutureMeta>,
    ) -> &'static Site {
        let (location, pc) = spawn.map_or((None, 0), |spawn| (Some(spawn.location), spawn.pc));
        // Acquire: pairs with the Release in `keep`.
        let recent = place(pc, 0).load(Ordering::Acquire);
        match is(recent, kind, location, pc, meta) {
            Some(site) => site,
            None => Site::find(kind, location, pc, meta),
        }
    }

    #[cold]
    #[inline(never)]
    fn find(
        kind: Kind,
        location: Option<&'static Location<'static>>,
        pc: usize,
        meta: Option<&'static FutureMeta>,
    ) -> &'static Site {
        if location.is_none() && pc == 0 && meta.is_none() {
            return Site::NOWHERE;
        }
        // Acquire: as in `of`.
        let second = place(pc, 1).load(Ordering::Acquire);
        if let Some(site) = is(second, kind, location, pc, meta) {
            return site;
        }
        let site = Site {
            kind,
            location,
            pc,
            meta,
            ends: AtomicPtr::new(std::ptr::null_mut()),
        };
        let key = site.key();
        let hash = key.iter().fold(0, |hash, word| mix(hash, *word as u64));
        match SITES.intern(hash, |other| other.key() == key, || site) {
            Some(site) => {
                site.keep();
                site
            }
            None => Site::NOWHERE,
        }
    }

    /// Enters the site in [`RECENT`], if there is room.
    fn keep(&'static self) {
        let own = std::ptr::from_ref(self).cast_mut();
        for choice in 0..2 {
            // Release: a spawn that finds it sees its fields.
            let kept = place(self.pc, choice).compare_exchange(
                std::ptr::from_ref(Site::NOWHERE).cast_mut(),
                own,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if kept.is_ok() || kept.is_err_and(|other| std::ptr::eq(other, own)) {
                return;
            }
        }
    }

    fn key(&self) -> [usize; 4] {
        [
            self.kind as usize,
            address(self.location),
            self.pc,
            address(self.meta),
        ]
    }

    /// The sums of its ended tasks, if a task has ended.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(crate) fn ends(&self) -> Option<&'static Entry> {
        // Acquire: pairs with the Release in `learn_ends`. SAFETY: null or an entry of the table, which lives for ever.
        unsafe { self.ends.load(Ordering::Acquire).as_ref() }
    }

    /// Makes [`Site::ends`] known. Tasks of all kinds may be of nowhere.
    pub(crate) fn learn_ends(&self) {
        if std::ptr::eq(self, Site::NOWHERE) || self.ends().is_some() {
            return;
        }
        let ends = std::ptr::from_ref(TASKS.entry(self.tallied()));
        self.ends.store(ends.cast_mut(), Ordering::Release);
    }

    /// The site, as sums have it.
    fn tallied(&self) -> SpawnSite {
        self.tallied_as(self.kind as u8)
    }

    /// The same for a task of that kind.
    pub(crate) fn tallied_as(&self, kind: u8) -> SpawnSite {
        SpawnSite {
            location: self.location,
            kind,
            future: self.meta,
        }
    }
}

/// One of the places for spawns at this address.
#[inline(always)]
fn place(pc: usize, choice: usize) -> &'static AtomicPtr<Site> {
    // The code of a spawn is longer than 16 bytes.
    &RECENT[(pc >> 4 ^ choice) % PLACES]
}

/// The site at `recent`, if it is that one.
#[inline(always)]
#[expect(unsafe_code, reason = "reads a pointer to an interned site")]
fn is(
    recent: *const Site,
    kind: Kind,
    location: Option<&'static Location<'static>>,
    pc: usize,
    meta: Option<&'static FutureMeta>,
) -> Option<&'static Site> {
    // SAFETY: [`NOWHERE`], or an interned site, which lives for ever.
    let site: &'static Site = unsafe { &*recent };
    let is_same = site.pc == pc
        && address(site.location) == address(location)
        && address(site.meta) == address(meta)
        && site.kind == kind;
    is_same.then_some(site)
}

#[inline(always)]
fn address<T>(of: Option<&'static T>) -> usize {
    of.map_or(0, |of| std::ptr::from_ref(of).addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::raw::HasMeta;
    use std::collections::HashMap;

    fn spawn(pc: usize) -> Spawn {
        Spawn {
            location: Location::caller(),
            pc,
            parent: 7,
        }
    }

    #[test]
    fn equal_sites_are_one_site_and_others_are_not() {
        let metas = [
            None,
            Some(<u8 as HasMeta>::META),
            Some(<u16 as HasMeta>::META),
        ];
        let mut sites = HashMap::new();
        for round in 0..2 {
            // More sites than a place has room for, and some that share places.
            for pc in (0..4 * 16 * PLACES).step_by(16 * PLACES / 2) {
                for meta in metas {
                    for kind in [Kind::Task, Kind::Local] {
                        let site = Site::of(kind, Some(spawn(pc)), meta);
                        assert_eq!((site.kind, site.pc), (kind, pc));
                        assert_eq!(address(site.meta), address(meta));
                        let of = (kind, pc, address(meta));
                        let first = *sites.entry(of).or_insert(std::ptr::from_ref(site));
                        assert!(std::ptr::eq(first, site), "{of:?} in round {round}");
                    }
                }
            }
        }
        assert_eq!(
            sites
                .values()
                .collect::<std::collections::HashSet<_>>()
                .len(),
            sites.len()
        );
        let nowhere = Site::of(Kind::Local, None, None);
        assert!(std::ptr::eq(nowhere, Site::NOWHERE));
    }
}
