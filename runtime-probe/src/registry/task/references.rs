//! References to a record: of the wrapper, of wakers, and of readers that wake its task. And the version, in one word with
//! their count.
//!
//! A locked instruction waits for every store before it, so a wait should have none. The last reference beside the wrapper's is
//! not counted down: its holder leaves it in `spare`, and the task's next registration takes it from there, both with plain
//! stores. It is sound because:
//!
//! 1. The count has the reference in `spare`, and one that is about to be left there. So a holder that reads a count of
//!    two has the only other reference, and keeps being the only one that can leave it, whatever is taken meanwhile.
//! 2. Only the polling thread takes it, and the wrapper's end, which no poll follows.
//! 3. The wrapper's end gives both back at once, and marks the record as [`ENDED`]. A holder that read the word before may
//!    leave its reference after that. It reads the word again, and has [`Dropped::MaybeLate`] if it sees the mark. If neither
//!    sees the other one's store, the slab finds the reference later: see [`Record::take_behind`].
//!
//! The poller keeps the reference of a waker that it replaces, in a flag that only it writes. The next registration takes it. A
//! kept reference is counted, so a holder beside it counts down.
//!
//! A signal handler MUST NOT drop a waker of the task that its thread polls: it may interrupt the store of that flag. tokio's
//! wakers cannot be used in one, either.

use super::{Record, View};
use crate::primitive::{Ordering, fence};

/// The bits of the version are the lower ones.
const VERSION_BITS: u32 = 29;

/// The wrapper has given its reference back.
const ENDED: u64 = 1 << VERSION_BITS;

/// Above is the count less one. So the sign of the word tells that no reference is left, and that there are too many, and is
/// known from the addition itself.
const COUNT_SHIFT: u32 = VERSION_BITS + 1;

/// One reference.
const REFERENCE: u64 = 1 << COUNT_SHIFT;

/// The word above the version, if there is one reference beside the wrapper's.
const ONE_BESIDE_THE_WRAPPER: u64 = REFERENCE >> VERSION_BITS;

/// `spare`, if there is one: what it adds to the word above the version.
const SPARE: u16 = ONE_BESIDE_THE_WRAPPER as u16;

/// Whether [`Record::wakers_at_a_wake`] was one. A number that is greater by a multiple of 2^15 is taken for one, too.
#[inline(always)]
pub(super) fn is_one(wakers: u16) -> bool {
    wakers == SPARE
}

/// Marks a branch as a rare one.
#[cold]
#[inline(always)]
fn rare() {}

/// More references than a reader adds to. Far below those that [`Record::retain`] does not survive.
const MANY: u64 = 1 << 62;

/// The word for `count` references to a record of this version.
#[inline(always)]
pub(super) fn counted(version: u32, count: u32) -> u64 {
    u64::from(count).wrapping_sub(1) << COUNT_SHIFT | u64::from(version)
}

/// The word of a free record that had no owner yet.
pub(super) const FREE: u64 = !(REFERENCE - 1);

/// The version in the word.
#[inline(always)]
pub(super) fn version_of(refs: u64) -> u32 {
    (refs & (ENDED - 1)) as u32
}

/// The version of the next owner, after that of a free record.
#[inline(always)]
pub(super) fn after(version: u32) -> u32 {
    version.wrapping_add(3) & (ENDED - 1) as u32
}

/// The number of references without the wrapper's.
#[inline(always)]
fn wakers_of(refs: u64) -> u64 {
    match is_negative(refs) {
        false => refs >> COUNT_SHIFT,
        true => 0,
    }
}

/// Whether there are no references, or too many.
#[inline(always)]
fn is_negative(refs: u64) -> bool {
    (refs as i64) < 0
}

/// The outcome of a reference's drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Dropped {
    /// It is counted down, left for the next registration, or kept by the poller.
    Done,
    /// It was the last one: the record must be returned to the slab.
    Last,
    /// It is left for the next registration. The wrapper has ended meanwhile, and may not have seen it.
    MaybeLate,
}

impl Record {
    /// The version of the record: another one for each task, and even while it is free.
    #[inline(always)]
    pub(super) fn version(&self, order: Ordering) -> u32 {
        version_of(self.refs.load(order))
    }

    /// The version, if the record has an owner.
    #[cfg(not(probe_loom))]
    pub(in crate::registry) fn owner_version(&self) -> Option<u32> {
        let version = self.version(Ordering::Relaxed);
        (!version.is_multiple_of(2)).then_some(version)
    }

    /// Makes the version that of a free record. No reference is left.
    pub(super) fn end_version(&self) {
        let refs = self.refs.load(Ordering::Relaxed);
        self.refs.store(refs & !1, Ordering::Relaxed);
    }

    /// Takes another reference.
    #[inline(always)]
    pub(crate) fn retain(&self) {
        let before = self.refs.fetch_add(REFERENCE, Ordering::Relaxed);
        if is_negative(before.wrapping_add(REFERENCE)) {
            // As in `Arc` and in tokio, too many forgotten wakers are fatal: here 2^33.
            std::process::abort();
        }
    }

