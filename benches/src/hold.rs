//! A contestant that holds waiting tasks, as a child process: started, asked for its longest stall, and ended.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::run;

pub struct Hold {
    child: Child,
    /// `None` once it is told to end.
    stdin: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where it serves its dumps.
    pub address: SocketAddr,
}

impl Hold {
    /// Starts the program and returns when all its tasks wait.
    pub fn start(program: &Path, tasks: u64) -> Result<Self, Error> {
        let address = free_address()?;
        let mut command = Command::new(program);
        run::isolate(&mut command);
        // The probe takes its address from the environment, Go its from the command line.
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

    /// The longest that the ticker was late since the last call.
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

    /// Resident memory now, in bytes; the peak counts anew from here.
    pub fn restart_peak(&self) -> Result<u64, Error> {
        // 5 resets the peak of resident memory: proc(5), /proc/pid/clear_refs.
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?;
        self.status_bytes("VmRSS:")
    }

    /// The peak of resident memory since [`Self::restart_peak`], in bytes.
    pub fn peak(&self) -> Result<u64, Error> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> Result<u64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
        Ok(kib.ok_or_else(|| format!("no {field}"))?.parse::<u64>()? * 1024)
    }

    fn answer(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The end of its stdin asks it to end; a process that is stuck does not listen.
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now. Somebody else may take it before the child does: then its dumps fail, and the rows say so.
fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
