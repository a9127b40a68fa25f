//! The goroutine dump as Go prints it for `debug=2`: a block of text for each task.
//!
//! Tasks share stacks and sites: 100,000 tasks of a server have about ten of each. So the text of a stack is rendered
//! at its first use and copied later. Each further task costs its header and a few integers. Blocks are written in
//! chunks, so the text of a dump of a million tasks is never in memory as a whole.

use std::io::{self, Write};

use crate::goroutine::{Goroutine, Group, State, Tables};
use crate::profile::labels::push_in_header;
use crate::stack::{Site, Stack};
use crate::text::digits::push_decimal;
use crate::text::duration::{MINUTE, push_duration};
use crate::text::quoted::push_name;
use crate::text::single_line::{push_called_function, push_file, push_reason, push_single_line};
use crate::text::stack::{push_position, push_pseudo_frame, push_stack};

/// The size of the chunks that are written: large enough to make the number of calls irrelevant, small enough for the
/// second-level cache.
const CHUNK_BYTES: usize = 64 << 10;

/// The most bytes of stacks that are kept. A program whose tasks share stacks never reaches the bound. If each task had
/// its own stack, keeping all of them would put the whole dump in memory.
const KEPT_BYTES: usize = 16 << 20;

/// Options of the text.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions {
    /// Whether only Go's own lines are written, without remarks.
    pub plain: bool,
}

/// Writes a goroutine dump, one task after the other.
///
/// ```
/// use runtime_dump::goroutine::{Goroutine, State, Tables};
/// use runtime_dump::goroutine::text::{TextOptions, TextWriter};
/// use runtime_dump::stack::Stack;
///
/// let stack = Stack { missing: Some("being polled".into()), ..Stack::default() };
/// let tables = Tables { stacks: vec![stack], ..Tables::default() };
/// let mut text = Vec::new();
/// let mut writer = TextWriter::new(&mut text, &tables, TextOptions::default());
/// writer.write(&Goroutine {
///     id: 7,
///     parent: None,
///     state: State::Running,
///     reason: "running",
///     since_ns: 3_000_000,
///     polls: 2,
///     busy_ns: 20_000,
///     name: Some("acceptor"),
///     labels: &[],
///     notes: &[],
///     joins: &[],
///     stack: 0,
///     site: None,
/// })?;
/// writer.finish()?;
/// assert_eq!(
///     String::from_utf8_lossy(&text),
///     "# acceptor, running 3ms, polls 2, busy 20us, no stack: being polled\n\
///      goroutine 7 [running]:\n\
///      stack.unavailable(...)\n\
///      \t??:0\n"
/// );
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the last chunk is written by `finish`"]
pub struct TextWriter<'t, W: Write> {
    out: W,
    tables: &'t Tables,
    options: TextOptions,
    is_timed: bool,
    chunk: Vec<u8>,
    first: bool,
    /// By index of the stack; empty where the stack was not used yet or is not kept.
    stacks: Vec<Box<[u8]>>,
    kept_bytes: usize,
    /// By index of the site; `None` until its first use.
    sites: Vec<Option<SiteText>>,
}

