//! Classes of lengths of time, as in an HdrHistogram. Short lengths have a class each. Above, each power of two is
//! divided into the same number of classes, so that all have the same relative error.

/// How lengths are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Lengths below `1 << precision` are a class each. From there on a power of two has half as many classes.
    precision: u32,
    /// The last power of two. Longer lengths are in the last class.
    last_power: u32,
}

impl Lengths {
    /// Classes with a relative error of one part in `1 << precision`.
    pub(crate) const fn new(precision: u32, last_power: u32) -> Self {
        Lengths {
            precision,
            last_power,
        }
    }

    const fn exact(self) -> usize {
        1 << self.precision
    }

    /// How many classes there are.
    pub(crate) const fn classes(self) -> usize {
        self.exact() + (self.last_power - self.precision + 1) as usize * self.exact() / 2
    }

    /// The class of a length.
    pub(crate) fn class(self, length: u64) -> usize {
        if length < self.exact() as u64 {
            return length as usize;
        }
        let length = length.min((2 << self.last_power) - 1);
        let (power, half) = (length.ilog2(), self.exact() / 2);
        let within = (length >> (power - self.precision + 1)) as usize - half;
        self.exact() + (power - self.precision) as usize * half + within
    }

    /// The middle of the lengths of a class.
    pub(crate) fn middle(self, class: usize) -> u64 {
        let half = self.exact() / 2;
        let Some(above) = class.checked_sub(self.exact()) else {
            return class as u64;
        };
        let shift = (above / half) as u32 + 1;
        let first = ((above % half + half) as u64) << shift;
        first + (1 << shift) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_known_as_well_as_it_says() {
        for lengths in [Lengths::new(8, 40), Lengths::new(5, 43)] {
            let mut last = 0;
            let tried = (0..=lengths.last_power).flat_map(|power| {
                let first = 1u64 << power;
                (0..97).map(move |part| first + first / 97 * part)
            });
            for length in tried {
                let class = lengths.class(length);
                let known = lengths.middle(class);
                assert!(
                    known.abs_diff(length) <= length >> lengths.precision,
                    "{length} is known as {known}"
                );
                assert!(class >= last, "{length} is counted below what is shorter");
                last = class;
            }
            let longest = (2 << lengths.last_power) - 1;
            assert_eq!(lengths.class(u64::MAX), lengths.classes() - 1);
            assert_eq!(lengths.class(longest), lengths.classes() - 1);
        }
    }
}
