//! The polls under way on this thread, and its slot.
//!
//! It is one thread-local, because in a library each access to a thread-local is a call that clobbers registers. Code
//! that runs for every poll, wait and wake accesses it once, at its begin, when it has no values in registers.
//!
//! Outside of any poll there is the frame [`OUTSIDE`], so that a wait and a wake need not ask whether there is a poll: the
//! frame's record is no task's, and has no id.

use super::task::Record;
use super::threads::{NEVER_LISTED, Slot};
use crate::events::chunks::Writer;
use crate::stack::raw::{FutureMeta, HasMeta};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::null;
use std::sync::atomic::{Ordering, compiler_fence};
use std::task::{RawWaker, RawWakerVTable, Waker};

/// A poll, as a local of the wrapper's `poll`. Its address is the root at which a capture ends.
pub(crate) struct PollFrame {
    /// The poll's waker. Its data is the record with the generation. A closure's is never handed out, and has the
    /// generation 0. It owns no reference and is never dropped: the wrapper's reference outlives the poll.
    pub(crate) waker: ManuallyDrop<Waker>,
    /// The same record, so that a wait and a wake need not take the data apart.
    record: *const Record,
    outer: *const PollFrame,
}

/// The frame outside of any poll.
struct Outside(PollFrame);

#[expect(unsafe_code, reason = "a frame in a static")]
// SAFETY: nothing changes it, its waker is never used, its record is a static, and its `outer` is null.
unsafe impl Sync for Outside {}

static OUTSIDE: Outside = Outside(PollFrame {
    waker: ManuallyDrop::new({
        #[expect(unsafe_code, reason = "makes a waker")]
        // SAFETY: it is never used as a waker, and never dropped.
        unsafe {
            Waker::from_raw(RawWaker::new((&raw const NO_TASK.0).cast(), &NO_WAKER))
        }
    }),
    record: &raw const NO_TASK.0,
    outer: null(),
});

/// The record of [`OUTSIDE`]: no task's.
static NO_TASK: NoTask = NoTask(Record::free());

struct NoTask(Record);

#[expect(unsafe_code, reason = "a record in a static")]
// SAFETY: any thread may use a record; the poller's methods need a poll, and this record has none.
unsafe impl Sync for NoTask {}

static NO_WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &NO_WAKER),
    |_| (),
    |_| (),
    |_| (),
);

/// The polls under way on a thread, and its slot.
pub(crate) struct Here {
    innermost: Cell<*const PollFrame>,
    pub(super) slot: Cell<&'static Slot>,
    /// For trace entries.
    pub(super) writer: Writer<'static>,
}

thread_local! {
    /// No destructor, so it can be read for as long as the thread runs, and by a signal handler.
    static HERE: Here = const {
        Here {
            innermost: Cell::new(&raw const OUTSIDE.0),
            slot: Cell::new(&NEVER_LISTED),
            writer: Writer::new(),
        }
    };
}

impl Here {
    /// This thread's.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a thread-local without a destructor")]
    pub(crate) fn get<'a>() -> &'a Here {
        // SAFETY: it exists for as long as the thread runs, because nothing drops it. `Here` is not Sync, so no
        // reference gets to another thread.
        unsafe { &*HERE.with(std::ptr::from_ref) }
    }

    /// The thread's slot. If the thread was never listed, one that has reasons, which MUST NOT be written.
    #[inline(always)]
    pub(crate) fn slot(&self) -> &'static Slot {
        self.slot.get()
    }

    /// The innermost poll, or the frame outside of any.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads the current poll's frame")]
    pub(crate) fn innermost<'a>(&self) -> &'a PollFrame {
        // SAFETY: [`OUTSIDE`], or the frame of a poll further up on this thread's stack, which resets the pointer before
        // it ends.
        unsafe { &*self.innermost.get() }
    }

    /// Whether a poll of ours is under way on this thread.
    #[inline(always)]
    pub(crate) fn is_in_a_poll(&self) -> bool {
        self.innermost().if_a_poll().is_some()
    }

    /// The polls under way, the innermost first.
    ///
    /// Async-signal-safe, and correct at any instruction: a frame is put in force when it is complete, and is reset before
    /// it ends.
    #[inline(always)]
    pub(crate) fn polls<'a>(&self) -> impl Iterator<Item = &'a PollFrame> {
        std::iter::successors(self.innermost().if_a_poll(), |frame| frame.outer())
    }

    /// Puts a frame in force.
    #[inline(always)]
    pub(crate) fn enter(&self, frame: &PollFrame) {
        // A signal handler on this thread must not find a frame that is not written yet. At the end of the poll, the
        // Release store of the phase keeps the order.
        compiler_fence(Ordering::Release);
        self.innermost.set(frame);
    }

    /// Resets the innermost frame.
    #[inline(always)]
    pub(crate) fn leave(&self, frame: &PollFrame) {
        self.innermost.set(frame.outer);
    }
}

impl PollFrame {
    /// A poll of this record with a waker of these data and vtable.
    ///
    /// # Safety
    /// The data are the address of the record with a generation, and the vtable is made for such data.
    #[inline(always)]
    #[expect(unsafe_code, reason = "makes a waker")]
    pub(crate) unsafe fn new(
        record: &Record,
        data: *const (),
        table: &'static RawWakerVTable,
        here: &Here,
    ) -> Self {
        PollFrame {
            // SAFETY: by this function's own contract.
            waker: ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, table)) }),
            record,
            outer: here.innermost.get(),
        }
    }

    /// The data of its waker.
    #[inline(always)]
    pub(crate) fn data(&self) -> usize {
        self.waker.data().addr()
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "records live for ever")]
    pub(crate) fn record<'a>(&self) -> &'a Record {
        // SAFETY: records live for ever.
        unsafe { &*self.record }
    }

    /// `None` for the frame outside of any poll.
    #[inline(always)]
    pub(crate) fn if_a_poll(&self) -> Option<&Self> {
        (!std::ptr::eq(self, &raw const OUTSIDE.0)).then_some(self)
    }

    /// The poll around this one.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads a frame further up")]
    pub(crate) fn outer<'a>(&self) -> Option<&'a PollFrame> {
        // SAFETY: as in `innermost`: the poll around it is still under way.
        unsafe { self.outer.as_ref() }?.if_a_poll()
    }

    /// The future or closure that is polled.
    pub(crate) fn meta(&self) -> &'static FutureMeta {
        self.record().meta().unwrap_or(<() as HasMeta>::META)
    }

    /// A number that no other poll has for a long time: the next 65,535 polls of the task have other ones. Not 0.
    #[inline(always)]
    pub(crate) fn mark(&self) -> u64 {
        // Addresses of records are below 2^48.
        (self.record.addr() as u64) << 16 | self.record().poll() & 0xffff
    }
}
