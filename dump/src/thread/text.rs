//! Threads as text: a block for each thread, like the blocks of a goroutine dump, and tables after the blocks.
//!
//! ```text
//! # tokio-rt-worker, CPU 12.5s, runtime payments, polls goroutine 7
//! thread 4711 [running]:
//! app::checksum(...)
//!     src/main.rs:17 +0x2f
//! created by tokio::runtime::blocking::pool::Spawner::spawn_thread in thread 4700
//!     ...
//! ```

use std::io::{self, Write};

use crate::stack::{Frame, Stack};
use crate::text::digits::push_decimal;
use crate::text::duration::push_duration;
use crate::text::quoted::push_name;
use crate::text::single_line::{push_called_function, push_reason, push_single_line};
use crate::text::stack::{push_position, push_pseudo_frame, push_stack};
use crate::text::tabwriter::push_aligned;

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread<'a> {
    /// The kernel's id.
    pub id: u32,
    /// The name; empty where the thread has none.
    pub name: &'a str,
    /// The text in the brackets: `running`, `sleeping`.
    pub state: &'a str,
    /// The CPU time, in nanoseconds; `None` where unknown.
    pub cpu_ns: Option<u64>,
    /// Further notes, each a part of a sentence without a line break.
    pub notes: &'a [&'a str],
    /// The stack.
    pub stack: &'a Stack,
    /// The function that created the thread, and the id of the thread that ran it; `None` where unknown.
    pub created_by: Option<(&'a Frame, u32)>,
}

/// Writes a block for each thread.
///
/// ```
/// use runtime_dump::stack::Stack;
/// use runtime_dump::thread::text::{Thread, write_threads};
///
/// let stack = Stack { missing: Some("it blocks the signal".into()), ..Stack::default() };
/// let main = Thread {
///     id: 17,
///     name: "main",
///     state: "sleeping",
///     cpu_ns: Some(1_500_000),
///     notes: &["in epoll_wait"],
///     stack: &stack,
///     created_by: None,
/// };
/// let mut text = Vec::new();
/// write_threads(&mut text, [main])?;
/// assert_eq!(
///     String::from_utf8_lossy(&text),
///     "# main, CPU 1.5ms, in epoll_wait, no stack: it blocks the signal\n\
///      thread 17 [sleeping]:\n\
///      stack.unavailable(...)\n\
///      \t??:0\n"
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Errors of `out`.
pub fn write_threads<'a>(
    mut out: impl Write,
    threads: impl IntoIterator<Item = Thread<'a>>,
) -> io::Result<()> {
    let mut text = Vec::new();
    for (index, thread) in threads.into_iter().enumerate() {
        if index > 0 {
            text.push(b'\n');
        }
        push_thread(&mut text, &thread);
        out.write_all(&text)?;
        text.clear();
    }
    Ok(())
}

/// Writes lines of cells as comments, with aligned columns.
///
/// # Errors
/// Errors of `out`.
pub fn write_table(mut out: impl Write, lines: &[Vec<String>]) -> io::Result<()> {
    let mut text = Vec::new();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().map(|cell| cell.replace(char::is_control, "?"));
        std::iter::once("#".to_owned()).chain(cells).collect()
    };
    push_aligned(&mut text, &lines.iter().map(line).collect::<Vec<_>>());
    out.write_all(&text)
}

fn push_thread(out: &mut Vec<u8>, thread: &Thread<'_>) {
    out.extend_from_slice(b"# ");
    push_name(out, thread.name);
    match thread.cpu_ns {
        Some(ns) => {
            out.extend_from_slice(b", CPU ");
            push_duration(out, ns);
        }
        None => out.extend_from_slice(b", CPU unknown"),
    }
    for note in thread.notes {
        out.extend_from_slice(b", ");
        push_single_line(out, note);
    }
    if let Some(why) = &thread.stack.missing {
        out.extend_from_slice(b", no stack: ");
        push_single_line(out, why);
    }
    out.extend_from_slice(b"\nthread ");
    push_decimal(out, thread.id.into());
    out.extend_from_slice(b" [");
    push_reason(out, thread.state);
    out.extend_from_slice(b"]:\n");
    match thread.stack.trunk.is_empty() {
        true => push_pseudo_frame(out, "stack.unavailable", "", 0),
        false => push_stack(out, thread.stack),
    }
    if let Some((by, creator)) = thread.created_by {
        out.extend_from_slice(b"created by ");
        push_called_function(out, &by.function);
        out.extend_from_slice(b" in thread ");
        push_decimal(out, creator.into());
        out.push(b'\n');
        push_position(out, &by.file, by.line, None);
    }
}
