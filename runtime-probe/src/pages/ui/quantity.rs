//! Times and sizes with units.

use crate::profile::selection::grouped;
use std::fmt::{self, Display, Formatter};

/// Nanoseconds: `0 s`, `350 ns`, `1.5 ms`, `12.0 s`, `4 min 05 s`, `3 h 20 min`, `2 d 4 h`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) u64);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const SECOND: u64 = 1_000_000_000;
        let of = |unit: u64| self.0 as f64 / unit as f64;
        let seconds = self.0 / SECOND;
        match self.0 {
            0 => f.write_str("0 s"),
            1..1_000 => write!(f, "{} ns", self.0),
            1_000..1_000_000 => write!(f, "{:.1} \u{b5}s", of(1_000)),
            1_000_000..SECOND => write!(f, "{:.1} ms", of(1_000_000)),
            _ if seconds < 60 => write!(f, "{:.1} s", of(SECOND)),
            _ if seconds < 3600 => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
            _ if seconds < 86_400 => {
                write!(f, "{} h {:02} min", seconds / 3600, seconds % 3600 / 60)
            }
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
        }
    }
}

/// Bytes: `12 B`, `3.4 KiB`, `1.2 GiB`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut units = UNITS.iter();
        let mut unit = units.next().unwrap_or(&"");
        for larger in units {
            if size < 1024.0 {
                break;
            }
            size /= 1024.0;
            unit = larger;
        }
        write!(f, "{size:.1} {unit}")
    }
}

/// A number of things: `1 poll`, `1,234 polls`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", grouped(self.0), self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units_at_the_most() {
        for (ns, text) in [
            (0, "0 s"),
            (350, "350 ns"),
            (1_500_000, "1.5 ms"),
            (12_040_000_000, "12.0 s"),
            (245_000_000_000, "4 min 05 s"),
            (12_000_000_000_000, "3 h 20 min"),
            (187_200_000_000_000, "2 d 4 h"),
        ] {
            assert_eq!(Time(ns).to_string(), text);
        }
    }

    #[test]
    fn one_thing_is_not_many() {
        for (number, text) in [(0, "0 polls"), (1, "1 poll"), (1_234, "1,234 polls")] {
            assert_eq!(Count(number, "poll").to_string(), text);
        }
    }

    #[test]
    fn sizes_have_one_unit() {
        for (bytes, text) in [
            (12, "12 B"),
            (3_500, "3.4 KiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
