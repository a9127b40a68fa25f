//! Numbers for a time series: families by the conventions of Prometheus, without any format.
//!
//! Our own counts where there are some, under `runtime_probe_`; tokio's beside them under `tokio_`, with tokio's meaning, which is
//! another one: LIFO polls, the polls of a root, and those that gave their worker away are missing there, and workers hand their numbers
//! over when they park. No label has an id of a task: the labels are spawn sites, of which 256 are kept apart, runtimes and workers.
//!
//! * [`tasks`]: by where they are spawned;
//! * `runtimes`: pools, workers, what tokio counts;
//! * [`probe`]: what the probe found, waits and losses;
//! * [`heap`]: what is allocated;
//! * [`process`]: what the system tells.

mod heap;
mod probe;
pub(crate) mod process;
#[cfg(feature = "rt")]
mod runtimes;
mod tasks;

#[cfg(feature = "rt")]
pub(crate) use runtimes::name as runtime_name;

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// It grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Lengths, by class.
    Histogram,
}

/// A unit, which is a part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Seconds,
}

/// Numbers of one name.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    /// Without unit and `_total`.
    pub(crate) name: &'static str,
    pub(crate) unit: Option<Unit>,
    pub(crate) is: Type,
    /// A sentence without its full stop, in one line.
    pub(crate) help: &'static str,
    pub(crate) samples: Vec<Sample>,
}

/// A number and what it is of.
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
        /// Upper bounds, each with the number of lengths that no smaller one has.
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

    /// Adds a number without labels; nothing where it is not known.
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

/// All but those of the process. A family without a number is left out.
pub(crate) fn of_the_probe() -> Vec<Family> {
    let mut families = tasks::families();
    #[cfg(feature = "rt")]
    families.extend(runtimes::families());
    families.extend(probe::families());
    families.extend(heap::families());
    families.retain(|family| !family.samples.is_empty());
    families
}
