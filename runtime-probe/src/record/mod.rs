//! What happened: bounded, lossy where it must be, and counted where it is lossy.

pub(crate) mod contention;
pub(crate) mod delays;
pub(crate) mod lengths;
pub(crate) mod poll_times;
pub(crate) mod ring;
pub(crate) mod task_times;
