//! Arbitrary dumps: whatever a model holds, every text keeps its grammar and every profile can be read.
#![no_main]

use fuzz::grammar;
use fuzz::models::{self, Row, several};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use runtime_dump::contention::{Contention, ContentionProfile, Kind};
use runtime_dump::count_profile::CountProfile;
use runtime_dump::folded::fold;
use runtime_dump::goroutine::{Group, State, Tables};
use runtime_dump::goroutine_samples::SampleWriter;
use runtime_dump::goroutine_text::{TextOptions, TextWriter};
use runtime_dump::proto::Profile;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let _ = dump(&mut u);
});

/// Fails where the bytes end early.
fn dump(u: &mut Unstructured) -> Result<()> {
    let tables = models::tables(u)?;
    let rows = several(u, 4, Row::arbitrary)?;
    for plain in [false, true] {
        goroutine_text(&tables, &rows, plain);
    }
    groups(u, &tables, &rows)?;
    samples(&tables, &rows);
    counts(u, &tables)?;
    contention(u, &tables, &rows)
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
        assert_eq!(block.created_by.is_some(), site.is_some());
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

fn samples(tables: &Tables, rows: &[Row]) {
    let mut bytes = Vec::new();
    let comments = [tables.sites.len().to_string()];
    let mut writer = SampleWriter::new(&mut bytes, "goroutine", tables, &comments);
    for row in rows {
        writer
            .write(&row.goroutine(&row.notes()))
            .expect("a Vec takes all");
    }
    writer.finish().expect("a Vec takes all");
    let profile = Profile::decode(&bytes).expect("a profile");
    assert_eq!(profile.sample.len(), rows.len());
    for (sample, row) in profile.sample.iter().zip(rows) {
        let name = sample
            .label
            .iter()
            .find(|label| profile.string(label.key) == "name");
        assert_eq!(
            name.map(|label| profile.string(label.str)),
            row.name.as_deref()
        );
    }
    assert_whole(&profile);
    assert_eq!(folded_sum(&profile, 0), rows.len() as i128);
}

fn counts(u: &mut Unstructured, tables: &Tables) -> Result<()> {
    let mut records = Vec::new();
    for stack in &tables.stacks {
        records.push((stack, u64::from(u.arbitrary::<u16>()?)));
    }
    let mut profile = CountProfile::new("goroutine", records);
    for remark in several(u, 2, |u| u.arbitrary::<String>())? {
        profile.comment(remark);
    }
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a Vec takes all");
    let text = String::from_utf8(text).expect("text");
    let read = grammar::read_counts(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"));
    assert_eq!(read.total, profile.total());
    assert_eq!(
        read.groups.iter().map(|group| group.count).sum::<u64>(),
        read.total
    );
    let shown = profile.shown();
    assert_eq!(shown.total(), profile.total());
    let whole = profile.to_profile(&tables.mappings, tables.time_ns);
    assert_whole(&whole);
    assert_eq!(folded_sum(&whole, 0), i128::from(profile.total()));
    assert_whole(&shown.to_profile(&tables.mappings, tables.time_ns));
    Ok(())
}

fn contention(u: &mut Unstructured, tables: &Tables, rows: &[Row]) -> Result<()> {
    let mut events = Vec::new();
    for row in rows {
        if let Some(stack) = tables.stacks.get(row.stack as usize) {
            let (count, delay_ns) = u.arbitrary()?;
            events.push(Contention {
                stack,
                reason: &row.reason,
                count,
                delay_ns,
            });
        }
    }
    let profile = ContentionProfile::new(Kind::Block, events);
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a Vec takes all");
    let text = String::from_utf8(text).expect("text");
    assert!(
        text.starts_with("--- contention:\ncycles/second="),
        "{text}"
    );
    let profile = profile.to_profile(&tables.mappings, tables.time_ns);
    assert_whole(&profile);
    fold(&profile, 1);
    Ok(())
}

/// Everything that something points to is there, once.
fn assert_whole(profile: &Profile) {
    assert_eq!(profile.string_table.first().map(String::as_str), Some(""));
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        for id in &sample.location_id {
            assert_eq!(
                profile
                    .location
                    .iter()
                    .filter(|location| location.id == *id)
                    .count(),
                1
            );
        }
    }
    for location in &profile.location {
        assert_ne!(location.address, 0);
        for line in &location.line {
            assert!(
                profile
                    .function
                    .iter()
                    .any(|function| function.id == line.function_id)
            );
        }
    }
    assert_eq!(
        &Profile::decode(&profile.encode_to_vec()).expect("a profile"),
        profile
    );
}

fn folded_sum(profile: &Profile, measure: usize) -> i128 {
    let folded = fold(profile, measure);
    let lines = folded.lines().filter(|line| !line.starts_with("# "));
    let counts = lines.map(|line| {
        line.rsplit_once(' ')
            .and_then(|(_, count)| count.parse::<i128>().ok())
    });
    counts
        .map(|count| count.expect("a line ends in a number"))
        .sum()
}
