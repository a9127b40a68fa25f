//! Durations as a histogram of the client's library.

use std::time::Duration;

use console_api::tasks::DurationHistogram;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use runtime_probe::pprof::Distribution;

/// The greatest duration that is distinguished from longer ones, in nanoseconds: 18 minutes.
const MOST: u64 = 1 << 40;

/// Significant digits: as exact as the counts.
const DIGITS: u8 = 2;

/// `None` without any count: an empty histogram has no percentiles.
pub(crate) fn of(times: &Distribution) -> Option<DurationHistogram> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, MOST, DIGITS).ok()?;
    let mut longer = 0;
    for (length, count) in &times.counts {
        let ns = nanoseconds(*length);
        match ns > MOST {
            true => longer += count,
            false => histogram.record_n(ns.max(1), *count).ok()?,
        }
    }
    if histogram.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(&histogram, &mut bytes).ok()?;
    Some(DurationHistogram {
        raw_histogram: bytes,
        max_value: MOST,
        high_outliers: longer,
        highest_outlier: (longer > 0).then(|| nanoseconds(times.longest)),
    })
}

fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
