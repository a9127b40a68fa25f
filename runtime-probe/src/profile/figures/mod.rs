//! Figures for time series: families by the conventions of Prometheus, without a format.
//!
//! Our own counts are under `runtime_probe_`. tokio's are under `tokio_` and have tokio's meaning, which differs: they
//! lack LIFO polls, polls of a root, and polls in `block_in_place`, and workers publish them when they park. No label
//! has the id of a task. The labels are spawn sites (256 are kept apart), runtimes and workers.
//!
//! * [`tasks`]: tasks by spawn site;
//! * `runtimes`: pools, workers, and tokio's counts;
//! * [`probe`]: findings of watchdogs, waits and losses;
//! * [`heap`]: sampled allocations;
//! * [`process`]: the process, by the system's counts.

mod heap;
mod probe;
pub(crate) mod process;
#[cfg(feature = "rt")]
mod runtimes;
mod tasks;

#[cfg(feature = "rt")]
pub(crate) use runtimes::name as runtime_name;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A number that only grows.
    Counter,
    /// A number that may fall.
    Gauge,
    /// Counts of lengths by bucket.
    Histogram,
}

/// A unit, which becomes part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Seconds,
}

/// The numbers of one name.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// The name without unit and `_total`.
    pub(crate) name: &'static str,
    pub(crate) unit: Option<Unit>,
    pub(crate) is: Type,
    /// A sentence without its full stop, in one line.
    pub(crate) help: &'static str,
    pub(crate) samples: Vec<Sample>,
}

/// A number and its labels.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) number: Number,
}

/// A number.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
    Lengths {
        sum: f64,
        count: u64,
        /// (upper bound, number of lengths in this bucket only)
        buckets: Vec<(f64, u64)>,
    },
}

impl Family {
    fn new(is: Type, name: &'static str, unit: Option<Unit>, help: &'static str) -> Self {
        Family {
            name,
            unit,
            is,
            help,
            samples: Vec::new(),
        }
    }

    fn counter(name: &'static str, help: &'static str) -> Self {
        Family::new(Type::Counter, name, None, help)
    }

    fn gauge(name: &'static str, help: &'static str) -> Self {
        Family::new(Type::Gauge, name, None, help)
    }

    fn unit(self, unit: Unit) -> Self {
        Family {
            unit: Some(unit),
            ..self
        }
    }

    /// Adds a number without labels, if it is known.
    fn with(mut self, number: Option<Number>) -> Self {
        self.add(&[], number);
        self
    }

    fn add(&mut self, labels: &[(&'static str, &str)], number: Option<Number>) {
        let labels = labels.iter();
        self.samples.extend(number.map(|number| {
            Sample {
                labels: labels
                    .map(|(key, value)| (*key, (*value).to_owned()))
                    .collect(),
                number,
            }
        }));
    }
}

/// All families but those of the process. A family without numbers is left out.
pub(crate) fn of_the_probe() -> Vec<Family> {
    let mut families = tasks::families();
    #[cfg(feature = "rt")]
    families.extend(runtimes::families());
    families.extend(probe::families());
    families.extend(heap::families());
    families.retain(|family| !family.samples.is_empty());
    families
}
