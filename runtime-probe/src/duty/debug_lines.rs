//! `RUNTIME_PROBE_DEBUG`: lines on standard error about the scheduler's state, as Go's `GODEBUG=schedtrace` prints
//! them, and about the memory of the process.
//!
//! Go's `gctrace` has no counterpart: Rust has no garbage collector. `heaptrace` prints the process's memory instead.

use crate::environment::DEBUG;
use crate::profile::sched::sched;
use crate::sys::own_thread;
use crate::sys::status_file::StatusFile;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

/// The lines that are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wish {
    schedtrace: Option<Duration>,
    is_detailed: bool,
    heaptrace: Option<Duration>,
}

const EXPECTED: &str =
    "schedtrace=MS, scheddetail=1 and heaptrace=MS, with a comma between them; MS is 10 or more";

impl Wish {
    /// Parses the variable as `GODEBUG`. Unknown keys are an error.
    fn read(text: &str) -> Option<Wish> {
        let mut wish = Wish::default();
        for setting in text.split(',') {
            let (key, value) = setting.split_once('=')?;
            let value: u64 = value.parse().ok()?;
            let every = (value >= 10).then(|| Duration::from_millis(value));
            match key {
                "schedtrace" => wish.schedtrace = Some(every?),
                "heaptrace" => wish.heaptrace = Some(every?),
                "scheddetail" if value <= 1 => wish.is_detailed = value == 1,
                _ => return None,
            }
        }
        Some(wish)
    }
}

/// Starts what `RUNTIME_PROBE_DEBUG` asks for.
pub(crate) fn from_environment() {
    let Some(text) = DEBUG.value() else {
        return;
    };
    let Some(wish) = text.to_str().and_then(Wish::read) else {
        return DEBUG.refuse(format_args!("not {EXPECTED}"));
    };
    let began = Instant::now();
    let since = move || began.elapsed().as_millis() as u64;
    if let Some(every) = wish.schedtrace {
        let lines = move || {
            let sched = sched(since(), wish.is_detailed);
            match wish.is_detailed {
                true => sched.detailed(),
                false => sched.line(),
            }
        };
        repeat("probe-schedtrace", every, lines);
    }
    if let Some(every) = wish.heaptrace {
        repeat("probe-heaptrace", every, move || heap_line(since()));
    }
}

/// The memory of the process in one line. The allocator's part is not known without an allocator of ours.
fn heap_line(since_ms: u64) -> String {
    let status = StatusFile::read();
    let number = |key| {
        let bytes: Option<u64> = status.bytes(key);
        bytes.map_or_else(|| "-".to_owned(), |bytes| (bytes >> 10).to_string())
    };
    format!(
        "HEAP {since_ms}ms: rss={} KiB anonymous={} KiB peak={} KiB swapped={} KiB",
        number("VmRSS:"),
        number("RssAnon:"),
        number("VmHWM:"),
        number("VmSwap:"),
    )
}

/// Writes lines repeatedly. Errors are ignored: standard error may be closed.
fn repeat(name: &str, every: Duration, lines: impl Fn() -> String + Send + 'static) {
    let started = own_thread::spawn(name, move || {
        loop {
            thread::sleep(every);
            let mut text = lines();
            text.push('\n');
            // One write, so that lines of other threads come before or after.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    });
    if let Err(error) = started {
        DEBUG.refuse(format_args!("no lines: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused() {
        let wish = Wish::read("schedtrace=1000,scheddetail=1,heaptrace=20").unwrap();
        assert_eq!(
            (wish.schedtrace, wish.heaptrace, wish.is_detailed),
            (
                Some(Duration::from_secs(1)),
                Some(Duration::from_millis(20)),
                true
            )
        );
        for text in [
            "",
            "schedtrace",
            "schedtrace=x",
            "schedtrace=1",
            "gctrace=1",
            "scheddetail=2",
        ] {
            assert_eq!(Wish::read(text), None, "{text}");
        }
    }
}
