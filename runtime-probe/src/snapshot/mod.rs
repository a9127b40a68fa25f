//! Owned copies of what is alive, taken at one moment.
//!
//! * [`tasks`]: all tasks;
//! * [`running`]: where those are that run;
//! * [`threads`]: all threads;
//! * [`waits`]: waits that have ended;
//! * [`settling`]: wakes those whose copy leaves open where they wait; only on request.

pub(crate) mod running;
pub(crate) mod settling;
pub(crate) mod tasks;
pub(crate) mod threads;
pub(crate) mod waits;
