//! From looks at a process to what somebody should be told: nothing twice, and not too often.

use crate::snapshot::watch::{KeptWaiting, LongPoll, Look};
use std::collections::HashSet;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often in a row a count of tasks must be above the one before: eleven numbers are in order by chance once in 11! times,
/// which is 40 million.
const GROWING: usize = 10;

/// Growth by less than this is not worth a word, nor by less than a tenth.
const LEAST_GROWTH: usize = 100;

/// When to speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Of one kind of alarm, one within this time is told.
    pub(crate) quiet: Duration,
    /// How far apart counts of tasks are that are compared.
    pub(crate) growth_every: Duration,
}

/// Something that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A poll lasts too long.
    LongPoll(LongPoll),
    /// A task is ready, and its runtime does not come round to it.
    KeptWaiting(KeptWaiting),
    /// There are more and more tasks.
    Growth { from: usize, to: usize },
}

/// An alarm that is to be told, and how many of its kind were not since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) alarm: Alarm,
    pub(crate) untold: u64,
}

/// What is known from earlier looks.
#[derive(Debug)]
pub(crate) struct Alarms {
    patience: Patience,
    /// Polls that were too long at the last look: each is one alarm, however long it goes on.
    known: HashSet<(u64, u64)>,
    /// The task that was kept waiting at the last look.
    waited: bool,
    counts: VecDeque<usize>,
    counted: Option<Instant>,
    kinds: [Kind; 3],
}

/// What has become of one kind of alarm.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    told: Option<Instant>,
    untold: u64,
    all: u64,
}

impl Alarms {
    pub(crate) fn new(patience: Patience) -> Self {
        Alarms {
            patience,
            known: HashSet::new(),
            waited: false,
            counts: VecDeque::new(),
            counted: None,
            kinds: [Kind::default(); 3],
        }
    }

    /// How many there were of each kind: long polls, tasks kept waiting, growths.
    pub(crate) fn counts(&self) -> [u64; 3] {
        self.kinds.map(|kind| kind.all)
    }

    /// What is new in a look, and is to be told now.
    pub(crate) fn judge(&mut self, look: &Look, now: Instant) -> Vec<Told> {
        let mut new = Vec::new();
        let polls = look.long_polls.iter();
        let (known, polls): (HashSet<_>, Vec<_>) =
            polls.map(|poll| ((poll.id, poll.poll), *poll)).unzip();
        let unknown = polls
            .into_iter()
            .filter(|poll| !self.known.contains(&(poll.id, poll.poll)));
        new.extend(unknown.map(Alarm::LongPoll));
        self.known = known;
        if let Some(task) = look.kept_waiting.filter(|_| !self.waited) {
            new.push(Alarm::KeptWaiting(task));
        }
        self.waited = look.kept_waiting.is_some();
        new.extend(self.growth(look.tasks, now));
        new.into_iter()
            .filter_map(|alarm| self.tell(alarm, now))
            .collect()
    }

    fn growth(&mut self, tasks: usize, now: Instant) -> Option<Alarm> {
        let due = self
            .counted
            .is_none_or(|counted| now.duration_since(counted) >= self.patience.growth_every);
        if !due {
            return None;
        }
        self.counted = Some(now);
        if self.counts.back().is_some_and(|last| tasks <= *last) {
            self.counts.clear();
        }
        self.counts.push_back(tasks);
        if self.counts.len() <= GROWING {
            return None;
        }
        let from = self.counts.pop_front()?;
        let enough = tasks - from >= LEAST_GROWTH.max(from / 10);
        enough.then(|| {
            // The next row begins here.
            self.counts.clear();
            self.counts.push_back(tasks);
            Alarm::Growth { from, to: tasks }
        })
    }

    fn tell(&mut self, alarm: Alarm, now: Instant) -> Option<Told> {
        let kind = match alarm {
            Alarm::LongPoll(_) => &mut self.kinds[0],
            Alarm::KeptWaiting(_) => &mut self.kinds[1],
            Alarm::Growth { .. } => &mut self.kinds[2],
        };
        kind.all += 1;
        let quiet = kind
            .told
            .is_some_and(|told| now.duration_since(told) < self.patience.quiet);
        if quiet {
            kind.untold += 1;
            return None;
        }
        kind.told = Some(now);
        Some(Told {
            alarm,
            untold: std::mem::take(&mut kind.untold),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let first = alarms.judge(&polls(&[long(1, 1)]), at(0));
        assert_eq!(first, told(Alarm::LongPoll(long(1, 1)), 0));
        assert_eq!(alarms.judge(&polls(&[long(1, 1)]), at(70)), []);
        // Another poll of the same task, and one of another.
        assert_eq!(alarms.judge(&polls(&[long(1, 2)]), at(71)).len(), 1);
        assert_eq!(alarms.judge(&polls(&[long(1, 2), long(2, 2)]), at(72)), []);
        assert_eq!(alarms.judge(&polls(&[]), at(73)), []);
        assert_eq!(alarms.judge(&polls(&[long(2, 3)]), at(74)), []);
        let later = alarms.judge(&polls(&[long(2, 4)]), at(132));
        assert_eq!(later, told(Alarm::LongPoll(long(2, 4)), 2));
        assert_eq!(alarms.counts(), [5, 0, 0]);
    }

    #[test]
    fn a_runtime_that_goes_on_not_getting_round_is_one_alarm() {
        let (mut alarms, begin) = (alarms(), Instant::now());
        let task = KeptWaiting {
            id: 7,
            since: SECOND,
        };
        let late = Look {
            kept_waiting: Some(task),
            ..Look::default()
        };
        let kept = Alarm::KeptWaiting(task);
        let first = alarms.judge(&late, begin);
        assert_eq!(first[0].alarm, kept);
        assert_eq!(alarms.judge(&late, begin + 100 * SECOND), []);
        assert_eq!(alarms.judge(&Look::default(), begin + 101 * SECOND), []);
        assert_eq!(alarms.judge(&late, begin + 102 * SECOND).len(), 1);
    }

    /// Of counts that are ten seconds apart, at which one growth is told.
    fn grows_at(counts: &[usize]) -> Option<usize> {
        let (mut alarms, begin) = (alarms(), Instant::now());
        counts.iter().enumerate().position(|(at, tasks)| {
            let look = Look {
                tasks: *tasks,
                ..Look::default()
            };
            // Looks in between do not count.
            let now = begin + at as u32 * 10 * SECOND;
            let told = alarms.judge(&look, now);
            assert_eq!(alarms.judge(&look, now + SECOND), []);
            !told.is_empty()
        })
    }

    #[test]
    fn growth_is_ten_counts_in_a_row_each_above_the_one_before() {
        let leak: Vec<usize> = (0..20).map(|at| 1000 + 50 * at).collect();
        assert_eq!(grows_at(&leak), Some(10));
        let mut pause = leak.clone();
        pause[9] = pause[8];
        assert_eq!(grows_at(&pause), Some(19));
        let little: Vec<usize> = (0..20).map(|at| 1000 + at).collect();
        assert_eq!(grows_at(&little), None);
        let few: Vec<usize> = (0..20).map(|at| 10 + 5 * at).collect();
        assert_eq!(grows_at(&few), None);
        let small_beside_all: Vec<usize> = (0..20).map(|at| 1_000_000 + 50 * at).collect();
        assert_eq!(grows_at(&small_beside_all), None);
    }
}
