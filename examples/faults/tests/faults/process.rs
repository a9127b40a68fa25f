//! A program of src/bin that runs with the probe, and its pages.

use regex_lite::Regex;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than any fault takes to show.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends its process when it is dropped.
pub struct Faulty {
    child: Child,
    /// Host and port of the probe.
    server: String,
    /// Lines of standard error, after that of the server.
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
            // A pipe that stays open and silent: some programs read it.
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
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Panics if `pattern` is in `page`, wherever it stands.
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
