//! Runtimes: polls and pools by the probe, and tokio's counts.

use super::{Family, Number, Unit};
use crate::registry::runtimes as registry;
use crate::registry::task::Kind;
use crate::snapshot::{pools, under_way};
use crate::source::metrics::{self, RuntimeNumbers, WorkerNumbers};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn families() -> Vec<Family> {
    let mut families = under_way();
    let numbers = metrics::all();
    let named: Vec<(String, &RuntimeNumbers)> = numbers
        .iter()
        .map(|numbers| (name(numbers), numbers))
        .collect();
    families.extend(of_runtimes(&named));
    families.extend(of_workers(&named));
    families
}

/// The name of a runtime. Without our hooks it is made of tokio's id.
pub(crate) fn name(numbers: &RuntimeNumbers) -> String {
    let name = registry::name(registry::by_id(numbers.id));
    name.map_or_else(|| format!("tokio-{}", numbers.id), |name| name.to_string())
}

fn seconds(time: Duration) -> Option<Number> {
    Some(Number::Real(time.as_secs_f64()))
}

/// The sums of the runtimes of one name.
#[derive(Default)]
struct Sums {
    longest_poll_ns: u64,
    threads: u64,
    limit: Option<u64>,
    queued: u64,
    oldest: Duration,
}

/// The families that the probe counts itself.
fn under_way() -> Vec<Family> {
    let under_way = under_way::now();
    let mut longest = Family::gauge(
        "runtime_probe_longest_poll",
        "How long the longest of the polls under way has lasted",
    )
    .unit(Unit::Seconds);
    let mut threads = Family::gauge(
        "runtime_probe_blocking_threads",
        "Threads of the blocking pool, idle ones included",
    );
    let mut most = Family::gauge(
        "runtime_probe_blocking_threads_limit",
        "Threads that the blocking pool may have, where the builder was told",
    );
    let mut queued = Family::gauge(
        "runtime_probe_blocking_queue_depth",
        "Closures that wait for a thread of the blocking pool",
    );
    let mut oldest = Family::gauge(
        "runtime_probe_blocking_oldest_wait",
        "How long the longest of the closures that wait for a thread has waited",
    )
    .unit(Unit::Seconds);
    // Two runtimes may have one name.
    let mut by_name: BTreeMap<Arc<str>, Sums> = BTreeMap::new();
    for pool in pools::of(&under_way) {
        let polls = under_way.iter().filter(|one| {
            let is_poll =
                one.thread.is_some() && !matches!(one.kind, Kind::Blocking | Kind::BlockOn);
            is_poll && one.runtime == pool.runtime.number
        });
        let one = by_name.entry(pool.runtime.name.clone()).or_default();
        let longest_poll_ns = polls.map(|one| one.since_ns).max().unwrap_or(0);
        one.longest_poll_ns = one.longest_poll_ns.max(longest_poll_ns);
        one.threads += pool.threads;
        let limit = pool.runtime.blocking_threads;
        one.limit = limit.map(|limit| limit as u64 + one.limit.unwrap_or(0));
        one.queued += pool.queued;
        one.oldest = one.oldest.max(pool.oldest);
    }
    for (name, sums) in by_name {
        let labels = [("runtime", &*name)];
        let longest_poll = Duration::from_nanos(sums.longest_poll_ns);
        longest.add(&labels, seconds(longest_poll));
        threads.add(&labels, Some(Number::Whole(sums.threads)));
        most.add(&labels, sums.limit.map(Number::Whole));
        queued.add(&labels, Some(Number::Whole(sums.queued)));
        oldest.add(&labels, seconds(sums.oldest));
    }
    vec![longest, threads, most, queued, oldest]
}

