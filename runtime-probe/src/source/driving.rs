//! Which runtime a task is polled by.
//!
//! A worker is told once, when it starts, and a `block_on` of ours tells its thread for as long as it lasts. So the first
//! poll of a task finds the number where it looks for everything else of its thread. Only in a `block_on` of tokio's own
//! the first poll has to ask tokio.

use super::foreign::number;
use crate::primitive::Ordering;
use crate::registry::runtimes::{self, Runtime, RuntimeNumber};
use crate::registry::threads::{self, Role, Slot};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

/// While it lives, this thread is in a `block_on`.
pub(crate) struct Driving {
    slot: &'static Slot,
    before: u32,
    role_before: Role,
    /// A runtime of one thread, which has none but this.
    runs: Option<Arc<Runtime>>,
    /// Of this thread.
    _stays: PhantomData<*const ()>,
}

impl Driving {
    /// In a `block_on` of the runtime itself, which runs tasks if that has no workers. `None` where the probe is off.
    pub(crate) fn begin(runtime: &Handle) -> Option<Self> {
        let mut driving = Driving::beside(runtime)?;
        driving.runs = match runtime.runtime_flavor() {
            RuntimeFlavor::CurrentThread => runtimes::listed(of(runtime)),
            _ => None,
        };
        driving.runs.iter().for_each(|runtime| runtime.run());
        Some(driving)
    }

    /// In one of a handle, which runs the one future.
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
        // A runtime of one thread made it its worker.
        self.slot.set_role(self.role_before);
    }
}

/// That of a handle.
pub(crate) fn of(runtime: &Handle) -> RuntimeNumber {
    runtimes::by_id(number(runtime.id()))
}

/// The runtime that polls on the thread of `slot`, as far as the thread was told.
#[inline(always)]
pub(super) fn told(slot: &Slot) -> RuntimeNumber {
    RuntimeNumber(slot.runtime.load(Ordering::Relaxed) as u16)
}

/// The runtime whose tasks this thread polls, or to which it spawns.
pub(crate) fn current() -> RuntimeNumber {
    of_thread(threads::slot())
}

/// The same of this thread's slot.
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
