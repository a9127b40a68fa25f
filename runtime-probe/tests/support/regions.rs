//! The regions of an execution trace, as Go's parser shows them.

use runtime_dump_testing::go::Go;
use runtime_probe::pprof::trace;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a loaded machine may make of one region.
pub const LATE_MS: f64 = 10_000.0;

/// A region that has ended, by the trace.
#[derive(Clone, Debug)]
pub struct Region {
    pub name: String,
    /// The goroutine.
    pub by: u64,
    pub begin_ms: f64,
    pub end_ms: f64,
    pub user_task: String,
}

impl Region {
    pub fn length_ms(&self) -> f64 {
        self.end_ms - self.begin_ms
    }

    pub fn is_within(&self, outer: &Region) -> bool {
        self.by == outer.by && self.begin_ms >= outer.begin_ms && self.end_ms <= outer.end_ms
    }
}

/// The regions of a trace.
pub struct Regions {
    pub ended: Vec<Region>,
    /// The names of those that did not end.
    pub open: Vec<String>,
    /// Ends without a begin.
    pub older: Vec<String>,
}

impl Regions {
    /// Of what a recorder has, which Go's validator accepts.
    pub fn of(recorder: &trace::Recorder, go: &Go) -> Regions {
        Regions::with_text(recorder, go).0
    }

    /// The same, with the text of Go's parser.
    pub fn with_text(recorder: &trace::Recorder, go: &Go) -> (Regions, String) {
        let mut bytes = Vec::new();
        recorder.write_to(&mut bytes).unwrap();
        let file = go.file("regions.trace", &bytes);
        go.validate_traces(std::slice::from_ref(&file)).unwrap();
        let text = go.trace(&["-d=parsed"], &file);
        (Regions::read(&text), text)
    }

    /// Without the waits of threads for locks and for each other, which the feature `interpose` shows as regions.
    #[allow(dead_code, reason = "a test is about those")]
    pub fn without_waits_of_threads(mut self) -> Regions {
        let is_other = |name: &str| !name.starts_with("thread blocked");
        self.ended.retain(|region| is_other(&region.name));
        self.open.retain(|name| is_other(name));
        self.older.retain(|name| is_other(name));
        self
    }

    pub fn read(text: &str) -> Regions {
        let (mut ended, mut older) = (Vec::new(), Vec::new());
        let mut open: BTreeMap<u64, Vec<Region>> = BTreeMap::new();
        for line in text.lines() {
            let word = |key| {
                let word = line.split(' ').find_map(|word| word.strip_prefix(key));
                word.unwrap_or_default()
            };
            let (begins, ends) = (line.contains(" RegionBegin "), line.contains(" RegionEnd "));
            if !begins && !ends {
                continue;
            }
            let name = line.split('"').nth(1).unwrap().to_owned();
            let by = word("G=").parse().unwrap();
            let at_ms = word("Time=").parse::<f64>().unwrap() / 1e6;
            let open = open.entry(by).or_default();
            if begins {
                open.push(Region {
                    name,
                    by,
                    begin_ms: at_ms,
                    end_ms: f64::NAN,
                    user_task: word("Task=").to_owned(),
                });
                continue;
            }
            match open.pop() {
                Some(region) => {
                    assert_eq!(region.name, name, "{line}");
                    let end_ms = at_ms;
                    ended.push(Region { end_ms, ..region });
                }
                None => older.push(name),
            }
        }
        let open = open.into_values().flatten();
        Regions {
            ended,
            open: open.map(|region| region.name).collect(),
            older,
        }
    }

    pub fn all(&self, name: &str) -> Vec<Region> {
        let regions = self.ended.iter();
        regions
            .filter(|region| region.name == name)
            .cloned()
            .collect()
    }

    /// So many regions of that name, each at least so long, and most no longer than `most_ms`.
    #[track_caller]
    pub fn expect(
        &self,
        name: &str,
        count: usize,
        at_least: Duration,
        most_ms: f64,
    ) -> Vec<Region> {
        let regions = self.all(name);
        assert_eq!(regions.len(), count, "{name}: {regions:?}");
        let least_ms = at_least.as_secs_f64() * 1e3;
        // Timers count whole milliseconds. A thread that is preempted behind its look at the clock has waited less.
        let long = regions
            .iter()
            .filter(|region| region.length_ms() > least_ms - 1.0);
        let short = regions.iter().filter(|region| region.length_ms() < most_ms);
        assert_eq!(long.count(), count, "{name}: {regions:?}");
        // A loaded machine runs late.
        assert!(short.count() * 2 >= count, "{name}: {regions:?}");
        regions
    }
}