    /// Takes another reference: the spare one, if there is one. Only the polling thread.
    #[inline(always)]
    pub(crate) fn retain_in_poll(&self) {
        // Acquire: pairs with the Release in `leave`, for the order of its holder's reads before the end of the record.
        if self.spare.load(Ordering::Acquire) == 0 {
            rare();
            if !self.take_kept() {
                self.retain();
            }
        } else {
            self.spare.store(0, Ordering::Relaxed);
        }
    }

    /// The number of references beside the wrapper's, the spare and the kept one, for a word that was loaded with Acquire.
    pub(super) fn wakers(&self, refs: u64) -> u64 {
        // Acquire: pairs with the Release in `leave`, because a thread that consumes a waker stores its stamp before.
        let spare = u64::from(self.spare.load(Ordering::Acquire) != 0);
        wakers_of(refs).saturating_sub(spare + u64::from(self.keeps()))
    }

    /// The same for a wake that consumes a waker, as [`is_one`] reads it. A kept reference is taken for a waker, so that a wake has
    /// less to do.
    #[inline(always)]
    pub(super) fn wakers_at_a_wake(&self) -> u16 {
        let refs = self.refs.load(Ordering::Relaxed) >> VERSION_BITS;
        (refs as u16).wrapping_sub(self.spare.load(Ordering::Relaxed))
    }

    /// The same while no other thread knows the record.
    #[cfg(any(feature = "rt", probe_loom))]
    #[inline(always)]
    pub(crate) fn retain_unshared(&self) {
        let refs = self.refs.load(Ordering::Relaxed);
        // Release: as the store at the end of `open`, which it replaces.
        self.refs.store(refs + REFERENCE, Ordering::Release);
    }

    /// Takes a reference for a reader, to the task of `view`. `false` if the record belongs to another task by now, and
    /// if the view was not taken between two polls. Never changes another task's count.
    #[must_use]
    pub(in crate::registry) fn retain_for(&self, view: &View) -> bool {
        if view.polling || view.polls == 0 {
            return false;
        }
        let mut refs = self.refs.load(Ordering::Relaxed);
        while !is_negative(refs) && refs < MANY && version_of(refs) == view.version {
            match self.refs.compare_exchange_weak(
                refs,
                refs + REFERENCE,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => refs = now,
            }
        }
        false
    }

    /// Drops a reference that is not the wrapper's.
    #[inline(always)]
    pub(crate) fn leave(&self) -> Dropped {
        self.leave_or_keep(|| false)
    }

    /// The same. The poller keeps a reference beside others: `is_poller` asks whether this thread is polling the task.
    #[inline(always)]
    pub(crate) fn leave_or_keep(&self, is_poller: impl FnOnce() -> bool) -> Dropped {
        // Acquire: pairs with the Release in `subtract`. A reference that was taken from `spare` and counted down since then was
        // taken before this one is left.
        let refs = self.refs.load(Ordering::Acquire);
        if refs >> VERSION_BITS != ONE_BESIDE_THE_WRAPPER {
            if is_poller() && self.keep() {
                return Dropped::Done;
            }
            return match self.release() {
                false => Dropped::Done,
                true => Dropped::Last,
            };
        }
        // Release: as of a count that goes down.
        self.spare.store(SPARE, Ordering::Release);
        match self.refs.load(Ordering::Relaxed) & ENDED {
            0 => Dropped::Done,
            _ => Dropped::MaybeLate,
        }
    }

    /// Drops the kept reference, if there is one. Only the thread that drops the wrapper.
    pub(crate) fn drop_kept(&self) {
        if self.take_kept() {
            // Not the last one: the wrapper has its own.
            let _ = self.release();
        }
    }

    /// Drops the wrapper's reference, and the spare one. The kept one is gone. `true` if there is no other one: then the record
    /// must be returned to the slab.
    #[inline(always)]
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        debug_assert!(!self.keeps());
        // Acquire: as in `retain_in_poll`.
        match self.spare.load(Ordering::Acquire) {
            0 => self.subtract::<{ REFERENCE - ENDED }>(),
            _ => {
                self.spare.store(0, Ordering::Relaxed);
                self.subtract::<{ 2 * REFERENCE - ENDED }>()
            }
        }
    }

    /// Drops a reference. `true` if it was the last one: then the record must be returned to the slab.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        self.subtract::<REFERENCE>()
    }

    /// Whether [`Record::take_behind`] may find one.
    pub(in crate::registry) fn may_be_behind(&self) -> bool {
        self.refs.load(Ordering::Relaxed) & ENDED != 0 && self.spare.load(Ordering::Relaxed) != 0
    }

    /// Takes the reference that the wrapper's end did not see. `true` if there was one: then the caller owns it. No two threads at
    /// a time.
    #[must_use]
    pub(in crate::registry) fn take_behind(&self) -> bool {
        // Acquire: pairs with the Release in `subtract`, so the end's store to `spare` comes before the load below.
        let refs = self.refs.load(Ordering::Acquire);
        let is_ended = refs & ENDED != 0 && !version_of(refs).is_multiple_of(2);
        if !is_ended {
            return false;
        }
        // Acquire: as in `retain_in_poll`. The second load of the word comes after it.
        let is_left = self.spare.load(Ordering::Acquire) != 0;
        let now = self.refs.load(Ordering::Relaxed);
        // The same version: the record had no other owner meanwhile. And it keeps having none, as this reference is counted.
        let is_taken = is_left && now & ENDED != 0 && version_of(now) == version_of(refs);
        if is_taken {
            self.spare.store(0, Ordering::Relaxed);
        }
        is_taken
    }

    /// Subtracts from the word. `true` if no reference is left.
    #[inline(always)]
    fn subtract<const LESS: u64>(&self) -> bool {
        // Not `fetch_sub`: only of an addition of this number does the compiler take the sign of the sum at once.
        let sum = const { LESS.wrapping_neg() };
        let before = self.refs.fetch_add(sum, Ordering::Release);
        if !is_negative(before.wrapping_add(sum)) {
            return false;
        }
        // Pairs with the Release of the other decrements: their owners' writes are visible now.
        fence(Ordering::Acquire);
        true
    }
}

