//! The expected dump, by the detail of the binary's debug information.

use crate::dump::{Dump, Frame, Task};
use crate::row::{self, Row};
use std::fmt::Write as _;
use std::io::{Read, Write as _};

/// The detail of the binary's debug information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every name and every reason, exactly.
    Full,
    /// Only the last part of the names of inlined functions.
    Lines,
    /// No inlined functions.
    Symbols,
    /// Addresses only.
    Stripped,
}

/// Complaints about all rows; an empty list is success.
pub fn all(rows: &[Row], dump: &Dump, detail: Detail) -> Vec<String> {
    let mut complaints = Vec::new();
    for row in rows {
        let Some(task) = task_of(row, dump) else {
            complaints.push(format!("{}: not in the dump", row.name));
            continue;
        };
        let wrong = Checked {
            row,
            rows,
            task,
            detail,
        }
        .wrong();
        if !wrong.is_empty() {
            complaints.push(describe(row, task, &wrong));
        }
    }
    for task in &dump.tasks {
        if let Some(frame) = task.frames.iter().find(|frame| is_probe(&frame.function)) {
            complaints.push(format!("goroutine {} shows {}", task.id, frame.function));
        }
    }
    complaints
}

/// Complaints about tasks that yield and go on: they never wait. In a stripped binary nothing shows that they
/// yielded.
pub fn never_waits(rows: &[Row], dump: &Dump, detail: Detail) -> Vec<String> {
    let rows = rows.iter().filter(|row| row.reason == "runnable");
    rows.filter_map(|row| {
        let told = &*task_of(row, dump)?.reason;
        let right = matches!(told, "runnable" | "running")
            || (detail == Detail::Stripped && told == "waiting");
        (!right).then(|| format!("{}: waits: {told}", row.name))
    })
    .collect()
}

/// Complaints about the other formats and about the index page's lines on the binary.
pub fn index_page(detail: Detail) -> Vec<String> {
    let profile = tokio::pprof::lookup("goroutine").expect("the goroutine profile exists");
    for debug in 0..2 {
        let written = profile.write_to(std::io::sink(), debug);
        written.expect("a sink takes everything");
    }
    let sentence = match detail {
        Detail::Full | Detail::Lines => "has line tables",
        Detail::Symbols => "has no line tables",
        Detail::Stripped => "stacks show addresses only",
    };
    let get = || -> std::io::Result<String> {
        let server = tokio::pprof::serve("127.0.0.1:0")?;
        let address = server.local_addr().ok_or(std::io::ErrorKind::NotFound)?;
        let (mut stream, mut reply) = (std::net::TcpStream::connect(address)?, String::new());
        write!(
            stream,
            "GET /debug/pprof/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    };
    match get() {
        Ok(reply) if reply.contains(sentence) => Vec::new(),
        Ok(reply) => vec![format!(
            "the index page does not say {sentence:?}:\n{reply}"
        )],
        Err(error) => vec![format!("no index page: {error}")],
    }
}

fn task_of<'d>(row: &Row, dump: &'d Dump) -> Option<&'d Task> {
    let root = own(row, "outer");
    dump.tasks.iter().find(|task| match row.id {
        Some(id) => task.id == id,
        None => task
            .frames
            .last()
            .is_some_and(|frame| frame.function == root),
    })
}

fn is_probe(function: &str) -> bool {
    function.contains("runtime_probe")
}

struct Checked<'a> {
    row: &'a Row,
    rows: &'a [Row],
    task: &'a Task,
    detail: Detail,
}

