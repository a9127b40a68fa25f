//! What a reader does to a live process. Each act happens on request, is bounded in time, and gives a reason when it
//! fails.
//!
//! * [`thread_stack`]: asks one thread for its stack;
//! * [`asking`]: how many threads one reader asks, and how long it waits for them;
//! * [`why`]: why a thread was not captured, as text;
//! * [`cpu_timers`]: gives each thread a timer on its CPU time;
//! * [`cpu_session`]: the samples of these timers, added up;
//! * [`trace_session`]: the events of all threads, for execution traces; [`flight`]: those of the last seconds;
//! * [`settle`]: wakes tasks whose copy leaves open where they wait.

pub(crate) mod asking;
pub(crate) mod cpu_session;
pub(crate) mod cpu_timers;
pub(crate) mod flight;
pub(crate) mod settle;
pub(crate) mod thread_stack;
pub(crate) mod trace_session;
pub(crate) mod why;
