//! Tasks by spawn site, by kind and by the type of their future.

use super::{Family, Number, Type, Unit};
use crate::profile::diagnosis::count_unlisted_at_once;
use crate::profile::sites::short_name;
use crate::snapshot::sites::{self, SiteRow, Sites};
use crate::symbol::role;
use crate::tally::task_times::LENGTHS;
use runtime_dump::source_path::shortened;

/// The upper bounds of the buckets in seconds: three to a decade, from a microsecond (a short poll) to a minute (the
/// longest that an alarm would wait for).
const BOUNDS: [f64; 24] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2,
    5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

pub(super) fn families() -> Vec<Family> {
    let sites = sites::take();
    let mut alive = Family::gauge("runtime_probe_tasks_alive", "Tasks that are alive");
    let mut spawned = Family::counter("runtime_probe_tasks_spawned", "Tasks that were spawned");
    let mut finished = Family::counter(
        "runtime_probe_tasks_finished",
        "Tasks that have ended, by a result, a panic or an abort",
    );
    let mut panicked = Family::counter("runtime_probe_tasks_panicked", "Tasks that have panicked");
    let mut polls = Family::counter(
        "runtime_probe_task_polls",
        "Polls, those under way included",
    );
    let lengths = |name, help| Family::new(Type::Histogram, name, Some(Unit::Seconds), help);
    let mut times = [
        lengths(
            "runtime_probe_task_poll",
            "Lengths of polls, while task histograms are on",
        ),
        lengths(
            "runtime_probe_task_wait",
            "Lengths of waits, from the end of a poll to the wake, while task histograms are on",
        ),
        lengths(
            "runtime_probe_task_delay",
            "Scheduling delays, from a wake to the poll, while task histograms are on; a timer or socket that is late wakes late, which is in no delay",
        ),
    ];
    for row in &sites.rows {
        let site = match (row.location, row.kind) {
            (Some(at), _) => shortened(&at.to_string()).to_owned(),
            (None, Some(_)) => "unknown".to_owned(),
            (None, None) => "elsewhere".to_owned(),
        };
        let future = row.future.map(role::root_name).unwrap_or_default();
        let labels = [
            ("site", site.as_str()),
            ("kind", row.kind.map_or("elsewhere", short_name)),
            ("future", future.as_str()),
        ];
        let whole = |number| Some(Number::Whole(number));
        alive.add(&labels, whole(row.alive));
        spawned.add(&labels, whole(row.alive + row.finished));
        finished.add(&labels, whole(row.finished));
        panicked.add(&labels, whole(row.panicked));
        polls.add(&labels, whole(row.polls));
        for (field, family) in times.iter_mut().enumerate() {
            family.add(&labels, histogram(&sites, row, field));
        }
    }
    for family in [
        &mut alive,
        &mut spawned,
        &mut finished,
        &mut panicked,
        &mut polls,
    ] {
        merge_equal(family);
    }
    times.iter_mut().for_each(merge_equal);
    let unlisted = Family::gauge(
        "runtime_probe_tasks_unlisted",
        "Tasks that tokio counts and that are in no other family",
    );
    let unlisted = unlisted.with(Some(Number::Whole(count_unlisted_at_once())));
    let counts = [alive, spawned, finished, panicked, polls, unlisted];
    counts.into_iter().chain(times).collect()
}

fn histogram(sites: &Sites, row: &SiteRow, field: usize) -> Option<Number> {
    let mut counts = [0; BOUNDS.len() + 1];
    let (mut sum, mut count) = (0.0, 0);
    for (class, number) in row.counts[field].iter().enumerate() {
        if *number == 0 {
            continue;
        }
        let seconds = sites.scale.ns(LENGTHS.middle(class)) as f64 / 1e9;
        sum += seconds * *number as f64;
        count += number;
        counts[BOUNDS.partition_point(|bound| *bound < seconds)] += number;
    }
    (count > 0).then(|| Number::Lengths {
        sum,
        count,
        buckets: BOUNDS.into_iter().zip(counts).collect(),
    })
}

/// Adds up samples with equal labels: two types on one line may have the same readable name.
fn merge_equal(family: &mut Family) {
    family.samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    family.samples.dedup_by(|next, first| {
        let is_equal = next.labels == first.labels;
        if is_equal {
            first.number.add(&next.number);
        }
        is_equal
    });
}

impl Number {
    fn add(&mut self, other: &Number) {
        match (self, other) {
            (Number::Whole(sum), Number::Whole(more)) => *sum += more,
            (Number::Real(sum), Number::Real(more)) => *sum += more,
            (
                Number::Lengths {
                    sum,
                    count,
                    buckets,
                },
                Number::Lengths {
                    sum: more,
                    count: others,
                    buckets: those,
                },
            ) => {
                *sum += more;
                *count += others;
                for (bucket, that) in buckets.iter_mut().zip(those) {
                    bucket.1 += that.1;
                }
            }
            _ => {}
        }
    }
}
