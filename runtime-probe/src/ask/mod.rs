//! What a reader does to a live process. Each act is asked for, is bounded in time, and says why it failed.
//!
//! * [`thread_stack`]: asks one thread for its stack;
//! * [`asking`]: how many threads one reader asks, and how long it waits for them;
//! * [`why`]: why a thread has no stack, in words;
//! * [`cpu_timers`]: gives each thread a timer on its CPU time;
//! * [`cpu_session`]: the samples of these timers, added up;
//! * [`trace_session`]: what happens on each thread, for execution traces; [`flight`]: the last seconds of it;
//! * [`settle`]: wakes tasks whose copy leaves open where they wait; only on request.

pub(crate) mod asking;
pub(crate) mod cpu_session;
pub(crate) mod cpu_timers;
pub(crate) mod flight;
pub(crate) mod settle;
pub(crate) mod thread_stack;
pub(crate) mod trace_session;
pub(crate) mod why;
