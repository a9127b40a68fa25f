//! The runtime that polls a task.
//!
//! A worker's slot gets the number when the worker starts, and our `block_on` sets it in its thread's slot. So the
//! first poll of a task finds the number in the slot, which it reads anyway. Only inside of tokio's own `block_on` the
//! first poll has to ask tokio.

use super::foreign::number;
use crate::primitive::Ordering;
use crate::registry::runtimes::{self, Runtime, RuntimeNumber};
use crate::registry::threads::{self, Role, Slot};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

/// This thread is in a `block_on`, for as long as this lives.
pub(crate) struct Driving {
    slot: &'static Slot,
    before: u32,
    role_before: Role,
    /// The `current_thread` runtime that this thread runs.
    runs: Option<Arc<Runtime>>,
    /// Not `Send`: it belongs to this thread.
    _stays: PhantomData<*const ()>,
}

impl Driving {
    /// For `Runtime::block_on`, which runs the tasks of a `current_thread` runtime. `None` if the probe is off.
    pub(crate) fn begin(runtime: &Handle) -> Option<Self> {
        let mut driving = Driving::beside(runtime)?;
        driving.runs = match runtime.runtime_flavor() {
            RuntimeFlavor::CurrentThread => runtimes::listed(of(runtime)),
            _ => None,
        };
        driving.runs.iter().for_each(|runtime| runtime.run());
        Some(driving)
    }

    /// For `Handle::block_on`, which only runs its future.
    pub(crate) fn beside(runtime: &Handle) -> Option<Self> {
        if !super::start_here() {
            return None;
        }
        let slot = threads::slot();
        let before = slot.runtime.load(Ordering::Relaxed);
        let RuntimeNumber(now) = of(runtime);
        slot.runtime.store(now.into(), Ordering::Relaxed);
        Some(Driving {
            slot,
            before,
            role_before: slot.role(),
            runs: None,
            _stays: PhantomData,
        })
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        if let Some(runtime) = &self.runs {
            runtime.leave(self.slot.number());
        }
        self.slot.runtime.store(self.before, Ordering::Relaxed);
        // A `current_thread` runtime has made this thread its worker.
        self.slot.set_role(self.role_before);
    }
}

/// The runtime of a handle.
pub(crate) fn of(runtime: &Handle) -> RuntimeNumber {
    runtimes::by_id(number(runtime.id()))
}

/// The runtime in the slot of a thread; 0 if it was not set.
#[inline(always)]
pub(super) fn told(slot: &Slot) -> RuntimeNumber {
    RuntimeNumber(slot.runtime.load(Ordering::Relaxed) as u16)
}

/// The runtime whose tasks this thread polls, or to which it spawns.
pub(crate) fn current() -> RuntimeNumber {
    of_thread(threads::slot())
}

/// The same, given this thread's slot.
#[inline(always)]
pub(super) fn of_thread(slot: &Slot) -> RuntimeNumber {
    match told(slot) {
        RuntimeNumber(0) => not_told(),
        told => told,
    }
}

#[cold]
fn not_told() -> RuntimeNumber {
    Handle::try_current().map_or(RuntimeNumber(0), |handle| of(&handle))
}

/// Lets the other tasks of this thread run.
pub(crate) async fn let_others_run() {
    tokio::task::yield_now().await;
}
