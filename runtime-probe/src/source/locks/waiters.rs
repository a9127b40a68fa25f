//! The waiters of a lock, as a count and a sum: the time that they have spent since the last charged release. Also the
//! holder, which readers find in the entries of [`registry::locks`](crate::registry::locks).
//!
//! The time is the integral of the number of waiters, so two words are exact for any number of them. The time from the
//! unlock that admitted a waiter to its next poll is ready time, and is subtracted, as in Go.
//!
//! Where this differs from Go (`semrelease`): Go's queue has timestamps for its head and its tail, and assumes that the
//! waiters between arrived evenly. Here each waiter counts exactly.
//!
//! A lock that is passed on ([`Passing::ToOne`]) needs neither count nor sum while no fraction is set: a wait and the release
//! that ends it are plain stores to the entries of lock and waiter.
//!
//! Allowed here: a few words under a lock of our own that is held for a few instructions, at waits and at releases with
//! waiters; tokio's lock takes a similar mutex at these moments. Forbidden: allocating (except for an entry, if there
//! were never so many waiters), calling foreign code. A lock without waiters only stores its holder and does one load.

use super::mode::Mode;
use crate::clock::{self, Ticks};
use crate::demand;
use crate::primitive::{AtomicPtr, AtomicU64, Mutex, Ordering, lock};
use crate::registry::locks::{
    self, Holding, LockEntry, LockSlot, LockType, MOVABLE, Passing, SHARED,
};
use crate::registry::waiters::{Begin, CAME_TO_FREE, Polled, Waiter};
use crate::source::{self, labels, waker};
use crate::stack::wait_set::WaitSet;
use crate::tally::waits::{MUTEX, WaitSite};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::{AtomicBool, fence};
use std::task::{Context, Poll};

/// The waiters of one lock, and its holder.
pub(super) struct Waiters {
    /// Whether a release has work to do: waits to charge, or readers to inform. Relaxed: a release may miss a waiter that
    /// has just arrived, and which has hardly waited.
    ///
    /// Set by waiters: when they begin, and when they have the lock. Written by releases, and under the lock of `queue`.
    contended: AtomicBool,
    /// Whether the queue has waiting time, or waiters whose time is counted. Written under its lock.
    counts: AtomicBool,
    passing: Passing,
    /// The lock's entry in the registry, from its first waiter on; null before.
    entry: AtomicPtr<LockSlot>,
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
    /// The number of waiters, also of those whose time is not counted. Not of a lock that is passed on.
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
    pub(super) const fn new(created: Option<&'static Location<'static>>, passing: Passing) -> Self {
        Waiters {
            contended: AtomicBool::new(false),
            counts: AtomicBool::new(false),
            passing,
            entry: AtomicPtr::new(null_mut()),
            holder: AtomicU64::new(0),
            taken_at: AtomicPtr::new(null_mut()),
            created,
            queue: Mutex::new(Queue::new()),
        }
    }

