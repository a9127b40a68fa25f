//! The waiters of a lock, as a count and a sum: the time that they have spent since the last charged release. Also the
//! holder, which readers find in the entries of [`registry::locks`](crate::registry::locks).
//!
//! The time is the integral of the number of waiters, so two words are exact for any number of them. The time from the
//! unlock that admitted a waiter to its next poll is ready time, and is subtracted, as in Go.
//!
//! Where this differs from Go (`semrelease`): Go's queue has timestamps for its head and its tail, and assumes that the
//! waiters between arrived evenly. Here each waiter counts exactly.
//!
//! Allowed here: a few words under a lock of our own that is held for a few instructions, at waits and at releases with
//! waiters; tokio's lock takes a similar mutex at these moments. Forbidden: allocating (except for an entry, if there
//! were never so many waiters), calling foreign code. A lock without waiters only stores its holder and does one load.

use super::mode::Mode;
use crate::clock::{self, Ticks};
use crate::demand;
use crate::primitive::{AtomicPtr, AtomicU32, AtomicU64, Mutex, Ordering, lock};
use crate::registry::locks::{self, Holding, LockNumber, LockType, MOVABLE, SHARED, Waiter};
use crate::source::{self, labels, waker};
use crate::stack::wait_set::WaitSet;
use crate::tally::waits::{MUTEX, WaitSite};
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

/// The waiters of one lock, and its holder.
pub(super) struct Waiters {
    /// Whether a release has work to do: waits to charge, or readers to inform. Written under the lock of `queue`.
    /// Relaxed: a release may miss a waiter that has just arrived, and which has hardly waited.
    contended: AtomicBool,
    /// The lock's entry in the registry, from its first waiter on; 0 before.
    number: AtomicU32,
    /// The holder, packed, perhaps with [`PLACED`]; 0 if the lock is free. Of several readers, the last one.
    holder: AtomicU64,
    /// Where it was taken, if `holder` has [`PLACED`].
    taken_at: AtomicPtr<WaitSet>,
    /// `None` for a constructor without a location.
    created: Option<&'static Location<'static>>,
    queue: Mutex<Queue>,
}

/// A bit of a packed holder: `taken_at` is set for it.
const PLACED: u64 = 1 << 61;
const _: () = assert!(PLACED & (SHARED | MOVABLE) == 0);

/// The count and the sum. Pure arithmetic.
#[derive(Debug)]
struct Queue {
    /// The number of waiters, also of those whose time is not counted.
    present: u32,
    /// Whether the registry has the holder, so that a release has to update it.
    told: bool,
    /// The number of waiters whose time is counted.
    waiting: u64,
    /// The latest timestamp. Counters of two cores may differ a little; time never goes back here.
    now: Ticks,
    /// Waiting time up to `now` that no release was charged with.
    uncharged: Ticks,
    /// The time of the last charged release.
    charged: Ticks,
}

impl Queue {
    const fn new() -> Self {
        Queue {
            present: 0,
            told: false,
            waiting: 0,
            now: 0,
            uncharged: 0,
            charged: 0,
        }
    }

    fn advance(&mut self, now: Ticks) {
        let passed = now.saturating_sub(self.now);
        self.uncharged = self
            .uncharged
            .saturating_add(self.waiting.saturating_mul(passed));
        self.now += passed;
    }

    /// A waiter begins. Returns its begin.
    fn enter(&mut self, now: Ticks) -> Ticks {
        self.advance(now);
        self.waiting += 1;
        self.now
    }

    /// A waiter gives up. Its time stays in the sum.
    fn give_up(&mut self, now: Ticks) {
        self.advance(now);
        self.waiting -= 1;
    }

    /// A waiter since `since` has the lock. The time after the release that admitted it is subtracted.
    fn leave(&mut self, since: Ticks, now: Ticks) {
        self.give_up(now);
        self.uncharged = self
            .uncharged
            .saturating_sub(self.now - since.max(self.charged));
    }

    /// The lock is released. Returns the time that it is charged with.
    fn charge(&mut self, now: Ticks) -> Ticks {
        self.advance(now);
        self.charged = self.now;
        std::mem::take(&mut self.uncharged)
    }
}

