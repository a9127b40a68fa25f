//! What is wrong with a whole runtime, so that a reader of any page must know it before he looks at single tasks.

use super::selection::grouped;
use crate::registry::runtimes::RuntimeNumber;
use crate::snapshot::pools::{self, Pool};
use crate::snapshot::tasks::Tasks;

/// As of now, a sentence each; none, for a process that is well.
pub(crate) fn now() -> Vec<String> {
    of_pools(&pools::now())
}

/// The same of a snapshot.
pub(super) fn of(tasks: &Tasks) -> Vec<String> {
    of_pools(&pools::of(tasks))
}

/// Of the blocking pool of a runtime, if that is still full.
pub(crate) fn of_pool(runtime: RuntimeNumber) -> Option<String> {
    let mut pools = pools::now().into_iter();
    let pool = pools.find(|pool| pool.runtime.number == runtime && pool.is_full())?;
    Some(full_pool(&pool))
}

fn of_pools(pools: &[Pool]) -> Vec<String> {
    let full = pools.iter().filter(|pool| pool.is_full());
    full.map(full_pool).collect()
}

/// The most spawn locations that are named.
const MOST_SITES: usize = 5;

fn full_pool(pool: &Pool) -> String {
    let of = match pool.runtime.blocking_threads {
        Some(limit) => format!("{} of {}", grouped(pool.threads), grouped(limit as u64)),
        None => format!("all {}", grouped(pool.threads)),
    };
    let mut sites: Vec<String> = pool
        .sites
        .iter()
        .take(MOST_SITES)
        .map(|(location, count)| match location {
            Some(at) => format!("{} spawned at {at}", grouped(*count)),
            None => format!(
                "{} of tokio's own, for files, names and standard streams",
                grouped(*count)
            ),
        })
        .collect();
    let more = pool.sites.len() - sites.len();
    if more > 0 {
        sites.push(format!("those of {more} more places"));
    }
    format!(
        "blocking pool of runtime {}: {of} threads busy, {} queued, the first for {:.1?}: {}",
        pool.runtime.name,
        grouped(pool.queued),
        pool.oldest,
        sites.join(", ")
    )
}
