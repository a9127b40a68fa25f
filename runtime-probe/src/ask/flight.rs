//! The flight recorder: it keeps the events of the last seconds.
//!
//! The events stay in the chunks that the threads wrote, and the oldest chunk is written again when there are enough of them.
//! Nothing is copied before the past is asked for. While a client takes a trace, too, or if the recorder keeps too little or
//! too much for that, a thread of ours collects the events ten times a second, and drops those that are too old or too many.
//! A process has one recorder, as in Go.

use super::trace_session::{Recording, Round, Which, collect};
use crate::clock::{self, Scale, Ticks};
use crate::events::chunks::{CHUNK, MOST_KEPT};
use crate::primitive;
use crate::source::trace;
use crate::sys::own_thread;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(100);
/// The same while the events stay in the chunks, and no thread has ended: for the counters of the process, and chunks for new threads.
const SELDOM: Duration = Duration::from_millis(500);

/// A recorder that keeps so many bytes (64 chunks of 64 KiB) collects full chunks only. A smaller one also reads the
/// chunks that threads are writing to.
const LARGE: usize = 4 << 20;

/// How many chunks keep so many bytes; 0 if they are collected.
fn chunks_for(bytes: usize) -> usize {
    let chunks = bytes / CHUNK;
    if (LARGE / CHUNK..=MOST_KEPT).contains(&chunks) {
        chunks
    } else {
        0
    }
}

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Younger events are kept, as far as `bytes` allows.
    pub(crate) age: Duration,
    pub(crate) bytes: usize,
}

/// A recorder. It stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Dropped first: the thread waits for that.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a recorder keeps.
#[derive(Debug)]
struct Tape {
    recording: Recording,
    /// All events from this moment on are kept, apart from those that made room in the chunks.
    since: Ticks,
    keep: Keep,
}

static TAPE: Mutex<Option<Tape>> = Mutex::new(None);

fn tape() -> MutexGuard<'static, Option<Tape>> {
    primitive::lock(&TAPE)
}

impl Flight {
    /// Starts the recorder.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if there is one; the system's error if no thread can be created.
    pub(crate) fn start(keep: Keep) -> io::Result<Flight> {
        {
            let mut tape = tape();
            if tape.is_some() {
                let kind = io::ErrorKind::AlreadyExists;
                return Err(io::Error::new(kind, "flight recorder already enabled"));
            }
            let most = keep.bytes.saturating_mul(2).max(8 << 20);
            let recording = Recording::begin_with(most, chunks_for(keep.bytes));
            let since = recording.began;
            *tape = Some(Tape {
                recording,
                since,
                keep,
            });
        }
        let (stop, stopped) = channel();
        let which = match keep.bytes < LARGE {
            true => Which::All,
            false => Which::Full,
        };
        let thread = own_thread::spawn("probe-flight", move || {
            let mut every = EVERY;
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let has_some = collect(which);
                every = match trace::keeps_last() && !has_some {
                    true => SELDOM,
                    false => EVERY,
                };
                if let Some(tape) = &mut *tape() {
                    tape.drop_old();
                }
            }
        })
        .inspect_err(|_| *tape() = None)?;
        Ok(Flight {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Lets the recorder run until the process ends.
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
    /// Events before this time are too old.
    fn oldest(&self) -> Ticks {
        let age = self.keep.age.max(EVERY);
        let age = Scale::now().ticks(age.as_nanos() as u64);
        clock::ticks().saturating_sub(age)
    }

    fn drop_old(&mut self) {
        let oldest = self.oldest();
        // What stays in the chunks has its own limit, and leaves a part to the rounds: those of threads that have ended.
        let most = self.keep.bytes.saturating_sub(trace::kept_bytes());
        let most = most.max(self.keep.bytes / 8);
        let mut rounds = self.recording.rounds();
        let mut bytes: usize = rounds.iter().map(|round| round.bytes()).sum();
        // The last round stays, however large it is.
        while rounds.len() > 1
            && let Some(first) = rounds.front()
            && (first.until < oldest || bytes > most)
        {
            bytes -= first.bytes();
            if first.has_entries() {
                self.since = first.until;
            }
            rounds.pop_front();
        }
    }
}

/// The content of a recorder at one moment.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) rounds: Vec<Arc<Round>>,
    pub(crate) since: Ticks,
    /// Later events may be missing: the threads went on while they were read.
    pub(crate) until: Ticks,
}

/// The events up to now; `None` without a recorder.
pub(crate) fn past() -> Option<Past> {
    let tape = tape();
    let tape = tape.as_ref()?;
    let until = clock::ticks();
    let (rounds, dropped) = tape.recording.past();
    Some(Past {
        rounds,
        since: tape.since.max(dropped).max(tape.oldest()),
        until,
    })
}
