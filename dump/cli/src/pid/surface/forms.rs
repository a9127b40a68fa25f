//! The forms for tools.

use super::rows::{Row, Rows};
use runtime_dump::goroutine::samples::SampleWriter;
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::folded::fold;
use runtime_dump::stack::{Location, Stack};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;

const NAME: &str = "goroutine";

/// Writes `profile.proto` with a sample for each task, for `go tool pprof`.
pub(super) fn write_profile(
    rows: &Rows,
    most: usize,
    title: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let comments = [format!("tasks of {title}")];
    let mut writer = SampleWriter::new(out, NAME, &rows.tables, &comments).untimed();
    for row in rows.rows.iter().take(most) {
        writer.write(&super::goroutine(row, &[]))?;
    }
    writer.finish()
}

/// Writes a line for each stack: its frames, root first, and the number of its tasks.
pub(super) fn write_folded(rows: &Rows, most: usize, out: &mut dyn Write) -> io::Result<()> {
    let stacks = rows.rows.iter().take(most);
    let stacks = stacks.map(|row| (&rows.tables.stacks[row.stack as usize], 1));
    let profile = CountProfile::new(NAME, stacks).shown().to_profile(&[], 0);
    out.write_all(fold(&profile, 0).as_bytes())
}

/// Writes an array with an object for each task, one a line.
pub(super) fn write_json(rows: &Rows, most: usize, out: &mut dyn Write) -> io::Result<()> {
    let stacks: Vec<Value> = rows.tables.stacks.iter().map(stack).collect();
    out.write_all(b"[")?;
    for (number, row) in rows.rows.iter().take(most).enumerate() {
        let separator = if number == 0 { "\n" } else { ",\n" };
        write!(out, "{separator}{}", task(row, rows, &stacks))?;
    }
    out.write_all(b"\n]\n")
}

fn task(row: &Row, rows: &Rows, stacks: &[Value]) -> Value {
    let site = row.site.map(|site| &rows.tables.sites[site as usize]);
    json!({
        "id": row.id,
        "state": row.state.word(),
        "reason": row.reason,
        "notes": row.notes,
        "spawned": site.map(|site| format!("{}:{}:{}", site.file, site.line, site.column)),
        "stack": stacks[row.stack as usize],
    })
}

fn stack(stack: &Stack) -> Value {
    let branches = stack
        .branches
        .iter()
        .map(|branch| frames(&branch.locations));
    json!({
        "branches": branches.collect::<Vec<_>>(),
        "frames": frames(&stack.trunk),
        "missing": stack.missing.as_deref(),
    })
}

fn frames(locations: &[Arc<Location>]) -> Vec<Value> {
    let shown = locations.iter().filter(|location| !location.hidden);
    let frames = shown.flat_map(|location| &location.frames);
    frames
        .map(
            |frame| json!({"function": &*frame.function, "file": &*frame.file, "line": frame.line}),
        )
        .collect()
}
