//! A dump, taken and parsed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A dump of all tasks.
pub struct Dump {
    pub text: String,
    pub tasks: Vec<Task>,
}

/// One block of a dump.
#[derive(Debug, Default)]
pub struct Task {
    /// The line above the header.
    pub remark: String,
    pub id: u64,
    /// The text in the brackets, without a duration.
    pub reason: String,
    pub frames: Vec<Frame>,
    pub created_by: String,
}

#[derive(Debug, Default, Clone)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
}

impl Task {
    pub fn polls(&self) -> u64 {
        self.remark
            .split(", ")
            .find_map(|part| part.strip_prefix("polls "))
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }
}

pub fn take() -> Dump {
    let mut bytes = Vec::new();
    let profile = tokio::pprof::lookup("goroutine").expect("the goroutine profile exists");
    profile
        .write_to(&mut bytes, 2)
        .expect("a Vec takes everything");
    let text = String::from_utf8(bytes).expect("a dump is text");
    let tasks = text.split("\n\n").map(parse).collect();
    Dump { text, tasks }
}

/// The first dump in which no waiting task has been polled for a while.
pub fn settled(at_most: Duration) -> Dump {
    let end = Instant::now() + at_most;
    let mut before = HashMap::new();
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let dump = take();
        let now: HashMap<u64, u64> = dump
            .tasks
            .iter()
            .filter(|task| task.reason != "runnable" && task.reason != "running")
            .map(|task| (task.id, task.polls()))
            .collect();
        if now == before || Instant::now() > end {
            return dump;
        }
        before = now;
    }
}

fn parse(block: &str) -> Task {
    let mut task = Task::default();
    let mut lines = block.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(remark) = line.strip_prefix("# ") {
            task.remark = remark.to_owned();
        } else if let Some(header) = line.strip_prefix("goroutine ") {
            let (id, rest) = header.split_once(" [").unwrap_or((header, ""));
            task.id = id.parse().unwrap_or(0);
            let inside = rest.split_once("]:").map_or(rest, |(inside, _)| inside);
            task.reason = inside.split(", ").next().unwrap_or_default().to_owned();
        } else if let Some(by) = line.strip_prefix("created by ") {
            task.created_by = by.to_owned();
            lines.next();
        } else if line.starts_with("...") {
            task.frames.push(Frame {
                function: line.to_owned(),
                ..Frame::default()
            });
        } else {
            let function = line.strip_suffix("(...)").unwrap_or(line).to_owned();
            let position = lines.next().unwrap_or_default().trim_start();
            let position = position.split(" +0x").next().unwrap_or_default();
            let (file, line) = position.rsplit_once(':').unwrap_or((position, ""));
            task.frames.push(Frame {
                function,
                file: file.to_owned(),
                line: line.parse().unwrap_or(0),
            });
        }
    }
    task
}
