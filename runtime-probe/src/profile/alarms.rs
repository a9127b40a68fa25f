//! Decides which findings of the looks at a process are reported: none twice, and not too many.

use super::growth::{BySite, Counts};
use super::long_waits::LongWait;
use crate::registry::runtimes::RuntimeNumber;
use crate::snapshot::rates::per_second;
use crate::snapshot::watch::{Busy, KeptWaiting, LongPoll, Look, Trouble};
use crate::tally::growths::{Growing, Growth};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A task spins if it was busy at each look for so long, and was polled [`SPINNING`] times a second.
const SPINS_FOR: Duration = Duration::from_secs(5);

/// The most culprits of one kind that are reported within the quiet time.
const CULPRITS: usize = 8;

/// The fewest polls a second of a task that spins.
const SPINNING: u64 = 1_000;

/// The limits on reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Within this time, one alarm of each kind and culprit is reported.
    pub(crate) quiet: Duration,
    /// The time between two counts of tasks. Zero turns them off.
    pub(crate) growth_every: Duration,
}

/// One fault that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A poll lasts too long.
    LongPoll(LongPoll),
    /// A task is ready, and its runtime does not poll it.
    KeptWaiting(KeptWaiting),
    /// The number of tasks, of one site or in all, or of results of tasks of one site, keeps growing.
    Growth(Growth),
    /// Tasks wait too long at one site.
    LongWait(LongWait),
    /// A task is polled all the time, and does not wait.
    Spin(Spin),
    /// A blocking pool has no thread for its closures.
    FullPool(Trouble),
    /// No thread drives the timers and the I/O of a runtime.
    Standstill(Trouble),
    /// Tasks or threads wait for locks of each other. Identified by one of them, packed.
    Deadlock(u64),
    /// A task keeps a lock through a future that it no longer polls. Identified by the task's id.
    Futurelock(u64),
}

/// A task that spins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spin {
    pub(crate) id: u64,
    /// Polls a second.
    pub(crate) rate: u64,
    pub(crate) since: Duration,
}

/// The number of kinds of alarms.
pub(crate) const KINDS: usize = 9;

/// An alarm to report, and how many of its kind were suppressed since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) alarm: Alarm,
    pub(crate) untold: u64,
}

/// The alarms and counts of earlier looks.
#[derive(Debug)]
pub(crate) struct Alarms {
    patience: Patience,
    /// Polls that were too long at the last look: each poll is one alarm, however long it lasts.
    known: HashSet<(u64, u64)>,
    /// Runtimes that kept a task waiting at the last look.
    late: HashSet<RuntimeNumber>,
    /// Sites where tasks waited too long at the last look.
    waits: HashSet<usize>,
    /// Blocking pools that were full at the last look.
    full: HashSet<u16>,
    /// Runtimes that stood still at the last look.
    standing: HashSet<u16>,
    /// Deadlocks at the last look.
    deadlocks: HashSet<u64>,
    /// Tasks of futurelocks at the last look.
    futurelocks: HashSet<u64>,
    /// Tasks that were busy at the last look, and since when.
    busy: HashMap<u64, Busily>,
    all: Counts,
    sites: BySite<usize>,
    results: BySite<Location<'static>>,
    counted: Option<Instant>,
    kinds: [Kind; KINDS],
}

/// The alarms of one kind.
#[derive(Clone, Debug, Default)]
struct Kind {
    /// The culprits that were reported within the quiet time, and when.
    told: Vec<(usize, Instant)>,
    untold: u64,
    all: u64,
}

/// A busy task.
#[derive(Clone, Copy, Debug)]
struct Busily {
    since: Instant,
    polls_then: u64,
    seen: Instant,
    polls: u64,
    told: bool,
}

impl Alarms {
    pub(crate) fn new(patience: Patience) -> Self {
        Alarms {
            patience,
            known: HashSet::new(),
            late: HashSet::new(),
            waits: HashSet::new(),
            full: HashSet::new(),
            standing: HashSet::new(),
            deadlocks: HashSet::new(),
            futurelocks: HashSet::new(),
            busy: HashMap::new(),
            all: Counts::default(),
            sites: BySite::default(),
            results: BySite::default(),
            counted: None,
            kinds: Default::default(),
        }
    }

