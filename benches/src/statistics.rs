//! Medians: other load disturbs some rounds, but not the middle one of many.

/// The median of the rounds, and the range of the middle half of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Quartiles {
    /// The median of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        assert!(!sorted.is_empty(), "quartiles of no values");
        sorted.sort_by(f64::total_cmp);
        Self {
            low: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            high: quantile(&sorted, 0.75),
        }
    }
}

/// Between two values, the mean weighted by distance.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[position.floor() as usize],
        sorted[position.ceil() as usize],
    );
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_all_three() {
        assert_eq!(
            Quartiles::of([7.0]),
            Quartiles {
                low: 7.0,
                median: 7.0,
                high: 7.0
            }
        );
    }

    #[test]
    fn an_outlier_does_not_move_the_median() {
        assert_eq!(
            Quartiles::of([900.0, 3.0, 1.0, 2.0, 4.0]),
            Quartiles {
                low: 2.0,
                median: 3.0,
                high: 4.0
            }
        );
    }

    #[test]
    fn an_even_count_takes_the_middle_between_two() {
        assert_eq!(Quartiles::of([1.0, 2.0]).median, 1.5);
    }
}
