//! Dumps with a block of text for each task or thread, as of `debug=2`: Go's grammar, with or without the probe's
//! remarks.
//!
//! Tasks share stacks, so the text of a stack is parsed at its first occurrence and looked up later.

use std::collections::HashMap;
use std::sync::Arc;

use super::ParseError;
use super::remark::Remark;
use super::unquoted::take_label;
use crate::stack::Frame;

/// The subject of the blocks of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `goroutine 7 [..]:`
    Task,
    /// `thread 7 [..]:`
    Thread,
}

/// A dump.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// Tasks or threads. The subject of an empty dump is tasks.
    pub subject: Subject,
    /// Remarks on the whole dump, without their `# `.
    pub remarks: Vec<String>,
    /// The blocks, in the order of the text.
    pub blocks: Vec<Block>,
    /// The lines of tables after the blocks, without their `#`.
    pub tables: Vec<String>,
}

/// The block of a task or thread, or of several equal tasks (`group=1`).
#[derive(Clone, Debug)]
pub struct Block {
    /// The id of the task or thread. For a group, the id of its example.
    pub id: u64,
    /// The first text in the brackets: the state or the wait reason.
    pub state: String,
    /// Whether ` (leaked)` follows the state.
    pub is_leaked: bool,
    /// The minutes of waiting in the brackets.
    pub minutes: Option<u64>,
    /// Whether the brackets have Go's `locked to thread`.
    pub is_locked_to_thread: bool,
    /// The labels, from the braces.
    pub labels: Vec<(String, String)>,
    /// The remark above the header. Go's dumps have none.
    pub remark: Option<Remark>,
    /// The stack.
    pub stack: Arc<BlockStack>,
    /// The function that created the task or thread.
    pub created_by: Option<CreatedBy>,
}

impl Block {
    /// The number of tasks of the block.
    pub fn count(&self) -> u64 {
        self.remark.as_ref().map_or(1, |remark| remark.count)
    }

    /// Nanoseconds in the state, from the remark or from the minutes in the brackets.
    pub fn since_ns(&self) -> Option<u64> {
        let told = self.remark.as_ref().and_then(|remark| remark.since_ns);
        told.or_else(|| Some(self.minutes?.saturating_mul(60_000_000_000)))
    }
}

/// The stack of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockStack {
    /// The frames, leaf first. Blocks with equal stack text share them.
    pub frames: Arc<[Frame]>,
    /// The gap: the index of the frame after it (the number of frames if the gap is at the end), and the number of
    /// frames left out, 1 where Go does not write the number.
    pub elided: Option<(usize, u64)>,
}

/// The function that created a task or a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBy {
    /// The function that spawned, at the position of the call.
    pub frame: Frame,
    /// The task or thread that ran the function, where the text has it.
    pub parent: Option<u64>,
}

/// Whether the first lines are those of a dump of blocks.
pub(super) fn is_dump(text: &str) -> bool {
    // In a crash report, the message and some registers stand above the first block.
    let mut lines = text
        .lines()
        .take(200)
        .filter(|line| !line.is_empty())
        .peekable();
    let only_remarks = lines.peek().is_some() && lines.clone().all(|line| line.starts_with("# "));
    only_remarks || lines.any(|line| header(line).is_some())
}

/// Reads a dump.
pub(super) fn parse(text: &str) -> Result<Blocks, ParseError> {
    let mut dump = Blocks {
        subject: Subject::Task,
        remarks: Vec::new(),
        blocks: Vec::new(),
        tables: Vec::new(),
    };
    if !text.ends_with('\n') {
        let line = text.lines().count();
        return Err(ParseError::Truncated(format!("line {line} does not end")));
    }
    let mut stacks = Stacks::default();
    let mut above: Option<&str> = None;
    let mut lines = Lines {
        text,
        at: 0,
        number: 0,
    };
    while let Some(line) = lines.next() {
        if let Some((subject, id, brackets, labels)) = header(line) {
            let remark = match above.take() {
                Some(line) => match Remark::parse(line) {
                    Some(remark) => Some(remark),
                    None => {
                        dump.remarks.push(line.to_owned());
                        None
                    }
                },
                None => None,
            };
            dump.subject = subject;
            dump.blocks.push(block(
                id,
                brackets,
                labels,
                remark,
                &mut lines,
                &mut stacks,
            )?);
        } else if let Some(remark) = line.strip_prefix("# ") {
            dump.remarks
                .extend(above.replace(remark).map(str::to_owned));
        } else if let Some(cells) = line.strip_prefix("#\t") {
            dump.tables.push(cells.to_owned());
        }
        // Other lines belong to the message of a crash.
    }
    dump.remarks.extend(above.map(str::to_owned));
    Ok(dump)
}

