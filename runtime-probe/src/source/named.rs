//! A separate wrapper with the name of a task, so that a task without a name has no cost.

use super::instrumented::{Instrumented, Spawned};
use crate::registry::names::Name;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// An instrumented future whose task may have a name.
#[must_use = "futures do nothing unless polled"]
pub struct Named<F> {
    // Dropped first: the record is closed before the name is removed.
    task: Instrumented<F>,
    _name: Option<Name>,
}

impl<F> Named<F> {
    /// Names a task that tokio does not own yet.
    pub(crate) fn new(name: Option<&str>, task: Instrumented<F>) -> Self {
        let spawned = task.spawned();
        Named {
            _name: give(name, &spawned),
            task,
        }
    }
}

impl<F> std::fmt::Debug for Named<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.task.fmt(f)
    }
}

impl<F: Future> Future for Named<F> {
    type Output = F::Output;

    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `task` is pinned with the wrapper: it is never moved out, there is no `Drop`, and the wrapper is Unpin
        // only if it is.
        unsafe { self.map_unchecked_mut(|this| &mut this.task) }.poll(context)
    }
}

/// The same for an instrumented closure.
pub(crate) fn closure<F, R>(
    name: Option<&str>,
    spawned: &Spawned,
    watched: F,
) -> impl FnOnce() -> R + use<F, R>
where
    F: FnOnce() -> R,
{
    let name = give(name, spawned);
    move || {
        let _name = name;
        watched()
    }
}

/// Writes the name into the record. With the probe off there is no record.
fn give(name: Option<&str>, spawned: &Spawned) -> Option<Name> {
    let record = spawned.0.as_ref()?;
    let name = Name::new(name?);
    record.set_name(name.number());
    Some(name)
}