    /// Changes the queue. `and_told`: the registry has a holder or a waiter, whatever the queue has.
    fn change<R>(&self, and_told: bool, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = lock(&self.queue);
        let result = change(&mut queue);
        let counts = queue.waiting > 0 || queue.uncharged > 0;
        let contended = counts || queue.present > 0 || queue.told || and_told;
        self.counts.store(counts, Ordering::Relaxed);
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

    /// The release of a lock with waiters, or whose holder is in the registry.
    #[cold]
    #[inline(never)]
    fn released_contended(&self) {
        if self.passing == Passing::ToOne && !self.counts.load(Ordering::Relaxed) {
            // The next holder has waited, and sets it again. If there is none, there are no waiters. A thread that blocks itself may
            // have set `contended` and `counts` since the load above, and be overtaken before it is in tokio's queue: docs/limits.md.
            self.contended.store(false, Ordering::Relaxed);
            if let Some(entry) = self.known() {
                // Not the begin of the poll: a lock that has been free for long is the sign of a futurelock.
                entry.is_free(clock::ticks());
            }
        } else {
            self.released_counted();
        }
    }

    /// The same with a count: samples the release, with its stack.
    #[cold]
    #[inline(never)]
    fn released_counted(&self) {
        if let Some(entry) = self.known() {
            entry.changes_hands(Holding {
                since: clock::ticks(),
                ..self.holding()
            });
        }
        let waited = self.change(false, |queue| {
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

    /// A task begins to wait for a lock that is passed on, and whose waiters are not counted. `None` if there is more to do.
    #[inline(always)]
    fn enter_uncounted(&self, bits: u64) -> Option<Waiter> {
        // An entry is only made if the probe is on.
        let entry = self.known()?;
        if demand::Demand::Releases.is_on() {
            return None;
        }
        self.contended.store(true, Ordering::Relaxed);
        let holder = self.holder.load(Ordering::Acquire);
        self.tell_holder(entry, holder);
        let bits = bits | mark(holder);
        let begin = Begin {
            since: entry.begin_of_wait(clock::ticks()),
            counted: 0,
            wanted: 0,
        };
        Some(Waiter::new(entry.key(), begin, || waker::polled(bits)))
    }

    /// A wait begins. Its time is counted if releases are sampled.
    fn enter(&self, what: &'static LockType, polled: Polled, wanted: u32) -> Waiter {
        let now = clock::ticks();
        let counted = match self.passing == Passing::ToOne && !demand::Demand::Releases.is_on() {
            true => {
                self.contended.store(true, Ordering::Relaxed);
                0
            }
            false => self.enter_queue(what, now),
        };
        let waiter = match self.entry(what) {
            Some(entry) => {
                if !what.has_permits {
                    self.tell_holder(entry, self.holder.load(Ordering::Acquire));
                }
                let begin = Begin {
                    since: entry.begin_of_wait(now),
                    counted,
                    wanted,
                };
                Waiter::new(entry.key(), begin, || polled)
            }
            None => Waiter::missing(),
        };
        if counted != 0 && waiter.counted() == 0 {
            // Without an entry it cannot be counted: its end would not be known.
            let is_present = self.passing == Passing::Unknown;
            self.change(!is_present, |queue| queue.give_up(now));
        }
        waiter
    }

    /// Sets the holder in the registry, as seen by a waiter. If it had to wait for the lock, it has set itself, and has more
    /// to tell.
    #[inline(always)]
    fn tell_holder(&self, entry: LockEntry, holder: u64) {
        if entry.holder() != holder {
            self.tell_another_holder(entry);
        }
    }

    /// The same for a holder that the registry does not have.
    #[cold]
    #[inline(never)]
    fn tell_another_holder(&self, entry: LockEntry) {
        // The lock may change hands here. The next holder stores itself in the lock before the registry, so what is stored
        // here after it is found to be outdated.
        for _ in 0..3 {
            let holding = self.holding();
            if entry.holder() != holding.holder {
                entry.changes_hands(holding);
            }
            // The holder is read after the entry is written. Otherwise neither thread might see the other one's holder.
            fence(Ordering::SeqCst);
            if self.holder.load(Ordering::Acquire) & !PLACED == holding.holder {
                return;
            }
        }
    }

    /// Counts a waiter. Returns the begin of its counted time.
    fn enter_queue(&self, what: &'static LockType, now: Ticks) -> Ticks {
        // Permits are not charged: a release of permits need not be what the others wait for.
        let counts = !what.has_permits && demand::Demand::Releases.is_on();
        let is_present = self.passing == Passing::Unknown;
        self.change(true, |queue| {
            queue.present += u32::from(is_present);
            match counts {
                // At least 1: 0 means that the time is not counted.
                true => queue.enter(now).max(1),
                false => 0,
            }
        })
    }

    /// A waiter has a lock that is passed on, in the mode of these bits.
    #[cold]
    #[inline(never)]
    fn passed(&self, waiter: Waiter, bits: u64) {
        // A wait of a thread has no registrations. One that began in this poll began after its begin.
        if let Some((task, now)) = waker::task_and_time()
            && waiter.counted() == 0
            && !waiter.came_to_free()
            && let taken_at @ Some(_) = waiter.waits()
            && let Some(entry) = self.known()
            && let Some(waited) = now.checked_sub(waiter.since())
        {
            let holder = task | bits;
            self.holder.store(holder, Ordering::Relaxed);
            self.contended.store(true, Ordering::Relaxed);
            entry.count_passed(waited);
            // The entry ends first. Otherwise it would look like a waiter for itself.
            waiter.end_before(|| {
                entry.changes_hands(Holding {
                    holder,
                    since: now,
                    taken_at,
                });
            });
        } else {
            self.passed_otherwise(waiter, bits);
        }
    }

    /// A waiter has the lock, in the mode of these bits.
    #[cold]
    #[inline(never)]
    fn passed_otherwise(&self, waiter: Waiter, bits: u64) {
        let holder = waker::current_packed() | bits;
        self.holder.store(holder, Ordering::Relaxed);
        if demand::Demand::Releases.is_on() {
            self.note_place(holder);
        }
        let waits = waiter.waits();
        self.leave(waiter, true, Queue::leave);
        if let Some(entry) = self.known() {
            let holding = self.holding();
            entry.changes_hands(Holding {
                since: clock::ticks(),
                taken_at: waits.or(holding.taken_at),
                ..holding
            });
        }
    }

    /// A wait ends: the waiter has the lock or has given up. `count` updates the sum.
    #[cold]
    #[inline(never)]
    fn leave(&self, waiter: Waiter, has_it: bool, count: fn(&mut Queue, Ticks, Ticks)) {
        let (counted, now) = (waiter.counted(), clock::ticks());
        if let Some(entry) = self.known()
            && let Some(waited) = waiter.waited(now, entry.since())
        {
            entry.count(waited);
        }
        waiter.end();
        let is_present = self.passing == Passing::Unknown;
        if is_present || counted != 0 {
            self.change(!is_present, |queue| {
                queue.present -= u32::from(is_present);
                queue.told |= has_it;
                if counted != 0 {
                    count(queue, counted, now);
                }
            });
        } else if has_it {
            self.contended.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there may be waiters.
    #[cfg(feature = "semaphore")]
    pub(super) fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// The entry in the registry, made for the first waiter; `None` if there is no room.
    pub(super) fn entry(&self, what: &'static LockType) -> Option<LockEntry> {
        self.known().or_else(|| self.new_entry(what))
    }

    #[cold]
    #[inline(never)]
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    fn new_entry(&self, what: &'static LockType) -> Option<LockEntry> {
        let new = locks::enlist(what, self.created, from_ref(self).addr())?;
        // Two first waiters may be here at once.
        let stored = self.entry.compare_exchange(
            null_mut(),
            new.address().cast_mut(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match stored {
            Ok(_) => Some(new),
            Err(first) => {
                new.delist();
                // SAFETY: this function has stored it.
                unsafe { LockEntry::of_address(first) }
            }
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a pointer to what lives for ever")]
    pub(super) fn known(&self) -> Option<LockEntry> {
        // Acquire: pairs with the exchange in `new_entry`. SAFETY: null, or stored there.
        unsafe { LockEntry::of_address(self.entry.load(Ordering::Acquire)) }
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        if let Some(entry) = self.known() {
            entry.delist();
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
    /// Set when the wait begins.
    begun: Option<Waiter>,
}

impl<'a> Wait<'a> {
    #[inline(always)]
    pub(super) fn new(waiters: &'a Waiters) -> Self {
        Wait {
            waiters,
            begun: None,
        }
    }

    /// A thread begins to wait in the mode `M`, for `wanted` permits of a semaphore.
    pub(super) fn begin<M: Mode>(&mut self, what: &'static LockType, wanted: u32) {
        if self.begun.is_none() && source::is_on() {
            // A thread becomes a waiter before it knows whether it has to wait.
            let comes_to_free =
                !what.has_permits && self.waiters.holder.load(Ordering::Relaxed) == 0;
            let mark = if comes_to_free { CAME_TO_FREE } else { 0 };
            let polled = Polled {
                who: waker::current_packed() | M::BITS & SHARED | mark,
                poll: 0,
                waits: None,
            };
            self.begun = Some(self.waiters.enter(what, polled, wanted));
        }
    }

    /// The waiting future was polled, and still waits in the mode `M`, for `wanted` permits of a semaphore.
    #[inline(always)]
    pub(super) fn pending<M: Mode>(&mut self, what: &'static LockType, wanted: u32) {
        let bits = M::BITS & SHARED;
        match what.passing {
            Passing::ToOne => self.waits_uncounted(what, bits),
            Passing::Unknown => self.waits(what, bits, wanted),
        }
    }

    #[cold]
    #[inline(never)]
    fn waits_uncounted(&mut self, what: &'static LockType, bits: u64) {
        if self.begun.is_none()
            && let Some(waiter) = self.waiters.enter_uncounted(bits)
        {
            self.begun = Some(waiter);
        } else {
            self.waits(what, bits, 0);
        }
    }

    #[cold]
    #[inline(never)]
    fn waits(&mut self, what: &'static LockType, bits: u64, wanted: u32) {
        match self.begun {
            // The future may have been moved to another task since its last poll.
            Some(waiter) => waiter.polled(waker::polled(bits | waiter.mark())),
            None if source::is_on() => {
                let mark = match what.has_permits {
                    true => 0,
                    false => mark(self.waiters.holder.load(Ordering::Relaxed)),
                };
                let polled = waker::polled(bits | mark);
                self.begun = Some(self.waiters.enter(what, polled, wanted));
            }
            None => {}
        }
    }

    /// The waiter has its permits. No release is charged.
    #[cfg(feature = "semaphore")]
    pub(super) fn end_with_permits(&mut self) {
        if let Some(waiter) = self.begun.take() {
            self.waiters.leave(waiter, false, |_, _, _| {});
        }
    }

    /// The waiter has the lock.
    #[inline(always)]
    pub(super) fn end<M: Mode>(&mut self, what: &'static LockType) {
        if let Some(waiter) = self.begun.take() {
            match what.passing {
                Passing::ToOne => self.waiters.passed(waiter, M::BITS),
                Passing::Unknown => self.waiters.passed_otherwise(waiter, M::BITS),
            }
        }
    }
}

impl Drop for Wait<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(waiter) = self.begun.take() {
            let give_up = |queue: &mut Queue, _, now| queue.give_up(now);
            self.waiters.leave(waiter, false, give_up);
        }
    }
}

/// [`CAME_TO_FREE`] for a future that may have the lock already, given the holder: tokio takes a free lock before it asks for the
/// coop budget, and without budget it returns `Pending`.
#[inline(always)]
fn mark(holder: u64) -> u64 {
    match holder == 0 && !has_budget() {
        true => CAME_TO_FREE,
        false => 0,
    }
}

/// Whether the polled task has coop budget left.
#[inline(always)]
#[cfg(feature = "rt")]
fn has_budget() -> bool {
    tokio::task::coop::has_budget_remaining()
}

/// Without tokio's runtime no task has a budget.
#[cfg(not(feature = "rt"))]
fn has_budget() -> bool {
    true
}

/// A lock whose type has a name for dumps.
pub(crate) trait Typed {
    const TYPE: &'static LockType;
}

/// A future that waits for a lock `L` in the mode `M`. It is a waiter from its first pending poll on. Its output is
/// made by `guard`, of the permit and of `whole`, so that `guard` need not capture what has the lock.
///
/// Written by hand: an async fn for each of these steps would move the guard once more.
pub(super) struct Waiting<'a, L: ?Sized, M, F, W: ?Sized, G> {
    /// Dropped first: the lock that it returns goes to others before this waiter leaves.
    acquire: F,
    wait: Wait<'a>,
    whole: &'a W,
    guard: G,
    mode: PhantomData<M>,
    lock: PhantomData<fn(&L)>,
}

impl<'a, L: ?Sized, M: Mode, F, W: ?Sized, G> Waiting<'a, L, M, F, W, G> {
    #[inline(always)]
    pub(super) fn new(waiters: &'a Waiters, acquire: F, whole: &'a W, guard: G) -> Self {
        let wait = Wait::new(waiters);
        Waiting {
            acquire,
            wait,
            whole,
            guard,
            mode: PhantomData,
            lock: PhantomData,
        }
    }
}

impl<'a, L, M, F, W, O, G> Future for Waiting<'a, L, M, F, W, G>
where
    L: Typed + ?Sized,
    M: Mode,
    F: Future,
    W: ?Sized,
    G: Fn(F::Output, &'a W) -> O,
{
    type Output = O;

    #[inline(always)]
    #[expect(unsafe_code, reason = "pin projection")]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        // SAFETY: `acquire` is pinned with this future: it is never moved out, there is no `Drop` of our own, and this is
        // Unpin only if `acquire` is. The others are not pinned.
        let (acquire, this) = unsafe {
            let this = self.get_unchecked_mut();
            let acquire = Pin::new_unchecked(&mut this.acquire);
            (acquire, (&mut this.wait, this.whole, &this.guard))
        };
        let (wait, whole, guard) = this;
        match acquire.poll(context) {
            Poll::Pending => {
                wait.pending::<M>(L::TYPE, 0);
                Poll::Pending
            }
            Poll::Ready(permit) => {
                wait.end::<M>(L::TYPE);
                Poll::Ready(guard(permit, whole))
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
