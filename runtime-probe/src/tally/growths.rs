//! Growth that the watchdogs found: the last finding of each site, for [`NEWS`].

use crate::primitive::{Mutex, lock};
use std::panic::Location;
use std::time::{Duration, Instant};

/// A growth that a watchdog found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) what: Growing,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The spawn location of the tasks; `None` for all tasks together, and if it is not known.
    pub(crate) at: Option<Location<'static>>,
    /// The site's identity: equal for counts of one site, 0 for all tasks together.
    pub(crate) site: usize,
}

/// The things that grow in number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growing {
    Tasks,
    /// Results of finished tasks that nothing takes out of their `JoinSet`s.
    Results,
}

/// The most sites that are kept.
const MOST: usize = 8;

/// How long a finding is reported.
const NEWS: Duration = Duration::from_secs(600);

static FOUND: Mutex<Vec<(Growth, Instant)>> = Mutex::new(Vec::new());

/// Keeps a finding, in place of an earlier one of its site.
pub(crate) fn note(growth: Growth, now: Instant) {
    let mut found = lock(&FOUND);
    found.retain(|(known, _)| (known.what, known.site) != (growth.what, growth.site));
    if found.len() == MOST {
        found.remove(0);
    }
    found.push((growth, now));
}

/// The findings of the last [`NEWS`], newest first, and how long ago each was found.
pub(crate) fn of_late(now: Instant) -> Vec<(Growth, Duration)> {
    let found = lock(&FOUND);
    let found = found.iter().rev();
    let found = found.map(|(growth, at)| (*growth, now.saturating_duration_since(*at)));
    found.filter(|(_, ago)| *ago < NEWS).collect()
}

impl Growth {
    /// `"there are more and more tasks, spawned at shop.rs:12:5: 310 have become 620, without a break"`.
    pub(crate) fn text(&self) -> String {
        let what = match self.what {
            Growing::Tasks => "tasks",
            Growing::Results => "results of finished tasks that nothing takes out of their JoinSet",
        };
        let at = self
            .at
            .map_or(String::new(), |at| format!(", spawned at {at}"));
        let Growth { from, to, .. } = self;
        format!("there are more and more {what}{at}: {from} have become {to}, without a break")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(site: usize, to: usize) -> Growth {
        Growth {
            what: Growing::Tasks,
            from: 1,
            to,
            at: None,
            site,
        }
    }

    #[test]
    fn the_last_of_each_site_is_kept_while_it_is_news() {
        let begin = Instant::now();
        for site in 1..=MOST + 1 {
            note(tasks(site, 10), begin);
        }
        note(tasks(5, 20), begin + NEWS / 2);
        let found = |after| {
            let found = of_late(begin + after);
            found
                .into_iter()
                .map(|(growth, _)| growth)
                .collect::<Vec<_>>()
        };
        let mut left = vec![tasks(5, 20)];
        left.extend(
            (2..=MOST + 1)
                .rev()
                .filter(|site| *site != 5)
                .map(|site| tasks(site, 10)),
        );
        assert_eq!(found(NEWS / 2), left);
        assert_eq!(found(NEWS), [tasks(5, 20)]);
        assert_eq!(found(NEWS * 2), []);
    }
}
