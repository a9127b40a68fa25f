//! The signal that asks a thread for its stack (`ask::thread_stack`), and its handler.
//!
//! The asker prepares a [`Slot`], sends the signal and waits. The handler, on the asked thread, writes its stack into
//! the slot and rings the bell. The state of a slot tells its owner:
//!
//! | state | owner | next state |
//! |---|---|---|
//! | idle | asker | `ASKED`, set by the asker |
//! | asked | none | `TAKING`, set by the handler; or idle, set by the asker after its time limit |
//! | taking | handler | `TAKEN`, set by the handler |
//! | taken | asker | idle, set by the asker |
//!
//! 1. Each question has a number, which is in the state and is sent with the signal. Number and state MUST be compared
//!    and swapped as one word. Otherwise a late handler writes into the answer to a newer question.
//! 2. A slot belongs to its handler until the handler has finished, even if its thread is stopped meanwhile. An asker
//!    that gives up leaves the slot, and uses it again when it is free.

use super::waker;
use crate::environment;
use crate::primitive::{self, AtomicPtr, AtomicU64, Ordering, UnsafeCell};
use crate::registry::threads;
use crate::stack::interrupted::{Frame, Trace, Walker};
use crate::stack::raw::{End, FutureMeta};
use crate::stack::unwind;
use crate::stack::wait_set::WaitSet;
use crate::sys::bell::Bell;
use crate::sys::own_memory;
use crate::sys::signal::{Delivery, InstallError, Origin, Signal};
use crate::sys::thread_status;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// The most polls of a thread: nested futures and nested `block_on`s are rarely deeper.
const MOST_POLLS: usize = 8;

/// The most slots: 50 KB each. Handlers that are stopped may keep some of them.
const MOST_SLOTS: usize = 8;

/// The answer of a handler.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The whole stack, innermost first.
    pub(crate) frames: Vec<Frame>,
    /// (index of the first missing frame, number of missing frames)
    pub(crate) elided: Option<(usize, usize)>,
    pub(crate) end: End,
    /// The polls that were under way, innermost first.
    pub(crate) polls: Vec<PollThere>,
    /// The foreign task that was being polled, or was polled last; 0 for none.
    pub(crate) foreign: u64,
}

/// A poll that was under way on a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollThere {
    pub(crate) id: u64,
    /// The number of the poll.
    pub(crate) poll: u64,
    pub(crate) meta: &'static FutureMeta,
    /// Frames belong to the task up to the first one that ends above this address.
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
    /// No signal could be installed.
    Install(InstallError),
    /// `RUNTIME_PROBE_SIGNAL` is no number of a signal.
    NoNumber,
    /// `/proc`, which shows the threads' signal masks, is missing or cannot be read.
    Proc(io::ErrorKind),
    /// The system does not let a process read its own memory by a system call.
    Memory,
    /// The probe is part of a shared library.
    Library,
    /// Our handler was replaced.
    Replaced(Signal),
    /// No file descriptor is left.
    Bell(io::ErrorKind),
}

/// The memory that a handler writes to.
struct Slot {
    /// The number of the question, and one of the states in the two lowest bits.
    state: AtomicU64,
    /// Accessed by the owner that the state names.
    room: UnsafeCell<Room>,
}

struct Room {
    walker: Walker,
    trace: Trace,
    polls: [Option<PollThere>; MOST_POLLS],
    foreign: u64,
}

#[expect(unsafe_code, reason = "the state hands the room over")]
// SAFETY: only the owner that the state names accesses the room, and each change of the owner is an Acquire or a
// Release.
unsafe impl Sync for Slot {}

const IDLE: u64 = 0;
const ASKED: u64 = 1;
const TAKING: u64 = 2;
const TAKEN: u64 = 3;

fn state(question: u64, state: u64) -> u64 {
    question << 2 | state
}

/// The slot of the last question. Slots are never freed, because a handler may run at any time.
static SLOT: AtomicPtr<Slot> = AtomicPtr::new(std::ptr::null_mut());

/// The asker: one at a time.
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

/// Chooses the signal and installs the handler, at the first call. `RUNTIME_PROBE_SIGNAL` sets the signal, or none by
/// `off`. The default is an unused real-time signal.
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

/// Changes the signal.
///
/// # Errors
/// The signal cannot be used, and the previous one stays.
pub(crate) fn choose(number: i32) -> Result<(), Unavailable> {
    let mut chosen = Asker::new(Some(number))?;
    let mut asker = lock();
    if let Some(Ok(before)) = &*asker {
        // Question numbers go on, so that a late handler of the old signal finds no question with its number.
        chosen.question = before.question;
    }
    *asker = Some(Ok(chosen));
    Ok(())
}

/// The current signal.
///
/// # Errors
/// The reason why threads cannot be asked.
pub(crate) fn chosen() -> Result<Signal, Unavailable> {
    with_asker(|asker| asker.available().map(|()| asker.signal))?
}

/// Runs `ask` with the asker locked.
///
/// # Errors
/// The reason why no thread can be asked.
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
/// The reason why not.
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

    /// Checks that the handler was not replaced.
    ///
    /// # Errors
    /// The handler was replaced.
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
        // Release: pairs with the handler's Acquire. The reads of the last answer come before this.
        slot.state
            .store(state(question.number, ASKED), Ordering::Release);
        SLOT.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Release);
        if let Err(error) = self.signal.send(tid, question.number as usize) {
            slot.withdraw(question.number);
            return Some(Err(error));
        }
        Some(Ok(question))
    }

    /// A slot without a running handler.
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

/// A question to one thread. The next question may be sent only after this one is answered or withdrawn.
pub(crate) struct Question {
    number: u64,
    slot: &'static Slot,
    bell: &'static Bell,
}

impl Question {
    /// Waits for the answer, for at most `longest`. It may return early.
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
    // Acquire: the asker's earlier accesses to the room come before this.
    if slot
        .state
        .compare_exchange(asked, taking, Ordering::Acquire, Ordering::Relaxed)
        .is_err()
    {
        return;
    }
    slot.room.with_mut(|room| {
        // SAFETY: the state was `ASKED` and is `TAKING`, so the room belongs to this handler until it stores `TAKEN`.
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
    // Release: pairs with the asker's Acquire. The bell is never freed.
    slot.state.store(state(question, TAKEN), Ordering::Release);
    if let Some(bell) = BELL.get() {
        bell.ring();
    }
}
