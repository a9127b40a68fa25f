//! Timestamps for hot paths: the CPU's counter, converted to nanoseconds only when a reader needs them.
//!
//! `Instant::now` costs 21 ns where `rdtsc` costs 9 ns (28 ns on a slower machine); a poll takes one stamp, at its end,
//! and a wake takes one if it comes from outside of any poll. The kernel has no portable way to tell the counter's
//! rate. It is measured between a pair of stamps taken at start and a pair taken by the reader: the longer the process
//! runs, the more exact it is.
//!
//! Where there is no invariant counter, stamps are nanoseconds of `Instant`.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// A stamp of this process's counter. Only differences mean anything.
pub(crate) type Ticks = u64;

/// The two clocks read together.
#[derive(Clone, Copy, Debug)]
struct Pair {
    ticks: Ticks,
    instant: Instant,
}

static START: OnceLock<Pair> = OnceLock::new();

/// The current time.
#[inline(always)]
pub(crate) fn ticks() -> Ticks {
    imp::ticks()
}

/// Takes the first pair of stamps. Called when the probe starts; later calls do nothing.
pub(crate) fn init() {
    START.get_or_init(pair);
}

fn pair() -> Pair {
    // Of five attempts the one with the least time between the two reads is taken: a preemption between them would
    // falsify the rate.
    let mut best: Option<(u64, Pair)> = None;
    for _ in 0..5 {
        let before = ticks();
        let instant = Instant::now();
        let gap = ticks().saturating_sub(before);
        if best.is_none_or(|(least, _)| gap < least) {
            best = Some((
                gap,
                Pair {
                    ticks: before + gap / 2,
                    instant,
                },
            ));
        }
    }
    best.map_or_else(
        || Pair {
            ticks: ticks(),
            instant: Instant::now(),
        },
        |(_, pair)| pair,
    )
}

/// Converts stamps, as of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    now: Ticks,
    ns_per_tick: f64,
}

impl Scale {
    /// Reads both clocks now.
    pub(crate) fn now() -> Self {
        let start = *START.get_or_init(pair);
        // In a younger process the rate would be wrong by more than 1 %, so wait. Only readers wait, and only in the
        // first moments of a process.
        const LEAST: Duration = Duration::from_micros(200);
        let young = start.instant.elapsed();
        if young < LEAST {
            std::thread::sleep(LEAST - young);
        }
        let end = pair();
        let ns = end.instant.duration_since(start.instant).as_nanos() as f64;
        let ticks = end.ticks.saturating_sub(start.ticks).max(1) as f64;
        Scale {
            now: end.ticks,
            ns_per_tick: ns / ticks,
        }
    }

    /// Nanoseconds in a number of ticks.
    pub(crate) fn ns(&self, ticks: Ticks) -> u64 {
        (ticks as f64 * self.ns_per_tick) as u64
    }

    /// How long a tick is.
    pub(crate) fn ns_per_tick(&self) -> f64 {
        self.ns_per_tick
    }

    /// Ticks in a number of nanoseconds.
    pub(crate) fn ticks(&self, ns: u64) -> Ticks {
        (ns as f64 / self.ns_per_tick) as Ticks
    }

    /// Nanoseconds since a stamp; 0 for one that lies ahead (another core's counter may be a little ahead).
    pub(crate) fn since(&self, stamp: Ticks) -> u64 {
        self.ns(self.now.saturating_sub(stamp))
    }
}

#[cfg(target_arch = "x86_64")]
mod imp {
    /// The counter runs at a constant rate in every state of the CPU ("invariant TSC", CPUID 8000_0007h, EDX bit 8) on
    /// every CPU that runs current Linux. A hypervisor may hide that bit, and then the kernel uses another clock. A
    /// wrong rate is the only error that a stamp can have.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a register")]
    pub(super) fn ticks() -> u64 {
        // SAFETY: RDTSC has no memory effect and exists on every x86_64.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}

#[cfg(target_arch = "aarch64")]
mod imp {
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a register")]
    pub(super) fn ticks() -> u64 {
        let ticks: u64;
        // SAFETY: CNTVCT_EL0 is readable from user space on Linux; the read has no side effect.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
        };
        ticks
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod imp {
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(super) fn ticks() -> u64 {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Wall-clock time, nanoseconds since 1970.
pub(crate) fn wall_ns() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_agrees_with_instant() {
        init();
        let (stamp, instant) = (ticks(), Instant::now());
        std::thread::sleep(Duration::from_millis(50));
        let scale = Scale::now();
        let (ours, std) = (
            scale.since(stamp) as f64,
            instant.elapsed().as_nanos() as f64,
        );
        // 2 %: the two clocks are read a few microseconds apart at each end of at least 50 ms. That holds on a busy
        // machine that preempts once between them.
        assert!((ours / std - 1.0).abs() < 0.02, "{ours} against {std}");
    }

    #[test]
    fn a_stamp_from_ahead_is_zero() {
        assert_eq!(Scale::now().since(ticks() + 1_000_000_000), 0);
    }
}
