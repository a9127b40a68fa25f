//! Tasks by spawn location and type of the future: counts, and times of polls, waits and delays; as text and as JSON.
//!
//! * A *poll* is one call of the task's future, up to its return.
//! * A *wait* lasts from the end of a poll to the wake that causes the next poll.
//! * A *delay* is the ready time before a poll: from the wake, from the spawn, or from the end of a poll in which the
//!   task was woken.
//!
//! For example, a task that is polled for 1 ms, sleeps for 100 ms, and is 5 ms in the run queue before its next poll,
//! adds 1 ms to the polls, 100 ms to the waits and 5 ms to the delays of its location. The wakes of a foreign task are
//! not known, so its waits last until the next poll. A closure of the blocking pool is one poll, and its delay is its
//! wait for a thread. Waits and polls under way are not counted.

use crate::clock::Scale;
use crate::profile::conditions::{self, Condition};
use crate::profile::diagnosis::{
    OFF, count_local_sets, count_unlisted, local_sets, no_tasks, unlisted,
};
use crate::profile::selection::grouped;
use crate::profile::site_bytes::{Bytes, SiteBytes};
use crate::registry::task::Kind;
use crate::snapshot::sites::{self, SiteRow};
use crate::source;
use crate::symbol::role;
use crate::tally::task_times::LENGTHS;
use runtime_dump::json::push_string;
use runtime_dump::source_path::shortened;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::panic::Location;
use std::time::Duration;

/// All spawn locations, those with the most tasks first.
#[derive(Clone, Debug)]
pub(crate) struct SpawnSites {
    rows: Vec<Row>,
    is_timed: bool,
    /// Why no row has bytes of the heap.
    no_bytes: Option<&'static str>,
    scale: Scale,
    /// How many tasks are in no row.
    unlisted: u64,
    /// The number of `LocalSet`s.
    local_sets: usize,
    /// The length of the span; `None` for all since the start.
    span: Option<Duration>,
    /// Troubles of a whole runtime.
    conditions: Vec<String>,
}

#[derive(Clone, Debug)]
struct Row {
    /// Live and finished tasks.
    spawned: u64,
    /// Bytes of the heap, if known.
    bytes: Option<Bytes>,
    site: SiteRow,
}

/// The order of the rows; the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// Live tasks.
    #[default]
    Alive,
    /// Polls, including those of finished tasks.
    Polls,
    /// Time inside polls.
    Busy,
    /// Time of waits that have ended.
    Waits,
    /// Bytes in use.
    Heap,
}

impl SortBy {
    /// The order by its name in a request.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "alive" => SortBy::Alive,
            "polls" => SortBy::Polls,
            "busy" => SortBy::Busy,
            "waits" => SortBy::Waits,
            "heap" => SortBy::Heap,
            _ => return None,
        })
    }

    /// Whether the order needs times, which must be switched on.
    pub(crate) fn needs_times(self) -> bool {
        matches!(self, SortBy::Busy | SortBy::Waits)
    }
}

/// Quantiles of times, in nanoseconds, each to within 3 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    count: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    max: u64,
}

/// The kinds of times.
const TIMES: [&str; 3] = ["poll", "wait", "delay"];

/// The remark that times are not recorded.
const UNTIMED: &str = "times are not noted now: RUNTIME_PROBE_TASK_HISTOGRAMS=1 or pprof::set_task_histograms(true) switches them \
                       on, seconds=10 for ten seconds";

impl SpawnSites {
    /// Collects the sites now.
    pub(crate) fn collect() -> Self {
        let sites = sites::take();
        let bytes = SiteBytes::collect();
        let row = |site: SiteRow| Row {
            spawned: site.alive + site.finished,
            bytes: bytes.as_ref().ok().and_then(|bytes| bytes.of(&site)),
            site,
        };
        let mut collected = SpawnSites {
            rows: sites.rows.into_iter().map(row).collect(),
            is_timed: sites.is_timed,
            no_bytes: bytes.as_ref().err().copied(),
            scale: sites.scale,
            unlisted: count_unlisted(),
            local_sets: count_local_sets(),
            span: None,
            conditions: conditions::now().iter().map(Condition::text).collect(),
        };
        collected.sort();
        collected
    }