    /// The number of alarms of each kind, reported or not: long polls, tasks kept waiting, growths, long waits, spins,
    /// full pools, standstills, deadlocks, futurelocks.
    pub(crate) fn counts(&self) -> [u64; KINDS] {
        self.kinds.each_ref().map(|kind| kind.all)
    }

    /// The new alarms of a look that are to be reported now.
    pub(crate) fn judge(&mut self, look: &Look, waits: &[LongWait], now: Instant) -> Vec<Told> {
        let mut new = Vec::new();
        let polls = look.long_polls.iter();
        let (known, polls): (HashSet<_>, Vec<_>) =
            polls.map(|poll| ((poll.id, poll.poll), *poll)).unzip();
        let unknown = polls
            .into_iter()
            .filter(|poll| poll.is_innermost && !self.known.contains(&(poll.id, poll.poll)));
        new.extend(unknown.map(Alarm::LongPoll));
        self.known = known;
        let kept = look.kept_waiting.iter();
        let unknown = kept.filter(|task| !self.late.contains(&task.runtime));
        new.extend(unknown.copied().map(Alarm::KeptWaiting));
        self.late = look.kept_waiting.iter().map(|task| task.runtime).collect();
        let sites = waits.iter().map(|wait| wait.site).collect();
        let before = std::mem::replace(&mut self.waits, sites);
        let waits = waits.iter().filter(|wait| !before.contains(&wait.site));
        new.extend(waits.copied().map(Alarm::LongWait));
        let pools = new_ones(&mut self.full, &look.full_pools);
        new.extend(pools.into_iter().map(Alarm::FullPool));
        let runtimes = new_ones(&mut self.standing, &look.standstills);
        new.extend(runtimes.into_iter().map(Alarm::Standstill));
        let deadlocks = unseen(&mut self.deadlocks, &look.deadlocks);
        new.extend(deadlocks.map(Alarm::Deadlock));
        let futurelocks = unseen(&mut self.futurelocks, &look.futurelocks);
        new.extend(futurelocks.map(Alarm::Futurelock));
        new.extend(self.spins(&look.busy, now));
        new.extend(self.growth(look, now));
        new.into_iter()
            .filter_map(|alarm| self.tell(alarm, now))
            .collect()
    }

    /// Keeps tasks that were busy at the last look, too, and often polled in between.
    fn spins(&mut self, busy: &[Busy], now: Instant) -> Vec<Alarm> {
        let before = std::mem::take(&mut self.busy);
        let mut spins = Vec::new();
        for Busy { id, polls, .. } in busy {
            let goes_on = before.get(id).filter(|task| {
                let apart = now.duration_since(task.seen);
                per_second(polls.saturating_sub(task.polls), apart) >= SPINNING
            });
            let mut task = goes_on.copied().unwrap_or(Busily {
                since: now,
                polls_then: *polls,
                seen: now,
                polls: *polls,
                told: false,
            });
            (task.seen, task.polls) = (now, *polls);
            let since = now.duration_since(task.since);
            if since >= SPINS_FOR && !task.told {
                task.told = true;
                let rate = per_second(polls.saturating_sub(task.polls_then), since);
                let id = *id;
                spins.push(Alarm::Spin(Spin { id, rate, since }));
            }
            self.busy.insert(*id, task);
        }
        spins
    }

    /// Whether the next look has to count the tasks by site.
    pub(crate) fn counts_are_due(&self, now: Instant) -> bool {
        let every = self.patience.growth_every;
        let is_due = |counted| now.duration_since(counted) >= every;
        !every.is_zero() && self.counted.is_none_or(is_due)
    }

