//! Sums by site. Each table is bounded, and counts what it loses.

pub(crate) mod allocations;
pub(crate) mod findings;
pub(crate) mod growths;
pub(crate) mod lengths;
pub(crate) mod poll_times;
pub(crate) mod task_times;
pub(crate) mod waits;
