//! The signal by which a thread is asked for its stack (`ask::thread_stack`), and its handler.
//!
//! The asker prepares a [`Slot`], sends the signal and waits; the handler, on the thread that was asked, walks into the slot
//! and rings. A slot's state says whose it is:
//!
//! | state | the slot is | goes on |
//! |---|---|---|
//! | idle | the asker's | `ASKED`, by the asker |
//! | asked | no thread's | `TAKING`, by the handler; back to idle, by the asker when its time is up |
//! | taking | the handler's | `TAKEN`, by the handler |
//! | taken | the asker's | idle, by the asker |
//!
//! 1. Each question has a number of its own, which is in the state and comes with the signal: MUST be compared and swapped
//!    as one word. Otherwise a handler that comes late writes into the answer to a newer question.
//! 2. A slot that a handler has begun to write to is the handler's until it has finished, however long that takes (a thread
//!    that is stopped in there): an asker that gives up leaves it there, and it is taken up again when it is free.

use super::waker;
use crate::environment;
use crate::primitive::{self, AtomicPtr, AtomicU64, Ordering, UnsafeCell};
use crate::registry::threads;
use crate::stack::interrupted::{Frame, Trace, Walker};
use crate::stack::raw::{End, FutureMeta, WaitSet};
use crate::stack::unwind;
use crate::sys::bell::Bell;
use crate::sys::own_memory;
use crate::sys::signal::{Delivery, InstallError, Origin, Signal};
use crate::sys::thread_status;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// Polls that are told of a thread: wrapped futures and nested `block_on`s are rarely deeper.
const MOST_POLLS: usize = 8;

/// Slots that handlers may sit in at a time before no more are made: 50 KB each.
const MOST_SLOTS: usize = 8;

/// What a handler saw of its thread.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The whole stack, innermost first.
    pub(crate) frames: Vec<Frame>,
    /// Frames that are missing, and behind how many.
    pub(crate) elided: Option<(usize, usize)>,
    pub(crate) end: End,
    /// The polls that were under way, innermost first.
    pub(crate) polls: Vec<PollThere>,
    /// The foreign task that was being polled, or was the last one before; 0 for none.
    pub(crate) foreign: u64,
}

/// A poll that was under way on a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollThere {
    pub(crate) id: u64,
    /// Which of the task's polls.
    pub(crate) poll: u64,
    pub(crate) meta: &'static FutureMeta,
    /// Frames belong to the task up to the first that ends above this.
    pub(crate) root: usize,
    /// Where it has registered in this poll so far, or else in the last one that registered anywhere.
    pub(crate) waits: Option<&'static WaitSet>,
    /// Where it had registered before, if it has in this poll and does not only repeat that.
    pub(crate) before: Option<&'static WaitSet>,
}

/// Why threads cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// The probe is off, or the user switched the signals off.
    Off,
    /// No signal is to be had.
    Install(InstallError),
    /// `RUNTIME_PROBE_SIGNAL` is no number of a signal.
    NoNumber,
    /// There is no `/proc` to tell which thread would take a signal, or it cannot be read.
    Proc(io::ErrorKind),
    /// The system does not let a process read its own memory by a system call.
    Memory,
    /// The probe is part of a shared library.
    Library,
    /// Another handler is in the place of ours.
    Replaced(Signal),
    /// No file descriptor is left.
    Bell(io::ErrorKind),
}

/// What a handler writes to.
struct Slot {
    /// The number of the question and, in the two lowest bits, one of the states.
    state: AtomicU64,
    /// Whose these are the state tells.
    room: UnsafeCell<Room>,
}

struct Room {
    walker: Walker,
    trace: Trace,
    polls: [Option<PollThere>; MOST_POLLS],
    foreign: u64,
}

#[expect(unsafe_code, reason = "the state hands the room over")]
// SAFETY: the room is touched by the thread that the state names, and each change of the state is an Acquire or a Release.
unsafe impl Sync for Slot {}

const IDLE: u64 = 0;
const ASKED: u64 = 1;
const TAKING: u64 = 2;
const TAKEN: u64 = 3;

fn state(question: u64, state: u64) -> u64 {
    question << 2 | state
}

/// The slot of the question that was asked last. Slots are never freed, since a handler may come at any time.
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

