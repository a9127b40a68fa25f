//! Asks one thread for its stack, by a signal.
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
use crate::primitive::{AtomicPtr, AtomicU64, Ordering, UnsafeCell};
use crate::registry::threads;
use crate::stack::interrupted::{Frame, Trace, Walker};
use crate::stack::raw::{End, FutureMeta};
use crate::stack::unwind;
use crate::sys::bell::Bell;
use crate::sys::own_memory;
use crate::sys::signal::{Delivery, InstallError, Origin, Signal};
use crate::sys::thread_status::{self, Activity, ThreadStatus};
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Polls that are told of a thread: wrapped futures and nested `block_on`s are rarely deeper.
const MOST_POLLS: usize = 8;

/// Slots that handlers may sit in at a time before no more are made: 50 KB each.
const MOST_SLOTS: usize = 8;

/// A thread's stack at one moment.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The whole of it, innermost first.
    pub(crate) frames: Vec<Frame>,
    /// Frames that are missing, and behind how many.
    pub(crate) elided: Option<(usize, usize)>,
    pub(crate) end: End,
    /// The polls that were under way, innermost first.
    pub(crate) polls: Vec<PollThere>,
    /// The foreign task that was being polled, or was the last one before; 0 for none.
    pub(crate) foreign: u64,
    /// What the thread did before it was asked.
    pub(crate) activity: Activity,
    /// Where in the kernel it slept, where the kernel tells.
    pub(crate) channel: Option<String>,
}

impl Capture {
    /// What the thread did, in words that follow "is".
    pub(crate) fn doing(&self) -> String {
        match (&self.activity, &self.channel) {
            (Activity::Running, _) => "burning CPU".to_owned(),
            (activity, None) => activity.to_string(),
            (activity, Some(channel)) => format!("{activity}, in {channel}"),
        }
    }
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
}

/// Why a thread was not captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CaptureError {
    /// No thread of this process can be.
    Unavailable(Unavailable),
    /// It has ended.
    Gone,
    /// It blocks the signal.
    Blocked(Signal),
    /// It did not come to run the handler within the time, being in that state.
    Late(Activity),
    /// There is no time left for it.
    NoTime,
    /// The system did not send the signal.
    NotSent(io::ErrorKind),
    /// Handlers that were begun long ago have not ended.
    NoSlot,
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

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureError::Unavailable(why) => why.fmt(f),
            CaptureError::Gone => f.write_str("its thread has ended"),
            CaptureError::Blocked(signal) => {
                write!(f, "its thread blocks {signal}, by which it would be asked")
            }
            CaptureError::Late(activity) => {
                write!(f, "its thread did not answer in time, being {activity}")
            }
            CaptureError::NoTime => {
                f.write_str("the time for asking threads was used up by others")
            }
            CaptureError::NotSent(error) => write!(f, "its thread could not be asked: {error}"),
            CaptureError::NoSlot => {
                f.write_str("threads that were asked before have not answered yet")
            }
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("threads cannot be asked by a signal: ")?;
        match self {
            Unavailable::Off => f.write_str("RUNTIME_PROBE_SIGNAL=off is in the environment"),
            Unavailable::Install(error) => error.fmt(f),
            Unavailable::NoNumber => {
                f.write_str("RUNTIME_PROBE_SIGNAL is neither a number nor off")
            }
            Unavailable::Proc(error) => write!(f, "/proc/self/task cannot be read: {error}"),
            Unavailable::Memory => f.write_str("process_vm_readv is forbidden here"),
            Unavailable::Library => f.write_str(
                "the probe is part of a shared library, whose thread-locals a handler may not use",
            ),
            Unavailable::Replaced(signal) => {
                write!(f, "another handler of {signal} replaced ours")
            }
            Unavailable::Bell(error) => error.fmt(f),
        }
    }
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
struct Asker {
    signal: Signal,
    bell: &'static Bell,
    question: u64,
    slots: Vec<&'static Slot>,
}

static BELL: OnceLock<Bell> = OnceLock::new();
static ASKER: Mutex<Option<Result<Asker, Unavailable>>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Result<Asker, Unavailable>>> {
    ASKER
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
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
    match &*lock() {
        None => Err(Unavailable::Off),
        Some(Err(why)) => Err(why.clone()),
        Some(Ok(asker)) => asker.available().map(|()| asker.signal),
    }
}

