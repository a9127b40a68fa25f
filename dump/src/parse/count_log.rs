//! A log of count profiles: for each profile a line with the date, and the text of `debug=1`.
//!
//! `while sleep 1; do date; curl ..; done >> prof.log` writes such a log.

use super::counts::{self, Counts};
use super::{ParseError, date};

/// The counts of several moments.
#[derive(Clone, Debug)]
pub struct CountLog {
    /// The moments, in the order of the text.
    pub samples: Vec<LogSample>,
    /// The number of incomplete entries, which are left out. The last entry of a growing log may be incomplete.
    pub damaged: usize,
}

/// The counts of one moment.
#[derive(Clone, Debug)]
pub struct LogSample {
    /// Nanoseconds since 1970. `None` if the line above the counts is no known date.
    pub time_ns: Option<i64>,
    /// The counts.
    pub counts: Counts,
}

/// The number of profiles in a text.
pub(super) fn headers(text: &str) -> usize {
    text.lines().filter(|line| counts::is_header(line)).count()
}

/// Parses a log.
pub(super) fn parse(text: &str) -> Result<CountLog, ParseError> {
    let mut starts = Vec::new();
    let mut at = 0;
    let mut above = (0, "");
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        if counts::is_header(content) {
            let date = above.1;
            let begin = if is_of_a_stack(date) { at } else { above.0 };
            starts.push((begin, at, date::parse(date)));
        }
        above = (at, content);
        at += line.len();
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|(begin, ..)| *begin)
        .chain([text.len()]);
    let mut log = CountLog {
        samples: Vec::new(),
        damaged: 0,
    };
    for ((_, start, time_ns), end) in starts.iter().zip(ends) {
        match counts::parse(text.get(*start..end).unwrap_or_default()) {
            Ok(counts) => log.samples.push(LogSample {
                time_ns: *time_ns,
                counts,
            }),
            Err(_) => log.damaged += 1,
        }
    }
    match log.samples.is_empty() {
        true => Err(ParseError::Truncated(
            "no dump of the log is whole".to_owned(),
        )),
        false => Ok(log),
    }
}

/// Whether a line belongs to the previous profile, and is no date.
fn is_of_a_stack(line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || line.contains(" @")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_their_dates() {
        let text = "Sun Nov 29 23:07:10 UTC 2026\ngoroutine profile: total 1\n1 @ 0x11\n#\t0x10\tf\ta.rs:1\n\n\
            2026-11-29T23:07:11Z\ngoroutine profile: total 2\n2 @ 0x11\n#\t0x10\tf\ta.rs:1\n\n\
            later\ngoroutine profile: total 9\n2 @ 0x11\n\n";
        let log = parse(text).unwrap();
        let times: Vec<_> = log.samples.iter().map(|sample| sample.time_ns).collect();
        assert_eq!(
            times,
            [
                Some(1_795_993_630_000_000_000),
                Some(1_795_993_631_000_000_000)
            ]
        );
        assert_eq!((log.samples[1].counts.total, log.damaged), (2, 1));
    }
}
