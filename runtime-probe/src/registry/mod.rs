//! Tables of what is alive: tasks, threads, runtimes, locks and others.
//!
//! In reading order:
//! * [`wake_slot`]: the task's own waker behind ours;
//! * [`task`]: the record of a task;
//! * [`slab`]: the memory of the records;
//! * [`held`]: a reader's reference to a task, to wake it once;
//! * [`sites`]: spawn sites, each as one pointer;
//! * [`threads`]: the threads that poll and wake;
//! * [`polls`]: the polls under way on this thread;
//! * [`runtimes`]: the runtimes with hooks of the probe;
//! * [`endings`]: runtimes that are being dropped;
//! * [`local_sets`]: the `LocalSet`s and their polls;
//! * [`names`]: the names of tasks;
//! * [`join_sets`]: the number of tasks in `JoinSet`s;
//! * `shelf`, `versions`, [`waiters`], [`locks`]: locks with waiters, and their holders;
//! * [`address_filter`], [`sampled_blocks`]: live sampled blocks of memory;
//! * [`custom`]: profiles of the program's own;
//! * [`vars`]: variables that the program publishes;
//! * `births`: the creators of threads, with the feature `interpose`.

pub(crate) mod address_filter;
#[cfg(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
))]
pub(crate) mod births;
pub(crate) mod custom;
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "of tasks and runtimes")
)]
pub(crate) mod endings;
pub(crate) mod held;
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "of tasks and runtimes")
)]
pub(crate) mod join_sets;
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "of tasks and runtimes")
)]
pub(crate) mod local_sets;
#[cfg_attr(not(feature = "sync"), allow(dead_code, reason = "of locks"))]
pub(crate) mod locks;
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "of tasks and runtimes")
)]
pub(crate) mod names;
#[cfg_attr(not(feature = "semaphore"), allow(dead_code, reason = "of semaphores"))]
pub(crate) mod permits;
pub(crate) mod polls;
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "of tasks and runtimes")
)]
pub(crate) mod runtimes;
pub(crate) mod sampled_blocks;
mod shelf;
pub(crate) mod sites;
pub(crate) mod slab;
pub(crate) mod task;
pub(crate) mod threads;
pub(crate) mod vars;
mod versions;
#[cfg_attr(not(feature = "sync"), allow(dead_code, reason = "of locks"))]
pub(crate) mod waiters;
pub(crate) mod wake_slot;
