//! Threads of our own that act while no reader does.
//!
//! * [`sigquit`]: writes a dump for each `SIGQUIT`; [`quits`]: the signal;
//! * [`watchdog`]: tells when a program does not run as it should; [`warning`]: in which words, [`watchdog_counters`]: how often.

mod quits;
pub(crate) mod sigquit;
mod warning;
pub(crate) mod watchdog;
pub(crate) mod watchdog_counters;
