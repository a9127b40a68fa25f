//! Findings of watchdogs, waits of the block and mutex profiles, and losses.

use super::{Family, Number, Unit};
use crate::demand::Demand;
use crate::primitive::Ordering;
use crate::snapshot::waits::{self, Waited};
use crate::source::cpu;
use crate::stack::{template, wait_set};
use crate::tally::findings;

pub(super) fn families() -> Vec<Family> {
    let mut found = Family::counter(
        "runtime_probe_watchdog_findings",
        "What watchdogs found, told or not; 0 where none runs",
    );
    for (kind, count) in findings::KINDS.iter().zip(findings::totals()) {
        found.add(&[("kind", kind)], Some(Number::Whole(count)));
    }
    let mut families = vec![found];
    families.extend(of_waits(
        Demand::Waits,
        &waits::blocked(),
        [
            (
                "runtime_probe_block_waits",
                "Waits of tasks in the block profile",
            ),
            (
                "runtime_probe_block_wait",
                "Time of waits in the block profile",
            ),
            (
                "runtime_probe_block_profile_on",
                "Whether waits are sampled now",
            ),
        ],
    ));
    families.extend(of_waits(
        Demand::Releases,
        &waits::unlocked(),
        [
            (
                "runtime_probe_mutex_contentions",
                "Contended releases in the mutex profile",
            ),
            (
                "runtime_probe_mutex_wait",
                "Time that tasks waited for locks in the mutex profile",
            ),
            (
                "runtime_probe_mutex_profile_on",
                "Whether contended releases are sampled now",
            ),
        ],
    ));
    let mut lost = Family::counter(
        "runtime_probe_losses",
        "What the probe could not keep: stacks beyond its tables, stacks inside of a capture, samples of the CPU profile",
    );
    let (_, _, overflowed) = wait_set::table_sizes();
    let reentered = template::COUNTERS.reentered.load(Ordering::Relaxed);
    for (kind, count) in [
        ("stack_overflow", overflowed),
        ("stack_reentered", reentered),
        ("cpu_sample", cpu::lost()),
    ] {
        lost.add(&[("kind", kind)], Some(Number::Whole(count)));
    }
    families.push(lost);
    families
}

fn of_waits(
    demand: Demand,
    waited: &[Waited],
    [counts, times, switch]: [(&'static str, &'static str); 3],
) -> [Family; 3] {
    let count = waited.iter().map(|one| one.count).sum();
    let delay = waited.iter().map(|one| one.delay_ns).sum::<f64>() / 1e9;
    [
        Family::counter(counts.0, counts.1).with(Some(Number::Real(count))),
        Family::counter(times.0, times.1)
            .unit(Unit::Seconds)
            .with(Some(Number::Real(delay))),
        Family::gauge(switch.0, switch.1).with(Some(Number::Whole(demand.is_on().into()))),
    ]
}
