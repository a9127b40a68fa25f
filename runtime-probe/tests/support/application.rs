//! This test binary as a separate process, whose standard error is read: its ignored test `an_application`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any step takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The process, killed at the end of a test at the latest.
pub struct Application {
    pub child: Child,
    pub stderr: mpsc::Receiver<String>,
}

impl Application {
    /// The command that starts it; a test adds the environment.
    pub fn command() -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["an_application", "--exact", "--ignored", "--nocapture"])
            .env_remove("RUNTIME_PROBE")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    pub fn spawn(command: &mut Command) -> Application {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Application {
            child,
            stderr: lines,
        }
    }

    /// The lines up to one that contains `end`.
    pub fn until(&self, end: &str) -> String {
        let mut text = String::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.stderr.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no {end:?} in\n{text}"));
            text.push_str(&line);
            text.push('\n');
            if line.contains(end) {
                return text;
            }
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