    fn growth(&mut self, look: &Look, now: Instant) -> Vec<Alarm> {
        if !self.counts_are_due(now) {
            return Vec::new();
        }
        self.counted = Some(now);
        let growth = |what, at, site, (from, to)| {
            Alarm::Growth(Growth {
                what,
                from,
                to,
                at,
                site,
            })
        };
        let sites = look.sites.iter().map(|site| (site.key, site, site.tasks));
        let sites = self.sites.grown(sites).into_iter();
        let mut grown: Vec<Alarm> = sites
            .map(|(site, grown)| growth(Growing::Tasks, site.location.copied(), site.key, grown))
            .collect();
        let all = self.all.grown(look.tasks);
        match grown.is_empty() {
            true => grown.extend(all.map(|grown| growth(Growing::Tasks, None, 0, grown))),
            // A growth that is reported for a site is not reported again for all tasks.
            false => self.all.restart(look.tasks),
        }
        let results = look.untaken.iter();
        let results = results.map(|(at, results)| (*at, at, *results as usize));
        let results = self.results.grown(results).into_iter();
        grown.extend(
            results.map(|(at, grown)| growth(Growing::Results, Some(*at), hash(at), grown)),
        );
        grown
    }

    fn tell(&mut self, alarm: Alarm, now: Instant) -> Option<Told> {
        // The culprit: an alarm with another culprit is reported within the quiet time, too.
        let (kind, culprit) = match alarm {
            Alarm::LongPoll(poll) => (0, poll.site),
            Alarm::KeptWaiting(task) => (1, task.runtime.0.into()),
            Alarm::Growth(growth) => (2, growth.site),
            Alarm::LongWait(wait) => (3, wait.site),
            Alarm::Spin(spin) => (4, spin.id as usize),
            Alarm::FullPool(pool) => (5, pool.runtime.0.into()),
            Alarm::Standstill(runtime) => (6, runtime.runtime.0.into()),
            Alarm::Deadlock(member) => (7, member as usize),
            Alarm::Futurelock(task) => (8, task as usize),
        };
        let kind = &mut self.kinds[kind];
        kind.all += 1;
        let quiet = self.patience.quiet;
        kind.told
            .retain(|(_, told)| now.duration_since(*told) < quiet);
        if kind.told.len() >= CULPRITS || kind.told.iter().any(|(known, _)| *known == culprit) {
            kind.untold += 1;
            return None;
        }
        kind.told.push((culprit, now));
        Some(Told {
            alarm,
            untold: std::mem::take(&mut kind.untold),
        })
    }
}

fn hash(at: &Location<'static>) -> usize {
    let mut hasher = DefaultHasher::new();
    at.hash(&mut hasher);
    hasher.finish() as usize
}

/// The troubles of runtimes that had none at the last look.
fn new_ones(before: &mut HashSet<u16>, now: &[Trouble]) -> Vec<Trouble> {
    let runtimes = now.iter().map(|trouble| trouble.runtime.0).collect();
    let before = std::mem::replace(before, runtimes);
    let mut new = now.to_vec();
    new.retain(|trouble| !before.contains(&trouble.runtime.0));
    new
}

