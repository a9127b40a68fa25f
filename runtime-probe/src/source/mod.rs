//! The sources of records: wrappers around futures and closures, the waker that they poll with, tokio's task hooks.
//!
//! Forbidden here: reading stored data back, symbolizing, formatting, logging, blocking, panicking.
//!
//! In reading order:
//! * [`waker`]: our waker, and the poll that it belongs to;
//! * `futex`: waits of threads, with the feature `interpose`;
//! * [`polled_task`]: the task that a thread polls, as words;
//! * [`creation`]: the creators of threads, with the same feature;
//! * [`heap`]: the sampling global allocator;
//! * [`signal`]: the signal that asks a thread for its stack, and its handler;
//! * [`cpu`]: samples of each thread by its CPU time;
//! * [`trace`]: the entries of execution traces;
//! * [`regions`]: user tasks, regions and logs of the program;
//! * `spans`: spans of the crate `tracing` as regions, with the feature `tracing-subscriber`;
//! * [`timing`]: times of polls and of tasks, by spawn location;
//! * [`instrumented`]: the wrapper around a future;
//! * [`blocking`]: the wrapper around a closure of the blocking pool;
//! * [`named`]: the wrapper with the name of a task;
//! * [`foreign`]: tasks that a dependency spawned through plain tokio;
//! * [`driving`]: the runtime that polls a task;
//! * [`metrics`]: tokio's own counts;
//! * [`locks`]: locks that know their waiters;
//! * [`specimens`]: specimens of tokio's waits, whose stacks are learned;
//! * [`labels`]: the labels in force;
//! * [`joiners`]: the tasks that await a task;
//! * [`untracked`]: threads whose tasks are left out;
//! * [`hooks`]: the probe's hooks in a runtime, with the user's hooks.

#[cfg(feature = "rt")]
pub(crate) mod blocking;
pub(crate) mod cpu;
pub(crate) mod creation;
#[cfg(feature = "rt")]
pub(crate) mod driving;
#[cfg(feature = "rt")]
pub(crate) mod foreign;
#[cfg(all(feature = "interpose", target_os = "linux"))]
mod futex;
pub(crate) mod heap;
#[cfg(feature = "rt")]
pub(crate) mod hooks;
pub(crate) mod instrumented;
#[cfg(feature = "rt")]
pub(crate) mod joiners;
pub(crate) mod labels;
#[cfg(feature = "sync")]
pub(crate) mod locks;
#[cfg(feature = "rt")]
pub(crate) mod metrics;
#[cfg(feature = "rt")]
pub(crate) mod named;
pub(crate) mod polled_task;
pub(crate) mod regions;
pub(crate) mod signal;
#[cfg(feature = "tracing-subscriber")]
pub(crate) mod spans;
#[cfg(feature = "rt")]
pub(crate) mod specimens;
mod timing;
pub(crate) mod trace;
pub(crate) mod untracked;
pub(crate) mod waker;

use crate::environment;
use crate::registry::task::Spawn;
use crate::stack::wait_set::WaitSet;
use std::panic::Location;
use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const ON: u8 = 1;
const OFF: u8 = 2;
/// On, but a spawn has to check more: a trace records spawns.
const CLOSER: u8 = 3;
/// The same for good: some threads are left out, or labels were set. Traces do not change it.
const CLOSER_FOR_GOOD: u8 = 4;

static SWITCH: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Starts the probe, unless it was started or the environment switches it off. Returns whether it is on.
#[inline(always)]
pub(crate) fn start() -> bool {
    match SWITCH.load(Ordering::Acquire) {
        ON | CLOSER | CLOSER_FOR_GOOD => true,
        OFF => false,
        _ => start_first(),
    }
}

/// Whether the probe is on, and a spawn has nothing else to check.
#[inline(always)]
pub(crate) fn is_plainly_on() -> bool {
    SWITCH.load(Ordering::Acquire) == ON
}

/// Whether the probe is on. `false` before it was started.
pub(crate) fn is_on() -> bool {
    matches!(
        SWITCH.load(Ordering::Acquire),
        ON | CLOSER | CLOSER_FOR_GOOD
    )
}

/// Starts the probe as [`start`] does, for a spawn on this thread: `false` also on a thread that is left out
/// ([`untracked`]). Without such threads it costs no more than [`start`].
#[inline(always)]
pub(crate) fn start_here() -> bool {
    match SWITCH.load(Ordering::Acquire) {
        ON => true,
        OFF => false,
        _ => start_closely(),
    }
}

#[cold]
fn start_closely() -> bool {
    start() && !untracked::is_here()
}

/// Makes all spawns from now on check whether there is more to record.
fn look_closer_for_good() {
    if start() {
        SWITCH.store(CLOSER_FOR_GOOD, Ordering::Release);
    }
}

/// The same for a trace, until [`look_no_closer`].
pub(crate) fn look_closer() {
    if start() {
        change(ON, CLOSER);
    }
}

/// Ends this for a trace.
pub(crate) fn look_no_closer() {
    change(CLOSER, ON);
}

/// Does nothing if the switch is not `from`.
fn change(from: u8, to: u8) {
    let _ = SWITCH.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
}

#[cold]
fn start_first() -> bool {
    let off = !environment::is_on();
    if !off {
        environment::check();
        crate::clock::init();
        crate::stack::wait_set::WaitSet::init();
        #[cfg(all(feature = "interpose", target_os = "linux"))]
        futex::install();
        // At the start, because the first capture may happen inside of a leaf's lock.
        crate::stack::unwind::refresh();
        crate::stack::own::OwnStack::here().learn_bounds();
        signal::start();
        heap::start();
        #[cfg(all(
            feature = "interpose",
            target_os = "linux",
            not(target_feature = "crt-static")
        ))]
        creation::install();
    }
    // Another thread may have been faster, and may have changed the switch since.
    let now = if off { OFF } else { ON };
    change(UNKNOWN, now);
    !off
}

/// The spawn site of the caller of a public function: its source line, an address inside its code, and the task that it
/// runs in. The functions between here and the caller are inlined, so the address is the caller's.
#[inline(always)]
#[track_caller]
pub(crate) fn spawn_here() -> Spawn {
    Spawn {
        location: Location::caller(),
        pc: crate::stack::anchor::pc(),
        parent: waker::current_task(),
    }
}

/// The stack of the caller: that of its task, or else of its thread. `None` if a table is full.
#[inline(always)]
pub(crate) fn stack_here() -> Option<&'static WaitSet> {
    waker::wait_site().waits
}

/// Ids of futures that are not tokio tasks (roots of `block_on`, wrapped futures) start here: far above any id of
/// tokio, and small enough to be exact in a double.
pub(crate) fn own_id() -> u64 {
    use crate::primitive::AtomicU64;
    const FIRST: u64 = 9_000_000_000_000_001;
    static NEXT: AtomicU64 = AtomicU64::new(FIRST);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
