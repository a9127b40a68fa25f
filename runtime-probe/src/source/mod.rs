//! What produces records: wrappers around futures and closures, the waker that they poll with, tokio's task hooks.
//!
//! Forbidden here: reading a store back, symbolizing, formatting, logging, blocking, panicking.
//!
//! In reading order:
//! * [`waker`]: the waker that is the probe, and the poll that it belongs to;
//! * `futex`: waits of threads, with the feature `interpose`;
//! * [`polled_task`]: the task that a thread is in the middle of, as words;
//! * [`creation`]: who creates threads, with the same;
//! * [`heap`]: the global allocator that samples;
//! * [`signal`]: the signal by which a thread is asked for its stack, and its handler;
//! * [`cpu`]: looks at each thread as often as it uses the CPU;
//! * [`trace`]: what happens on each thread, for an execution trace;
//! * [`regions`]: what the program says of it;
//! * [`timing`]: what ends of polls and of tasks add up to, by spawn location;
//! * [`instrumented`]: the wrapper around a future;
//! * [`blocking`]: the wrapper around a closure of the blocking pool;
//! * [`named`]: what holds the name of a task;
//! * [`foreign`]: tasks that a dependency spawned by plain tokio;
//! * [`driving`]: which runtime polls a task;
//! * [`metrics`]: what tokio counts itself;
//! * [`locks`]: locks that know who waits for them;
//! * [`specimens`]: waits of tokio's own, to be looked at;
//! * [`labels`]: which labels are in force;
//! * [`joiners`]: who is woken at the end of a task;
//! * [`untracked`]: threads whose tasks are left out;
//! * [`hooks`]: our hooks in a runtime, and the user's beside them.

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
#[cfg(feature = "rt")]
pub(crate) mod specimens;
mod timing;
pub(crate) mod trace;
pub(crate) mod untracked;
pub(crate) mod waker;

use crate::environment;
use crate::registry::task::Spawn;
use crate::stack::raw::WaitSet;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

const UNKNOWN: u8 = 0;
const ON: u8 = 1;
const OFF: u8 = 2;
/// On, and some threads are left out, or a trace is told of spawns.
const PARTLY: u8 = 3;

/// Some threads are left out, for good.
static SOME_ARE_LEFT_OUT: AtomicBool = AtomicBool::new(false);

static SWITCH: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Starts the probe, unless it has been started or the environment switches it off. Whether it is on now.
#[inline(always)]
pub(crate) fn start() -> bool {
    match SWITCH.load(Ordering::Acquire) {
        ON | PARTLY => true,
        OFF => false,
        _ => start_first(),
    }
}

/// Whether the probe is on, and neither a thread nor a trace wants a closer look.
#[inline(always)]
pub(crate) fn is_plainly_on() -> bool {
    SWITCH.load(Ordering::Acquire) == ON
}

/// Whether the probe is on. `false` before it was started.
pub(crate) fn is_on() -> bool {
    matches!(SWITCH.load(Ordering::Acquire), ON | PARTLY)
}

/// Starts the probe as [`start`] does, for what this thread begins: `false` also on a thread that is left out
/// ([`untracked`]). As long as there is no such thread, that costs no more than [`start`].
#[inline(always)]
pub(crate) fn start_here() -> bool {
    match SWITCH.load(Ordering::Acquire) {
        ON => true,
        OFF => false,
        _ => start_partly(),
    }
}

#[cold]
fn start_partly() -> bool {
    start() && !untracked::is_here()
}

/// From now on some threads are left out.
fn leave_some_out() {
    SOME_ARE_LEFT_OUT.store(true, Ordering::Release);
    look_closer();
}

/// From now on spawns ask whether there is anything to note.
pub(crate) fn look_closer() {
    if start() {
        SWITCH.store(PARTLY, Ordering::Release);
    }
}

/// No trace wants spawns any more.
pub(crate) fn look_no_closer() {
    let _ = SWITCH.compare_exchange(PARTLY, ON, Ordering::AcqRel, Ordering::Acquire);
    if SOME_ARE_LEFT_OUT.load(Ordering::Acquire) {
        look_closer();
    }
}

#[cold]
fn start_first() -> bool {
    let off = !environment::is_on();
    if !off {
        environment::check();
        crate::clock::init();
        crate::stack::raw::WaitSet::init();
        #[cfg(all(feature = "interpose", target_os = "linux"))]
        futex::install();
        // Eagerly: a first capture happens inside some leaf's lock.
        crate::stack::unwind::refresh();
        signal::start();
        heap::start();
        #[cfg(all(
            feature = "interpose",
            target_os = "linux",
            not(target_feature = "crt-static")
        ))]
        creation::install();
    }
    // Another thread may have been faster, and further.
    let now = if off { OFF } else { ON };
    let _ = SWITCH.compare_exchange(UNKNOWN, now, Ordering::AcqRel, Ordering::Acquire);
    !off
}

/// Where the caller of a public function stands: its source line, an address inside its code, and the task it runs in.
/// Both functions between here and the caller are inlined, so that the address is the caller's.
#[inline(always)]
#[track_caller]
pub(crate) fn spawn_here() -> Spawn {
    Spawn {
        location: Location::caller(),
        pc: crate::stack::anchor::pc(),
        parent: waker::current_task(),
        labels: labels::current(),
    }
}

/// The stack of the caller: that of its task, or else of its thread. `None` where it found a table full.
#[inline(always)]
pub(crate) fn stack_here() -> Option<&'static WaitSet> {
    waker::wait_site().waits
}

/// Ids of futures that are not tokio tasks (roots of `block_on`, wrapped futures) start here, far above any count of
/// tasks, and small enough to be exact in a double.
pub(crate) fn own_id() -> u64 {
    use crate::primitive::AtomicU64;
    const FIRST: u64 = 9_000_000_000_000_001;
    static NEXT: AtomicU64 = AtomicU64::new(FIRST);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