impl Checked<'_> {
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.reason_is_right() {
            wrong.push(format!("reason: {}", self.task.reason));
        }
        let never = "nothing can wake this task";
        if (self.row.name == "pending") != self.task.remark.contains(never) {
            wrong.push(format!(
                "{never:?} is said of a task that can be woken, or not of one that cannot"
            ));
        }
        // A task that is caught in a poll has only its root.
        let polled = self.task.reason == "running" && self.row.reason == "runnable";
        match self.detail {
            Detail::Full | Detail::Lines if !polled => wrong.extend(self.frames()),
            Detail::Full | Detail::Lines | Detail::Symbols => wrong.extend(self.root()),
            Detail::Stripped => wrong.extend(self.addresses()),
        }
        if matches!(self.detail, Detail::Full | Detail::Lines)
            && self.row.id.is_some()
            && !self.task.created_by.starts_with(self.row.table)
        {
            wrong.push(format!("created by: {}", self.task.created_by));
        }
        wrong
    }

    fn reason_is_right(&self) -> bool {
        let (told, right) = (&*self.task.reason, self.row.reason);
        if self.loosely() {
            return true;
        }
        let vague = told == "waiting"
            || (told == "sync.RWMutex" && right.starts_with("sync.RWMutex."))
            || (told == "running" && right == "runnable");
        let last_of_several = || {
            // Without names the last registration counts as the wait; it is one of the waits.
            let one_of = |leaf: &&str| {
                let mut rows = self.rows.iter();
                rows.any(|row| row.frames == [*leaf] && row.reason == told)
            };
            right == "select" && self.row.frames.iter().any(one_of)
        };
        let part = || {
            // If the call was inlined, only the wait inside it is left: `fs::read` waits for a blocking task.
            let is_leaf = |frame: &Frame| {
                let mut rows = self.rows.iter();
                rows.any(|row| row.frames == [&*frame.function] && row.reason == told)
            };
            // All of tokio's reads and writes end in this function, also if the calls of the rows are inlined.
            let is_io = |frame: &Frame| {
                let io = "tokio::io::poll_evented::PollEvented::poll_";
                frame.function.starts_with(io) && told == "IO wait"
            };
            let mut frames = self.task.frames.iter();
            frames.any(|frame| is_leaf(frame) || is_io(frame))
        };
        told == right
            || match self.detail {
                Detail::Full => told == "running" && right == "runnable",
                Detail::Lines => vague,
                Detail::Symbols => vague || last_of_several() || part(),
                Detail::Stripped => vague || last_of_several() || part() || self.is_primitive(),
            }
    }

    /// In a stripped binary: the primitive of tokio in the call, or the last registration of the calls that end the
    /// task.
    fn is_primitive(&self) -> bool {
        let (told, right) = (&*self.task.reason, self.row.reason);
        let primitives: &[&str] = match (self.row.name, right) {
            ("timeout_recv", _) => &["sleep"],
            ("run_until_cancelled", _) => &["sync.Cond.Wait"],
            ("oneshot_closed", _) => &["chan receive"],
            (_, "chan send") => &["semacquire", "sync.Cond.Wait"],
            (_, "chan receive" | "sync.WaitGroup.Wait") => &["sync.Cond.Wait"],
            (_, "process wait") => &["IO wait"],
            (_, "sync.Mutex.Lock" | "sync.RWMutex.RLock" | "sync.RWMutex.Lock") => &["semacquire"],
            _ => &[],
        };
        primitives.contains(&told)
    }

    /// Whether only the row's own frames can be expected.
    fn loosely(&self) -> bool {
        self.detail == Detail::Lines && self.row.frames.first() == Some(&"~")
    }

    /// All frames, in order.
    fn frames(&self) -> Vec<String> {
        let own = [self.own("inner"), self.own("outer")];
        let right: Vec<&str> = if self.row.name == "pending" {
            // The task registered nowhere, so its stack is only the root.
            vec![&own[1]]
        } else {
            let above = self.row.frames.iter().copied();
            above.chain(own.iter().map(String::as_str)).collect()
        };
        let shown = &self.task.frames[..];
        let (right, shown) = match &right[..] {
            ["~", ..] if self.loosely() => {
                let from = shown.len().saturating_sub(own.len());
                (right[right.len() - own.len()..].to_vec(), &shown[from..])
            }
            ["~", exactly @ ..] => (exactly.to_vec(), shown),
            _ => (right, shown),
        };
        if self.matches(&right, shown) || self.matches_swapped(&right, shown) {
            Vec::new()
        } else {
            vec![format!("frames, wanted:\n    {}", right.join("\n    "))]
        }
    }

    /// The same with two branches swapped. Branches are ordered by the addresses of their calls; if each is called in
    /// a function of its own, the compiler chooses that order.
    fn matches_swapped(&self, right: &[&str], shown: &[Frame]) -> bool {
        let ["select.branch", first, "select.branch", second, rest @ ..] = right else {
            return false;
        };
        let is_branch = |frame: &Frame| self.is_frame("select.branch", frame);
        let Some(at) = (1..shown.len()).find(|at| is_branch(&shown[*at])) else {
            return false;
        };
        let rest = rest.strip_prefix(&[".."]).unwrap_or(rest);
        at > 1
            && is_branch(&shown[0])
            && self.is_frame(second, &shown[1])
            && shown
                .get(at + 1)
                .is_some_and(|frame| self.is_frame(first, frame))
            && self.matches(rest, &shown[at + 2..])
    }

    /// Whether the frames are those of the row.
    fn matches(&self, right: &[&str], shown: &[Frame]) -> bool {
        let krate = |function: &str| {
            let function = function.trim_start_matches('<');
            function.split("::").next().unwrap_or_default().to_owned()
        };
        match (right, shown) {
            ([], []) => true,
            // Frames of one crate, or of a crate that belongs to it, as tower_service to tower.
            (["..", public, rest @ ..], _) => (0..shown.len())
                .take_while(|&at| {
                    let family = krate(public);
                    at == 0
                        || krate(&shown[at - 1].function)
                            .strip_prefix(&family)
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
                })
                .any(|at| {
                    self.is_frame(public, &shown[at]) && self.matches(rest, &shown[at + 1..])
                }),
            ([first, rest @ ..], [frame, frames @ ..]) => {
                self.is_frame(first, frame) && self.matches(rest, frames)
            }
            _ => false,
        }
    }

    fn is_frame(&self, right: &str, shown: &Frame) -> bool {
        if let Some((call, jump)) = right.split_once('/') {
            return self.is_frame(call, shown) || self.is_frame(jump, shown);
        }
        if let Some((name, in_line_tables)) = right.split_once('|') {
            return self.is_frame(name, shown)
                || self.detail == Detail::Lines && self.is_frame(in_line_tables, shown);
        }
        let function = &*shown.function;
        if right == "select.branch" {
            return function.starts_with("select.branch_");
        }
        let own = right.starts_with("leaf_table::");
        if own && self.row.name != "pending" && !self.is_own_line(shown, !right.ends_with("outer"))
        {
            return false;
        }
        if function == right {
            return true;
        }
        if self.detail == Detail::Full {
            return false;
        }
        // `tokio::sync::mpsc::bounded::{async fn}` for `tokio::sync::mpsc::bounded::Receiver::recv`.
        let owner = right.trim_start_matches('<');
        let (module, name) = function.rsplit_once("::").unwrap_or(("", function));
        let braces = name.starts_with('{') && name.ends_with('}');
        owner.starts_with(module) && (braces || right.ends_with(&format!("::{name}")))
    }

    /// Whether the frame's line is the one where the row waits.
    fn is_own_line(&self, frame: &Frame, inner: bool) -> bool {
        let line = |source: &'static str, line: u32| {
            source.lines().nth(line as usize - 1).unwrap_or_default()
        };
        if !inner && frame.file.ends_with("src/row.rs") {
            return frame.line > 0 && line(row::SOURCE, frame.line).contains("inner().await");
        }
        let file = self.row.table.replace("leaf_table::", "src/") + ".rs";
        if !frame.file.ends_with(&file) || frame.line == 0 {
            return false;
        }
        let text = |number: u32| line(self.row.source, number);
        if !inner {
            return text(frame.line).contains("inner().await");
        }
        let header = |text: &str| {
            text.starts_with(&format!("    {}: ", self.row.name))
                || text.starts_with(&format!("mod {} ", self.row.name))
        };
        let above = (1..=frame.line).rev().map(text);
        let mut heads = above.filter(|text| {
            (text.starts_with("    ")
                && text.as_bytes()[4].is_ascii_lowercase()
                && text.contains(": \""))
                || text.starts_with("mod ")
        });
        let waits = text(frame.line).contains(".await") || text(frame.line).contains("!");
        waits && heads.next().is_some_and(header)
    }

    /// The root's name is that of its type: it is known with any debug information.
    fn root(&self) -> Option<String> {
        let right = self.own("outer");
        let shown = self.task.frames.last().map(|frame| &*frame.function);
        (shown != Some(&right)).then(|| format!("root, wanted {right}"))
    }

    /// Addresses, and the root.
    fn addresses(&self) -> Option<String> {
        let frames = &self.task.frames;
        let named = frames.iter().rev().skip(1).find(|frame| {
            !frame.function.starts_with("0x")
                && !frame.function.contains(".branch_")
                && !frame.function.starts_with("also_registered.")
        });
        named
            .map(|frame| format!("a name in a stripped binary: {}", frame.function))
            .or_else(|| self.root())
    }

    fn own(&self, function: &str) -> String {
        own(self.row, function)
    }
}

/// A function of the row itself.
fn own(row: &Row, function: &str) -> String {
    format!("{}::{}::{function}", row.table, row.name)
}

fn describe(row: &Row, task: &Task, wrong: &[String]) -> String {
    let mut text = format!("{} [{}]", row.name, row.reason);
    for wrong in wrong {
        _ = write!(text, "\n  {wrong}");
    }
    _ = write!(text, "\n  shown: {} [{}]", task.remark, task.reason);
    for frame in &task.frames {
        _ = write!(
            text,
            "\n    {}  {}:{}",
            frame.function, frame.file, frame.line
        );
    }
    text
}
