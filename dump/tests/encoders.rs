//! Every case through every encoder, compared with a golden file that shows all forms of the dump one below the
//! other. `UPDATE_GOLDEN=1 cargo test -p runtime-dump --test encoders` writes the files anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use runtime_dump::goroutine::Group;
use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::folded::fold;
use runtime_dump::profile::proto::{Profile, ValueType};
use runtime_dump_testing::{cases, grammar};

const ANNOTATED: TextOptions = TextOptions { plain: false };
const PLAIN: TextOptions = TextOptions { plain: true };

#[test]
fn encoders_write_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in cases::all() {
        let mut text = format!("==== debug=2 ====\n{}", case.goroutine_text(ANNOTATED));
        let _ = write!(text, "==== debug=1 ====\n{}", case.count_text());
        let _ = write!(text, "==== debug=0 ====\n{}", readable(&case.profile()));
        let samples = Profile::decode(&case.samples()).unwrap();
        let _ = write!(text, "==== debug=3 ====\n{}", readable_samples(&samples));
        let _ = write!(
            text,
            "==== folded ====\n{}",
            fold(&case.counts().shown().to_profile(&[], 0), 0)
        );
        let path = folder.join(case.name).with_extension("txt");
        if update {
            fs::write(&path, &text).unwrap();
        }
        let golden =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            text == golden,
            "{} differs; now it reads:\n{text}",
            path.display()
        );
    }
}

#[test]
fn samples_point_into_the_tables_of_the_counts() {
    for case in cases::all() {
        let (samples, counts) = (Profile::decode(&case.samples()).unwrap(), case.profile());
        assert_eq!(samples.sample.len(), case.rows.len(), "{}", case.name);
        let total = |profile: &Profile| -> i64 {
            let values = profile.sample.iter().map(|sample| sample.value[0]);
            values.sum()
        };
        assert_eq!(total(&samples), total(&counts));
        assert_eq!(samples.sample_type, counts.sample_type);
        assert_eq!(samples.period_type, counts.period_type);
        assert_eq!(samples.time_nanos, counts.time_nanos);
        assert_eq!(samples.string_table[0], "");
        // A profile with samples for tasks, folded, is the one with samples for stacks, folded.
        assert_eq!(fold(&samples, 0), fold(&counts, 0), "{}", case.name);
    }
}

#[test]
fn a_group_is_one_block_with_a_number() {
    let case = cases::all()
        .into_iter()
        .find(|case| case.name == "one_task")
        .unwrap();
    let mut text = Vec::new();
    let mut writer = TextWriter::new(&mut text, &case.tables, ANNOTATED);
    let group = Group {
        example: case.rows[0].clone(),
        count: 100,
        longest: &[(7, 125_000_000_000), (9, 3_000_000)],
    };
    writer.write_group(&group).unwrap();
    writer.write(&case.rows[0]).unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(text).unwrap();
    let blocks = grammar::read_goroutines(&text).unwrap();
    assert_eq!(blocks.len(), 2);
    let begins = "# 100 tasks, waiting 2m5s (goroutine 7), 3ms (goroutine 9), ..., spawned at ";
    assert!(blocks[0].remarks[0].starts_with(begins), "{text}");
    let block = |text: &str| text.split_once('\n').unwrap().1.trim_end().to_owned();
    let (first, second) = text.split_once("\n\n").unwrap();
    assert_eq!(block(first), block(second));
}

#[test]
fn a_truncated_count_says_what_is_left_out() {
    let case = cases::all()
        .into_iter()
        .find(|case| case.name == "shared_stack")
        .unwrap();
    let mut counts = case.counts();
    assert_eq!(counts.truncate(2), (0, 0));
    assert_eq!(counts.truncate(1), (1, 1));
    counts.comment("1 of 2 stacks\nshown");
    let mut text = Vec::new();
    counts.write_text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let begins = "goroutine profile: total 3\n# 1 of 2 stacks?shown\n3 @ 0x";
    assert!(text.starts_with(begins), "{text}");
    assert_eq!(grammar::read_counts(&text).unwrap().groups.len(), 1);
    let profile = counts.to_profile(&[], 0);
    assert_eq!(profile.sample.len(), 1);
    assert_eq!(profile.string(profile.comment[0]), "1 of 2 stacks\nshown");
    assert!(fold(&profile, 0).starts_with("# 1 of 2 stacks shown\napp::serve"));
    assert_eq!(counts.truncate(0), (1, 3));
    assert!(counts.to_profile(&[], 0).sample.is_empty());
}