/// What asking takes: one asker at a time.
pub(crate) struct Asker {
    signal: Signal,
    bell: &'static Bell,
    question: u64,
    slots: Vec<&'static Slot>,
}

static BELL: OnceLock<Bell> = OnceLock::new();
static ASKER: Mutex<Option<Result<Asker, Unavailable>>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Result<Asker, Unavailable>>> {
    primitive::lock(&ASKER)
}

/// Chooses the signal and installs the handler, the first time: `RUNTIME_PROBE_SIGNAL` names one, or none by `off`; otherwise
/// it is a real-time signal that is not in use.
pub(super) fn start() {
    lock().get_or_insert_with(|| {
        let named = match environment::SIGNAL.value() {
            None => return Asker::new(None),
            Some(off) if off == "off" => return Err(Unavailable::Off),
            Some(named) => named,
        };
        let number = named.to_str().and_then(|number| number.parse().ok());
        number
            .ok_or(Unavailable::NoNumber)
            .and_then(|number| Asker::new(Some(number)))
            .inspect_err(|why| environment::SIGNAL.refuse(why))
    });
}

/// Asks threads by this signal from now on.
///
/// # Errors
/// Why it cannot be; then it stays as it was.
pub(crate) fn choose(number: i32) -> Result<(), Unavailable> {
    let mut chosen = Asker::new(Some(number))?;
    let mut asker = lock();
    if let Some(Ok(before)) = &*asker {
        // The handler of a question asked by the old signal may be late: none by the new one has its number.
        chosen.question = before.question;
    }
    *asker = Some(Ok(chosen));
    Ok(())
}

/// The signal by which threads are asked.
///
/// # Errors
/// Why they cannot be.
pub(crate) fn chosen() -> Result<Signal, Unavailable> {
    with_asker(|asker| asker.available().map(|()| asker.signal))?
}

/// Lets one asker ask, the others wait.
///
/// # Errors
/// Why no thread can be asked.
pub(crate) fn with_asker<R>(ask: impl FnOnce(&mut Asker) -> R) -> Result<R, Unavailable> {
    match &mut *lock() {
        None => Err(Unavailable::Off),
        Some(Err(why)) => Err(why.clone()),
        Some(Ok(asker)) => Ok(ask(asker)),
    }
}

/// Whether a handler can walk the stack of its thread here.
///
/// # Errors
/// Why not.
pub(crate) fn check() -> Result<(), Unavailable> {
    if !Signal::is_supported() {
        return Err(Unavailable::Install(InstallError::Unsupported));
    }
    if !own_memory::is_permitted() {
        return Err(Unavailable::Memory);
    }
    if let Err(error) = thread_status::listed() {
        return Err(Unavailable::Proc(error.kind()));
    }
    if unwind::tables().is_some_and(|tables| !tables.is_program(on_signal as *const () as u64)) {
        return Err(Unavailable::Library);
    }
    Ok(())
}

impl Asker {
    fn new(number: Option<i32>) -> Result<Asker, Unavailable> {
        check()?;
        let bell = Bell::of(&BELL).map_err(|error| Unavailable::Bell(error.kind()))?;
        let signal = match number {
            Some(number) => Signal::install(number, on_signal),
            None => Signal::install_free(on_signal),
        };
        Ok(Asker {
            signal: signal.map_err(Unavailable::Install)?,
            bell,
            question: 0,
            slots: Vec::new(),
        })
    }

    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    /// Whether the handler is in its place.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn available(&self) -> Result<(), Unavailable> {
        match self.signal.is_ours() {
            true => Ok(()),
            false => Err(Unavailable::Replaced(self.signal)),
        }
    }

    /// Sends the signal to a thread; `None` if no slot is free.
    pub(crate) fn send(&mut self, tid: u32) -> Option<io::Result<Question>> {
        let slot = self.free_slot()?;
        self.question += 1;
        let question = Question {
            number: self.question,
            slot,
            bell: self.bell,
        };
        // Release: pairs with the handler's Acquire. What was read of the last answer was read before.
        slot.state
            .store(state(question.number, ASKED), Ordering::Release);
        SLOT.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Release);
        if let Err(error) = self.signal.send(tid, question.number as usize) {
            slot.withdraw(question.number);
            return Some(Err(error));
        }
        Some(Ok(question))
    }

    /// A slot that no handler is at work in.
    fn free_slot(&mut self) -> Option<&'static Slot> {
        let is_free = |slot: &&Slot| slot.state.load(Ordering::Acquire) & 3 != TAKING;
        if let Some(slot) = self.slots.iter().copied().find(is_free) {
            return Some(slot);
        }
        (self.slots.len() < MOST_SLOTS).then(|| {
            let slot: &'static Slot = Box::leak(Box::new(Slot {
                state: AtomicU64::new(IDLE),
                room: UnsafeCell::new(Room {
                    walker: Walker::new(),
                    trace: Trace::EMPTY,
                    polls: [None; MOST_POLLS],
                    foreign: 0,
                }),
            }));
            self.slots.push(slot);
            slot
        })
    }
}

