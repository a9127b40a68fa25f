//! Which events are kept, and for how many each kept one stands. Pure rules, Go's own (`blockevent`, `mutexevent`), so
//! that what pprof adds up is what happened.

use std::cell::Cell;

/// What an event adds to its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weight {
    /// How many events it stands for.
    pub(crate) count: f64,
    /// The time of all of them, in the unit in which it was measured.
    pub(crate) delay: f64,
}

/// A wait of `length`, at one sample for each `rate` waited (both in one unit). A wait that is longer than the rate is
/// always kept and stands for itself. A shorter one is kept with the probability (length + 1) / rate and stands for as
/// many as would make up the rate; so expectations are those of keeping everything, but for that 1, which is Go's.
#[inline]
pub(crate) fn wait(length: u64, rate: u64, random: impl FnOnce() -> u64) -> Option<Weight> {
    let length = length.max(1);
    if length >= rate {
        return Some(Weight {
            count: 1.0,
            delay: length as f64,
        });
    }
    (random() % rate <= length).then(|| Weight {
        count: rate as f64 / length as f64,
        delay: rate as f64,
    })
}

thread_local! {
    /// No destructor, so that it can be used while threads are torn down. 0 before the first use.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// A number for sampling: xorshift64*, a state for each thread. Its period of 2^64 - 1 outlives the thread; what
/// sampling needs of it is that no program's pattern of waits goes along with it.
#[inline]
pub(crate) fn random() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            // Threads differ by where their state lies, processes by the time.
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

    /// Fixed seed: the same numbers in every run.
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

    #[test]
    fn threads_have_numbers_of_their_own() {
        let here = random();
        let there = std::thread::spawn(random).join().unwrap();
        assert_ne!(here, there);
        assert_ne!(here, random());
    }
}