    /// The difference to `before`, `span` ago. The live tasks and the bytes in use are as of now.
    pub(crate) fn delta(self, before: &SpawnSites, span: Duration) -> Self {
        let before: HashMap<_, _> = before
            .rows
            .iter()
            .map(|row| (row.site.key(), row))
            .collect();
        let mut rows = self.rows;
        for row in &mut rows {
            let Some(old) = before.get(&row.site.key()) else {
                continue;
            };
            // The numbers of a location are not read at one moment, so a difference could be negative.
            row.spawned = row.spawned.saturating_sub(old.spawned);
            row.site.finished = row.site.finished.saturating_sub(old.site.finished);
            row.site.panicked = row.site.panicked.saturating_sub(old.site.panicked);
            row.site.polls = row.site.polls.saturating_sub(old.site.polls);
            if let Some((bytes, old)) = row.bytes.as_mut().zip(old.bytes) {
                bytes.allocated = bytes.allocated.saturating_sub(old.allocated);
            }
            for (counts, old) in row.site.counts.iter_mut().zip(&old.site.counts) {
                for (count, old) in counts.iter_mut().zip(old) {
                    *count = count.saturating_sub(*old);
                }
            }
        }
        rows.retain(|row| row.site.alive + row.spawned + row.site.finished + row.site.polls > 0);
        let mut delta = SpawnSites {
            rows,
            span: Some(span),
            ..self
        };
        delta.sort();
        delta
    }

