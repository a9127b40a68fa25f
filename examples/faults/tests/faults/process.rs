//! A program of src/bin that runs with the probe, and its pages.

use regex_lite::Regex;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than any fault takes to be reported.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pages that report faults.
const PAGES: [&str; 9] = [
    "",
    "goroutine?debug=1",
    "goroutine?debug=2",
    "deadlocks",
    "locks",
    "goroutineleak?debug=1",
    "block?debug=1&ongoing=1",
    "mutex?debug=1&ongoing=1",
    "tasks?debug=1",
];

/// The texts of such reports.
const ALARMS: &str = r"deadlock: (goroutine|thread)|given to goroutine|was given a |\(leaked\)|[1-9]\d* tasks? can never go on|stand still|not being polled|threads busy|is being dropped|polls/s now, ";

/// Ends its process when it is dropped.
pub struct Faulty {
    child: Child,
    /// The host and port of the probe.
    server: String,
    /// Lines of standard error, after the line about the server.
    said: Receiver<String>,
}

impl Faulty {
    /// `program` is `env!("CARGO_BIN_EXE_NAME")`.
    pub fn start(program: &str, arguments: &[&str]) -> Faulty {
        Faulty::start_with(program, arguments, &[])
    }

    /// As [`Faulty::start`], with variables of the environment.
    pub fn start_with(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Faulty {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .env("RUNTIME_PROBE_LISTEN", "127.0.0.1:0")
            // A pipe that stays open and empty: some programs read it.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let server = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| {
                let (_, url) = line.split_once("listening on http://")?;
                Some(url.split('/').next().unwrap().to_owned())
            })
            .expect("the probe listens");
        // A full pipe would stop the program.
        let (sender, said) = channel();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(sender.send(line)));
        });
        Faulty {
            child,
            server,
            said,
        }
    }

    /// Waits for a line on standard error that matches.
    #[track_caller]
    pub fn must_say(&self, pattern: &str) -> String {
        let wanted = lines_of(pattern);
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        while let Ok(line) = self.said.recv_timeout(deadline - Instant::now()) {
            if wanted.is_match(&line) {
                return line;
            }
            said.push_str(&line);
            said.push('\n');
        }
        panic!("nothing said `{pattern}`:\n{said}");
    }

    /// The page at `/debug/pprof/` + `path`, whatever its status.
    pub fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let server = &self.server;
        write!(
            stream,
            "GET /debug/pprof/{path} HTTP/1.0\r\nHost: {server}\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (_head, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }

    /// Asks until `pattern` (of regex-lite, `^` and `$` match at lines) is on the page, and returns that page.
    #[track_caller]
    pub fn must(&self, path: &str, pattern: &str) -> String {
        let wanted = lines_of(pattern);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page(path);
            if wanted.is_match(&page) {
                return page;
            }
            assert!(
                Instant::now() < deadline,
                "{path} never had `{pattern}`:\n{page}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks until `pattern` is on the page at `path`, and once more. In between no page may report a fault.
    #[track_caller]
    pub fn goes_on(&self, path: &str, pattern: &str) -> String {
        let wanted = lines_of(pattern);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.page(path);
            for path in PAGES {
                never(&self.page(path), ALARMS);
            }
            if wanted.is_match(&page) {
                return page;
            }
            assert!(
                Instant::now() < deadline,
                "{path} never had `{pattern}`:\n{page}"
            );
        }
    }

    /// Panics if a line on standard error matches.
    #[track_caller]
    pub fn never_said(&self, pattern: &str) {
        for line in self.said.try_iter() {
            never(&line, pattern);
        }
    }

    /// Waits for the end of the process, which must report no fault.
    #[track_caller]
    pub fn must_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.never_said(ALARMS);
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The line of `code` in the program of that name. It must occur exactly once.
#[track_caller]
pub fn line(program: &str, code: &str) -> usize {
    let path = format!("{}/src/bin/{program}.rs", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(path).unwrap();
    let mut lines = source.lines().enumerate();
    let mut found = lines.by_ref().filter(|(_, text)| text.contains(code));
    let (at, _) = found.next().expect("the code is in the program");
    assert!(found.next().is_none(), "`{code}` is in it twice");
    at + 1
}

/// Panics if `pattern` matches anywhere in `page`.
#[track_caller]
pub fn never(page: &str, pattern: &str) {
    assert!(
        !lines_of(pattern).is_match(page),
        "`{pattern}` is in\n{page}"
    );
}

fn lines_of(pattern: &str) -> Regex {
    Regex::new(&format!("(?m){pattern}")).unwrap()
}