impl Waiters {
    pub(super) const fn new(created: Option<&'static Location<'static>>) -> Self {
        Waiters {
            contended: AtomicBool::new(false),
            number: AtomicU32::new(0),
            holder: AtomicU64::new(0),
            taken_at: AtomicPtr::new(null_mut()),
            created,
            queue: Mutex::new(Queue::new()),
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = lock(&self.queue);
        let result = change(&mut queue);
        let contended = queue.present > 0 || queue.told || queue.uncharged > 0;
        self.contended.store(contended, Ordering::Relaxed);
        result
    }

    /// The task that this thread polls, or else the thread, has taken the lock.
    #[inline(always)]
    pub(super) fn taken<M: Mode>(&self) {
        let holder = waker::current_packed() | M::BITS;
        self.holder.store(holder, Ordering::Relaxed);
        if demand::Demand::Releases.is_on() {
            self.note_place(holder);
        }
    }

    /// Records where the lock was taken, for the same fraction as that of sampled releases.
    #[cold]
    #[inline(never)]
    fn note_place(&self, holder: u64) {
        if let Some(waits) = demand::sample_release(0).and_then(|_| waker::wait_site().waits) {
            self.taken_at
                .store(from_ref(waits).cast_mut(), Ordering::Relaxed);
            // Release: a waiter that sees the bit sees where the lock was taken.
            self.holder.store(holder | PLACED, Ordering::Release);
        }
    }

    /// The holder and where it took the lock, as a consistent pair.
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    fn holding(&self) -> Holding {
        let word = self.holder.load(Ordering::Acquire);
        // SAFETY: null, or an interned set, which lives for ever.
        let taken_at = unsafe { self.taken_at.load(Ordering::Acquire).as_ref() };
        let is_same = self.holder.load(Ordering::Relaxed) == word;
        Holding {
            holder: word & !PLACED,
            since: 0,
            taken_at: taken_at.filter(|_| is_same && word & PLACED != 0),
        }
    }

    /// The lock is about to be released. Charges the waits since the last release.
    #[inline(always)]
    pub(super) fn released<M: Mode>(&self) {
        // Of several readers, the holder is the last one, until it releases.
        if M::BITS & SHARED == 0
            || self.holder.load(Ordering::Relaxed) & !PLACED == waker::current_packed() | M::BITS
        {
            self.holder.store(0, Ordering::Relaxed);
        }
        if self.contended.load(Ordering::Relaxed) {
            self.released_contended();
        }
    }

    /// Samples the release of a lock with waiters, with its stack.
    #[cold]
    #[inline(never)]
    fn released_contended(&self) {
        self.tell(None);
        let waited = self.change(|queue| {
            queue.told = false;
            let counts = queue.waiting > 0 || queue.uncharged > 0;
            counts.then(|| queue.charge(clock::ticks()))
        });
        if let Some(weight) = waited.and_then(demand::sample_release) {
            let site = WaitSite {
                labels: labels::current(),
                ..waker::wait_site()
            };
            MUTEX.add(site, weight);
        }
    }

    /// A wait ends: the waiter has the lock or has given up. `count` updates the sum.
    #[cold]
    #[inline(never)]
    fn leave(&self, waiter: Present, has_it: bool, count: fn(&mut Queue, Ticks, Ticks)) {
        if let Some(entry) = waiter.entry {
            entry.leave(waiter.is_wait, clock::ticks());
        }
        self.change(|queue| {
            queue.present -= 1;
            queue.told |= has_it;
            if waiter.since != 0 {
                count(queue, waiter.since, clock::ticks());
            }
        });
    }

    /// Whether there may be waiters.
    #[cfg(feature = "semaphore")]
    pub(super) fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// The entry in the registry, made for the first waiter; `None` if there is no room.
    pub(super) fn number(&self, what: &'static LockType) -> Option<LockNumber> {
        if let Some(number) = self.known() {
            return Some(number);
        }
        let new = locks::enlist(what, self.created, from_ref(self).addr())?;
        // Two first waiters may be here at once.
        let stored =
            self.number
                .compare_exchange(0, new.0.get(), Ordering::Relaxed, Ordering::Relaxed);
        match stored {
            Ok(_) => Some(new),
            Err(first) => {
                new.delist();
                NonZeroU32::new(first).map(LockNumber)
            }
        }
    }

    pub(super) fn known(&self) -> Option<LockNumber> {
        NonZeroU32::new(self.number.load(Ordering::Relaxed)).map(LockNumber)
    }

    /// Updates the holder in the registry. `waits` are the registrations of its wait for the lock.
    fn tell(&self, waits: Option<&'static WaitSet>) {
        if let Some(number) = self.known() {
            let holding = self.holding();
            number.changes_hands(Holding {
                since: clock::ticks(),
                taken_at: waits.or(holding.taken_at),
                ..holding
            });
        }
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        if let Some(number) = self.known() {
            number.delist();
        }
    }
}

/// A lock that is taken in this mode. Its drop is a release, which is charged with the waits since the last charged
/// release.
pub(super) struct Charge<'a, M: Mode> {
    waiters: &'a Waiters,
    mode: PhantomData<M>,
}

