//! Owned copies of what is alive, taken at one moment.
//!
//! * [`state`]: what a task is doing;
//! * [`tasks`]: all tasks;
//! * [`remaining`]: what is left of the registrations of one;
//! * [`facts`]: all tasks, for readers outside of this crate;
//! * [`sites`]: all tasks, by where they were spawned;
//! * [`unlisted`]: how many there are beside these;
//! * `unpolled`: which of those that wait were not polled since;
//! * [`polls`]: how long the polls of one task take;
//! * [`running`]: where those are that run;
//! * [`rates`]: how often those are polled that do not wait;
//! * [`under_way`]: polls and closures that have not ended;
//! * [`pools`]: which of them blocking pools have;
//! * [`endings`]: runtimes that are being dropped;
//! * [`standstill`]: runtimes of which no thread drives timers and I/O;
//! * [`threads`]: all threads;
//! * [`stuck`]: where threads are that sleep;
//! * [`waits`]: waits that have ended;
//! * [`locks`]: locks that something waits for;
//! * [`joins`]: tasks that wait for the end of others;
//! * [`deadlocks`]: cycles of both;
//! * [`futurelocks`]: those that were given to a future which is not polled;
//! * [`stuck_locks`]: both of these;
//! * [`heap`]: what was allocated, and what of it is alive;
//! * [`watch`]: what may be wrong.

pub(crate) mod deadlocks;
pub(crate) mod endings;
pub(crate) mod facts;
pub(crate) mod futurelocks;
pub(crate) mod heap;
pub(crate) mod joins;
pub(crate) mod locks;
pub(crate) mod polls;
pub(crate) mod pools;
pub(crate) mod rates;
pub(crate) mod remaining;
pub(crate) mod running;
pub(crate) mod sites;
pub(crate) mod standstill;
pub(crate) mod state;
pub(crate) mod stuck;
pub(crate) mod stuck_locks;
pub(crate) mod tasks;
pub(crate) mod threads;
pub(crate) mod under_way;
#[cfg(feature = "rt")]
pub(crate) mod unlisted;
#[cfg(feature = "decode")]
pub(crate) mod unpolled;
pub(crate) mod waits;
pub(crate) mod watch;