/// The numbers that were not in the last look.
fn unseen(before: &mut HashSet<u64>, now: &[u64]) -> impl Iterator<Item = u64> {
    let before = std::mem::replace(before, now.iter().copied().collect());
    now.iter().copied().filter(move |one| !before.contains(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::runtimes::RuntimeNumber;
    use crate::snapshot::watch::SiteTasks;
    use crate::symbol::reason::Reason;

    const SECOND: Duration = Duration::from_secs(1);

    fn alarms() -> Alarms {
        Alarms::new(Patience {
            quiet: 60 * SECOND,
            growth_every: 10 * SECOND,
        })
    }

    fn long(id: u64, poll: u64) -> LongPoll {
        LongPoll {
            id,
            poll,
            lasts: SECOND,
            site: 0,
            is_innermost: true,
        }
    }

    fn polls(polls: &[LongPoll]) -> Look {
        Look {
            long_polls: polls.to_vec(),
            ..Look::default()
        }
    }

    #[test]
    fn a_poll_is_told_once_and_the_next_one_when_it_was_quiet_for_long_enough() {
        let (mut alarms, begin) = (alarms(), Instant::now());
        let at = |seconds| begin + seconds * SECOND;
        let told = |alarm, untold| vec![Told { alarm, untold }];
        let first = alarms.judge(&polls(&[long(1, 1)]), &[], at(0));
        assert_eq!(first, told(Alarm::LongPoll(long(1, 1)), 0));
        assert_eq!(alarms.judge(&polls(&[long(1, 1)]), &[], at(70)), []);
        // Another poll of the same task, and a poll of another task.
        assert_eq!(alarms.judge(&polls(&[long(1, 2)]), &[], at(71)).len(), 1);
        assert_eq!(
            alarms.judge(&polls(&[long(1, 2), long(2, 2)]), &[], at(72)),
            []
        );
        assert_eq!(alarms.judge(&polls(&[]), &[], at(73)), []);
        assert_eq!(alarms.judge(&polls(&[long(2, 3)]), &[], at(74)), []);
        let later = alarms.judge(&polls(&[long(2, 4)]), &[], at(132));
        assert_eq!(later, told(Alarm::LongPoll(long(2, 4)), 2));
        assert_eq!(alarms.counts(), [5, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn another_culprit_is_told_at_once_and_only_so_many() {
        let (mut alarms, now) = (alarms(), Instant::now());
        let of = |site| LongPoll {
            site,
            ..long(site as u64, 1)
        };
        let outer = LongPoll {
            is_innermost: false,
            ..of(99)
        };
        assert_eq!(alarms.judge(&polls(&[of(1), outer]), &[], now).len(), 1);
        assert_eq!(
            alarms.judge(&polls(&[of(1), of(2), outer]), &[], now).len(),
            1
        );
        // The local task's poll has ended. The poll of the root around it is as long.
        let around = LongPoll {
            is_innermost: true,
            ..outer
        };
        assert_eq!(alarms.judge(&polls(&[around]), &[], now), []);
        let many: Vec<_> = (3..30).map(of).collect();
        assert_eq!(alarms.judge(&polls(&many), &[], now).len(), CULPRITS - 2);
    }

    #[test]
    fn results_that_become_more_are_told_though_tasks_do_not() {
        let (mut alarms, begin) = (alarms(), Instant::now());
        let told = (0..20).find(|at| {
            let look = Look {
                tasks: 7,
                untaken: HashMap::from([(*Location::caller(), 100 * u64::from(*at))]),
                ..Look::default()
            };
            let told = alarms.judge(&look, &[], begin + at * 10 * SECOND);
            assert!(
                told.iter()
                    .all(|told| matches!(told.alarm, Alarm::Growth(growth) if growth.what == Growing::Results))
            );
            !told.is_empty()
        });
        assert_eq!(told, Some(10));
    }

    #[test]
    fn a_wait_is_told_once_for_each_place() {
        let (mut alarms, now) = (alarms(), Instant::now());
        let wait = |site| LongWait {
            site,
            reason: Reason::Semaphore,
            id: 1,
            since: SECOND,
            tasks: 3,
        };
        let mut judge = |waits: &[LongWait]| alarms.judge(&Look::default(), waits, now).len();
        assert_eq!(judge(&[wait(1)]), 1);
        assert_eq!(judge(&[wait(1), wait(2)]), 1);
        assert_eq!(judge(&[wait(1), wait(2)]), 0);
    }

    /// The look, of looks a second apart, at which a task with so many polls at each is reported to spin.
    fn spins_at(polls: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let (mut alarms, begin) = (alarms(), Instant::now());
        (0..20).find(|at| {
            let busy = polls(*at).map(|polls| Busy { id: 7, polls });
            let look = Look {
                busy: busy.into_iter().collect(),
                ..Look::default()
            };
            !alarms
                .judge(&look, &[], begin + *at as u32 * SECOND)
                .is_empty()
        })
    }

    #[test]
    fn a_task_spins_that_is_never_found_waiting_and_often_polled() {
        assert_eq!(spins_at(|at| Some(at * 5000)), Some(5));
        assert_eq!(spins_at(|at| Some(at * 900)), None);
        assert_eq!(spins_at(|at| (at != 3).then_some(at * 5000)), Some(9));
        assert_eq!(spins_at(|at| (at % 4 != 0).then_some(at * 5000)), None);
    }

    #[test]
    fn a_pool_that_stays_full_is_told_once() {
        let (mut alarms, now) = (alarms(), Instant::now());
        let mut judge = |runtimes: &[u16]| {
            let full = runtimes.iter().map(|number| Trouble {
                runtime: RuntimeNumber(*number),
                since: SECOND,
            });
            let look = Look {
                full_pools: full.collect(),
                ..Look::default()
            };
            alarms.judge(&look, &[], now).len()
        };
        assert_eq!([judge(&[1]), judge(&[1]), judge(&[1, 2])], [1, 0, 1]);
    }

    #[test]
    fn a_runtime_that_goes_on_not_getting_round_is_one_alarm() {
        let (mut alarms, begin) = (alarms(), Instant::now());
        let of = |runtime| KeptWaiting {
            id: 7,
            since: SECOND,
            runtime: RuntimeNumber(runtime),
            local_set: 0,
        };
        let task = of(1);
        let late = Look {
            kept_waiting: vec![task],
            ..Look::default()
        };
        let kept = Alarm::KeptWaiting(task);
        let first = alarms.judge(&late, &[], begin);
        assert_eq!(first[0].alarm, kept);
        assert_eq!(alarms.judge(&late, &[], begin + 100 * SECOND), []);
        assert_eq!(
            alarms.judge(&Look::default(), &[], begin + 101 * SECOND),
            []
        );
        assert_eq!(alarms.judge(&late, &[], begin + 102 * SECOND).len(), 1);
        // Another runtime is another culprit.
        let both = Look {
            kept_waiting: vec![task, of(2)],
            ..Look::default()
        };
        let second = alarms.judge(&both, &[], begin + 103 * SECOND);
        assert_eq!(second[0].alarm, Alarm::KeptWaiting(of(2)));
        assert_eq!(second.len(), 1);
    }

    #[test]
    fn growth_can_be_off() {
        let mut alarms = Alarms::new(Patience {
            quiet: SECOND,
            growth_every: Duration::ZERO,
        });
        let begin = Instant::now();
        for at in 0..20 {
            let look = Look {
                tasks: 1000 * at as usize,
                ..Look::default()
            };
            assert_eq!(alarms.judge(&look, &[], begin + at * SECOND), []);
        }
    }

    /// Looks ten seconds apart: a site that leaks, and a site whose count goes up and down.
    #[test]
    fn a_place_that_leaks_is_told_though_all_together_do_not_grow() {
        let (mut alarms, begin) = (alarms(), Instant::now());
        let here = Location::caller();
        let site = |key, tasks| SiteTasks {
            key,
            location: Some(here),
            tasks,
        };
        let told = (0..20).find_map(|at| {
            let (leaks, swings) = (20 * at, 1000 * (at % 2));
            let look = Look {
                tasks: leaks + swings,
                sites: vec![site(1, leaks), site(2, swings)],
                ..Look::default()
            };
            let now = begin + at as u32 * 10 * SECOND;
            assert!(alarms.counts_are_due(now));
            let told = alarms.judge(&look, &[], now);
            assert!(!alarms.counts_are_due(now + SECOND));
            told.first().map(|told| (at, told.alarm))
        });
        let growth = Growth {
            what: Growing::Tasks,
            from: 0,
            to: 200,
            at: Some(*here),
            site: 1,
        };
        assert_eq!(told, Some((10, Alarm::Growth(growth))));
    }

    #[test]
    fn what_no_place_tells_all_together_do() {
        let (mut alarms, begin) = (alarms(), Instant::now());
        let told = (0..20).find_map(|at| {
            let look = Look {
                tasks: 50 * at,
                ..Look::default()
            };
            let told = alarms.judge(&look, &[], begin + at as u32 * 10 * SECOND);
            told.first().map(|told| (at, told.alarm))
        });
        let growth = Growth {
            what: Growing::Tasks,
            from: 0,
            to: 500,
            at: None,
            site: 0,
        };
        assert_eq!(told, Some((10, Alarm::Growth(growth))));
    }
}