impl<'a, M: Mode> Charge<'a, M> {
    #[inline(always)]
    pub(super) fn new(waiters: &'a Waiters) -> Self {
        waiters.taken::<M>();
        Charge {
            waiters,
            mode: PhantomData,
        }
    }

    /// Releases the lock, and takes it at once in another mode.
    pub(super) fn changed<N: Mode>(self) -> Charge<'a, N> {
        let waiters = self.waiters;
        drop(self);
        Charge::new(waiters)
    }
}

impl<M: Mode> Drop for Charge<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.waiters.released::<M>();
    }
}

/// A waiter. If it is dropped without [`Wait::end`], it has given up.
pub(super) struct Wait<'a> {
    waiters: &'a Waiters,
    /// The number of permits of a semaphore.
    wanted: u32,
    /// Whether it waits to read.
    is_shared: bool,
    /// Set when the wait begins.
    present: Option<Present>,
}

/// A waiter that has begun to wait.
#[derive(Clone, Copy)]
struct Present {
    /// The begin of its counted time; 0 if it is not counted.
    since: Ticks,
    /// `None` if there was no room.
    entry: Option<Waiter>,
    /// Whether the lock was held when the wait began. Blocking threads become waiters before they know that.
    is_wait: bool,
}

impl<'a> Wait<'a> {
    pub(super) fn new<M: Mode>(waiters: &'a Waiters) -> Self {
        Wait {
            waiters,
            wanted: 0,
            is_shared: M::BITS & SHARED != 0,
            present: None,
        }
    }

    /// A waiter for permits of a semaphore.
    #[cfg(feature = "semaphore")]
    pub(super) fn of_permits(waiters: &'a Waiters, wanted: u32) -> Self {
        Wait {
            waiters,
            wanted,
            is_shared: false,
            present: None,
        }
    }

    /// Begins the wait. Its time is counted if releases are sampled.
    pub(super) fn begin(&mut self, what: &'static LockType) {
        if self.present.is_none() && source::is_on() {
            self.present = Some(self.enter(what));
        }
    }

    /// The waiting future was polled, and still waits.
    pub(super) fn pending(&mut self, what: &'static LockType) {
        self.begin(what);
        if let Some(entry) = self.present.and_then(|present| present.entry) {
            let (poll, waits) = waker::current_poll();
            // The future may have been moved to another task since its last poll.
            entry.polled(self.who(), poll, waits);
        }
    }

    /// The task that this thread polls, or else the thread, packed.
    fn who(&self) -> u64 {
        waker::current_packed() | if self.is_shared { SHARED } else { 0 }
    }

    fn enter(&self, what: &'static LockType) -> Present {
        // Permits are not charged: a release of permits need not be what the others wait for.
        let counts = !what.has_permits && demand::Demand::Releases.is_on();
        let since = self.waiters.change(|queue| {
            queue.present += 1;
            match counts {
                // At least 1: 0 means that the time is not counted.
                true => queue.enter(clock::ticks()).max(1),
                false => 0,
            }
        });
        let holding = self.waiters.holding();
        let entry = self.waiters.number(what).and_then(|number| {
            // If the holder had to wait for the lock, it has set its own entry, which also has the time.
            if !what.has_permits {
                number.is_held_by(holding);
            }
            Waiter::new(number, self.who(), self.wanted, clock::ticks())
        });
        Present {
            since,
            entry,
            is_wait: what.has_permits || holding.holder != 0,
        }
    }

    /// The waiter has its permits. No release is charged.
    #[cfg(feature = "semaphore")]
    pub(super) fn end_with_permits(&mut self) {
        if let Some(present) = self.present.take() {
            self.waiters.leave(present, false, |_, _, _| {});
        }
    }

    /// The waiter has the lock.
    #[inline(always)]
    pub(super) fn end<M: Mode>(&mut self) {
        if let Some(present) = self.present.take() {
            self.waiters.taken::<M>();
            let waits = present.entry.and_then(|entry| entry.waits());
            self.waiters.leave(present, true, Queue::leave);
            self.waiters.tell(waits);
        }
    }
}