impl<'t, W: Write> TextWriter<'t, W> {
    /// Starts a dump whose rows point into `tables`.
    pub fn new(out: W, tables: &'t Tables, options: TextOptions) -> Self {
        Self {
            out,
            tables,
            options,
            is_timed: true,
            chunk: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4),
            first: true,
            stacks: vec![Box::default(); tables.stacks.len()],
            kept_bytes: 0,
            sites: vec![None; tables.sites.len()],
        }
    }

    /// Leaves times and polls out of the remarks, for tasks where both are unknown.
    pub fn untimed(mut self) -> Self {
        self.is_timed = false;
        self
    }

    /// Writes the block of one task. Blocks appear in the order of the calls.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write(&mut self, goroutine: &Goroutine<'_>) -> io::Result<()> {
        self.begin_block();
        if !self.options.plain {
            self.push_remark(goroutine);
        }
        self.push_block(goroutine)
    }

    /// Writes one block for several tasks: the block of the example, below a line with the number of tasks and the
    /// longest waits.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write_group(&mut self, group: &Group<'_>) -> io::Result<()> {
        self.begin_block();
        if !self.options.plain {
            self.push_group_remark(group);
        }
        self.push_block(&group.example)
    }

    fn begin_block(&mut self) {
        if !self.first {
            self.chunk.push(b'\n');
        }
        self.first = false;
    }

    fn push_block(&mut self, goroutine: &Goroutine<'_>) -> io::Result<()> {
        push_header(&mut self.chunk, goroutine);
        self.push_frames(goroutine);
        self.push_created_by(goroutine);
        if self.chunk.len() >= CHUNK_BYTES {
            self.write_chunk()
        } else {
            Ok(())
        }
    }

    /// Writes the last chunk.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_chunk()?;
        self.out.flush()
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Appends the remark, the line above the header. Go's grammar has no place for its contents.
    fn push_remark(&mut self, goroutine: &Goroutine<'_>) {
        let out = &mut self.chunk;
        out.extend_from_slice(b"# ");
        if let Some(name) = goroutine.name {
            push_name(out, name);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(goroutine.state.word().as_bytes());
        if self.is_timed {
            out.push(b' ');
            push_duration(out, goroutine.since_ns);
            out.extend_from_slice(b", polls ");
            push_decimal(out, goroutine.polls);
            out.extend_from_slice(b", busy ");
            push_duration(out, goroutine.busy_ns);
        }
        self.push_end_of_remark(goroutine);
    }

    /// Appends the remark of a group: `# 100 tasks, waiting 2m5s (goroutine 7), 3s (goroutine 9), ...`.
    fn push_group_remark(&mut self, group: &Group<'_>) {
        let out = &mut self.chunk;
        out.extend_from_slice(b"# ");
        push_decimal(out, group.count);
        out.extend_from_slice(b" tasks, ");
        out.extend_from_slice(group.example.state.word().as_bytes());
        for (index, (id, since_ns)) in group.longest.iter().enumerate() {
            if self.is_timed {
                out.extend_from_slice(if index == 0 { &b" "[..] } else { b", " });
                push_duration(out, *since_ns);
                out.extend_from_slice(b" (goroutine ");
                push_decimal(out, *id);
                out.push(b')');
            } else {
                out.extend_from_slice(if index == 0 {
                    &b" (goroutine "[..]
                } else {
                    b", "
                });
                push_decimal(out, *id);
            }
        }
        if group.count > group.longest.len() as u64 {
            out.extend_from_slice(b", ...");
        }
        if !self.is_timed && !group.longest.is_empty() {
            out.push(b')');
        }
        self.push_end_of_remark(&group.example);
    }

    fn push_end_of_remark(&mut self, goroutine: &Goroutine<'_>) {
        let site = site_text(&mut self.sites, self.tables, goroutine.site);
        let out = &mut self.chunk;
        if let Some(site) = site {
            out.extend_from_slice(&site.spawned_at);
        }
        for note in goroutine.notes {
            out.extend_from_slice(b", ");
            push_single_line(out, note);
        }
        if let Some(reason) = self
            .tables
            .stacks
            .get(goroutine.stack as usize)
            .and_then(|stack| stack.missing.as_deref())
        {
            out.extend_from_slice(b", no stack: ");
            push_single_line(out, reason);
        }
        out.push(b'\n');
    }

    fn push_frames(&mut self, goroutine: &Goroutine<'_>) {
        let index = goroutine.stack as usize;
        let Some(stack) = self
            .tables
            .stacks
            .get(index)
            .filter(|stack| !is_empty(stack))
        else {
            let site = goroutine
                .site
                .and_then(|site| self.tables.sites.get(site as usize));
            let (file, line) = site.map_or(("", 0), |site| (&*site.file, site.line));
            push_pseudo_frame(&mut self.chunk, "stack.unavailable", file, line);
            return;
        };
        let kept = &mut self.stacks[index];
        if !kept.is_empty() {
            self.chunk.extend_from_slice(kept);
            return;
        }
        let start = self.chunk.len();
        push_stack(&mut self.chunk, stack);
        let text = &self.chunk[start..];
        if self.kept_bytes + text.len() <= KEPT_BYTES {
            self.kept_bytes += text.len();
            *kept = text.into();
        }
    }

    fn push_created_by(&mut self, goroutine: &Goroutine<'_>) {
        let Some(site) = site_text(&mut self.sites, self.tables, goroutine.site) else {
            return;
        };
        self.chunk.extend_from_slice(&site.created_by);
        if let Some(parent) = goroutine.parent {
            self.chunk.extend_from_slice(b" in goroutine ");
            push_decimal(&mut self.chunk, parent);
        }
        self.chunk.extend_from_slice(&site.position);
    }
}

