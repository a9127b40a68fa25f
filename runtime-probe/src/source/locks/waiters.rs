//! Who waits for a lock, as a number and a sum: the time that its waiters have spent since a release was last charged.
//!
//! The time is the integral of their number, so it is exact for any number of waiters and takes two words; a list of
//! their start times would tell nothing more. What a waiter spends between the unlock that let it in and its next poll is
//! the run queue's, and is taken out again, as Go leaves it out.
//!
//! Where this differs from Go (`semrelease`): Go's queue has a stamp for its head and one for its tail, and takes the
//! waiters between to have come evenly. Here each counts for as long as it was there.
//!
//! Allowed here: two words under a lock of our own that is held for a few instructions, by waiters and by
//! releases of a lock with waiters; tokio's own lock takes a mutex of its kind at each of these moments.
//! Forbidden: allocating, calling out, anything at all on the way of a lock without waiters, but one load.

use crate::clock::{self, Ticks};
use crate::demand;
use crate::primitive::{Mutex, Ordering, lock};
use crate::source::waker;
use crate::tally::waits::MUTEX;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};

/// The waiters of one lock.
pub(super) struct Waiters {
    /// Whether a release has anything to be charged with. Written under the lock of `queue`. Relaxed: who misses a waiter
    /// that came just now is charged nothing for it, and it has hardly waited.
    contended: AtomicBool,
    queue: Mutex<Queue>,
}

/// Pure arithmetic.
#[derive(Debug)]
struct Queue {
    waiting: u64,
    /// The latest moment that was seen. Counters of two cores may differ a little; time does not go back here.
    now: Ticks,
    /// Time spent up to `now` that no release was charged with.
    uncharged: Ticks,
    /// When a release was charged.
    charged: Ticks,
}

impl Queue {
    const fn new() -> Self {
        Queue {
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

    /// A waiter begins. Returns since when.
    fn enter(&mut self, now: Ticks) -> Ticks {
        self.advance(now);
        self.waiting += 1;
        self.now
    }

    /// A waiter gives up: what it has spent stays uncharged.
    fn give_up(&mut self, now: Ticks) {
        self.advance(now);
        self.waiting -= 1;
    }

    /// A waiter since `since` has the lock: what came after the release that let it in is not its wait.
    fn leave(&mut self, since: Ticks, now: Ticks) {
        self.give_up(now);
        self.uncharged = self
            .uncharged
            .saturating_sub(self.now - since.max(self.charged));
    }

    /// The lock is released. Returns what it is charged with.
    fn charge(&mut self, now: Ticks) -> Ticks {
        self.advance(now);
        self.charged = self.now;
        std::mem::take(&mut self.uncharged)
    }
}

impl Waiters {
    pub(super) const fn new() -> Self {
        Waiters {
            contended: AtomicBool::new(false),
            queue: Mutex::new(Queue::new()),
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = lock(&self.queue);
        let result = change(&mut queue);
        let contended = queue.waiting > 0 || queue.uncharged > 0;
        self.contended.store(contended, Ordering::Relaxed);
        result
    }

    /// Charges a release that is about to happen with what was waited since the last one.
    #[inline(always)]
    pub(super) fn charge(&self) {
        if self.contended.load(Ordering::Relaxed) {
            self.charge_contended();
        }
    }

    /// A release of a lock with waiters: samples it, with the stack of the release.
    #[cold]
    #[inline(never)]
    fn charge_contended(&self) {
        let waited = self.change(|queue| queue.charge(clock::ticks()));
        if let Some(weight) = demand::sample_release(waited) {
            MUTEX.add(waker::wait_site(), weight);
        }
    }
}

/// Charges its drop, or the release that says so, with what was waited since a release was last charged.
pub(super) struct Charge<'a>(&'a Waiters);

impl<'a> Charge<'a> {
    pub(super) fn new(waiters: &'a Waiters) -> Self {
        Charge(waiters)
    }

    #[inline(always)]
    pub(super) fn now(&self) {
        self.0.charge();
    }
}

impl Drop for Charge<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.now();
    }
}

/// One waiter. Dropped without [`Wait::end`], it has given up.
pub(super) struct Wait<'a> {
    waiters: &'a Waiters,
    since: Option<Ticks>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(waiters: &'a Waiters) -> Self {
        Wait {
            waiters,
            since: None,
        }
    }

    /// Counts from now on, if locks are watched and it does not already.
    pub(super) fn begin(&mut self) {
        if self.since.is_none() && demand::Demand::Releases.is_on() {
            let enter = |queue: &mut Queue| queue.enter(clock::ticks());
            self.since = Some(self.waiters.change(enter));
        }
    }

    /// It has the lock.
    pub(super) fn end(&mut self) {
        if let Some(since) = self.since.take() {
            let leave = |queue: &mut Queue| queue.leave(since, clock::ticks());
            self.waiters.change(leave);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.since.is_some() {
            self.waiters.change(|queue| queue.give_up(clock::ticks()));
        }
    }
}

/// A future that is a waiter from when it is first pending, and gives what `guard` makes of what it waited for.
///
/// Written by hand: an async fn around it for each of these steps would move the guard once more.
pub(super) struct Waiting<'a, F, G> {
    /// First: what it gives back when it is dropped goes to others before this waiter has gone.
    acquire: F,
    wait: Wait<'a>,
    guard: G,
}

impl<'a, F, G> Waiting<'a, F, G> {
    pub(super) fn new(waiters: &'a Waiters, acquire: F, guard: G) -> Self {
        let wait = Wait::new(waiters);
        Waiting {
            acquire,
            wait,
            guard,
        }
    }
}

impl<F: Future, O, G: Fn(F::Output) -> O> Future for Waiting<'_, F, G> {
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
                wait.begin();
                Poll::Pending
            }
            Poll::Ready(permit) => {
                wait.end();
                Poll::Ready(guard(permit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What may happen to a queue. Waiters are picked by their place, modulo how many there are.
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

    /// A list of waiters, each with the moment at which it began and that from which no release was charged for it.
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
        /// Steps of time may go back, as they do between two cores: then no time has passed.
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
