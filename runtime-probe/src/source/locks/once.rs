//! A value that is initialized once, with the initializing task and the waiters, in the same entries as a lock.
//!
//! tokio's cell chooses the caller that initializes the value, and calls its function. That caller is the holder until
//! the future ends or is dropped.

use super::mode::Sole;
use super::waiters::{Charge, Typed, Wait, Waiters};
use crate::registry::locks::{LockType, Passing};
use std::any::type_name;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tokio::sync::OnceCell;

/// A cell, with the waiters for its value.
pub(crate) struct Once<T> {
    waiters: Waiters,
    cell: OnceCell<T>,
}

impl<T> Typed for Once<T> {
    const TYPE: &'static LockType = &LockType {
        kind: "OnceCell",
        value: type_name::<T>,
        has_readers: false,
        has_permits: false,
        has_movable_guards: false,
        is_once: true,
        passing: Passing::Unknown,
    };
}

impl<T> Once<T> {
    #[track_caller]
    pub(crate) const fn new(cell: OnceCell<T>) -> Self {
        Once {
            waiters: Waiters::new(Some(Location::caller()), Passing::Unknown),
            cell,
        }
    }

    pub(crate) fn cell(&self) -> &OnceCell<T> {
        &self.cell
    }

    pub(crate) fn cell_mut(&mut self) -> &mut OnceCell<T> {
        &mut self.cell
    }

    pub(crate) fn into_cell(self) -> OnceCell<T> {
        self.cell
    }

    /// The value. Calls tokio's `get_or_init`, since stacks show that name.
    pub(crate) async fn value_or_init<F, Fut>(&self, make: F) -> &T
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        if let Some(value) = self.cell.get() {
            return value;
        }
        let makes = AtomicBool::new(false);
        let value = self
            .cell
            .get_or_init(|| charged(self.begin(&makes), make()));
        self.watched(&makes, value).await
    }

    /// As `value_or_init`, with an initialization that may fail.
    pub(crate) async fn value_or_try_init<E, F, Fut>(&self, make: F) -> Result<&T, E>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.cell.get() {
            return Ok(value);
        }
        let makes = AtomicBool::new(false);
        let value = self
            .cell
            .get_or_try_init(|| charged(self.begin(&makes), make()));
        self.watched(&makes, value).await
    }

    /// Notes that the caller initializes the value.
    fn begin(&self, makes: &AtomicBool) -> Charge<'_, Sole> {
        makes.store(true, Ordering::Relaxed);
        Charge::new(&self.waiters)
    }

    /// Polls the cell's future. The caller is one of the waiters until it initializes the value.
    async fn watched<R>(&self, makes: &AtomicBool, value: impl Future<Output = R>) -> R {
        let mut wait = Wait::new(&self.waiters);
        let mut value = pin!(value);
        poll_fn(|context| {
            let polled = value.as_mut().poll(context);
            match (&polled, makes.load(Ordering::Relaxed)) {
                (Poll::Pending, true) => wait.end::<Sole>(Self::TYPE),
                (Poll::Pending, false) => wait.pending::<Sole>(Self::TYPE, 0),
                (Poll::Ready(_), _) => {}
            }
            polled
        })
        .await
    }
}

/// Polls the initialization. The caller is the holder until the value is made, or the future is dropped.
async fn charged<Fut: Future>(charge: Charge<'_, Sole>, made: Fut) -> Fut::Output {
    let _charge = charge;
    made.await
}
