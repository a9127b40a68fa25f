//! The rule for sampling allocations, as in Go. The bytes up to the next sample are exponentially distributed with the
//! rate as their mean, so an allocation of `size` bytes is sampled with the probability `1 - exp(-size / rate)`,
//! independently of earlier ones.
//!
//! The distribution has no memory. So if the rate changes, the bytes up to the next sample are drawn again, and each
//! allocation is counted at the rate that it was sampled at.

use std::cell::Cell;

/// A thread checks whether the rate has changed at least once in so many allocated bytes.
pub(crate) const LOOK_EVERY: i64 = 16 << 10;

/// A thread's countdown to its next sample.
pub(crate) struct Countdown {
    /// Bytes up to the next look.
    left: Cell<i64>,
    /// Bytes from the next look to the next sample.
    ahead: Cell<i64>,
    /// The rate of that draw; 0 for none.
    rate: Cell<u64>,
}

impl Countdown {
    /// The countdown of a thread that has not allocated yet.
    pub(crate) const fn new() -> Self {
        Countdown {
            left: Cell::new(0),
            ahead: Cell::new(0),
            rate: Cell::new(0),
        }
    }

    /// Counts an allocation. Returns whether a [`Countdown::look`] is needed.
    #[inline(always)]
    pub(crate) fn pass(&self, size: usize) -> bool {
        // No allocation is larger than isize::MAX, and `left` is never below -isize::MAX before.
        let left = self.left.get().wrapping_sub(size as i64);
        self.left.set(left);
        left < 0
    }

    /// Decides about the allocation that was [passed](Countdown::pass) last. Returns the rate at which it is sampled,
    /// if it is. `rate` is the rate in force, 0 for none.
    pub(crate) fn look(
        &self,
        size: usize,
        rate: u64,
        mut random: impl FnMut() -> u64,
    ) -> Option<u64> {
        let drawn_for = self.rate.get();
        let mut left = self.left.get().saturating_add(self.ahead.get());
        let mut sampled = (drawn_for != 0 && left < 0).then_some(drawn_for);
        if drawn_for == 0 && rate != 0 {
            // The first allocation of the thread, or the first since sampling was switched on.
            left = distance(rate, random()).saturating_sub(size as i64);
            sampled = (left < 0).then_some(rate);
        }
        if rate == 0 {
            left = LOOK_EVERY;
        } else if sampled.is_some() || (drawn_for != 0 && drawn_for != rate) {
            left = distance(rate, random());
        }
        self.rate.set(rate);
        self.left.set(left.min(LOOK_EVERY));
        self.ahead.set((left - LOOK_EVERY).max(0));
        sampled
    }

    /// Restarts with the next allocation, because the rate has changed.
    pub(crate) fn restart(&self) {
        self.rate.set(0);
        self.ahead.set(0);
        self.left.set(0);
    }
}

