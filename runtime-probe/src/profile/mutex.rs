//! Who made others wait for a lock, as in Go's mutex profile: the waiters' time, where the lock was released.
//!
//! A lock that is held for a second with five waiters is one contention of five seconds, at the unlock; the block profile
//! has the same five seconds as five contentions, where the waiters wait. An unlock counts once, however many wait.

use super::contended::Contended;
use super::diagnosis::OFF;
use super::goroutine::missing;
use super::leaf_stacks::assemble;
use crate::record::contention::{Place, Sampled};
use crate::snapshot::waits;
use crate::source;
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use runtime_dump::contention::{Contention, ContentionProfile, Kind};
use runtime_dump::stack::Stack;

/// The name under which Go's tools ask for it.
pub(crate) const NAME: &str = "mutex";

/// How many places there are.
pub(crate) fn count() -> usize {
    waits::unlocked().len()
}

/// Adds up what there is.
pub(crate) fn collect() -> Contended {
    crate::stack::unwind::refresh();
    let mut resolver = resolver();
    let waited = waits::unlocked();
    let stacks: Vec<Stack> = waited
        .iter()
        .map(|waited| stack(&waited.place, &mut resolver))
        .collect();
    let events = waited
        .iter()
        .zip(&stacks)
        .map(|(waited, stack)| Contention {
            stack,
            reason: "",
            count: waited.count,
            delay_ns: waited.delay_ns,
        });
    let events = ContentionProfile::new(Kind::Mutex, events);
    let remarks = remarks(&events);
    Contended::new(events, remarks, &resolver)
}

fn stack(place: &Place, resolver: &mut Resolver) -> Stack {
    match place.waits {
        Some(waits) => assemble(waits, None, Names::Short, resolver).stack,
        None => missing("more places than are kept apart"),
    }
}

/// What the reader should know, first of all why there is nothing.
fn remarks(events: &ContentionProfile) -> Vec<String> {
    let mut remarks = vec![match Sampled::Mutex.rate() {
        _ if !source::is_on() => OFF.to_owned(),
        0 => "mutex profiling is off, so unlocks are not counted: RUNTIME_PROBE_MUTEX_FRACTION=1, \
              pprof::set_mutex_profile_fraction(1), or mutex?seconds=10&fraction=1 for ten seconds"
            .to_owned(),
        fraction => format!("fraction: a sample for each {fraction} contended unlocks"),
    }];
    if events.is_empty() && Sampled::Mutex.rate() != 0 {
        remarks.push(
            "nobody has waited for a lock yet; seen are sync::Mutex and sync::RwLock of crates that depend on \
             runtime-probe under the name tokio, and those of sync::blocking, not std's own and not those of dependencies"
                .to_owned(),
        );
    }
    remarks
}