    /// Whether times are recorded.
    pub(crate) fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// Why no row has bytes of the heap; `None` if they have.
    pub(crate) fn no_bytes(&self) -> Option<&'static str> {
        self.no_bytes
    }

    /// The same rows in another order.
    pub(crate) fn sorted_by(mut self, by: SortBy) -> Self {
        let total = |counts: &[u64]| {
            let classes = counts.iter().enumerate();
            let sums = classes
                .map(|(class, count)| u128::from(LENGTHS.middle(class)) * u128::from(*count));
            sums.sum::<u128>()
        };
        // The sort is stable: equal rows stay ordered by live tasks.
        self.rows.sort_by_cached_key(|row| {
            std::cmp::Reverse(match by {
                SortBy::Alive => row.site.alive.into(),
                SortBy::Polls => row.site.polls.into(),
                SortBy::Busy => total(&row.site.counts[0]),
                SortBy::Waits => total(&row.site.counts[1]),
                SortBy::Heap => row.bytes.map_or(0, |bytes| bytes.in_use).into(),
            })
        });
        self
    }

    /// The rows of this location only.
    pub(crate) fn of(mut self, at: Option<Location<'static>>) -> Self {
        self.rows.retain(|row| row.site.location == at);
        self
    }

    fn sort(&mut self) {
        let rank = |row: &Row| {
            let (alive, spawned) = (u64::MAX - row.site.alive, u64::MAX - row.spawned);
            let location = row.site.location.map(|at| at.to_string());
            (alive, spawned, location, row.site.future)
        };
        self.rows.sort_by_cached_key(rank);
    }

    /// Writes a block of text for each row.
    pub(crate) fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let sum = |of: fn(&Row) -> u64| self.rows.iter().map(of).sum::<u64>();
        let (alive, spawned) = (sum(|row| row.site.alive), sum(|row| row.spawned));
        let count = self.rows.len();
        match self.span {
            Some(span) => writeln!(
                out,
                "{count} spawn locations, {alive} tasks alive, {spawned} spawned within {span:.1?}"
            )?,
            None => writeln!(
                out,
                "{count} spawn locations, {alive} tasks alive, {spawned} spawned"
            )?,
        }
        match (source::is_on(), self.is_timed) {
            (false, _) => writeln!(out, "{OFF}")?,
            (true, true) => writeln!(
                out,
                "times to within 3 %: a wait ends with the wake, a delay is from there to the poll"
            )?,
            (true, false) => writeln!(out, "{UNTIMED}")?,
        }
        for condition in &self.conditions {
            writeln!(out, "{condition}")?;
        }
        match unlisted(self.unlisted, alive as usize) {
            Some(remark) => writeln!(out, "{remark}")?,
            None if self.rows.is_empty() && source::is_on() => writeln!(out, "{}", no_tasks())?,
            None => {}
        }
        if let Some(remark) = local_sets(self.local_sets) {
            writeln!(out, "{remark}")?;
        }
        for row in &self.rows {
            writeln!(out)?;
            self.write_block(&mut out, row)?;
        }
        if let Some(why) = self.no_bytes.filter(|_| source::is_on()) {
            writeln!(out, "\nno bytes by spawn location: {why}")?;
        }
        Ok(())
    }

    fn write_block(&self, out: &mut impl Write, row: &Row) -> io::Result<()> {
        let site = &row.site;
        match (site.kind, site.location) {
            (None, _) => write!(
                out,
                "elsewhere (there are more spawn locations than are kept apart)"
            )?,
            (Some(kind), None) => write!(out, "unknown ({})", long_name(kind))?,
            (Some(kind), Some(at)) => {
                write!(out, "{} ({})", shortened(&at.to_string()), long_name(kind))?
            }
        }
        match site.future {
            Some(future) => writeln!(out, ": {}", self.future_name(row, future))?,
            None => writeln!(out)?,
        }
        let panicked = match site.kind {
            Some(Kind::Foreign) => "-".to_owned(),
            _ => site.panicked.to_string(),
        };
        write!(
            out,
            "alive {}, spawned {}, finished {}, panicked {panicked}, polls {}",
            site.alive, row.spawned, site.finished, site.polls
        )?;
        if site.untaken > 0 {
            write!(out, ", results not taken {}", site.untaken)?;
        }
        match self.span {
            Some(span) => writeln!(out, " ({:.0}/s)", site.polls as f64 / span.as_secs_f64())?,
            None => writeln!(out)?,
        }
        if let Some(Bytes { allocated, in_use }) = row.bytes {
            let (allocated, in_use) = (grouped(allocated), grouped(in_use));
            writeln!(out, "heap: {in_use} bytes in use, {allocated} allocated")?;
        }
        let summaries = self.summaries(site);
        if summaries.iter().all(|summary| summary.count == 0) {
            return Ok(());
        }
        let header = ["", "count", "p50", "p90", "p99", "max"];
        let [name, count, cells @ ..] = header;
        write!(out, "{name:<6}{count:>10}")?;
        cells
            .iter()
            .try_for_each(|cell| write!(out, "{cell:>10}"))?;
        writeln!(out)?;
        for (name, summary) in TIMES.iter().zip(summaries) {
            write!(out, "{name:<6}{:>10}", summary.count)?;
            for ns in [summary.p50, summary.p90, summary.p99, summary.max] {
                match summary.count {
                    0 => write!(out, "{:>10}", "-")?,
                    _ => write!(out, "{:>10.1?}", Duration::from_nanos(ns))?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// An object with the list `locations`; times in nanoseconds.
    pub(crate) fn json(&self) -> String {
        let mut json = String::from("{\n");
        let _ = writeln!(json, "  \"histograms\": {},", self.is_timed);
        let _ = writeln!(json, "  \"heap\": {},", self.no_bytes.is_none());
        let seconds = match self.span {
            Some(span) => format!("{:.3}", span.as_secs_f64()),
            None => "null".to_owned(),
        };
        let _ = writeln!(json, "  \"seconds\": {seconds},");
        let _ = writeln!(json, "  \"tasks_not_listed\": {},", self.unlisted);
        json.push_str("  \"locations\": [");
        for (index, row) in self.rows.iter().enumerate() {
            json.push_str(if index == 0 { "\n    " } else { ",\n    " });
            self.push_object(&mut json, row);
        }
        json.push_str("\n  ]\n}\n");
        json
    }

    fn push_object(&self, json: &mut String, row: &Row) {
        let site = &row.site;
        let location = site.location.map(|at| quoted(&at.to_string()));
        let _ = write!(
            json,
            "{{\"location\": {}, \"future\": {}, \"kind\": {}, \"alive\": {}, \"spawned\": {}, \"finished\": {}, \"panicked\": {}, \"polls\": {}",
            location.unwrap_or_else(|| "null".to_owned()),
            site.future.map_or_else(|| "null".to_owned(), quoted),
            quoted(site.kind.map_or("elsewhere", short_name)),
            site.alive,
            row.spawned,
            site.finished,
            match site.kind {
                Some(Kind::Foreign) => "null".to_owned(),
                _ => site.panicked.to_string(),
            },
            site.polls,
        );
        let _ = write!(json, ", \"results_not_taken\": {}", site.untaken);
        let bytes = |of: fn(Bytes) -> u64| match row.bytes {
            Some(bytes) => of(bytes).to_string(),
            None => "null".to_owned(),
        };
        let in_use = bytes(|bytes| bytes.in_use);
        let allocated = bytes(|bytes| bytes.allocated);
        let _ = write!(
            json,
            ", \"heap_in_use_bytes\": {in_use}, \"heap_allocated_bytes\": {allocated}"
        );
        for (name, summary) in TIMES.iter().zip(self.summaries(site)) {
            let _ = match summary.count {
                0 => write!(json, ", \"{name}_ns\": null"),
                count => write!(
                    json,
                    ", \"{name}_ns\": {{\"count\": {count}, \"p50\": {}, \"p90\": {}, \"p99\": {}, \"max\": {}}}",
                    summary.p50, summary.p90, summary.p99, summary.max
                ),
            };
        }
        json.push('}');
    }

    /// The readable name of a future's type; the full name if another type of the same location has the same readable
    /// one.
    fn future_name(&self, row: &Row, future: &str) -> String {
        let name = role::root_name(future);
        let others = self.rows.iter().filter(|other| {
            other.site.location == row.site.location && other.site.future != row.site.future
        });
        let mut names = others.filter_map(|other| other.site.future.map(role::root_name));
        match names.any(|other| other == name) {
            true => future.to_owned(),
            false => name,
        }
    }

    fn summaries(&self, row: &SiteRow) -> [Summary; 3] {
        [0, 1, 2].map(|field| summary(&row.counts[field], |ticks| self.scale.ns(ticks)))
    }
}

/// Quantiles of counts by bucket.
fn summary(counts: &[u64], ns: impl Fn(u64) -> u64) -> Summary {
    let count: u64 = counts.iter().sum();
    // The smallest length that at least so many per cent do not exceed.
    let quantile = |per_cent: u64| {
        let wanted = (count * per_cent).div_ceil(100).max(1);
        let mut seen = 0;
        let class = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        class.map_or(0, |class| ns(LENGTHS.middle(class)))
    };
    Summary {
        count,
        p50: quantile(50),
        p90: quantile(90),
        p99: quantile(99),
        max: quantile(100),
    }
}

pub(super) fn short_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "task",
        Kind::Local => "local",
        Kind::BlockOn => "block_on",
        Kind::Nested => "instrumented",
        Kind::Blocking => "blocking",
        Kind::Foreign => "foreign",
    }
}

fn long_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Task => "task",
        Kind::Local => "local task",
        Kind::BlockOn => "block_on",
        Kind::Nested => "instrumented future",
        Kind::Blocking => "blocking closure",
        Kind::Foreign => "task of a dependency, whose waits go on to the poll",
    }
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut json = Vec::new();
    push_string(&mut json, text);
    String::from_utf8_lossy(&json).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::task_times::add;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn percentiles_are_those_of_a_histogram(
            lengths in proptest::collection::vec((0u32..40).prop_flat_map(|power| 0..1u64 << power), 1..400)
        ) {
            let mut counts = Vec::new();
            let mut model = Histogram::<u64>::new(3).unwrap();
            for length in &lengths {
                add(&mut counts, LENGTHS.class(*length), 1);
                model.record(*length).unwrap();
            }
            let ours = summary(&counts, |ticks| ticks);
            prop_assert_eq!(ours.count, lengths.len() as u64);
            for (ours, quantile) in [(ours.p50, 0.5), (ours.p90, 0.9), (ours.p99, 0.99), (ours.max, 1.0)] {
                let theirs = model.value_at_quantile(quantile);
                prop_assert!(ours.abs_diff(theirs) <= theirs / 30 + 1, "{} for {}", ours, theirs);
            }
        }

        #[test]
        fn a_string_is_read_as_it_was(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }

    #[test]
    fn a_worked_case() {
        let mut counts = Vec::new();
        add(&mut counts, LENGTHS.class(10), 98);
        add(&mut counts, LENGTHS.class(20), 1);
        add(&mut counts, LENGTHS.class(30), 1);
        let summary = summary(&counts, |ticks| ticks);
        let Summary {
            count,
            p50,
            p90,
            p99,
            max,
        } = summary;
        assert_eq!((count, p50, p90, p99, max), (100, 10, 10, 20, 30));
    }
}