/// Splits a header into its kind, id, brackets, and the text after the brackets.
fn header(line: &str) -> Option<(Subject, u64, &str, &str)> {
    let (subject, rest) = match line.strip_prefix("goroutine ") {
        Some(rest) => (Subject::Task, rest),
        None => (Subject::Thread, line.strip_prefix("thread ")?),
    };
    let rest = rest.strip_suffix(':')?;
    // Go's runtime may write addresses of its own between the id and the brackets.
    let (before, rest) = rest.split_once(" [")?;
    let id = before.split(' ').next()?.parse().ok()?;
    let (brackets, labels) = rest.split_once(']')?;
    Some((subject, id, brackets, labels))
}

fn block(
    id: u64,
    brackets: &str,
    labels: &str,
    remark: Option<Remark>,
    lines: &mut Lines<'_>,
    stacks: &mut Stacks,
) -> Result<Block, ParseError> {
    let mut block = Block {
        id,
        state: String::new(),
        is_leaked: false,
        minutes: None,
        is_locked_to_thread: false,
        labels: parse_labels(labels),
        remark,
        stack: Arc::default(),
        created_by: None,
    };
    read_brackets(&mut block, brackets);
    let start = lines.at;
    let first_line = lines.number;
    let mut end = start;
    let mut count = 0_usize;
    while let Some(line) = lines.peek() {
        // The name of a function may begin like a remark. The next line is then its position.
        let is_call =
            || line.ends_with(')') && lines.second().is_some_and(|line| line.starts_with('\t'));
        if line.is_empty()
            || line.starts_with("# ") && !is_call()
            || line.starts_with("#\t")
            || header(line).is_some()
        {
            break;
        }
        // Go's own messages may follow without an empty line.
        let is_of_stack =
            line.ends_with(')') || line.starts_with('\t') || line.starts_with("created by ");
        if !is_of_stack && elided(line).is_none() {
            break;
        }
        lines.next();
        if let Some(call) = line.strip_prefix("created by ") {
            let position = lines.next().and_then(|line| line.strip_prefix('\t'));
            let position = position.ok_or_else(|| missing_position(lines.number))?;
            let (function, parent) = match call
                .rsplit_once(" in goroutine ")
                .or_else(|| call.rsplit_once(" in thread "))
            {
                Some((function, parent)) if parent.parse::<u64>().is_ok() => {
                    (function, parent.parse().ok())
                }
                _ => (call, None),
            };
            block.created_by = Some(CreatedBy {
                frame: frame(function, position),
                parent,
            });
            break;
        }
        count += 1;
        end = lines.at;
    }
    if count > 0 {
        block.stack = stacks.of(&lines.text[start..end], first_line)?;
    }
    Ok(block)
}

fn read_brackets(block: &mut Block, brackets: &str) {
    let mut parts = brackets.split(", ");
    let mut state = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .strip_suffix(" minutes")
            .and_then(|minutes| minutes.parse().ok())
        {
            Some(minutes) => block.minutes = Some(minutes),
            None if part == "locked to thread" => block.is_locked_to_thread = true,
            None if part.starts_with("synctest bubble ") => {}
            None => {
                state.push_str(", ");
                state.push_str(part);
            }
        }
    }
    for suffix in [" (durable)", " (scan)", " (leaked)"] {
        if let Some(short) = state.strip_suffix(suffix) {
            block.is_leaked |= suffix == " (leaked)";
            state.truncate(short.len());
        }
    }
    block.state = state;
}

