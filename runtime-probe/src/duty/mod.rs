//! Threads of our own that act while no reader does.
//!
//! * [`sigquit`]: writes a dump for each `SIGQUIT`; [`quits`]: the signal;
//! * `debug_lines`: lines of the scheduler's state, with the feature `rt`;
//! * [`watchdog`]: warns when a program does not run as it should; [`warning`]: the text, [`watchdog_counters`]: how
//!   often.

#[cfg(feature = "rt")]
pub(crate) mod debug_lines;
mod quits;
pub(crate) mod sigquit;
mod warning;
pub(crate) mod watchdog;
pub(crate) mod watchdog_counters;
