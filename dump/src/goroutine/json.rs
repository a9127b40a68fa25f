//! The goroutine dump as JSON, for `jq` and other tools: an object for each task, one a line.
//!
//! `runtime-probe/docs/schema/goroutine.json` describes the document. Within a [`VERSION`] no field is removed or
//! changes its meaning. New fields may be added.

use std::io::{self, Write};

use crate::goroutine::{Goroutine, Join, Tables};
use crate::json::{push_key, push_optional, push_stack, push_string, push_strings};
use crate::text::digits::push_decimal;

/// The value of the field `version`.
pub const VERSION: u64 = 1;

/// The size of the chunks that are written.
const CHUNK_BYTES: usize = 64 << 10;

/// Writes a dump, one task after the other.
///
/// ```
/// use runtime_dump::goroutine::{Goroutine, State, Tables};
/// use runtime_dump::goroutine::json::JsonWriter;
///
/// let mut json = Vec::new();
/// let tables = Tables::default();
/// let mut writer = JsonWriter::new(&mut json, &tables, &[]);
/// writer.write(&Goroutine {
///     id: 7,
///     parent: None,
///     state: State::Waiting,
///     reason: "sleep",
///     since_ns: 3_000_000,
///     polls: 2,
///     busy_ns: 20_000,
///     name: None,
///     labels: &[("route", "/order")],
///     notes: &[],
///     joins: &[],
///     stack: 0,
///     site: None,
/// })?;
/// writer.finish()?;
/// let json = String::from_utf8_lossy(&json);
/// assert!(json.contains(r#""state": "waiting", "reason": "sleep", "wait_ns": 3000000"#));
/// assert!(json.contains(r#""labels": {"route": "/order"}"#));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the last chunk is written by `finish`"]
pub struct JsonWriter<'t, W: Write> {
    out: W,
    tables: &'t Tables,
    chunk: Vec<u8>,
    is_first: bool,
    /// Rendered stacks by their index; empty until their first use.
    stacks: Vec<Box<[u8]>>,
}

impl<'t, W: Write> JsonWriter<'t, W> {
    /// Starts a dump whose rows point into `tables`. `remarks` apply to the whole dump.
    pub fn new(out: W, tables: &'t Tables, remarks: &[String]) -> Self {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        push_head(&mut chunk, tables.time_ns, remarks);
        chunk.extend_from_slice(b", \"goroutines\": [");
        Self {
            out,
            tables,
            chunk,
            is_first: true,
            stacks: vec![Box::default(); tables.stacks.len()],
        }
    }

    /// Writes the object of one task.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write(&mut self, goroutine: &Goroutine<'_>) -> io::Result<()> {
        let before: &[u8] = if self.is_first { b"\n" } else { b",\n" };
        self.is_first = false;
        let out = &mut self.chunk;
        out.extend_from_slice(before);
        out.extend_from_slice(b"{\"id\": ");
        push_decimal(out, goroutine.id);
        push_key(out, "parent");
        match goroutine.parent {
            Some(parent) => push_decimal(out, parent),
            None => out.extend_from_slice(b"null"),
        }
        push_key(out, "name");
        push_optional(out, goroutine.name);
        push_key(out, "state");
        push_string(out, goroutine.state.word());
        push_key(out, "reason");
        push_string(out, goroutine.brackets());
        for (key, value) in [
            ("wait_ns", goroutine.since_ns),
            ("polls", goroutine.polls),
            ("busy_ns", goroutine.busy_ns),
        ] {
            push_key(out, key);
            push_decimal(out, value);
        }
        let site = goroutine
            .site
            .and_then(|site| self.tables.sites.get(site as usize));
        let spawned_at = site.map(|site| format!("{}:{}:{}", site.file, site.line, site.column));
        push_key(out, "spawned_at");
        push_optional(out, spawned_at.as_deref());
        push_key(out, "spawned_by");
        push_optional(out, site.and_then(|site| site.function.as_deref()));
        push_key(out, "labels");
        push_labels(out, goroutine.labels);
        push_key(out, "notes");
        push_strings(out, goroutine.notes.iter().copied());
        push_key(out, "joins");
        push_joins(out, goroutine.joins);
        self.push_stack(goroutine.stack as usize);
        self.chunk.push(b'}');
        if self.chunk.len() >= CHUNK_BYTES {
            self.write_chunk()?;
        }
        Ok(())
    }

    /// Writes the rest of the document.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.chunk.extend_from_slice(b"\n]}\n");
        self.write_chunk()?;
        self.out.flush()
    }

    fn push_stack(&mut self, index: usize) {
        let Some(kept) = self.stacks.get_mut(index) else {
            return push_stack(&mut self.chunk, None);
        };
        if kept.is_empty() {
            let mut text = Vec::new();
            push_stack(&mut text, self.tables.stacks.get(index));
            *kept = text.into();
        }
        self.chunk.extend_from_slice(kept);
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

/// Appends the begin of every JSON document of this crate.
pub(crate) fn push_head(out: &mut Vec<u8>, time_ns: i64, remarks: &[String]) {
    out.extend_from_slice(b"{\"version\": ");
    push_decimal(out, VERSION);
    push_key(out, "time_ns");
    push_decimal(out, u64::try_from(time_ns).unwrap_or(0));
    push_key(out, "remarks");
    push_strings(out, remarks.iter().map(String::as_str));
}

fn push_joins(out: &mut Vec<u8>, joins: &[Join]) {
    out.push(b'[');
    for (index, join) in joins.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"{\"members\": ");
        match join.members {
            Some(members) => push_decimal(out, members),
            None => out.extend_from_slice(b"null"),
        }
        push_key(out, "tasks");
        out.push(b'[');
        for (index, task) in join.tasks.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(b"{\"id\": ");
            push_decimal(out, task.id);
            push_key(out, "name");
            push_optional(out, task.name.as_deref());
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
}

fn push_labels(out: &mut Vec<u8>, labels: &[(&str, &str)]) {
    out.push(b'{');
    for (index, (key, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_string(out, key);
        out.extend_from_slice(b": ");
        push_string(out, value);
    }
    out.push(b'}');
}