/// What one thread was asked. It may be asked nothing else before this is answered or withdrawn.
pub(crate) struct Question {
    number: u64,
    slot: &'static Slot,
    bell: &'static Bell,
}

impl Question {
    /// Waits for the handler's end, but not longer than that. It may return early.
    pub(crate) fn wait(&self, longest: Duration) {
        self.bell.wait(longest);
    }

    /// The answer, if the handler has finished.
    pub(crate) fn answer(&self) -> Option<Seen> {
        self.slot.is_taken(self.number).then(|| self.slot.seen())
    }

    /// From here on the handler comes too late, unless it has begun.
    pub(crate) fn withdraw(&self) {
        self.slot.withdraw(self.number);
    }
}

impl Slot {
    /// Whether the handler has finished.
    fn is_taken(&self, question: u64) -> bool {
        // Acquire: pairs with the Release at the handler's end.
        self.state.load(Ordering::Acquire) == state(question, TAKEN)
    }

    /// From here on the handler comes too late, unless it has begun.
    fn withdraw(&self, question: u64) {
        let (asked, idle) = (state(question, ASKED), state(question, IDLE));
        let relaxed = Ordering::Relaxed;
        let _ = self.state.compare_exchange(asked, idle, relaxed, relaxed);
    }

    /// The answer.
    #[expect(unsafe_code, reason = "the state hands the room over")]
    fn seen(&self) -> Seen {
        self.room.with(|room| {
            // SAFETY: the state is `TAKEN`, seen with Acquire: the handler has finished, and only the asker changes that.
            let room = unsafe { &*room };
            let frames = room.trace.frames();
            let elided = room.trace.elided();
            Seen {
                elided: (elided > 0).then_some((frames.len() / 2, elided)),
                frames,
                end: room.trace.end(),
                polls: room.polls.iter().map_while(|poll| *poll).collect(),
                foreign: room.foreign,
            }
        })
    }
}

/// The handler.
#[expect(unsafe_code, reason = "slots are shared by pointer")]
fn on_signal(delivery: &Delivery) {
    // SAFETY: null, or a slot that was published with Release and is never freed.
    let Some(slot) = (unsafe { SLOT.load(Ordering::Acquire).as_ref() }) else {
        return;
    };
    if delivery.origin != Origin::Queued {
        return;
    }
    let question = delivery.value as u64;
    let (asked, taking) = (state(question, ASKED), state(question, TAKING));
    // Acquire: what the asker did to the room before comes before this.
    if slot
        .state
        .compare_exchange(asked, taking, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    slot.room.with_mut(|room| {
        // SAFETY: the state was `ASKED` and is `TAKING`: the room is this handler's until it stores `TAKEN`.
        let room = unsafe { &mut *room };
        let mut polls = waker::interrupted();
        room.polls = std::array::from_fn(|_| {
            polls.next().map(|poll| PollThere {
                id: poll.record.id(),
                poll: poll.poll,
                meta: poll.meta,
                root: poll.root,
                waits: poll.waits,
                before: poll.before,
            })
        });
        room.foreign = threads::if_listed().map_or(0, |slot| slot.foreign.load(Ordering::Relaxed));
        room.trace
            .take(&mut room.walker, &delivery.registers, usize::MAX);
    });
    // Release: the asker finds what was written. The bell outlives every slot.
    slot.state.store(state(question, TAKEN), Ordering::Release);
    if let Some(bell) = BELL.get() {
        bell.ring();
    }
}