fn of_runtimes(all: &[(String, &RuntimeNumbers)]) -> Vec<Family> {
    type Read = fn(&RuntimeNumbers) -> Option<u64>;
    let gauges: [(&str, &str, Read); 6] = [
        ("tokio_workers", "tokio: workers", |of| {
            Some(of.workers.len() as u64)
        }),
        (
            "tokio_alive_tasks",
            "tokio: tasks alive, local ones of a LocalSet left out",
            |of| Some(of.tasks_alive),
        ),
        (
            "tokio_global_queue_depth",
            "tokio: tasks in the queue of all workers",
            |of| Some(of.global_queue),
        ),
        (
            "tokio_blocking_threads",
            "tokio: threads of the blocking pool",
            |of| of.blocking_threads,
        ),
        (
            "tokio_idle_blocking_threads",
            "tokio: of these, those that are idle",
            |of| of.blocking_idle,
        ),
        (
            "tokio_blocking_queue_depth",
            "tokio: closures in the queue of the blocking pool, aborted ones included",
            |of| of.blocking_queue,
        ),
    ];
    let counters: [(&str, &str, Read); 3] = [
        ("tokio_spawned_tasks", "tokio: tasks spawned", |of| {
            of.tasks_spawned
        }),
        (
            "tokio_remote_schedules",
            "tokio: tasks woken from outside of the workers",
            |of| of.remote_schedules,
        ),
        (
            "tokio_budget_forced_yields",
            "tokio: operations that took the last of a task's budget; not each of them yields",
            |of| of.forced_yields,
        ),
    ];
    let gauges = gauges.map(|(name, help, read)| (Family::gauge(name, help), read));
    let counters = counters.map(|(name, help, read)| (Family::counter(name, help), read));
    let families = gauges.into_iter().chain(counters);
    families
        .map(|(mut family, read)| {
            let mut sums: BTreeMap<&str, Option<u64>> = BTreeMap::new();
            for (name, numbers) in all {
                let sum = sums.entry(name).or_default();
                *sum = read(numbers).map(|number| number + sum.unwrap_or(0));
            }
            for (name, sum) in sums {
                family.add(&[("runtime", name)], sum.map(Number::Whole));
            }
            family
        })
        .collect()
}

fn of_workers(all: &[(String, &RuntimeNumbers)]) -> Vec<Family> {
    type Read = fn(&WorkerNumbers) -> Option<Number>;
    let whole = |name, help, read: Read| (Family::counter(name, help), read);
    let busy =
        "tokio: time inside polls, without those that gave their worker away, as of the last park";
    let families: [(Family, Read); 7] = [
        (
            Family::counter("tokio_worker_busy", busy).unit(Unit::Seconds),
            |of| seconds(of.busy),
        ),
        whole("tokio_worker_parks", "tokio: parks", |of| {
            Some(Number::Whole(of.parks))
        }),
        whole(
            "tokio_worker_polls",
            "tokio: polls, up to four as one where tasks wake each other",
            |of| Some(Number::Whole(of.unstable?.polls)),
        ),
        whole(
            "tokio_worker_steals",
            "tokio: tasks stolen from other workers",
            |of| Some(Number::Whole(of.unstable?.steals)),
        ),
        whole(
            "tokio_worker_overflows",
            "tokio: times that the local queue was full",
            |of| Some(Number::Whole(of.unstable?.overflows)),
        ),
        whole(
            "tokio_worker_noops",
            "tokio: parks after which there was nothing to do",
            |of| Some(Number::Whole(of.unstable?.idle_unparks)),
        ),
        (
            Family::gauge(
                "tokio_worker_local_queue_depth",
                "tokio: tasks in the local queue",
            ),
            |of| Some(Number::Whole(of.unstable?.local_queue)),
        ),
    ];
    families
        .into_iter()
        .map(|(mut family, read)| {
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            for (name, numbers) in all {
                // The workers of all runtimes of one name are numbered consecutively.
                let next = seen.entry(name).or_default();
                for worker in &numbers.workers {
                    let index = next.to_string();
                    family.add(&[("runtime", name), ("worker", &index)], read(worker));
                    *next += 1;
                }
            }
            family
        })
        .collect()
}
