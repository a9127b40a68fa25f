//! Sampling rules: which events are kept, and the weight of each kept one. Pure functions with Go's rules
//! (`blockevent`, `mutexevent`), so that the sums in pprof are unbiased.

use std::cell::Cell;

pub(crate) mod bytes;

/// The weight of a kept event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight {
    /// How many events it represents.
    pub(crate) count: f64,
    /// The time of all these events, in the unit of the measurement.
    pub(crate) delay: f64,
}

/// Samples a wait of `length`, with one sample for each `rate` of waiting (both in one unit). A wait of at least the
/// rate is always kept, with the weight 1. A shorter one is kept with the probability (length + 1) / rate, and
/// represents rate / length waits. So expected sums equal those of keeping everything, except for the 1, which is Go's.
#[inline]
pub(crate) fn wait(length: u64, rate: u64, random: impl FnOnce() -> u64) -> Option<Weight> {
    let length = length.max(1);
    if length >= rate {
        return Some(Weight {
            count: 1.0,
            delay: length as f64,
        });
    }
    // A number below the rate, without a division.
    let chance = (u128::from(random()) * u128::from(rate)) >> 64;
    (chance <= u128::from(length)).then(|| Weight {
        count: rate as f64 / length as f64,
        delay: rate as f64,
    })
}

/// Samples the release of a lock that others waited for. It is kept with the probability 1 / `fraction`, and then
/// represents `fraction` releases. 0 keeps none.
#[cfg(feature = "sync")]
pub(crate) fn unlock(waited: u64, fraction: u64, random: impl FnOnce() -> u64) -> Option<Weight> {
    let kept = fraction == 1 || (fraction != 0 && random().is_multiple_of(fraction));
    kept.then_some(Weight {
        count: fraction as f64,
        delay: fraction as f64 * waited as f64,
    })
}

thread_local! {
    /// No destructor, so it can be used while threads are torn down. 0 before the first use.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// A random number for sampling: xorshift64*, with a state for each thread. Its period is 2^64 - 1. It only has to be
/// independent of the program's pattern of waits.
#[inline]
pub(crate) fn random() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            // Threads differ by the address of their state, and processes by the time.
            x = (std::ptr::from_ref(state).addr() as u64) << 20 ^ crate::clock::ticks() | 1;
        }
        let (next, number) = step(x);
        state.set(next);
        number
    })
}

#[inline]
fn step(mut x: u64) -> (u64, u64) {
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    (x, x.wrapping_mul(0x2545_f491_4f6c_dd1d))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random numbers from a fixed seed: the same in every run.
    fn numbers(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            let (next, number) = step(state);
            state = next;
            number
        }
    }

    #[test]
    fn a_wait_as_long_as_the_rate_stands_for_itself() {
        let never = || unreachable!("no chance in it");
        let kept = |count, delay| Some(Weight { count, delay });
        assert_eq!(wait(1000, 1000, never), kept(1.0, 1000.0));
        assert_eq!(wait(0, 1, never), kept(1.0, 1.0));
        assert_eq!(wait(7, 1, never), kept(1.0, 7.0));
        assert_eq!(wait(u64::MAX, 1000, never), kept(1.0, u64::MAX as f64));
    }

    /// 400,000 waits of a hundredth of the rate: about 4,040 are kept. The relative error of the sum has the standard
    /// deviation 1 / sqrt(4040) = 1.6 %; 5 % is three of them, over three seeds.
    #[test]
    fn short_waits_add_up_to_the_truth() {
        const RATE: u64 = 100_000;
        const LENGTH: u64 = 1_000;
        const WAITS: u64 = 400_000;
        for seed in [1, 0x5eed, 20_261_121] {
            let mut random = numbers(seed);
            let (mut count, mut delay) = (0.0, 0.0);
            for _ in 0..WAITS {
                if let Some(weight) = wait(LENGTH, RATE, &mut random) {
                    count += weight.count;
                    delay += weight.delay;
                }
            }
            let truth = (WAITS * LENGTH) as f64;
            assert!(
                (delay / truth - 1.0).abs() < 0.05,
                "{seed}: {delay} of {truth}"
            );
            assert!((count / WAITS as f64 - 1.0).abs() < 0.05, "{seed}: {count}");
        }
    }

    /// Lengths over five decades, of which some lie above the rate. The error comes from the short ones: at most
    /// sqrt(sum of length * rate) over the sum of lengths, here 0.9 %.
    #[test]
    fn mixed_waits_add_up_to_the_truth() {
        const RATE: u64 = 10_000;
        let mut random = numbers(42);
        let (mut truth, mut delay) = (0.0, 0.0);
        for _ in 0..200_000 {
            let length = 10u64.pow((random() % 5 + 1) as u32) / (random() % 9 + 1);
            truth += length as f64;
            delay += wait(length, RATE, &mut random).map_or(0.0, |weight| weight.delay);
        }
        assert!((delay / truth - 1.0).abs() < 0.03, "{delay} of {truth}");
    }

    /// 200,000 releases, of which each tenth was waited for a hundred times longer. A kept share of 1/n has the relative
    /// deviation sqrt(n / events): for n = 100 that is 2.2 % of the count; of the delay, which 20,000 events make up,
    /// 7.1 %. Bounds of three deviations, over three seeds.
    #[test]
    #[cfg(feature = "sync")]
    fn a_fraction_of_the_releases_adds_up_to_the_truth() {
        const RELEASES: u64 = 200_000;
        let waited = |release: u64| {
            if release.is_multiple_of(10) {
                10_000
            } else {
                100
            }
        };
        let truth: u64 = (0..RELEASES).map(waited).sum();
        for (fraction, seed) in [(1, 1), (5, 2), (100, 1), (100, 0x5eed), (100, 20_261_121)] {
            let mut random = numbers(seed);
            let (mut count, mut delay) = (0.0, 0.0);
            for release in 0..RELEASES {
                if let Some(weight) = unlock(waited(release), fraction, &mut random) {
                    count += weight.count;
                    delay += weight.delay;
                }
            }
            let deviation = ((fraction - 1) as f64 / RELEASES as f64).sqrt();
            let off = (count / RELEASES as f64 - 1.0).abs();
            assert!(off <= 3.0 * deviation, "1/{fraction}, {seed}: {count}");
            let off = (delay / truth as f64 - 1.0).abs();
            assert!(
                off <= 10.0 * deviation,
                "1/{fraction}, {seed}: {delay} of {truth}"
            );
        }
        assert_eq!(unlock(5, 0, || 0), None);
    }

    #[test]
    fn threads_have_numbers_of_their_own() {
        let here = random();
        let there = std::thread::spawn(random).join().unwrap();
        assert_ne!(here, there);
        assert_ne!(here, random());
    }
}