#[test]
fn a_delta_has_what_came_and_what_went() {
    let case = cases::all()
        .into_iter()
        .find(|case| case.name == "shared_stack")
        .unwrap();
    let count = |first: u64, second: u64| {
        let stacks = &case.tables.stacks;
        CountProfile::new("goroutine", [(&stacks[0], first), (&stacks[1], second)])
    };
    let delta = |before: CountProfile, after: CountProfile| {
        let delta = after
            .since(&before, 4_000)
            .to_profile(&case.tables.mappings, 9_000);
        assert_eq!((delta.time_nanos, delta.duration_nanos), (9_000, 4_000));
        fold(&delta, 0)
    };
    let values = |text: String| -> Vec<i64> {
        let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse().unwrap();
        text.lines().map(value).collect()
    };
    assert_eq!(delta(count(3, 1), count(3, 1)), "");
    assert_eq!(values(delta(count(3, 1), count(5, 1))), [2]);
    assert_eq!(values(delta(count(3, 0), count(0, 4))), [4, -3]);
    assert_eq!(values(delta(count(0, 0), count(0, 4))), [4]);
}

#[test]
fn every_golden_file_has_a_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = cases::all()
        .into_iter()
        .map(|case| format!("{}.txt", case.name));
    assert_eq!(
        files.collect::<BTreeSet<_>>(),
        names.collect::<BTreeSet<_>>()
    );
}

#[test]
fn plain_text_is_the_annotated_one_without_remarks() {
    for case in cases::all() {
        let annotated = case.goroutine_text(ANNOTATED);
        let without: String = annotated
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("# "))
            .collect();
        assert_eq!(without, case.goroutine_text(PLAIN), "{}", case.name);
    }
}

#[test]
fn texts_match_the_grammar_of_go() {
    for case in cases::all() {
        for (options, remarks) in [(ANNOTATED, 1), (PLAIN, 0)] {
            let blocks = grammar::read_goroutines(&case.goroutine_text(options)).unwrap();
            assert_eq!(blocks.len(), case.rows.len(), "{}", case.name);
            for (block, row) in blocks.iter().zip(&case.rows) {
                assert_eq!(block.id, row.id);
                assert_eq!(block.remarks.len(), remarks);
                assert_eq!(block.created_by.is_some(), row.site.is_some());
                assert!(!block.frames.is_empty());
            }
        }
        let counts = grammar::read_counts(&case.count_text()).unwrap();
        assert_eq!(counts.total, case.rows.len() as u64, "{}", case.name);
        assert_eq!(
            counts.groups.iter().map(|group| group.count).sum::<u64>(),
            counts.total,
            "{}",
            case.name
        );
    }
}

/// A symbol may have any name: what `created by` says of a parent is not in it.
#[test]
fn the_name_of_a_function_makes_up_no_parent() {
    let mut case = cases::all()
        .into_iter()
        .find(|case| case.rows.iter().any(|row| row.site.is_some()))
        .unwrap();
    for site in &mut case.tables.sites {
        site.function = Some("f in goroutine 7 in goroutine in goroutine 8".into());
    }
    for parent in [None, Some(5)] {
        for row in &mut case.rows {
            row.parent = parent;
        }
        let text = case.goroutine_text(PLAIN);
        let blocks = grammar::read_goroutines(&text).unwrap();
        let mut creators = blocks.iter().filter_map(|block| block.created_by.as_ref());
        assert!(creators.all(|creator| creator.parent == parent), "{text}");
    }
}

#[test]
fn profile_and_count_text_agree() {
    for case in cases::all() {
        let profile = case.profile();
        let address = |id: &u64| {
            profile
                .location
                .iter()
                .find(|location| location.id == *id)
                .unwrap()
                .address
        };
        let samples = profile.sample.iter();
        let samples: Vec<(u64, Vec<u64>)> = samples
            .map(|sample| {
                (
                    sample.value[0] as u64,
                    sample.location_id.iter().map(address).collect(),
                )
            })
            .collect();
        let counts = grammar::read_counts(&case.count_text())
            .unwrap()
            .groups
            .into_iter();
        let counts: Vec<(u64, Vec<u64>)> = counts
            .map(|group| {
                (
                    group.count,
                    group.addresses.iter().map(|address| address - 1).collect(),
                )
            })
            .collect();
        assert_eq!(samples, counts, "{}", case.name);
    }
}

