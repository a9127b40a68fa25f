//! Stacks of running tasks: each thread that runs one is asked by a signal.
//!
//! This is the only part of a dump that interrupts threads. Each thread walks its own stack, which takes some
//! microseconds. An interrupted system call is restarted, or returns `EINTR` to code that calls it again.

use super::tasks::{Row, State, Tasks};
use crate::ask::asking::Asking;
use crate::ask::thread_stack::Capture;
use crate::ask::why::CaptureError;
use crate::registry::task::{Kind, Waking};
use crate::source::signal::PollThere;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time limit for the stacks of all threads.
const ALL: Duration = Duration::from_secs(1);

/// The threads that run tasks, by number.
#[derive(Debug, Default)]
pub(crate) struct Running {
    threads: BTreeMap<u32, Result<Capture, CaptureError>>,
}

/// The result for a running task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'r> {
    /// The thread is in this poll of the task; `None` for a foreign task.
    There(&'r Capture, Option<&'r PollThere>),
    /// Its thread has left that poll.
    Over,
    /// Its thread was not captured.
    Failed(&'r CaptureError),
    /// Its thread is not known.
    NoThread,
}

impl Running {
    /// Asks the threads of all running tasks.
    pub(crate) fn take(tasks: &Tasks) -> Running {
        let mut asking = Asking::within(ALL);
        let mut threads = BTreeMap::new();
        for number in tasks.rows.iter().filter_map(|row| thread(tasks, row)) {
            if threads.contains_key(&number) {
                continue;
            }
            let capture = match tasks.threads.get(&number) {
                None => Err(CaptureError::Gone),
                Some(thread) => asking.capture(thread.tid),
            };
            threads.insert(number, capture);
        }
        Running { threads }
    }

    /// The result for this task; `None` if it does not run.
    pub(crate) fn of(&self, tasks: &Tasks, row: &Row) -> Option<Found<'_>> {
        if !runs(tasks, row) {
            return None;
        }
        let Some(thread) = thread(tasks, row) else {
            return Some(Found::NoThread);
        };
        let kind = tasks.stack_keys[row.stack_key as usize].kind;
        Some(match self.threads.get(&thread)? {
            Err(error) => Found::Failed(error),
            Ok(capture) if kind == Kind::Foreign => match capture.foreign == row.id {
                true => Found::There(capture, None),
                false => Found::Over,
            },
            Ok(capture) => {
                let mut polls = capture.polls.iter();
                let same = |poll: &&PollThere| (poll.id, poll.poll) == (row.id, row.polls);
                polls
                    .find(same)
                    .map_or(Found::Over, |poll| Found::There(capture, Some(poll)))
            }
        })
    }
}

/// Whether a thread runs it.
fn runs(tasks: &Tasks, row: &Row) -> bool {
    let state = tasks.stack_keys[row.stack_key as usize].state;
    matches!(state, State::Running | State::Blocking)
}

/// The number of the thread that runs a task.
fn thread(tasks: &Tasks, row: &Row) -> Option<u32> {
    match row.by() {
        Waking::Thread(number) if runs(tasks, row) => Some(number.0),
        _ => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::ask::thread_stack;
    use crate::registry::task::Kind;
    use crate::source::instrumented::Instrumented;
    use crate::sys::thread;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};
    use std::time::{Duration, Instant};

    /// Measures the capture of a thread that is blocked in a task's poll. `cargo test --release --lib what_asking_takes
    /// -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement, for a quiet machine and a release build"]
    fn what_asking_takes() {
        const TIMES: u32 = 1000;
        assert!(crate::source::start());
        let (ready, told) = mpsc::channel();
        let (done, wait) = mpsc::channel::<()>();
        let stuck = std::thread::spawn(move || {
            let task = Instrumented::new(Kind::Task, 1, None, async move {
                ready.send(thread::id()).unwrap();
                let _ = wait.recv();
            });
            pin!(task).poll(&mut Context::from_waker(Waker::noop()))
        });
        let tid = told.recv().unwrap();
        let ask = |_| {
            let began = Instant::now();
            let capture = thread_stack::capture(tid, began + Duration::from_secs(20)).unwrap();
            assert_eq!(capture.polls.len(), 1);
            began.elapsed()
        };
        let mut took: Vec<Duration> = (0..TIMES).map(ask).collect();
        took.sort_unstable();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100];
        println!(
            "a capture: least {:?}, median {:?}, 90 of 100 within {:?}",
            at(0),
            at(50),
            at(90)
        );
        drop(done);
        assert!(stuck.join().unwrap().is_ready());
    }
}