#[cfg(all(test, not(probe_loom)))]
impl Record {
    /// Leaves a reference behind, as a waker whose thread was stopped between the two loads of `leave`.
    pub(in crate::registry) fn leave_too_late(&self) {
        assert!(self.refs.load(Ordering::Relaxed) & ENDED != 0);
        self.spare.store(SPARE, Ordering::Release);
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use crate::labels::LabelSet;
    use crate::registry::sites::Site;
    use crate::registry::task::{Kind, Opened};
    use proptest::prelude::*;

    fn opened(record: &Record, id: u64) {
        let opened = Opened {
            site: Site::NOWHERE,
            parent: 0,
        };
        record.open(Kind::Task, id, opened, 0, || LabelSet::NONE);
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        /// A clone in the task's own poll.
        Register,
        /// A clone elsewhere.
        Clone,
        /// A waker is dropped.
        Leave,
        /// A waker is dropped in the task's own poll.
        Drop,
        /// The task ends.
        End,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            4 => Just(Act::Register),
            1 => Just(Act::Clone),
            3 => Just(Act::Leave),
            2 => Just(Act::Drop),
            1 => Just(Act::End),
        ];
        proptest::collection::vec(act, 1..200)
    }

    proptest! {
        /// Compared with a plain number of wakers: a record has as many, and ends with the last one.
        #[test]
        fn as_many_references_as_wakers(acts in acts()) {
            let record = Record::free();
            opened(&record, 1);
            let (mut wakers, mut is_open) = (0_u64, true);
            for (step, act) in acts.into_iter().enumerate() {
                let is_last = match act {
                    Act::Register if is_open => {
                        record.retain_in_poll();
                        wakers += 1;
                        false
                    }
                    Act::Clone if wakers > 0 => {
                        record.retain();
                        wakers += 1;
                        false
                    }
                    Act::Leave if wakers > 0 => {
                        wakers -= 1;
                        record.leave() == Dropped::Last
                    }
                    Act::Drop if wakers > 0 && is_open => {
                        wakers -= 1;
                        record.leave_or_keep(|| true) == Dropped::Last
                    }
                    Act::End if is_open => {
                        is_open = false;
                        record.drop_kept();
                        record.end()
                    }
                    _ => continue,
                };
                prop_assert_eq!(is_last, wakers == 0 && !is_open);
                // No waker leaves its reference while the task ends.
                prop_assert!(!record.take_behind());
                if is_last {
                    record.shut();
                    opened(&record, step as u64);
                    is_open = true;
                }
                if is_open {
                    prop_assert_eq!(record.wakers(record.refs.load(Ordering::Relaxed)), wakers);
                }
            }
        }
    }

    #[test]
    fn a_task_that_replaces_its_second_waker_counts_once_for_each_wake() {
        let record = Record::free();
        opened(&record, 1);
        record.retain_in_poll();
        record.retain_in_poll();
        let mut counted = Vec::new();
        for _ in 0..3 {
            // One is consumed by a wake. The poll registers again, and replaces the other one.
            assert_eq!(record.leave(), Dropped::Done);
            record.retain_in_poll();
            counted.push(record.refs.load(Ordering::Relaxed));
            record.retain_in_poll();
            assert_eq!(record.leave_or_keep(|| true), Dropped::Done);
            assert_eq!(record.wakers(record.refs.load(Ordering::Relaxed)), 2);
        }
        // Only the first poll counts its first registration.
        assert_eq!(counted[1], counted[2]);
        assert_eq!(wakers_of(counted[0]), 2);
        assert_eq!(
            (record.leave(), record.leave()),
            (Dropped::Done, Dropped::Done)
        );
        record.drop_kept();
        assert!(record.end());
    }

    #[test]
    fn a_task_that_waits_again_and_again_counts_once() {
        let record = Record::free();
        opened(&record, 1);
        record.retain_in_poll();
        let counted = record.refs.load(Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(record.leave(), Dropped::Done);
            record.retain_in_poll();
            assert_eq!(record.refs.load(Ordering::Relaxed), counted);
        }
        assert_eq!(record.leave(), Dropped::Done);
        assert!(record.end());
    }
}