/// The stack of a thread of this process, by its kernel id; that of the calling thread, too. Waits for it until `deadline`
/// at the most. Measured in a release build: 42 us for a thread that is blocked in a poll (`snapshot::running` has the test).
///
/// # Errors
/// Why there is none.
pub(crate) fn capture(tid: u32, deadline: Instant) -> Result<Capture, CaptureError> {
    match &mut *lock() {
        None => Err(CaptureError::Unavailable(Unavailable::Off)),
        Some(Err(why)) => Err(CaptureError::Unavailable(why.clone())),
        Some(Ok(asker)) => asker.ask(tid, deadline),
    }
}

/// Whether a handler can walk the stack of its thread here.
///
/// # Errors
/// Why not.
pub(super) fn check() -> Result<(), Unavailable> {
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

    fn available(&self) -> Result<(), Unavailable> {
        match self.signal.is_ours() {
            true => Ok(()),
            false => Err(Unavailable::Replaced(self.signal)),
        }
    }

    fn ask(&mut self, tid: u32, deadline: Instant) -> Result<Capture, CaptureError> {
        self.available().map_err(CaptureError::Unavailable)?;
        if Instant::now() >= deadline {
            return Err(CaptureError::NoTime);
        }
        // Not sent to who would not take it: it would stay with the thread, and so would that of the next dump.
        let before = self.status(tid, deadline)?;
        if before.is_pending(self.signal.number()) {
            return Err(CaptureError::Late(before.activity));
        }
        let channel = match before.activity {
            Activity::Sleeping => thread_status::wait_channel(tid),
            _ => None,
        };
        let deadline = match before.activity {
            Activity::Uninterruptible | Activity::Stopped => {
                deadline.min(Instant::now() + UNLIKELY)
            }
            _ => deadline,
        };
        let slot = self.free_slot().ok_or(CaptureError::NoSlot)?;
        self.question += 1;
        let question = self.question;
        // Release: pairs with the handler's Acquire. What was read of the last answer was read before.
        slot.state.store(state(question, ASKED), Ordering::Release);
        SLOT.store(std::ptr::from_ref(slot).cast_mut(), Ordering::Release);
        if let Err(error) = self.signal.send(tid, question as usize) {
            slot.withdraw(question);
            return Err(match error.raw_os_error() {
                Some(libc::ESRCH) => CaptureError::Gone,
                _ => CaptureError::NotSent(error.kind()),
            });
        }
        loop {
            // Most answer at once.
            self.bell
                .wait(LOOK_EVERY.min(deadline.saturating_duration_since(Instant::now())));
            if slot.is_taken(question) {
                return Ok(slot.capture(before.activity, channel));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // A thread that ends does not say so.
            let status = status_of(tid);
            if left.is_zero() || status.is_err() {
                slot.withdraw(question);
                return match (slot.is_taken(question), status) {
                    (true, _) => Ok(slot.capture(before.activity, channel)),
                    (false, Err(why)) => Err(why),
                    (false, Ok(status)) => Err(CaptureError::Late(status.activity)),
                };
            }
        }
    }

    /// What a thread does that may be asked.
    fn status(&self, tid: u32, deadline: Instant) -> Result<ThreadStatus, CaptureError> {
        let soon = deadline.min(Instant::now() + RETURNING);
        loop {
            let status = status_of(tid)?;
            if !status.blocks(self.signal.number()) {
                return Ok(status);
            }
            // It does so too while it returns from the handler, having answered another asker, and while it creates a
            // thread: for a moment, unless others have its CPU.
            let patience = match status.activity {
                Activity::Running => deadline,
                _ => soon,
            };
            if Instant::now() >= patience {
                return Err(CaptureError::Blocked(self.signal));
            }
            std::thread::yield_now();
        }
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

fn status_of(tid: u32) -> Result<ThreadStatus, CaptureError> {
    match ThreadStatus::read(tid) {
        Ok(status) => status.ok_or(CaptureError::Gone),
        Err(error) => Err(CaptureError::Unavailable(Unavailable::Proc(error.kind()))),
    }
}

/// How often it is looked whether a thread that does not answer is still there.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a thread that sleeps, and blocks the signal, may take to do neither.
const RETURNING: Duration = Duration::from_millis(20);

/// How long is waited for a thread that cannot run at this moment. Most waits for a disk are over by then.
const UNLIKELY: Duration = Duration::from_millis(10);

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
    fn capture(&self, activity: Activity, channel: Option<String>) -> Capture {
        self.room.with(|room| {
            // SAFETY: the state is `TAKEN`, seen with Acquire: the handler has finished, and only the asker changes that.
            let room = unsafe { &*room };
            let frames = room.trace.frames();
            let elided = room.trace.elided();
            Capture {
                elided: (elided > 0).then_some((frames.len() / 2, elided)),
                frames,
                end: room.trace.end(),
                polls: room.polls.iter().map_while(|poll| *poll).collect(),
                foreign: room.foreign,
                activity,
                channel,
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::stack::anchor;
    use crate::sys::thread;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::sync::mpsc;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn asked(tid: u32) -> Result<Capture, CaptureError> {
        assert!(crate::source::start());
        capture(tid, soon())
    }

    /// Whether a frame lies in the function that noted `pc` at its begin.
    fn holds(capture: &Capture, pc: &AtomicUsize) -> bool {
        let begin = pc.load(Ordering::Relaxed);
        let mut frames = capture.frames.iter();
        frames.any(|frame| (begin..begin + 500).contains(&frame.pc))
    }

    static NAPS: AtomicUsize = AtomicUsize::new(0);
    static SPINS: AtomicUsize = AtomicUsize::new(0);

    #[inline(never)]
    fn naps(ready: &mpsc::Sender<u32>) {
        NAPS.store(anchor::pc(), Ordering::Relaxed);
        ready.send(thread::id()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }

    #[inline(never)]
    fn spins(ready: &mpsc::Sender<u32>, enough: &AtomicBool) {
        SPINS.store(anchor::pc(), Ordering::Relaxed);
        ready.send(thread::id()).unwrap();
        while !enough.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_thread_that_sleeps_is_shown_whole_and_sleeps_on() {
        let (ready, told) = mpsc::channel();
        let napping = std::thread::spawn(move || {
            let began = Instant::now();
            naps(&ready);
            began.elapsed()
        });
        let tid = told.recv().unwrap();
        for _ in 0..20 {
            let capture = asked(tid).unwrap();
            assert!(holds(&capture, &NAPS), "{capture:x?}");
            assert_eq!(
                (capture.end, capture.elided),
                (End::Thread, None),
                "{capture:x?}"
            );
            assert!(capture.polls.is_empty());
        }
        assert!(napping.join().unwrap() >= Duration::from_millis(300));
        assert_eq!(asked(tid).unwrap_err(), CaptureError::Gone);
    }

    #[test]
    fn a_thread_that_spins_is_shown() {
        static ENOUGH: AtomicBool = AtomicBool::new(false);
        let (ready, told) = mpsc::channel();
        let spinning = std::thread::spawn(move || spins(&ready, &ENOUGH));
        let tid = told.recv().unwrap();
        for _ in 0..20 {
            let capture = asked(tid).unwrap();
            assert!(holds(&capture, &SPINS), "{capture:x?}");
            assert_eq!(capture.end, End::Thread);
        }
        ENOUGH.store(true, Ordering::Relaxed);
        spinning.join().unwrap();
    }

    #[test]
    fn the_asking_thread_may_ask_itself() {
        let capture = asked(thread::id()).unwrap();
        assert!(capture.frames.len() > 5, "{capture:x?}");
        assert_eq!(capture.end, End::Thread);
    }

    #[test]
    #[expect(unsafe_code, reason = "blocks a signal")]
    fn a_thread_that_blocks_the_signal_is_left_alone() {
        assert!(crate::source::start());
        let signal = chosen().unwrap();
        let (ready, told) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        let blocking = std::thread::spawn(move || {
            // SAFETY: a set on this stack, and the mask of this thread only.
            unsafe {
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, signal.number());
                libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            }
            ready.send(thread::id()).unwrap();
            let _ = wait.recv();
            ThreadStatus::of(thread::id()).unwrap()
        });
        let tid = told.recv().unwrap();
        assert_eq!(asked(tid).unwrap_err(), CaptureError::Blocked(signal));
        drop(done);
        assert!(
            !blocking.join().unwrap().is_pending(signal.number()),
            "nothing was sent"
        );
    }

    #[test]
    fn without_time_no_thread_is_asked() {
        assert!(crate::source::start());
        let own = thread::id();
        assert_eq!(
            capture(own, Instant::now()).unwrap_err(),
            CaptureError::NoTime
        );
    }
}
