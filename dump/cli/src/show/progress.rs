//! The progress of an action that takes longer than a second, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Shows the elapsed time on a line of standard error, from the first second until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts the display. `expected` is the expected duration.
    pub(crate) fn start(what: &'static str, expected: Duration) -> Self {
        if !io::stderr().is_terminal() {
            return Self { thread: None };
        }
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let started = Instant::now();
            let mut is_shown = false;
            while let Err(RecvTimeoutError::Timeout) =
                stopped.recv_timeout(Duration::from_millis(if is_shown { 200 } else { 1000 }))
            {
                is_shown = true;
                let _ = write!(
                    io::stderr(),
                    "\r{}\x1b[K",
                    line(what, started.elapsed(), expected)
                );
            }
            if is_shown {
                let _ = write!(io::stderr(), "\r\x1b[K");
            }
        });
        Self {
            thread: Some((stop, thread)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn line(what: &str, elapsed: Duration, expected: Duration) -> String {
    const WIDTH: usize = 30;
    let part = (elapsed.as_secs_f64() / expected.as_secs_f64().max(0.001)).min(1.0);
    let done = (part * WIDTH as f64) as usize;
    format!(
        "{what} [{}{}] {:.0}s of {:.0}s",
        "#".repeat(done),
        "-".repeat(WIDTH - done),
        elapsed.as_secs_f64(),
        expected.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows() {
        let at = |seconds| {
            line(
                "tracing",
                Duration::from_secs(seconds),
                Duration::from_secs(10),
            )
        };
        assert_eq!(at(0), format!("tracing [{}] 0s of 10s", "-".repeat(30)));
        assert_eq!(at(20), format!("tracing [{}] 20s of 10s", "#".repeat(30)));
    }
}
