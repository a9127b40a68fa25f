//! inferno reads folded stacks as they were written: each name is one box, and the counts are ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use inferno::flamegraph::{Options, from_lines};
use proptest::collection::vec;
use proptest::prelude::*;
use runtime_dump::profile::address_list::AddressList;
use runtime_dump::profile::builder::{Measure, ProfileBuilder};
use runtime_dump::profile::folded::fold;
use runtime_dump::stack::{Frame, Location, Stack};

/// The folded lines of stacks, each the names from the root to the leaf and a count.
fn folded<'s>(stacks: impl IntoIterator<Item = (&'s [&'s str], i64)>) -> String {
    let measure = Measure {
        kind: "goroutine",
        unit: "count",
    };
    let mut addresses = BTreeMap::new();
    let mut builder = ProfileBuilder::new(&[], &[measure]);
    for (names, count) in stacks {
        let location = |name: &&str| {
            let next = addresses.len() as u64;
            let index = addresses.entry((*name).to_owned()).or_insert(next);
            Arc::new(Location {
                return_address: 0x1000 + *index * 0x10,
                function_offset: None,
                frames: vec![Frame {
                    function: (*name).into(),
                    file: "".into(),
                    line: 0,
                }],
                hidden: false,
            })
        };
        let stack = Stack {
            trunk: names.iter().rev().map(location).collect(),
            ..Stack::default()
        };
        builder.add(&AddressList::of(&stack), &[count]);
    }
    fold(&builder.build(), 0)
}

/// What the boxes of inferno's picture say, sorted.
fn boxes(folded: &str, reverse: bool) -> Vec<String> {
    let mut options = Options::default();
    options.deterministic = true;
    options.reverse_stack_order = reverse;
    // Without a least width, so that each box is drawn.
    options.min_width = 0.0;
    let mut svg = Vec::new();
    from_lines(&mut options, folded.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    let titles = svg.split("<title>").skip(1);
    let mut boxes: Vec<String> = titles
        .map(|rest| rest.split("</title>").next().unwrap().to_owned())
        .collect();
    boxes.sort();
    boxes
}

#[test]
fn a_number_at_the_end_of_a_name_is_no_count() {
    let stacks: [(&[&str], i64); 4] = [
        (&["worker 1", "conn 17"], 3),
        (&["worker 1", "conn 18 "], 4),
        (&["worker 1", "v 2.5"], 1),
        (&["worker 1", "17"], 2),
    ];
    let folded = folded(stacks);
    assert_eq!(
        folded,
        "worker_1;17 2\nworker_1;conn_17 3\nworker_1;conn_18 4\nworker_1;v_2.5 1\n"
    );
    assert_eq!(
        boxes(&folded, false),
        [
            "17 (2 samples, 20.00%)",
            "all (10 samples, 100%)",
            "conn_17 (3 samples, 30.00%)",
            "conn_18 (4 samples, 40.00%)",
            "v_2.5 (1 samples, 10.00%)",
            "worker_1 (10 samples, 100.00%)",
        ]
    );
}

proptest! {
    #[test]
    fn every_sample_is_read_whatever_names_there_are(
        stacks in vec((vec("[ #;a0-9.\\-\u{a0}\n]{0,6}", 1..4), 1_i64..9), 1..6),
        reverse: bool,
    ) {
        let names: Vec<(Vec<&str>, i64)> = stacks
            .iter()
            .map(|(names, count)| (names.iter().map(String::as_str).collect(), *count))
            .collect();
        let folded = folded(names.iter().map(|(names, count)| (names.as_slice(), *count)));
        let boxes = boxes(&folded, reverse);
        let total: i64 = stacks.iter().map(|(_, count)| count).sum();
        let all = format!("all ({total} samples, 100%)");
        prop_assert!(boxes.contains(&all), "{}\n{:?}", folded, boxes);
        // A second count would be a change: `(3 samples, 30.00%; -14.00%)`.
        prop_assert!(boxes.iter().all(|text| !text.contains("%;")), "{}", folded);
    }
}
