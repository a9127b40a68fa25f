//! Sums by site: bounded, lossy where they must be, and counted where they are lossy.

pub(crate) mod allocations;
pub(crate) mod findings;
pub(crate) mod growths;
pub(crate) mod lengths;
pub(crate) mod poll_times;
pub(crate) mod task_times;
pub(crate) mod waits;
