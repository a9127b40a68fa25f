//! Threads whose tasks are left out: those of tools that observe the program.
//!
//! A thread asks for this itself. Then tasks, `block_on`s, closures and runtimes that begin on it have no record. The
//! switch of the probe ([`super::start_here`]) checks this module only if any thread of the process ever asked for it.

use std::cell::Cell;

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is left out.
pub(super) fn is_here() -> bool {
    HERE.with(Cell::get)
}

/// Leaves this thread out until it ends.
#[cfg(feature = "rt")]
pub(super) fn for_good() {
    HERE.with(|here| here.set(true));
}

/// Leaves this thread out while `run` runs.
pub(crate) fn untracked<R>(run: impl FnOnce() -> R) -> R {
    /// Also if `run` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            HERE.with(|here| here.set(self.0));
        }
    }
    super::look_closer_for_good();
    let _before = Before(HERE.with(|here| here.replace(true)));
    run()
}
