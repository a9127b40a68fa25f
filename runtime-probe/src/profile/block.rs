//! Where tasks waited for each other, as Go's block profile shows where goroutines did.

use super::contended::Contended;
use super::diagnosis::OFF;
use super::goroutine::missing;
use super::leaf_stacks::{assemble, synthetic};
use crate::record::contention::{How, Place, Sampled};
use crate::registry::record::Kind;
use crate::snapshot::tasks::{self, Tasks};
use crate::snapshot::waits::{self, Waited};
use crate::source;
use crate::symbol::name::Names;
use crate::symbol::resolver::{Resolver, resolver};
use crate::symbol::role::{Reason, Sort, sort_of};
use runtime_dump::contention::{self, Contention, ContentionProfile};
use runtime_dump::stack::{Frame, Location, Stack};
use std::collections::HashMap;
use std::sync::Arc;

/// The name under which Go's tools ask for it.
pub(crate) const NAME: &str = "block";

/// Which waits count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Included {
    /// Sleeping, which Go leaves out.
    pub(crate) sleep: bool,
    /// The network, files, processes and signals, which Go leaves out.
    pub(crate) io: bool,
    /// Waits that have not ended, each as long as it has been so far.
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

/// How many places there are, with everything that a profile leaves out.
pub(crate) fn count() -> usize {
    waits::blocked().len()
}

/// Adds up what there is.
pub(crate) fn collect(included: Included) -> Contended {
    crate::stack::unwind::refresh();
    let mut waits = waits::blocked();
    if included.ongoing {
        waits.extend(ongoing());
    }
    let mut resolver = resolver();
    // Events share places, and a place takes a while.
    let mut places: HashMap<[usize; 4], Wait> = HashMap::new();
    for waited in &waits {
        places
            .entry(waited.place.addresses())
            .or_insert_with(|| Wait::at(&waited.place, &mut resolver));
    }
    let events = waits.iter().filter_map(|waited| {
        let wait = places.get(&waited.place.addresses())?;
        wait.sorts
            .iter()
            .any(|sort| included.has(*sort))
            .then_some(Contention {
                stack: &wait.stack,
                reason: &wait.reason,
                count: waited.count,
                delay_ns: waited.delay_ns,
            })
    });
    let waits = ContentionProfile::new(contention::Kind::Block, events);
    let remarks = remarks(&waits, included);
    Contended::new(waits, remarks, &resolver)
}

/// What the reader should know, first of all why there is nothing.
fn remarks(waits: &ContentionProfile, included: Included) -> Vec<String> {
    let mut remarks = Vec::new();
    match Sampled::Block.rate() {
        _ if !source::is_on() => remarks.push(OFF.to_owned()),
        0 => remarks.push(
            "block profiling is off, so waits are not counted: RUNTIME_PROBE_BLOCK_RATE=10000, \
             pprof::set_block_profile_rate(10_000), or block?seconds=10&rate=10000 for ten seconds"
                .to_owned(),
        ),
        ns => remarks.push(format!("rate: a sample for each {ns} ns of waiting")),
    }
    if waits.is_empty() && Sampled::Block.rate() != 0 {
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

/// The waits that have not ended: what a task that waits for ever waits for never shows otherwise.
fn ongoing() -> Vec<Waited> {
    let tasks = Tasks::take();
    let waiting = |row: &&tasks::Row| {
        let place = &tasks.places[row.place as usize];
        place.state == tasks::State::Waiting
    };
    let rows = tasks.rows.iter().filter(waiting);
    rows.map(|row| {
        let place = &tasks.places[row.place as usize];
        let site = tasks.sites.get(row.site as usize);
        let unknown = place.waits.is_none() || place.kind == Kind::Foreign;
        Waited {
            place: Place {
                waits: place.waits,
                around: place.around,
                spawned_at: site.filter(|_| unknown).map(|site| site.location),
                how: How::Suspended,
            },
            count: 1.0,
            delay_ns: row.since_ns as f64,
        }
    })
    .collect()
}

/// The reason of a wait whose names tell nothing.
const UNKNOWN: &str = "unknown";

/// What is known of a place.
struct Wait {
    stack: Stack,
    reason: String,
    /// Of each branch.
    sorts: Vec<Sort>,
}

impl Wait {
    fn at(place: &Place, resolver: &mut Resolver) -> Self {
        let unknown = |stack| Wait {
            stack,
            reason: UNKNOWN.to_owned(),
            sorts: vec![Sort::Unknown],
        };
        match (place.waits, place.spawned_at) {
            (Some(waits), _) => {
                let found = assemble(waits, place.around, Names::Short, resolver);
                let reason = match found.reason {
                    Reason::Unknown => UNKNOWN,
                    known => known.text(),
                };
                Wait {
                    stack: found.stack,
                    reason: match place.how {
                        How::Worker => format!("{reason}, blocks a worker"),
                        How::Suspended | How::Thread => reason.to_owned(),
                    },
                    sorts: found.leaves.into_iter().map(sort_of).collect(),
                }
            }
            (None, Some(location)) => {
                let text = format!("task spawned at {}:{}", location.file(), location.line());
                let frame = Frame {
                    function: resolver.text(text),
                    file: resolver.text(location.file().to_owned()),
                    line: location.line(),
                };
                let location = Location {
                    return_address: synthetic(&frame, 0),
                    function_offset: None,
                    frames: vec![frame],
                    hidden: false,
                };
                unknown(Stack {
                    trunk: vec![Arc::new(location)],
                    ..Stack::default()
                })
            }
            (None, None) => unknown(missing("more places than are kept apart")),
        }
    }
}