/// The rendered texts of a site.
#[derive(Clone, Debug)]
struct SiteText {
    /// `, spawned at FILE:LINE:COLUMN`
    spawned_at: Vec<u8>,
    /// `created by FUNCTION`
    created_by: Vec<u8>,
    /// The end of the line `created by`, and the line after it.
    position: Vec<u8>,
}

impl SiteText {
    fn of(site: &Site) -> Self {
        let mut spawned_at = b", spawned at ".to_vec();
        push_file(&mut spawned_at, &site.file);
        spawned_at.push(b':');
        push_decimal(&mut spawned_at, site.line.into());
        spawned_at.push(b':');
        push_decimal(&mut spawned_at, site.column.into());

        let mut created_by = b"created by ".to_vec();
        // A known parent follows the name as ` in goroutine N`. A function may have these words in its own name.
        let function = site.function.as_deref().unwrap_or_default();
        let function = function.replace(" in goroutine", " in?goroutine");
        push_called_function(&mut created_by, &function);

        let mut position = b"\n".to_vec();
        push_position(&mut position, &site.file, site.line, site.function_offset);
        Self {
            spawned_at,
            created_by,
            position,
        }
    }
}

fn site_text<'s>(
    texts: &'s mut [Option<SiteText>],
    tables: &Tables,
    site: Option<u32>,
) -> Option<&'s SiteText> {
    let index = site? as usize;
    let site = tables.sites.get(index)?;
    Some(texts[index].get_or_insert_with(|| SiteText::of(site)))
}

fn push_header(out: &mut Vec<u8>, goroutine: &Goroutine<'_>) {
    out.extend_from_slice(b"goroutine ");
    push_decimal(out, goroutine.id);
    out.extend_from_slice(b" [");
    push_reason(out, goroutine.brackets());
    if goroutine.state == State::Waiting && goroutine.since_ns >= MINUTE {
        out.extend_from_slice(b", ");
        push_decimal(out, goroutine.since_ns / MINUTE);
        out.extend_from_slice(b" minutes");
    }
    out.push(b']');
    push_in_header(out, goroutine.labels);
    out.extend_from_slice(b":\n");
}

fn is_empty(stack: &Stack) -> bool {
    stack.branches.is_empty() && stack.trunk.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let stack = Stack {
            missing: Some("being polled".into()),
            ..Stack::default()
        };
        let tables = Tables {
            stacks: vec![stack],
            ..Tables::default()
        };
        let goroutine = Goroutine {
            id: 7,
            parent: None,
            state: State::Waiting,
            reason: "sleep",
            since_ns: 0,
            polls: 0,
            busy_ns: 0,
            name: None,
            labels: &[],
            notes: &["fires in 3.2s"],
            joins: &[],
            stack: 0,
            site: None,
        };
        let mut text = Vec::new();
        let mut writer = TextWriter::new(&mut text, &tables, TextOptions::default()).untimed();
        writer.write(&goroutine).unwrap();
        writer
            .write_group(&Group {
                example: goroutine,
                count: 3,
                longest: &[(7, 0), (9, 0)],
            })
            .unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(text).unwrap();
        let remarks: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(
            remarks,
            [
                "# waiting, fires in 3.2s, no stack: being polled",
                "# 3 tasks, waiting (goroutine 7, 9, ...), fires in 3.2s, no stack: being polled"
            ]
        );
    }
}
