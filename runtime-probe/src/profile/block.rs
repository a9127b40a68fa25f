//! The block profile, as Go's: the stacks at which tasks waited for each other.

use super::condensed::Crates;
use super::conditions::{self, Condition};
use super::contended::Contended;
use super::diagnosis::OFF;
#[cfg(feature = "decode")]
use super::given_permits::{GivenPermits, Permits};
use super::named::NamedProfile;
use super::ongoing::{Key, Look, Ongoing, Wait, key, labels_of};
#[cfg(not(feature = "decode"))]
use super::permit_waits::NO_DECODE;
use super::permit_waits::{LONG_FOR_PERMITS_NS, unknown_permits};
use crate::demand::Demand;
#[cfg(feature = "decode")]
use crate::snapshot::futurelocks::HANDED_OVER_NS;
#[cfg(feature = "decode")]
use crate::snapshot::locks::Locks;
use crate::snapshot::tasks::Tasks;
use crate::snapshot::waits;
use crate::source;
use crate::symbol::reason::Sort;
use crate::symbol::resolver as symbol;
use runtime_dump::profile::contention::{self, Contention, ContentionProfile};
use std::collections::HashMap;
#[cfg(feature = "decode")]
use std::collections::HashSet;

/// The name, as in Go.
pub(crate) const NAME: &str = "block";

/// Which waits are included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Included {
    /// Sleeping, which Go leaves out.
    pub(crate) sleep: bool,
    /// The network, files, processes and signals, which Go leaves out.
    pub(crate) io: bool,
    /// Waits that have not ended, each with its time so far.
    pub(crate) ongoing: bool,
}

impl Included {
    fn has(self, sort: Sort) -> bool {
        match sort {
            Sort::Contention | Sort::Unknown => true,
            Sort::Sleep => self.sleep,
            Sort::Io => self.io,
            Sort::None => false,
        }
    }
}

/// The entry in the list of profiles.
pub(crate) const PROFILE: NamedProfile = NamedProfile {
    name: NAME,
    most_debug: 1,
    count,
    write: |out, debug| collect(Included::default(), &Crates::default()).write(out, debug),
};

/// The number of wait sites, those that a profile leaves out included.
pub(crate) fn count() -> usize {
    waits::blocked().len()
}

/// Collects the profile.
pub(crate) fn collect(included: Included, crates: &Crates) -> Contended {
    crate::stack::unwind::refresh();
    let mut waits = waits::blocked();
    let look = included.ongoing.then(Look::take);
    let conditions = conditions::now();
    let mut resolver = symbol::resolver();
    let ongoing = look
        .as_ref()
        .map(|look| Ongoing::of(look, crates, &mut resolver));
    waits.extend(ongoing.iter().flat_map(|ongoing| &ongoing.tasks));
    // Several sites share a stack, and looking up a stack is slow.
    let mut places: HashMap<Key, Wait> = HashMap::new();
    for waited in &waits {
        places
            .entry(key(waited))
            .or_insert_with(|| Wait::at(waited, crates, &mut resolver));
    }
    let labels = labels_of(&waits);
    let has = |wait: &Wait| wait.sorts().any(|sort| included.has(sort));
    let events = waits.iter().filter_map(|waited| {
        let wait = places.get(&key(waited))?;
        has(wait).then_some(Contention {
            stack: &wait.stack,
            reason: &wait.reason,
            labels: &labels[&waited.site.labels],
            count: waited.count,
            delay_ns: waited.delay_ns,
        })
    });
    let threads = ongoing.iter().flat_map(|ongoing| &ongoing.threads);
    let threads = threads.filter(|thread| has(&thread.wait));
    let events = events.chain(threads.clone().map(|thread| thread.contention()));
    let waits = ContentionProfile::new(contention::Kind::Block, events);
    drop(resolver);
    let mut remarks: Vec<String> = conditions.iter().map(Condition::text).collect();
    if let (Some(look), Some(ongoing)) = (&look, &ongoing) {
        remarks.extend(of_permits(&look.tasks, |at_least_ns| {
            let waiting = ongoing.tasks.iter().filter(|waited| {
                let wait = places.get(&key(waited));
                waited.delay_ns >= at_least_ns as f64 && wait.is_some_and(Wait::is_for_permits)
            });
            waiting.count()
        }));
    }
    remarks.extend(self::remarks(&waits, included));
    remarks.extend(ongoing.as_ref().and_then(|ongoing| ongoing.remark(has)));
    Contended::new(waits, remarks, &symbol::resolver())
}

/// Who was given permits for which others wait and does not take them, or that it is not known. `waiting` tells how many tasks wait
/// for some for so many nanoseconds.
#[cfg(feature = "decode")]
fn of_permits(tasks: &Tasks, waiting: impl Fn(u64) -> usize) -> Vec<String> {
    if waiting(HANDED_OVER_NS) == 0 {
        return Vec::new();
    }
    let locks = Locks::take(&tasks.scale);
    let waiters = locks.0.iter().flat_map(|lock| &lock.waiters);
    let waiters: HashSet<u64> = waiters.map(|waiter| waiter.who.pack()).collect();
    let permits = Permits::take(tasks, |id| waiters.contains(&id));
    let given = permits.given.iter().map(GivenPermits::text);
    let unknown = permits
        .unknown
        .as_deref()
        .and_then(|why| unknown_permits(waiting(LONG_FOR_PERMITS_NS), why));
    given.chain(unknown).collect()
}

#[cfg(not(feature = "decode"))]
fn of_permits(_: &Tasks, waiting: impl Fn(u64) -> usize) -> Vec<String> {
    let unknown = unknown_permits(waiting(LONG_FOR_PERMITS_NS), NO_DECODE);
    unknown.into_iter().collect()
}

/// Remarks for the reader, such as why the profile is empty.
fn remarks(waits: &ContentionProfile, included: Included) -> Vec<String> {
    let mut remarks = Vec::new();
    match Demand::Waits.rate() {
        _ if !source::is_on() => remarks.push(OFF.to_owned()),
        0 => remarks.push(
            "block profiling is off, so waits are not counted: RUNTIME_PROBE_BLOCK_RATE=10000, \
             pprof::set_block_profile_rate(10_000), or block?seconds=10&rate=10000 for ten seconds"
                .to_owned(),
        ),
        ns => remarks.push(format!("rate: a sample for each {ns} ns of waiting")),
    }
    if waits.is_empty() && Demand::Waits.rate() != 0 {
        let left_out = match (included.sleep, included.io) {
            (false, false) => "; sleep and I/O are left out, include=sleep,io adds them",
            (true, false) => "; I/O is left out, include=io adds it",
            (false, true) => "; sleep is left out, include=sleep adds it",
            (true, true) => "",
        };
        remarks.push(format!("no wait has ended yet{left_out}"));
    }
    remarks
}
