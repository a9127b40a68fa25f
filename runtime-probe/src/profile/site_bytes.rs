//! The bytes that the tasks of a spawn location have allocated, and those still in use: sums of heap samples.
//!
//! An allocation belongs to the task in whose poll it was made, and so does its free. Samples without a stack (the
//! tables were full) have no task, and are in no row.

use super::heap::{estimated, unavailable};
use crate::registry::task::Kind;
use crate::snapshot::heap::{SplitBy, take};
use crate::snapshot::sites::SiteRow;
use std::collections::HashMap;
use std::panic::Location;

/// Estimated bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// Since the start.
    pub(crate) allocated: u64,
    /// In use now.
    pub(crate) in_use: u64,
}

/// By spawn location and type of the future.
#[derive(Clone, Debug)]
pub(crate) struct SiteBytes(HashMap<(Location<'static>, Option<&'static str>), Bytes>);

impl SiteBytes {
    /// The bytes as of now.
    ///
    /// # Errors
    /// The reason why there are none, with the remedy.
    pub(crate) fn collect() -> Result<Self, &'static str> {
        if let Some(why) = unavailable() {
            return Err(why);
        }
        let mut sites: HashMap<_, Bytes> = HashMap::new();
        for samples in take(SplitBy::default()).samples {
            let Some(at) = samples.of.spawned_at else {
                continue;
            };
            let future = samples.of.root.map(|meta| meta.type_name());
            let bytes = sites.entry((*at, future)).or_default();
            let rate = samples.of.rate;
            bytes.allocated += estimated(samples.allocated, rate).bytes;
            bytes.in_use += estimated(samples.in_use, rate).bytes;
        }
        Ok(SiteBytes(sites))
    }

    /// Of each location, whatever the futures are.
    #[cfg(feature = "ui")]
    pub(crate) fn by_location(&self) -> HashMap<Location<'static>, Bytes> {
        let mut locations: HashMap<_, Bytes> = HashMap::new();
        for ((at, _), bytes) in &self.0 {
            let sum = locations.entry(*at).or_default();
            sum.allocated += bytes.allocated;
            sum.in_use += bytes.in_use;
        }
        locations
    }

    /// The bytes of a row; `None` for foreign tasks, which the stacks of samples do not show.
    pub(crate) fn of(&self, row: &SiteRow) -> Option<Bytes> {
        let at = row.location?;
        if matches!(row.kind, None | Some(Kind::Foreign)) {
            return None;
        }
        Some(self.0.get(&(at, row.future)).copied().unwrap_or_default())
    }
}
