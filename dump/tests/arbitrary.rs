//! Whatever a model holds, the texts keep their grammar; whatever bytes are read, the decoder does not panic.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use runtime_dump::goroutine::samples::SampleWriter;
use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::goroutine::{Goroutine, State, Tables};
use runtime_dump::parse::joins::joins;
use runtime_dump::parse::{Parsed, parse};
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::folded::fold;
use runtime_dump::profile::proto::Profile;
use runtime_dump::stack::{Branch, BranchKind, Frame, Location, Mapping, Site, Stack};
use runtime_dump_testing::grammar;

/// A row that owns its texts.
#[derive(Clone, Debug)]
struct Row {
    id: u64,
    parent: Option<u64>,
    state: State,
    reason: String,
    since_ns: u64,
    name: Option<String>,
    labels: Vec<(String, String)>,
    notes: Vec<String>,
    stack: u32,
    site: Option<u32>,
}

impl Row {
    fn labels(&self) -> Vec<(&str, &str)> {
        let labels = self.labels.iter();
        labels.map(|(key, value)| (&**key, &**value)).collect()
    }
}

proptest! {
    #[test]
    fn goroutine_text_keeps_its_grammar(tables in tables(), rows in vec(row(), 0..6), plain: bool) {
        let mut text = Vec::new();
        let mut writer = TextWriter::new(&mut text, &tables, TextOptions { plain });
        for row in &rows {
            let notes: Vec<&str> = row.notes.iter().map(String::as_str).collect();
            let labels = row.labels();
            let goroutine = Goroutine {
                id: row.id,
                parent: row.parent,
                state: row.state,
                reason: &row.reason,
                since_ns: row.since_ns,
                polls: row.id,
                busy_ns: row.since_ns,
                name: row.name.as_deref(),
                labels: &labels,
                notes: &notes,
                joins: &[],
                stack: row.stack,
                site: row.site,
            };
            writer.write(&goroutine).unwrap();
        }
        writer.finish().unwrap();

        let text = String::from_utf8(text).unwrap();
        let blocks = grammar::read_goroutines(&text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(blocks.len(), rows.len());
        for (block, row) in blocks.iter().zip(&rows) {
            prop_assert_eq!(block.id, row.id);
            prop_assert_eq!(block.remarks.len(), usize::from(!plain));
            prop_assert_eq!(block.minutes.is_some(), row.state == State::Waiting && row.since_ns >= 60_000_000_000);
            prop_assert!(!block.frames.is_empty());
            prop_assert!(block.frames.iter().all(|frame| !frame.function.contains(['(', ')'])));
            prop_assert!(block.frames.iter().all(|frame| frame.arguments == "..."));
            let site = row.site.filter(|site| (*site as usize) < tables.sites.len());
            prop_assert_eq!(block.created_by.is_some(), site.is_some());
        }

        if !rows.is_empty() {
            let Ok(Parsed::Blocks(parsed)) = parse(text.as_bytes()) else {
                return Err(TestCaseError::fail(text));
            };
            prop_assert_eq!(parsed.blocks.len(), rows.len());
            prop_assert!(parsed.remarks.is_empty(), "{:?}", parsed.remarks);
            for ((parsed, block), row) in parsed.blocks.iter().zip(&blocks).zip(&rows) {
                prop_assert_eq!(parsed.id, row.id);
                prop_assert_eq!(parsed.stack.frames.len(), block.frames.len());
                prop_assert!(parsed.stack.frames.iter().zip(&block.frames).all(|(a, b)| *a.function == b.function));
                let parent = parsed.created_by.as_ref().map(|creation| creation.parent);
                prop_assert_eq!(parent, block.created_by.as_ref().map(|creation| creation.parent));
                if let Some(remark) = &parsed.remark {
                    prop_assert_eq!(remark.name.as_ref(), row.name.as_ref());
                    prop_assert_eq!(remark.polls, Some(row.id));
                }
                prop_assert_eq!(parsed.remark.is_some(), !plain);
            }
        }
    }

    #[test]
    fn samples_are_a_profile_of_their_rows(tables in tables(), rows in vec(row(), 0..6)) {
        let mut bytes = Vec::new();
        let mut writer = SampleWriter::new(&mut bytes, "goroutine", &tables, &[]);
        for row in &rows {
            let labels = row.labels();
            let goroutine = Goroutine {
                id: row.id,
                parent: row.parent,
                state: row.state,
                reason: &row.reason,
                since_ns: row.since_ns,
                polls: row.id,
                busy_ns: row.since_ns,
                name: row.name.as_deref(),
                labels: &labels,
                notes: &[],
                joins: &[],
                stack: row.stack,
                site: row.site,
            };
            writer.write(&goroutine).unwrap();
        }
        writer.finish().unwrap();

        let profile = Profile::decode(&bytes).unwrap();
        prop_assert_eq!(profile.sample.len(), rows.len());
        for (sample, row) in profile.sample.iter().zip(&rows) {
            let label = |key: &str| {
                let label = sample.label.iter().find(|label| profile.string(label.key) == key);
                label.map(|label| profile.string(label.str))
            };
            prop_assert_eq!(label("name"), row.name.as_deref());
            let last = sample.label.iter().rev().zip(row.labels.iter().rev());
            for (label, (key, value)) in last {
                prop_assert_eq!((profile.string(label.key), profile.string(label.str)), (&**key, &**value));
            }
            let state = if row.reason.is_empty() { row.state.word() } else { &row.reason };
            prop_assert_eq!(label("state"), Some(state));
            prop_assert!(sample.location_id.iter().all(|id| *id as usize <= profile.location.len()));
        }

        let folded = fold(&profile, 0);
        let count = |line: &str| line.rsplit_once(' ').and_then(|(_, count)| count.parse().ok());
        let counts: Option<Vec<usize>> = folded.lines().map(count).collect();
        prop_assert_eq!(counts.map(|counts| counts.iter().sum()), Some(rows.len()), "{}", folded);
    }

    #[test]
    fn count_profiles_keep_their_grammar(tables in tables(), name in name(), counts in vec(0_u64..5, 5)) {
        prop_assume!(!name.is_empty());
        let profile = CountProfile::new(&name, tables.stacks.iter().zip(counts.iter().copied()));
        let mut text = Vec::new();
        profile.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let read = grammar::read_counts(&text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(read.total, profile.total());
        prop_assert_eq!(read.groups.iter().map(|group| group.count).sum::<u64>(), read.total);

        let Ok(Parsed::Counts(parsed)) = parse(text.as_bytes()) else {
            return Err(TestCaseError::fail(text));
        };
        prop_assert_eq!(parsed.total, read.total as i64);
        for (parsed, group) in parsed.groups.iter().zip(&read.groups) {
            prop_assert_eq!(&parsed.addresses, &group.addresses);
            prop_assert_eq!(parsed.count, group.count as i64);
            prop_assert!(!parsed.frames.is_empty());
        }

        let profile = profile.to_profile(&tables.mappings, tables.time_ns);
        let counts: Vec<u64> = profile.sample.iter().map(|sample| sample.value[0] as u64).collect();
        prop_assert_eq!(counts, read.groups.iter().map(|group| group.count).collect::<Vec<_>>());
        prop_assert!(profile.location.iter().all(|location| location.address != 0));
        prop_assert_eq!(Profile::decode(&profile.to_gzip()).unwrap(), profile);
    }

    #[test]
    fn decoder_takes_any_bytes(bytes in vec(any::<u8>(), 0..2000)) {
        let _ = Profile::decode(&bytes);
        let gzip: Vec<u8> = [0x1f, 0x8b, 8, 0].iter().chain(&bytes).copied().collect();
        let _ = Profile::decode(&gzip);
    }

    #[test]
    fn parsers_take_any_lines(lines in vec(line(), 0..20), ends: bool) {
        let text = lines.join("\n") + if ends { "\n" } else { "" };
        match parse(text.as_bytes()) {
            Ok(parsed) => {
                let _ = parsed.stacks();
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn ends_are_read_from_any_notes(notes in "((waits for |, |goroutine |one of |[0-9,]{1,20}| tasks of a JoinSet| to end|: | more|[(é)]){1,12}){0,4}") {
        let told = joins(&notes);
        prop_assert!(told.len() <= notes.matches("waits for ").count());
    }

    #[test]
    fn decoder_takes_damaged_profiles(tables in tables(), at: prop::sample::Index, byte: u8, length: prop::sample::Index) {
        let profile = CountProfile::new("goroutine", tables.stacks.iter().map(|stack| (stack, 1)));
        let mut bytes = profile.to_profile(&tables.mappings, tables.time_ns).to_gzip();
        let position = at.index(bytes.len());
        bytes[position] ^= byte;
        let _ = Profile::decode(&bytes);
        let _ = Profile::decode(&bytes[..length.index(bytes.len())]);
    }
}

prop_compose! {
    fn tables()(
        stacks in vec(stack(), 0..5),
        sites in vec(site(), 0..3),
        mappings in vec(mapping(), 0..3),
        time_ns: i64,
    ) -> Tables {
        Tables { stacks, sites, mappings, time_ns }
    }
}

prop_compose! {
    fn row()(
        ((id, parent), since_ns) in ((any::<u64>(), any::<Option<u64>>()), any::<u64>().prop_map(|ns| ns >> (ns % 64))),
        state in prop_oneof![Just(State::Running), Just(State::Runnable), Just(State::Waiting)],
        (reason, name, labels, notes) in (reason(), option::of(name()), vec((name(), name()), 0..3), vec(name(), 0..3)),
        (stack, site) in (0_u32..6, option::of(0_u32..4)),
    ) -> Row {
        Row { id, parent, state, reason, since_ns, name, labels, notes, stack, site }
    }
}

prop_compose! {
    fn stack()(
        branches in vec(branch(), 0..3),
        trunk in vec(location(), 0..6),
        elided in option::of((0_usize..8, any::<u32>())),
        missing in option::of(name()),
    ) -> Stack {
        Stack { branches, trunk, elided, missing: missing.map(Arc::from) }
    }
}

prop_compose! {
    fn branch()(
        kind in prop_oneof![Just(BranchKind::Waiting), Just(BranchKind::AlsoRegistered)],
        locations in vec(location(), 0..3),
    ) -> Branch {
        Branch { kind, locations }
    }
}

prop_compose! {
    fn location()(
        return_address in prop_oneof![1_u64..20, 1..=u64::MAX],
        function_offset: Option<u64>,
        frames in vec(frame(), 0..3),
        hidden: bool,
    ) -> Arc<Location> {
        Arc::new(Location { return_address, function_offset, frames, hidden })
    }
}

prop_compose! {
    fn frame()(function in name(), file in name(), line: u32) -> Frame {
        Frame { function: function.into(), file: file.into(), line }
    }
}

prop_compose! {
    fn site()(
        function in option::of(name()),
        file in name(),
        line: u32,
        column: u32,
        function_offset: Option<u64>,
    ) -> Site {
        Site { function: function.map(Arc::from), file: file.into(), line, column, function_offset }
    }
}

prop_compose! {
    fn mapping()(start: u64, limit: u64, offset: u64, file in name(), build_id in name()) -> Mapping {
        Mapping { start, limit, offset, file, build_id }
    }
}

/// Texts of all kinds, most of them with something that a grammar stumbles over.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:<>{}]{1,12}",
        "[a-c()\\[\\]:, \\t\\r\\n.#@\u{85}\u{2028}é]{0,12}",
        any::<String>()
    ]
}

/// Lines of dumps.
const LINES: [&str; 21] = [
    "goroutine 7 [sleep]:",
    "goroutine 7 gp=0x1 [chan receive (leaked), 3 minutes, locked to thread] {a: b, \"c d\": \"\\x41\"}:",
    "thread 7 [running]:",
    "goroutine profile: total 3",
    "threads profile: total -3",
    "3 @ 0x11 0x21",
    "-3 @",
    "# labels: {\"a\":\"b\", \"c\":\"",
    "#\t0x10\tapp::f+0x2f\tsrc/main.rs:7",
    "#\t",
    "app::f(...)",
    "main.(*server).wait(0x1, {0x2, 0x3})",
    "\tsrc/main.rs:7 +0x2f",
    "...51 frames elided...",
    "created by app::g in goroutine 4",
    "# waiting 2.5s, polls 1, busy 0s, spawned at a.rs:1:2, a note",
    "# 100 tasks, waiting 2m5s (goroutine 7), 3s (goroutine 9), ...",
    "# \"a name\", CPU 1.5ms, runtime a",
    "Sun Nov 29 23:07:10 UTC 2026",
    "2026-11-29T23:07:10.25+01:00",
    "",
];

/// A line of a dump, or what comes close to one.
fn line() -> impl Strategy<Value = String> {
    let cut = (
        prop::sample::select(&LINES[..]),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(line, at)| line[..at.index(line.len() + 1)].to_owned());
    prop_oneof![
        prop::sample::select(&LINES[..]).prop_map(str::to_owned),
        cut,
        name()
    ]
}

/// A reason never ends in what the header appends itself.
fn reason() -> impl Strategy<Value = String> {
    name().prop_filter("ambiguous", |reason| {
        !reason.ends_with(" minutes") && !reason.ends_with(", locked to thread")
    })
}
