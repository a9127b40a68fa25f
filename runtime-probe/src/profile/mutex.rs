//! The mutex profile, as Go's: the time of the waiters, at the stack that released the lock.
//!
//! A lock that is held for a second with five waiters is one contention of five seconds, at the unlock. The block
//! profile has the same five seconds as five contentions, at the stacks of the waiters.
//!
//! A lock that is never released has no contention, although it is the worst case. So a remark counts the tasks that
//! wait now. With `ongoing` these waits are in the profile, at the stacks of the waiters, each with its reason as a
//! label, which unlocks do not have.

use super::condensed::Crates;
use super::conditions::{self, Condition};
use super::contended::Contended;
use super::diagnosis::OFF;
use super::goroutine::missing;
use super::leaf_stacks::assemble;
use super::named::NamedProfile;
use super::ongoing::{Key, Look, Ongoing, Wait, key, labels_of};
use crate::demand::Demand;
use crate::snapshot::remaining::Remaining;
use crate::snapshot::waits::{self, Pending};
use crate::source;
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use crate::tally::waits::WaitSite;
use runtime_dump::profile::contention::{Contention, ContentionProfile, Kind};
use runtime_dump::stack::Stack;
use std::collections::HashMap;
use std::time::Duration;

/// The name, as in Go.
pub(crate) const NAME: &str = "mutex";

/// The entry in the list of profiles.
pub(crate) const PROFILE: NamedProfile = NamedProfile {
    name: NAME,
    most_debug: 1,
    count,
    write: |out, debug| collect(false, &Crates::default()).write(out, debug),
};

/// The number of stacks that released contended locks.
pub(crate) fn count() -> usize {
    waits::unlocked().len()
}

/// Collects the profile; with `ongoing` also the waits that have not ended.
pub(crate) fn collect(ongoing: bool, crates: &Crates) -> Contended {
    crate::stack::unwind::refresh();
    let look = ongoing.then(Look::take);
    let conditions = conditions::now();
    let mut resolver = resolver();
    let waited = waits::unlocked();
    let stacks: Vec<Stack> = waited
        .iter()
        .map(|waited| {
            let mut stack = stack(&waited.site, &mut resolver);
            crates.condense(&mut stack);
            stack
        })
        .collect();
    let labels = labels_of(&waited);
    let unlocks = waited
        .iter()
        .zip(&stacks)
        .map(|(waited, stack)| Contention {
            stack,
            reason: "",
            labels: &labels[&waited.site.labels],
            count: waited.count,
            delay_ns: waited.delay_ns,
        });
    let pending = Waiting::now(&mut resolver);
    let ongoing = look.map(|look| Ongoing::of(&look, crates, &mut resolver));
    let mut places: HashMap<Key, Wait> = HashMap::new();
    let tasks = ongoing.iter().flat_map(|ongoing| &ongoing.tasks);
    for waited in tasks.clone() {
        places
            .entry(key(waited))
            .or_insert_with(|| Wait::at(waited, crates, &mut resolver));
    }
    let ongoing_labels = labels_of(tasks.clone());
    let tasks = tasks.filter_map(|waited| {
        let wait = places.get(&key(waited))?;
        wait.is_for_a_lock().then_some(Contention {
            stack: &wait.stack,
            reason: &wait.reason,
            labels: &ongoing_labels[&waited.site.labels],
            count: waited.count,
            delay_ns: waited.delay_ns,
        })
    });
    let threads = ongoing.iter().flat_map(|ongoing| &ongoing.threads);
    let threads = threads.filter(|thread| thread.wait.is_for_a_lock());
    let threads = threads.map(|thread| thread.contention());
    let events = ContentionProfile::new(Kind::Mutex, unlocks.chain(tasks).chain(threads));
    let mut remarks: Vec<String> = conditions.iter().map(Condition::text).collect();
    remarks.extend(self::remarks(waited.is_empty(), &pending));
    match &ongoing {
        Some(ongoing) => {
            remarks.push(
                "ongoing: waits with a reason go on, and stand where they wait; those without stand at the unlock that ended them"
                    .to_owned(),
            );
            remarks.extend(ongoing.remark(Wait::is_for_a_lock));
        }
        None => remarks.extend(pending.remark()),
    }
    Contended::new(events, remarks, &resolver)
}

fn stack(site: &WaitSite, resolver: &mut Resolver) -> Stack {
    match site.waits {
        Some(waits) => assemble(waits, Remaining::All, None, Names::Short, resolver).stack,
        None => missing("more places than are kept apart"),
    }
}

/// The tasks that wait for a lock now.
struct Waiting {
    tasks: u64,
    longest: Duration,
    total: Duration,
}

impl Waiting {
    fn now(resolver: &mut Resolver) -> Self {
        let is_for_a_lock = |pending: &Pending| {
            let found = assemble(
                pending.waits,
                pending.remaining,
                None,
                Names::Short,
                resolver,
            );
            found.leaves.into_iter().any(|reason| reason.is_lock())
        };
        let pending: Vec<Pending> = waits::pending().into_iter().filter(is_for_a_lock).collect();
        Waiting {
            tasks: pending.iter().map(|one| one.count).sum(),
            longest: pending
                .iter()
                .map(|one| one.longest)
                .max()
                .unwrap_or_default(),
            total: pending.iter().map(|one| one.total).sum(),
        }
    }

    fn remark(&self) -> Option<String> {
        let Waiting {
            tasks,
            longest,
            total,
        } = self;
        (*tasks > 0).then(|| {
            format!(
                "{tasks} tasks wait for a lock now, the longest for {longest:.1?}, all together for {total:.1?}: they count when \
                 the lock is released; ongoing=1 shows where they wait"
            )
        })
    }
}

/// Remarks for the reader, such as why the profile is empty.
fn remarks(is_empty: bool, pending: &Waiting) -> Vec<String> {
    let mut remarks = vec![match Demand::Releases.rate() {
        _ if !source::is_on() => OFF.to_owned(),
        0 => "mutex profiling is off, so unlocks are not counted: RUNTIME_PROBE_MUTEX_FRACTION=1, \
              pprof::set_mutex_profile_fraction(1), or mutex?seconds=10&fraction=1 for ten seconds"
            .to_owned(),
        fraction => format!("fraction: a sample for each {fraction} contended unlocks"),
    }];
    if is_empty && pending.tasks == 0 && Demand::Releases.rate() != 0 {
        remarks.push(
            "no wait for a lock has ended yet, and no task waits for one; seen are sync::Mutex and sync::RwLock of crates that \
             depend on runtime-probe under the name tokio, and those of sync::blocking, not std's own and not those of dependencies"
                .to_owned(),
        );
    }
    remarks
}
