//! What is alive: a record per task, and the threads that poll them.
//!
//! In reading order:
//! * [`wake_slot`]: the task's own waker behind ours;
//! * [`task`]: all that is known of one task;
//! * [`slab`]: where records live;
//! * [`held`]: a reader's hold on a task, to wake it once;
//! * [`sites`]: where tasks are spawned, as one pointer;
//! * [`threads`]: names for the threads that poll and wake;
//! * [`runtimes`]: the runtimes that the probe has hooks in;
//! * [`endings`]: runtimes that are being dropped;
//! * [`local_sets`]: which `LocalSet`s are being polled;
//! * [`names`]: the names of tasks;
//! * [`join_sets`]: how many tasks `JoinSet`s have;
//! * `shelf`, [`locks`]: locks that something waits for, who has them, and what waits;
//! * [`address_filter`], [`sampled_blocks`]: the sampled blocks of memory that are alive;
//! * [`custom`]: profiles of the program's own;
//! * [`vars`]: variables that the program publishes;
//! * `births`: who created the threads, with the feature `interpose`.

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
pub(crate) mod wake_slot;
