//! The flight recorder: what happened in the last seconds, always at hand.
//!
//! A thread of ours takes what the threads have left, ten times a second, and drops what is too old or too much. There is one
//! recorder in a process, as in Go.

use super::trace_session::{Recording, Round, Which, collect};
use crate::clock::{self, Scale, Ticks};
use crate::primitive;
use crate::sys::own_thread;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(100);

/// From so many bytes on what threads are writing to, 64 KiB each, is taken when it is full: 64 of these chunks.
const LARGE: usize = 4 << 20;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Younger events are kept, unless they are too much.
    pub(crate) age: Duration,
    pub(crate) bytes: usize,
}

/// A recorder. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Goes first: that is what the thread waits for.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a recorder has.
#[derive(Debug)]
struct Tape {
    recording: Recording,
    /// The first moment of which everything is still there.
    since: Ticks,
}

static TAPE: Mutex<Option<Tape>> = Mutex::new(None);

fn tape() -> MutexGuard<'static, Option<Tape>> {
    primitive::lock(&TAPE)
}

impl Flight {
    /// Begins.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one; what the system says if it has no thread to spare.
    pub(crate) fn start(keep: Keep) -> io::Result<Flight> {
        {
            let mut tape = tape();
            if tape.is_some() {
                let kind = io::ErrorKind::AlreadyExists;
                return Err(io::Error::new(kind, "flight recorder already enabled"));
            }
            let recording = Recording::begin_with(keep.bytes.saturating_mul(2).max(8 << 20));
            let since = recording.began;
            *tape = Some(Tape { recording, since });
        }
        let (stop, stopped) = channel();
        let which = match keep.bytes < LARGE {
            true => Which::All,
            false => Which::Full,
        };
        let thread = own_thread::spawn("probe-flight", move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                collect(which);
                if let Some(tape) = &mut *tape() {
                    tape.drop_old(keep);
                }
            }
        })
        .inspect_err(|_| *tape() = None)?;
        Ok(Flight {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Lets it go on for good.
    pub(crate) fn detach(mut self) {
        if let Some(stop) = self.stop.take() {
            std::mem::forget(stop);
        }
        self.thread = None;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.stop.take().is_none() {
            return;
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        *tape() = None;
    }
}

impl Tape {
    fn drop_old(&mut self, keep: Keep) {
        let scale = Scale::now();
        let age = scale.ticks(keep.age.as_nanos() as u64);
        let oldest = clock::ticks().saturating_sub(age);
        let mut rounds = self.recording.rounds();
        let mut bytes: usize = rounds.iter().map(|round| round.bytes()).sum();
        // The last one stays, however large it is.
        while rounds.len() > 1
            && let Some(first) = rounds.front()
            && (first.until < oldest || bytes > keep.bytes)
        {
            bytes -= first.bytes();
            self.since = first.until;
            rounds.pop_front();
        }
    }
}

/// What a recorder has now.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) rounds: Vec<Arc<Round>>,
    pub(crate) since: Ticks,
}

/// The past, up to now; `None` without a recorder.
pub(crate) fn past() -> Option<Past> {
    collect(Which::All);
    let tape = tape();
    let tape = tape.as_ref()?;
    let rounds = tape.recording.rounds().iter().map(Arc::clone).collect();
    Some(Past {
        rounds,
        since: tape.since,
    })
}
