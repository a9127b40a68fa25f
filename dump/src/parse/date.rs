//! The date above each dump of a log, in RFC 3339 or in the form of `date`.

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Formats nanoseconds since 1970 as `2026-11-29T23:07:10.250Z`.
///
/// ```
/// assert_eq!(runtime_dump::parse::rfc3339(1_795_993_630_250_000_000), "2026-11-29T23:07:10.250Z");
/// ```
pub fn rfc3339(time_ns: i64) -> String {
    let millis = time_ns.div_euclid(1_000_000);
    let seconds = millis.div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        millis.rem_euclid(1000)
    )
}

/// Parses a date into nanoseconds since 1970: RFC 3339 (`2026-11-29T23:07:10Z`, also with a blank instead of the `T`),
/// or the output of `date` (`Sun Nov 29 23:07:10 UTC 2026`, `Sun 29 Nov 2026 11:07:10 PM CET`). A zone that is only a
/// name is read as UTC, because all dates of a log have the same zone.
pub(super) fn parse(line: &str) -> Option<i64> {
    let words: Vec<&str> = line
        .split([' ', 'T'])
        .filter(|word| !word.is_empty())
        .collect();
    if let [date, time, ..] = words[..]
        && let Some(days) = iso_date(date)
    {
        let zone = words.get(2).copied().unwrap_or_default();
        return at(days, &format!("{time}{zone}"), 0);
    }
    // The letter `T` also occurs in words: Tue, Thu, UTC.
    let words: Vec<&str> = line.split_whitespace().collect();
    let month = words.iter().find_map(|word| {
        MONTHS.iter().position(|month| {
            word.get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case(month))
        })
    })?;
    let number = |word: &&str| word.trim_end_matches(',').parse::<i64>().ok();
    let year = words
        .iter()
        .filter_map(number)
        .find(|number| *number >= 1970 && *number < 10_000)?;
    let day = words
        .iter()
        .filter_map(number)
        .find(|number| (1..=31).contains(number))?;
    let time = words.iter().find(|word| word.contains(':'))?;
    let afternoon = match words.iter().find(|word| matches!(**word, "AM" | "PM")) {
        Some(&"PM") if !time.starts_with("12") => 12 * 3600,
        Some(&"AM") if time.starts_with("12") => -12 * 3600,
        _ => 0,
    };
    at(days(year, month as i64 + 1, day), time, afternoon)
}

fn iso_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (number()?, number()?, number()?);
    let known =
        (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (known && parts.next().is_none()).then(|| days(year, month, day))
}

/// Parses the time `23:07:10.25+01:00` of a day.
fn at(days: i64, time: &str, more: i64) -> Option<i64> {
    let end = time
        .find(|c: char| !matches!(c, '0'..='9' | ':' | '.'))
        .unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let mut parts = clock.split(':');
    let hour: i64 = parts.next()?.parse().ok()?;
    let minute: i64 = parts.next()?.parse().ok()?;
    let (second, fraction) = {
        let seconds = parts.next().unwrap_or("0");
        seconds.split_once('.').unwrap_or((seconds, ""))
    };
    let second: i64 = second.parse().ok()?;
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return None;
    }
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanos: i64 = nanos.parse().ok()?;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second + more - zone_seconds(zone);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Parses `+01:00` and `-0530` into seconds. Returns 0 for other texts.
fn zone_seconds(zone: &str) -> i64 {
    let sign = match zone.chars().next() {
        Some('+') => 1,
        Some('-') => -1,
        _ => return 0,
    };
    let digits: String = zone[1..]
        .chars()
        .filter(char::is_ascii_digit)
        .take(4)
        .collect();
    let number: i64 = digits.parse().unwrap_or(0);
    match digits.len() {
        2 => sign * number * 3600,
        4 => sign * (number / 100 * 3600 + number % 100 * 60),
        _ => 0,
    }
}

/// The days since 1970 of a date of the Gregorian calendar. Years begin in March here.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The date of a number of days since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_each_kind_are_one_moment() {
        const MOMENT: i64 = 1_795_993_630_000_000_000;
        for line in [
            "2026-11-29T23:07:10Z",
            "2026-11-29 23:07:10",
            "2026-11-30T00:07:10.0+01:00",
            "Sun Nov 29 23:07:10 UTC 2026",
            "Sun 29 Nov 2026 11:07:10 PM UTC",
            "Sun, 29 Nov 2026 23:07:10 GMT",
        ] {
            assert_eq!(parse(line), Some(MOMENT), "{line}");
        }
        for line in [
            "",
            "goroutine profile: total 5",
            "12:30",
            "2026-13-01 00:00:00",
            "T",
            "2026-11-29",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_date_is_read_as_it_was_written() {
        for day in [0_i64, 58, 59, 60, 365, 11_016, 11_017, 20_787, 47_540] {
            let ns = (day * DAY + 86_399) * 1_000_000_000 + 123_000_000;
            assert_eq!(parse(&rfc3339(ns)), Some(ns), "{}", rfc3339(ns));
        }
    }
}
