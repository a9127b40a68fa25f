//! A semaphore that knows the holders of its permits, and its waiters: tokio's semaphore, and the number of all
//! permits.
//!
//! Permits are acquired from tokio's semaphore, forgotten there, and returned as new ones, as tokio's own guards do. So
//! our guard needs no guard of tokio, and an owned guard owns our semaphore.
//!
//! Allowed here: an entry for each guard. Forbidden: any influence on which waiter gets permits from tokio's semaphore,
//! and when.

use super::mode::Sole;
use super::waiters::{Typed, Wait, Waiters};
use crate::clock;
use crate::registry::locks::{LockEntry, LockType, MOVABLE, Passing};
use crate::registry::permits::Holder;
use crate::source::{self, waker};
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

/// A semaphore.
pub(crate) struct Permits {
    waiters: Waiters,
    /// The number of all permits, taken or not.
    all: AtomicUsize,
    gate: Semaphore,
}

impl Typed for Permits {
    const TYPE: &'static LockType = &LockType {
        kind: "",
        value: || "Semaphore",
        has_readers: false,
        has_permits: true,
        has_movable_guards: true,
        is_once: false,
        passing: Passing::Unknown,
    };
}

/// Taken permits, without their semaphore.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Wider than the argument of a call, because guards can be merged.
    count: usize,
    /// `None` if there was no room for an entry, or the probe is off.
    holder: Option<Holder>,
}

/// The relation of a guard to its semaphore.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    Borrows,
    /// Another task or thread may have the guard by now.
    Owns,
}

impl Guard {
    /// The task that this thread polls, or else the thread, packed, as a holder by such a guard.
    fn holder(self) -> u64 {
        waker::current_packed()
            | match self {
                Guard::Borrows => 0,
                Guard::Owns => MOVABLE,
            }
    }
}

impl Permits {
    #[track_caller]
    pub(crate) const fn new(gate: Semaphore, permits: usize) -> Self {
        Permits {
            waiters: Waiters::new(Some(Location::caller()), Passing::Unknown),
            all: AtomicUsize::new(permits),
            gate,
        }
    }

    pub(crate) fn gate(&self) -> &Semaphore {
        &self.gate
    }

    pub(crate) async fn acquire(&self, count: u32, guard: Guard) -> Result<Taken, AcquireError> {
        let acquire = Acquire {
            acquire: self.gate.acquire_many(count),
            wait: Wait::new(&self.waiters),
            count,
        };
        let permit = acquire.await?;
        Ok(self.taken(permit, count, guard))
    }

    pub(crate) fn try_acquire(&self, count: u32, guard: Guard) -> Result<Taken, TryAcquireError> {
        let permit = self.gate.try_acquire_many(count)?;
        Ok(self.taken(permit, count, guard))
    }

    #[track_caller]
    pub(crate) fn blocking_acquire(&self, count: u32, guard: Guard) -> Result<Taken, AcquireError> {
        let mut wait = Wait::new(&self.waiters);
        wait.begin::<Sole>(Self::TYPE, count);
        let permit = self.gate.blocking_acquire_many(count)?;
        wait.end_with_permits();
        Ok(self.taken(permit, count, guard))
    }

    /// Returns the permits.
    pub(crate) fn give(&self, taken: &mut Taken) {
        taken.holder = None;
        let count = std::mem::take(&mut taken.count);
        self.touched();
        self.gate.add_permits(count);
    }

    /// Forgets the permits.
    pub(crate) fn forget(&self, taken: &mut Taken) {
        let count = std::mem::take(&mut taken.count);
        if taken.holder.take().is_some()
            && let Some(entry) = self.waiters.known()
        {
            entry.forgot(told(count), waker::current_packed());
        }
        self.change_all(|all| all.saturating_sub(count));
    }

    pub(crate) fn add(&self, count: usize) {
        self.gate.add_permits(count);
        self.change_all(|all| all.saturating_add(count));
    }

    pub(crate) fn forget_free(&self, count: usize) -> usize {
        let forgotten = self.gate.forget_permits(count);
        self.change_all(|all| all.saturating_sub(forgotten));
        forgotten
    }

    /// Turns tokio's guard into an entry of ours.
    fn taken(&self, permit: SemaphorePermit<'_>, count: u32, guard: Guard) -> Taken {
        permit.forget();
        let holder = source::is_on().then(|| {
            let (who, now) = (guard.holder(), clock::ticks());
            Holder::new(self.entry()?, who, count, now)
        });
        Taken {
            count: count as usize,
            holder: holder.flatten(),
        }
    }

    fn entry(&self) -> Option<LockEntry> {
        if let Some(known) = self.waiters.known() {
            return Some(known);
        }
        let entry = self.waiters.entry(Self::TYPE)?;
        self.tell(entry);
        Some(entry)
    }

    fn change_all(&self, change: impl Fn(usize) -> usize) {
        let change = |all| Some(change(all));
        let _ = self
            .all
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        if let Some(entry) = self.waiters.known() {
            self.tell(entry);
        }
    }

    /// Permits are about to be returned, and there may be waiters.
    fn touched(&self) {
        if self.waiters.is_contended()
            && let Some(entry) = self.waiters.known()
        {
            self.tell(entry);
        }
    }

    fn tell(&self, entry: LockEntry) {
        let all = self.all.load(Ordering::Relaxed);
        entry.has_permits(all as u64, clock::ticks());
    }
}

impl Taken {
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes over the permits of `other`.
    pub(crate) fn merge(&mut self, other: &mut Taken) {
        other.holder = None;
        self.count += std::mem::take(&mut other.count);
        if let Some(holder) = &self.holder {
            holder.set_count(told(self.count));
        }
    }

    /// Splits off `count` permits, if there are so many.
    pub(crate) fn split(&mut self, permits: &Permits, count: usize, guard: Guard) -> Option<Taken> {
        self.count = self.count.checked_sub(count)?;
        let holder = self.holder.as_ref().and_then(|holder| {
            holder.set_count(told(self.count));
            let (who, now) = (guard.holder(), clock::ticks());
            Holder::new(permits.entry()?, who, told(count), now)
        });
        Some(Taken { count, holder })
    }
}

/// The count for an entry, which has 32 bits.
fn told(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Waits for permits.
struct Acquire<'a, F> {
    /// Dropped first: the permits that it returns go to others before this waiter leaves.
    acquire: F,
    wait: Wait<'a>,
    count: u32,
}

impl<P, F: Future<Output = Result<P, AcquireError>>> Future for Acquire<'_, F> {
    type Output = F::Output;

    #[inline]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: `acquire` is pinned with this future: it is never moved out, there is no `Drop` of our own, and this is Unpin
        // only if `acquire` is. The others are not pinned.
        let (acquire, wait, count) = unsafe {
            let this = self.get_unchecked_mut();
            let acquire = Pin::new_unchecked(&mut this.acquire);
            (acquire, &mut this.wait, this.count)
        };
        let result = acquire.poll(context);
        match &result {
            Poll::Pending => wait.pending::<Sole>(<Permits as Typed>::TYPE, count),
            Poll::Ready(Ok(_)) => wait.end_with_permits(),
            // The semaphore is closed. Dropping `wait` ends it.
            Poll::Ready(Err(_)) => {}
        }
        result
    }
}
