//! Threads whose tasks are left out: those of a tool that looks at the program, and is no part of it.
//!
//! A thread says so of itself, and whatever begins on it has no record: tasks, roots, closures, runtimes. The switch of
//! the whole probe ([`super::start_here`]) sends a thread here only if any thread of the process ever asked for it.

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
    /// However `run` ends.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            HERE.with(|here| here.set(self.0));
        }
    }
    super::leave_some_out();
    let _before = Before(HERE.with(|here| here.replace(true)));
    run()
}
