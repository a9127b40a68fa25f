//! A log of count profiles: a line with the date, and below it the text of `debug=1`; then the next.
//!
//! It is what `while sleep 1; do date; curl ..; done >> prof.log` leaves.

use super::counts::{self, Counts};
use super::{ParseError, date};

/// Counts of several moments.
#[derive(Clone, Debug)]
pub struct CountLog {
    /// In their order.
    pub samples: Vec<LogSample>,
    /// How many were left out because they are not whole, as the last one of a log that is being written.
    pub damaged: usize,
}

/// One moment.
#[derive(Clone, Debug)]
pub struct LogSample {
    /// Nanoseconds since 1970; `None` where the line above is no date that is known.
    pub time_ns: Option<i64>,
    /// What there is.
    pub counts: Counts,
}

/// How many profiles begin in a text.
pub(super) fn headers(text: &str) -> usize {
    text.lines().filter(|line| counts::is_header(line)).count()
}

/// Reads a log.
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

/// Whether a line is of the dump above, not a date.
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
