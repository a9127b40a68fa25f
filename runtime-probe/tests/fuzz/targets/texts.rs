//! Arbitrary dumps as text: for every model the text follows its grammar. The first byte chooses the form.
#![no_main]

use dump::goroutine::text::{TextOptions, TextWriter};
use dump::goroutine::{Group, State, Tables};
use fuzz::grammar;
use fuzz::models::{self, Row, several};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let _ = dump(&mut u);
});

/// Fails if the bytes are too few.
fn dump(u: &mut Unstructured) -> Result<()> {
    let form = u.int_in_range(0..=4)?;
    let tables = models::tables(u)?;
    let rows = several(u, 4, Row::arbitrary)?;
    match form {
        0 => goroutine_text(&tables, &rows, false),
        1 => goroutine_text(&tables, &rows, true),
        2 => groups(u, &tables, &rows)?,
        3 => counts(u, &tables)?,
        _ => contention(u, &tables, &rows)?,
    }
    Ok(())
}

fn goroutine_text(tables: &Tables, rows: &[Row], plain: bool) {
    let mut text = Vec::new();
    let mut writer = TextWriter::new(&mut text, tables, TextOptions { plain });
    for row in rows {
        writer
            .write(&row.goroutine(&row.notes()))
            .expect("a Vec takes all");
    }
    writer.finish().expect("a Vec takes all");
    let text = String::from_utf8(text).expect("text");
    let blocks = grammar::read_goroutines(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(blocks.len(), rows.len());
    for (block, row) in blocks.iter().zip(rows) {
        assert_eq!(block.id, row.id);
        assert_eq!(block.remarks.len(), usize::from(!plain));
        let minutes = row.state == State::Waiting && row.since_ns >= 60_000_000_000;
        assert_eq!(block.minutes.is_some(), minutes);
        assert!(!block.frames.is_empty());
        assert!(block.frames.iter().all(|frame| frame.arguments == "..."));
        let site = row
            .site
            .filter(|site| (*site as usize) < tables.sites.len());
        let parent = block.created_by.as_ref().map(|creator| creator.parent);
        assert_eq!(parent, site.map(|_| row.parent));
    }
}

fn groups(u: &mut Unstructured, tables: &Tables, rows: &[Row]) -> Result<()> {
    let longest = several(u, 3, |u| u.arbitrary::<(u64, u64)>())?;
    let mut text = Vec::new();
    let mut writer = TextWriter::new(&mut text, tables, TextOptions { plain: false });
    for row in rows {
        let notes = row.notes();
        let group = Group {
            example: row.goroutine(&notes),
            count: u.arbitrary()?,
            longest: &longest,
        };
        writer.write_group(&group).expect("a Vec takes all");
    }
    writer.finish().expect("a Vec takes all");
    let text = String::from_utf8(text).expect("text");
    let blocks = grammar::read_goroutines(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(blocks.len(), rows.len());
    Ok(())
}

fn counts(u: &mut Unstructured, tables: &Tables) -> Result<()> {
    let profile = models::counts(u, tables)?;
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a Vec takes all");
    let text = String::from_utf8(text).expect("text");
    let read = grammar::read_counts(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"));
    assert_eq!(read.total, profile.total());
    assert_eq!(
        read.groups.iter().map(|group| group.count).sum::<u64>(),
        read.total
    );
    Ok(())
}

fn contention(u: &mut Unstructured, tables: &Tables, rows: &[Row]) -> Result<()> {
    let profile = models::contention(u, tables, rows)?;
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a Vec takes all");
    let text = String::from_utf8(text).expect("text");
    assert!(
        text.starts_with("--- contention:\ncycles/second="),
        "{text}"
    );
    Ok(())
}
