//! Arbitrary dumps as profiles: for every model the profile is complete and can be decoded. The first byte chooses
//! the form.
#![no_main]

use dump::goroutine::Tables;
use dump::goroutine::samples::SampleWriter;
use dump::profile::folded::fold;
use dump::profile::proto::Profile;
use fuzz::models::{self, Row, several};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let _ = dump(&mut u);
});

/// Fails if the bytes are too few.
fn dump(u: &mut Unstructured) -> Result<()> {
    let form = u.int_in_range(0..=2)?;
    let tables = models::tables(u)?;
    let rows = several(u, 4, Row::arbitrary)?;
    match form {
        0 => samples(&tables, &rows),
        1 => counts(u, &tables)?,
        _ => contention(u, &tables, &rows)?,
    }
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
    let profile = models::counts(u, tables)?;
    let shown = profile.shown();
    assert_eq!(shown.total(), profile.total());
    let whole = profile.to_profile(&tables.mappings, tables.time_ns);
    assert_whole(&whole);
    assert_eq!(folded_sum(&whole, 0), i128::from(profile.total()));
    assert_whole(&shown.to_profile(&tables.mappings, tables.time_ns));
    Ok(())
}

fn contention(u: &mut Unstructured, tables: &Tables, rows: &[Row]) -> Result<()> {
    let profile = models::contention(u, tables, rows)?;
    let profile = profile.to_profile(&tables.mappings, tables.time_ns);
    assert_whole(&profile);
    fold(&profile, 1);
    Ok(())
}

/// Every reference has its target, exactly once.
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