#[test]
fn profiles_are_what_pprof_accepts() {
    for case in cases::all() {
        let profile = case.profile();
        assert_eq!(Profile::decode(&profile.to_gzip()).unwrap(), profile);
        assert_eq!(profile.string_table[0], "");
        let locations: BTreeSet<u64> = profile
            .location
            .iter()
            .map(|location| location.address)
            .collect();
        assert_eq!(locations.len(), profile.location.len());
        assert!(!locations.contains(&0));
        for (index, location) in profile.location.iter().enumerate() {
            assert_eq!(location.id, index as u64 + 1);
            let mapping = &profile.mapping[location.mapping_id as usize - 1];
            assert!(mapping.has_functions);
        }
        assert!(
            profile
                .function
                .iter()
                .all(|function| function.system_name == 0 && function.name != 0)
        );
    }
}

#[test]
fn a_long_dump_arrives_in_chunks() {
    struct Chunks(Vec<usize>);

    impl std::io::Write for Chunks {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let case = cases::all()
        .into_iter()
        .find(|case| case.name == "one_task")
        .unwrap();
    let mut chunks = Chunks(Vec::new());
    let mut writer = TextWriter::new(&mut chunks, &case.tables, ANNOTATED);
    for _ in 0..1000 {
        writer.write(&case.rows[0]).unwrap();
    }
    writer.finish().unwrap();
    let (last, full) = chunks.0.split_last().unwrap();
    assert!(
        full.len() > 5
            && full
                .iter()
                .all(|bytes| (64 << 10..66 << 10).contains(bytes)),
        "{full:?}"
    );
    assert!(*last > 0);
    assert_eq!(
        full.iter().sum::<usize>() + last,
        1000 * (case.goroutine_text(ANNOTATED).len() + 1) - 1
    );
}

#[test]
fn no_line_of_a_count_text_is_too_long_for_pprof() {
    let mut case = cases::all()
        .into_iter()
        .find(|case| case.name == "one_task")
        .unwrap();
    let long: std::sync::Arc<str> = "größe::".repeat(20_000).into();
    let trunk = &mut case.tables.stacks[0].trunk;
    let location = std::sync::Arc::make_mut(&mut trunk[0]);
    location.frames[0].function = long.clone();
    location.frames[0].file = long;
    for index in 0..5000 {
        let mut location = (*trunk[1]).clone();
        location.return_address += index;
        trunk.push(location.into());
    }
    grammar::read_counts(&case.count_text()).unwrap();
}

/// The samples of a profile and their labels; its tables are those of the other one.
fn readable_samples(profile: &Profile) -> String {
    let mut text = String::new();
    let string = |index: i64| profile.string(index);
    for sample in &profile.sample {
        let _ = write!(
            text,
            "sample {:?} at {:?}",
            sample.value, sample.location_id
        );
        for label in &sample.label {
            let key = string(label.key);
            let _ = match label.str {
                0 => write!(text, " {key}={}{}", label.num, string(label.num_unit)),
                str => write!(text, " {key}={:?}", string(str)),
            };
        }
        text.push('\n');
    }
    text
}

/// A profile as text, in the order of its tables.
fn readable(profile: &Profile) -> String {
    let mut text = String::new();
    let string = |index: i64| profile.string(index);
    let value_type = |value: &ValueType| format!("{}/{}", string(value.r#type), string(value.unit));
    let types: Vec<String> = profile.sample_type.iter().map(value_type).collect();
    let period_type = profile
        .period_type
        .as_ref()
        .map(value_type)
        .unwrap_or_default();
    let _ = writeln!(
        text,
        "samples {}, period {} {period_type}",
        types.join(" "),
        profile.period
    );
    let _ = writeln!(
        text,
        "time {}, duration {}",
        profile.time_nanos, profile.duration_nanos
    );
    for sample in &profile.sample {
        let _ = writeln!(
            text,
            "sample {:?} at {:?}",
            sample.value, sample.location_id
        );
    }
    for location in &profile.location {
        let _ = writeln!(
            text,
            "location {} {:#x} in {}",
            location.id, location.address, location.mapping_id
        );
        for line in &location.line {
            let function = &profile.function[line.function_id as usize - 1];
            let position = format!("{}:{}", string(function.filename), line.line);
            let _ = writeln!(text, "    {:?} {position:?}", string(function.name));
        }
    }
    for mapping in &profile.mapping {
        let range = format!(
            "{:#x}/{:#x}/{:#x}",
            mapping.memory_start, mapping.memory_limit, mapping.file_offset
        );
        let _ = write!(
            text,
            "mapping {} {range} {:?} {:?}",
            mapping.id,
            string(mapping.filename),
            string(mapping.build_id)
        );
        let flags = [
            (mapping.has_functions, " functions"),
            (mapping.has_filenames, " files"),
            (mapping.has_line_numbers, " lines"),
            (mapping.has_inline_frames, " inlined"),
        ];
        for (_, name) in flags.iter().filter(|(set, _)| *set) {
            text.push_str(name);
        }
        text.push('\n');
    }
    text
}