impl Drop for Wait<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(present) = self.present.take() {
            let give_up = |queue: &mut Queue, _, now| queue.give_up(now);
            self.waiters.leave(present, false, give_up);
        }
    }
}

/// A lock whose type has a name for dumps.
pub(super) trait Typed {
    const TYPE: &'static LockType;
}

/// A future that waits for a lock `L` in the mode `M`. It is a waiter from its first pending poll on. Its output is
/// made by `guard`.
///
/// Written by hand: an async fn for each of these steps would move the guard once more.
pub(super) struct Waiting<'a, L: ?Sized, M, F, G> {
    /// Dropped first: the lock that it returns goes to others before this waiter leaves.
    acquire: F,
    wait: Wait<'a>,
    guard: G,
    mode: PhantomData<M>,
    lock: PhantomData<fn(&L)>,
}

impl<'a, L: ?Sized, M: Mode, F, G> Waiting<'a, L, M, F, G> {
    pub(super) fn new(waiters: &'a Waiters, acquire: F, guard: G) -> Self {
        let wait = Wait::new::<M>(waiters);
        Waiting {
            acquire,
            wait,
            guard,
            mode: PhantomData,
            lock: PhantomData,
        }
    }
}

impl<L: Typed + ?Sized, M: Mode, F: Future, O, G: Fn(F::Output) -> O> Future
    for Waiting<'_, L, M, F, G>
{
    type Output = O;

    #[inline]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        // SAFETY: `acquire` is pinned with this future: it is never moved out, there is no `Drop` of our own, and this is
        // Unpin only if `acquire` is. The others are not pinned.
        let (acquire, wait, guard) = unsafe {
            let this = self.get_unchecked_mut();
            let acquire = Pin::new_unchecked(&mut this.acquire);
            (acquire, &mut this.wait, &this.guard)
        };
        match acquire.poll(context) {
            Poll::Pending => {
                wait.pending(L::TYPE);
                Poll::Pending
            }
            Poll::Ready(permit) => {
                wait.end::<M>();
                Poll::Ready(guard(permit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An operation on a queue. Waiters are chosen by index, modulo their number.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Enter,
        Leave(usize),
        GiveUp(usize),
        Charge,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Enter),
            Just(Event::Enter),
            any::<usize>().prop_map(Event::Leave),
            any::<usize>().prop_map(Event::GiveUp),
            Just(Event::Charge),
        ]
    }

    /// The model: a list of waiters, each with its begin and the begin of its uncharged time.
    #[derive(Default)]
    struct Model {
        waiters: Vec<(Ticks, Ticks)>,
        left_behind: Ticks,
    }

    impl Model {
        fn charge(&mut self, now: Ticks) -> Ticks {
            let mut waited = std::mem::take(&mut self.left_behind);
            for (_, from) in &mut self.waiters {
                waited += now - *from;
                *from = now;
            }
            waited
        }
    }

    proptest! {
        /// Time steps may be negative, as between two cores: then no time has passed.
        #[test]
        fn the_sum_is_that_of_the_list(
            events in proptest::collection::vec((event(), -3i64..1000), 0..200)
        ) {
            let (mut queue, mut model) = (Queue::new(), Model::default());
            let (mut clock, mut now) = (1_000_000i64, 1_000_000);
            queue.advance(now);
            for (event, step) in events {
                clock += step;
                now = now.max(clock as u64);
                match event {
                    Event::Enter => {
                        let since = queue.enter(clock as u64);
                        prop_assert_eq!(since, now);
                        model.waiters.push((since, since));
                    }
                    Event::Charge => {
                        prop_assert_eq!(queue.charge(clock as u64), model.charge(now));
                    }
                    Event::Leave(_) | Event::GiveUp(_) if model.waiters.is_empty() => {
                        queue.advance(clock as u64);
                    }
                    Event::Leave(which) => {
                        let (since, _) = model.waiters.remove(which % model.waiters.len());
                        queue.leave(since, clock as u64);
                    }
                    Event::GiveUp(which) => {
                        let (_, from) = model.waiters.remove(which % model.waiters.len());
                        model.left_behind += now - from;
                        queue.give_up(clock as u64);
                    }
                }
                prop_assert_eq!(queue.waiting, model.waiters.len() as u64);
            }
            prop_assert_eq!(queue.charge(clock as u64), model.charge(now));
        }
    }
}
