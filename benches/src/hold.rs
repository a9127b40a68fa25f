//! A contestant that keeps waiting tasks, as a child process: started, asked for its longest stall, and ended.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::memory::Watch;
use crate::run;

pub struct Hold {
    child: Child,
    /// `None` after it was told to end.
    stdin: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The address of its dumps.
    pub address: SocketAddr,
}

impl Hold {
    /// Starts the program and returns when all its tasks wait.
    pub fn start(program: &Path, tasks: u64) -> Result<Self, Error> {
        let address = free_address()?;
        let mut command = Command::new(program);
        run::isolate(&mut command);
        // The probe takes its address from the environment, Go from the command line.
        command.env("RUNTIME_PROBE_LISTEN", address.to_string());
        command.args(["hold", &tasks.to_string(), &address.to_string()]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut hold = Self {
            child,
            stdin,
            answers,
            address,
        };
        match hold.answer()?.as_str() {
            "ready" => Ok(hold),
            other => Err(format!("{} hold: {other:?} in place of ready", program.display()).into()),
        }
    }

    /// The greatest delay of the ticker since the last call.
    pub fn take_longest_stall(&mut self) -> Result<Duration, Error> {
        let stdin = self.stdin.as_mut().ok_or("it has been told to end")?;
        stdin.write_all(b"\n")?;
        let answer = self.answer()?;
        let ns = answer
            .strip_prefix("stall_ns=")
            .and_then(|ns| ns.parse().ok());
        Ok(Duration::from_nanos(ns.ok_or_else(|| {
            format!("{answer:?} in place of a stall")
        })?))
    }

    /// Watches the process's memory until [`Watch::growth`].
    pub fn watch_memory(&self) -> Result<Watch, Error> {
        Watch::start(format!("/proc/{}/status", self.child.id()))
    }

    fn answer(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The end of its stdin asks the process to end. A stuck process does not notice.
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now. If another program takes it before the child does, the dumps fail, and the rows say so.
fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