/// Draws the bytes up to a sample: exponential with the mean `rate`. At a rate of 1 every byte is sampled.
fn distance(rate: u64, random: u64) -> i64 {
    if rate <= 1 {
        return 0;
    }
    // Above 0 and at most 1, with the 53 bits of a double.
    let uniform = ((random >> 11) + 1) as f64 / (1u64 << 53) as f64;
    (-uniform.ln() * rate as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::super::step;
    use super::*;

    /// How many allocations one sampled allocation of `size` bytes represents.
    fn stands_for(size: f64, rate: u64) -> f64 {
        if rate <= 1 || size <= 0.0 {
            return 1.0;
        }
        -1.0 / (-size / rate as f64).exp_m1()
    }

    /// Random numbers from a fixed seed: the same in every run.
    fn numbers(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            let (next, number) = step(state);
            state = next;
            number
        }
    }

    fn passes(
        countdown: &Countdown,
        size: usize,
        rate: u64,
        random: &mut impl FnMut() -> u64,
    ) -> Option<u64> {
        match countdown.pass(size) {
            true => countdown.look(size, rate, random),
            false => None,
        }
    }

    #[test]
    fn everything_at_rate_one_and_nothing_at_rate_zero() {
        let (countdown, mut random) = (Countdown::new(), numbers(1));
        for size in [1, 16, 1 << 20, 1, 1] {
            assert_eq!(passes(&countdown, size, 1, &mut random), Some(1));
        }
        for _ in 0..100_000 {
            // The earlier draw ends at the next look, which the next allocation triggers.
            let sampled = passes(&countdown, 100, 0, &mut random);
            assert!(sampled.is_none() || sampled == Some(1));
        }
        assert_eq!(passes(&countdown, 1 << 30, 0, &mut random), None);
    }

    /// Sizes from far below the rate to far above. A sample of `size` represents `1/p` allocations, `p` its
    /// probability, so the relative deviation of a count of `n` allocations is `sqrt((1 - p) / (p n))`: four of them,
    /// over three seeds.
    #[test]
    fn samples_add_up_to_the_truth_for_each_size() {
        const RATE: u64 = 64 << 10;
        const ROUNDS: usize = 200_000;
        let sizes = [64, 1 << 10, 20_000, 64 << 10, 1 << 20];
        for seed in [1, 0x5eed, 20_261_129] {
            let (countdown, mut random) = (Countdown::new(), numbers(seed));
            let mut counts = [0.0; 5];
            for _ in 0..ROUNDS {
                for (count, size) in counts.iter_mut().zip(sizes) {
                    if let Some(rate) = passes(&countdown, size, RATE, &mut random) {
                        *count += stands_for(size as f64, rate);
                    }
                }
            }
            for (count, size) in counts.iter().zip(sizes) {
                let p = 1.0 / stands_for(size as f64, RATE);
                let deviation = ((1.0 - p) / (p * ROUNDS as f64)).sqrt();
                let off = (count / ROUNDS as f64 - 1.0).abs();
                assert!(
                    off <= 4.0 * deviation + 1e-9,
                    "{seed}: {size}: {count} off by {off}"
                );
            }
        }
    }

    /// The rate changes every 1000 allocations, once to 0. The allocations at the rate 0 are known up to a look.
    /// 100,000 allocations of 200 bytes at three rates give 76 samples at the coarsest. So the sum, of which the two
    /// finer rates make up as much, deviates by 6 %; the bound is three of these.
    #[test]
    fn a_changed_rate_leaves_no_bias() {
        for seed in [3, 0x5eed, 20_261_129] {
            let (countdown, mut random) = (Countdown::new(), numbers(seed));
            let (mut truth, mut sum) = (0.0, 0.0);
            for round in 0..600 {
                let rate = [1 << 10, 256 << 10, 16 << 10, 0][round % 4];
                for _ in 0..1000 {
                    truth += if rate == 0 { 0.0 } else { 200.0 };
                    if let Some(rate) = passes(&countdown, 200, rate, &mut random) {
                        sum += 200.0 * stands_for(200.0, rate);
                    }
                }
            }
            let off: f64 = sum / truth - 1.0;
            assert!(off.abs() < 0.18, "{seed}: {sum} of {truth}");
        }
    }

    #[test]
    fn a_thread_that_is_told_looks_at_its_next_allocation() {
        let (countdown, mut random) = (Countdown::new(), numbers(1));
        assert_eq!(passes(&countdown, 1, 0, &mut random), None);
        assert!(!countdown.pass(8), "it looks after 16 KiB");
        countdown.restart();
        assert_eq!(passes(&countdown, 8, 1, &mut random), Some(1));
    }

    #[test]
    fn a_worked_case() {
        // Of the allocations as large as the rate, 1 - exp(-1) are sampled.
        assert!((stands_for(512.0, 512) - 1.0 / 0.632_120_558_8).abs() < 1e-9);
        assert!((stands_for(1.0, 1000) - 1000.5).abs() < 0.01);
        assert_eq!(stands_for(1e9, 1000), 1.0);
        assert_eq!(stands_for(7.0, 1), 1.0);
    }
}
