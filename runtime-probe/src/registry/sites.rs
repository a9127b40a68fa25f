//! Spawn sites with the type of the future, each as one pointer, for the entries of execution traces.

use super::task::Spawn;
use crate::stack::intern::{Intern, mix};
use crate::stack::raw::FutureMeta;

/// The most sites: 48 B each, so 3 MB. A program has as many as it has calls of spawn.
const MOST: usize = 1 << 16;

static SITES: Intern<Site, { 1 << 10 }> = Intern::new(MOST);

/// A spawn site and the type of the future.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) spawn: Option<Spawn>,
    pub(crate) meta: Option<&'static FutureMeta>,
}

impl Site {
    /// The one site equal to this; `None` when the table is full. The parent is left out.
    pub(crate) fn intern(
        spawn: Option<Spawn>,
        meta: Option<&'static FutureMeta>,
    ) -> Option<&'static Site> {
        let spawn = spawn.map(|spawn| Spawn { parent: 0, ..spawn });
        let site = Site { spawn, meta };
        let addresses = site.addresses();
        let hash = addresses
            .iter()
            .fold(0, |hash, word| mix(hash, *word as u64));
        SITES.intern(hash, |other| other.addresses() == addresses, || site)
    }

    fn addresses(&self) -> [usize; 3] {
        let location = self.spawn.map(|spawn| spawn.location);
        [
            location.map_or(0, |location| std::ptr::from_ref(location).addr()),
            self.spawn.map_or(0, |spawn| spawn.pc),
            self.meta.map_or(0, |meta| std::ptr::from_ref(meta).addr()),
        ]
    }
}