/// Parses ` {route: /order, "two words": "x"}`.
fn parse_labels(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let Some(mut rest) = text.strip_prefix(" {") else {
        return labels;
    };
    while let Some((key, behind)) = take_label(rest) {
        let Some((value, behind)) = behind.strip_prefix(": ").and_then(take_label) else {
            break;
        };
        labels.push((key, value));
        match behind.strip_prefix(", ") {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    labels
}

/// Stacks, by their text.
#[derive(Default)]
struct Stacks {
    known: HashMap<String, Arc<BlockStack>>,
}

impl Stacks {
    fn of(&mut self, text: &str, first_line: usize) -> Result<Arc<BlockStack>, ParseError> {
        if let Some(stack) = self.known.get(text) {
            return Ok(stack.clone());
        }
        let stack = Arc::new(parse_stack(text, first_line)?);
        self.known.insert(text.to_owned(), stack.clone());
        Ok(stack)
    }
}

fn parse_stack(text: &str, first_line: usize) -> Result<BlockStack, ParseError> {
    let (mut frames, mut gap) = (Vec::new(), None);
    let mut lines = text.lines().zip(first_line + 1..);
    while let Some((call, number)) = lines.next() {
        if let Some(count) = elided(call) {
            gap = Some((frames.len(), count));
            continue;
        }
        let function = match call.rsplit_once('(') {
            Some((function, arguments)) if arguments.ends_with(')') => function,
            _ => call,
        };
        let position = lines.next().and_then(|(line, _)| line.strip_prefix('\t'));
        let position = position.ok_or_else(|| missing_position(number))?;
        frames.push(frame(function, position));
    }
    Ok(BlockStack {
        frames: frames.into(),
        elided: gap,
    })
}

fn missing_position(line: usize) -> ParseError {
    ParseError::Truncated(format!("the call in line {line} has no file below it"))
}

/// Parses `...51 frames elided...`. Go's `...additional frames elided...` counts as one frame.
fn elided(line: &str) -> Option<u64> {
    let count = line
        .strip_prefix("...")?
        .strip_suffix(" frames elided...")?;
    Some(count.parse().unwrap_or(1))
}

fn frame(function: &str, position: &str) -> Frame {
    // The offset ` +0x2f` may be followed by registers, in a crash report.
    let position = position
        .split_once(" +0x")
        .map_or(position, |(position, _)| position);
    let (file, line) = position.rsplit_once(':').unwrap_or((position, ""));
    let file = if file == "??" { "" } else { file };
    Frame {
        function: function.into(),
        file: file.into(),
        line: line.parse().unwrap_or(0),
    }
}

/// The lines of a text, with their numbers.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    /// The number of the last returned line, from 1 on.
    number: usize,
}

impl<'t> Lines<'t> {
    fn peek(&self) -> Option<&'t str> {
        let rest = &self.text[self.at..];
        rest.lines().next()
    }

    /// The line after the next one, without consuming any.
    fn second(&self) -> Option<&'t str> {
        self.text[self.at..].lines().nth(1)
    }

    fn next(&mut self) -> Option<&'t str> {
        let line = self.peek()?;
        let rest = &self.text[self.at..];
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
        self.number += 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_header_is_read() {
        let text = "goroutine 7 gp=0xc1 m=nil [chan receive (nil chan) (leaked), 3 minutes, locked to thread] {route: /order, \"a b\": \"x\\n\"}:\n";
        let block = &parse(text).unwrap().blocks[0];
        assert_eq!((block.id, &*block.state), (7, "chan receive (nil chan)"));
        assert!(block.is_leaked && block.is_locked_to_thread);
        assert_eq!(
            (block.minutes, block.since_ns()),
            (Some(3), Some(180_000_000_000))
        );
        let labels = [("route", "/order"), ("a b", "x\n")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(block.labels, labels);
    }

    #[test]
    fn remarks_of_a_dump_stand_above_the_remark_of_its_first_block() {
        let text = "# deadlock: two tasks\n# waiting 2s, polls 1, busy 5us\ngoroutine 1 [sleep]:\nf(...)\n\t??:0\n";
        let dump = parse(text).unwrap();
        assert_eq!(dump.remarks, ["deadlock: two tasks"]);
        assert_eq!(dump.blocks[0].since_ns(), Some(2_000_000_000));
        assert_eq!(&*dump.blocks[0].stack.frames[0].file, "");
    }

    #[test]
    fn lines_may_end_as_on_windows() {
        let text = "goroutine 1 [sleep]:\nf(...)\n\t/a.rs:3\ncreated by g\n\t/b.rs:4\n\n";
        let (unix, windows) = (
            parse(text).unwrap(),
            parse(&text.replace('\n', "\r\n")).unwrap(),
        );
        assert_eq!(windows.blocks[0].stack, unix.blocks[0].stack);
        assert_eq!(windows.blocks[0].created_by, unix.blocks[0].created_by);
    }

    #[test]
    fn a_function_may_be_named_as_a_remark_begins() {
        let text = "goroutine 1 [sleep]:\n# f(...)\n\t??:0\n# waiting 2s, polls 1, busy 5us\ngoroutine 2 [sleep]:\nf(...)\n\t??:0\n";
        let dump = parse(text).unwrap();
        assert_eq!(&*dump.blocks[0].stack.frames[0].function, "# f");
        assert!(dump.blocks[1].remark.is_some());
    }

    #[test]
    fn a_crash_is_read_from_its_first_block_on() {
        let text = "panic: oh\n\ngoroutine 1 [running]:\nmain.main()\n\t/m.go:3 +0x1 fp=0xc0 sp=0xc1 pc=0x4\nexit status 2\n";
        let dump = parse(text).unwrap();
        let frame = &dump.blocks[0].stack.frames[0];
        assert_eq!(
            (&*frame.function, &*frame.file, frame.line),
            ("main.main", "/m.go", 3)
        );
    }

    #[test]
    fn a_text_that_ends_early_says_where() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(
            error("goroutine 1 [sleep]:\nf(...)\n"),
            "it is truncated: the call in line 2 has no file below it"
        );
        assert_eq!(
            error("goroutine 1 [sleep]:\nf(.."),
            "it is truncated: line 2 does not end"
        );
    }
}
