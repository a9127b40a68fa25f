//! Asks one thread for its stack, by a signal, and waits for the answer.

use super::why::CaptureError;
use crate::source::signal::{self, Asker, PollThere, Question, Seen, Unavailable};
use crate::stack::interrupted::Frame;
use crate::stack::raw::End;
use crate::sys::signal::Signal;
use crate::sys::thread_status::{self, Activity, ThreadStatus};
use std::time::{Duration, Instant};

/// A thread's stack at one moment.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The whole stack, innermost first.
    pub(crate) frames: Vec<Frame>,
    /// (index of the first missing frame, number of missing frames)
    pub(crate) elided: Option<(usize, usize)>,
    pub(crate) end: End,
    /// The polls that were under way, innermost first.
    pub(crate) polls: Vec<PollThere>,
    /// The foreign task that was being polled, or was polled last; 0 for none.
    pub(crate) foreign: u64,
    /// What the thread did before it was asked.
    pub(crate) activity: Activity,
    /// The kernel function that the thread slept in, if the kernel shows it.
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

/// The stack of a thread of this process, by its kernel id. The thread may be the calling one. Waits until `deadline`
/// at most. Measured in a release build: 42 us for a thread that is blocked in a poll (`snapshot::running` has the
/// test).
///
/// # Errors
/// The reason why there is no stack.
pub(crate) fn capture(tid: u32, deadline: Instant) -> Result<Capture, CaptureError> {
    signal::with_asker(|asker| ask(asker, tid, deadline)).map_err(CaptureError::Unavailable)?
}

fn ask(asker: &mut Asker, tid: u32, deadline: Instant) -> Result<Capture, CaptureError> {
    asker.available().map_err(CaptureError::Unavailable)?;
    if Instant::now() >= deadline {
        return Err(CaptureError::NoTime);
    }
    // A thread that blocks the signal is not sent one: the signal would stay pending, and each later dump would find it
    // so.
    let before = status_for(asker.signal(), tid, deadline)?;
    if before.is_pending(asker.signal().number()) {
        return Err(CaptureError::Late(before.activity));
    }
    let channel = match before.activity {
        Activity::Sleeping => thread_status::wait_channel(tid),
        _ => None,
    };
    let deadline = match before.activity {
        Activity::Uninterruptible | Activity::Stopped => deadline.min(Instant::now() + UNLIKELY),
        _ => deadline,
    };
    let question = match asker.send(tid).ok_or(CaptureError::NoSlot)? {
        Ok(question) => question,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(CaptureError::Gone),
        Err(error) => return Err(CaptureError::NotSent(error.kind())),
    };
    let seen = answer(&question, tid, deadline)?;
    Ok(Capture {
        frames: seen.frames,
        elided: seen.elided,
        end: seen.end,
        polls: seen.polls,
        foreign: seen.foreign,
        activity: before.activity,
        channel,
    })
}

/// Waits for the answer. Without one in time, the question is withdrawn.
fn answer(question: &Question, tid: u32, deadline: Instant) -> Result<Seen, CaptureError> {
    loop {
        // Most threads answer at once.
        question.wait(LOOK_EVERY.min(deadline.saturating_duration_since(Instant::now())));
        if let Some(seen) = question.answer() {
            return Ok(seen);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A thread that ends does not answer.
        let status = status_of(tid);
        if left.is_zero() || status.is_err() {
            question.withdraw();
            return match (question.answer(), status) {
                (Some(seen), _) => Ok(seen),
                (None, Err(why)) => Err(why),
                (None, Ok(status)) => Err(CaptureError::Late(status.activity)),
            };
        }
    }
}

/// The status of a thread, once it does not block that signal.
fn status_for(signal: Signal, tid: u32, deadline: Instant) -> Result<ThreadStatus, CaptureError> {
    let soon = deadline.min(Instant::now() + RETURNING);
    loop {
        let status = status_of(tid)?;
        if !status.blocks(signal.number()) {
            return Ok(status);
        }
        // A thread also blocks the signal while it returns from the handler after an earlier question, and while it
        // creates a thread. That takes a moment, unless the thread has no CPU.
        let patience = match status.activity {
            Activity::Running => deadline,
            _ => soon,
        };
        if Instant::now() >= patience {
            return Err(CaptureError::Blocked(signal));
        }
        std::thread::yield_now();
    }
}

fn status_of(tid: u32) -> Result<ThreadStatus, CaptureError> {
    match ThreadStatus::read(tid) {
        Ok(status) => status.ok_or(CaptureError::Gone),
        Err(error) => Err(CaptureError::Unavailable(Unavailable::Proc(error.kind()))),
    }
}

/// How often to check whether a thread that does not answer is still alive.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long to wait for a sleeping thread that blocks the signal.
const RETURNING: Duration = Duration::from_millis(20);

/// How long to wait for a thread that cannot run at this moment. Most waits for a disk end sooner.
const UNLIKELY: Duration = Duration::from_millis(10);

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::stack::anchor;
    use crate::sys::thread;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn asked(tid: u32) -> Result<Capture, CaptureError> {
        assert!(crate::source::start());
        capture(tid, soon())
    }

    /// Whether a frame lies in the function that stored `pc` when it began.
    fn holds(capture: &Capture, pc: &AtomicUsize) -> bool {
        let begin = pc.load(Ordering::Relaxed);
        let mut frames = capture.frames.iter();
        frames.any(|frame| (begin..begin + 500).contains(&frame.pc))
    }

    const NAP: Duration = Duration::from_millis(300);

    static NAPS: AtomicUsize = AtomicUsize::new(0);
    static SPINS: AtomicUsize = AtomicUsize::new(0);

    #[inline(never)]
    fn naps(ready: &mpsc::Sender<u32>) {
        NAPS.store(anchor::pc(), Ordering::Relaxed);
        ready.send(thread::id()).unwrap();
        std::thread::sleep(NAP);
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
        assert!(crate::source::start());
        let (ready, told) = mpsc::channel();
        let napping = std::thread::spawn(move || {
            let began = Instant::now();
            naps(&ready);
            began.elapsed()
        });
        let tid = told.recv().unwrap();
        let asking = Instant::now();
        for time in 0..20 {
            // A slow machine asks less often, so as not to meet the end of the nap.
            if time > 0 && asking.elapsed() > NAP / 2 {
                break;
            }
            let capture = asked(tid).unwrap();
            assert!(holds(&capture, &NAPS), "{capture:x?}");
            assert_eq!(
                (capture.end, capture.elided),
                (End::Thread, None),
                "{capture:x?}"
            );
            assert!(capture.polls.is_empty());
        }
        assert!(napping.join().unwrap() >= NAP);
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
    fn a_thread_that_blocks_the_signal_is_left_alone() {
        assert!(crate::source::start());
        let signal = signal::chosen().unwrap();
        let (ready, told) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        let blocking = std::thread::spawn(move || {
            signal.block_on_this_thread();
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
