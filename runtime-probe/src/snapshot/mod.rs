//! Owned copies of what is alive, taken at one moment.
//!
//! * [`state`]: the state of a task;
//! * [`tasks`]: all tasks;
//! * [`remaining`]: which registrations of a task still hold;
//! * [`facts`]: all tasks, for readers outside of this crate;
//! * [`sites`]: all tasks, by spawn site;
//! * [`unlisted`]: how many tasks are not listed;
//! * `unpolled`: which waiting tasks were not polled since;
//! * [`polls`]: the poll times of one task;
//! * [`running`]: stacks of running tasks;
//! * [`rates`]: poll rates of tasks that do not wait;
//! * [`under_way`]: polls and closures that have not ended;
//! * [`pools`]: the blocking pools;
//! * [`endings`]: runtimes that are being dropped;
//! * [`standstill`]: runtimes without a thread that drives timers and I/O; [`driver_wakes`]: workers in a wake by their driver;
//! * [`threads`]: all threads;
//! * [`stuck`]: stacks of sleeping threads;
//! * [`waits`]: sums of waits;
//! * [`locks`]: locks with waiters;
//! * [`joins`]: tasks that wait for the end of other tasks;
//! * [`roots`]: roots of `block_on`, and what each blocks;
//! * [`deadlocks`]: cycles of waits for locks and ends;
//! * [`futurelocks`]: locks that belong to a future which is not polled;
//! * [`stuck_locks`]: both deadlocks and futurelocks;
//! * [`heap`]: sampled allocations, and those in use;
//! * [`watch`]: possible troubles, for the watchdog.

pub(crate) mod deadlocks;
pub(crate) mod driver_wakes;
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
pub(crate) mod roots;
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
