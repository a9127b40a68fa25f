//! Go's own dumps are read with the grammar that ours are checked with: proof that the checker means what Go means. The
//! parsers read them, too.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use runtime_dump::parse::{Parsed, parse};
use runtime_dump_testing::go::Go;
use runtime_dump_testing::grammar;

/// What `goroutines.go` starts, by what Go prints in the brackets; one line for main.
const GOROUTINES: [(&str, usize); 7] = [
    ("chan receive", 5),
    ("running", 1),
    ("select", 1),
    ("select (no cases)", 1),
    ("sleep", 1),
    ("sync.Mutex.Lock", 1),
    ("all", 10),
];

#[test]
fn grammar_reads_what_go_writes() {
    let Some(go) = Go::find("go_grammar") else {
        return;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/goroutines.go");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go_grammar");
    go.run([OsStr::new("run"), source.as_os_str(), folder.as_os_str()]);

    let text = fs::read_to_string(folder.join("debug2")).unwrap();
    let blocks = grammar::read_goroutines(&text).unwrap();
    for (state, expected) in GOROUTINES {
        let found = blocks
            .iter()
            .filter(|block| state == "all" || block.state == state)
            .count();
        assert_eq!(found, expected, "{state} in\n{text}");
    }
    for block in &blocks {
        assert_eq!(block.created_by.is_none(), block.id == 1);
        assert!(
            block
                .created_by
                .as_ref()
                .is_none_or(|site| site.function == "main.main" && site.parent == Some(1))
        );
        assert!(
            block
                .created_by
                .as_ref()
                .is_none_or(|site| site.position.file.ends_with("goroutines.go"))
        );
        assert!(!block.frames.is_empty() && block.minutes.is_none() && block.remarks.is_empty());
        assert!(
            block
                .frames
                .iter()
                .all(|frame| frame.position.line > 0 && !frame.position.file.is_empty())
        );
    }
    assert_eq!(
        blocks.iter().filter(|block| block.locked_to_thread).count(),
        1
    );
    assert!(
        blocks
            .iter()
            .flat_map(|block| &block.frames)
            .any(|frame| frame.function == "main.(*server).wait")
    );
    let gap = blocks
        .iter()
        .find_map(|block| block.elided)
        .expect("a deep stack");
    assert_eq!(gap, (50, 51), "151 frames, of which Go prints 100");

    let text = fs::read_to_string(folder.join("debug1")).unwrap();
    let counts = grammar::read_counts(&text).unwrap();
    assert_eq!((counts.name.as_str(), counts.total), ("goroutine", 10));
    assert_eq!(
        counts.groups.iter().map(|group| group.count).sum::<u64>(),
        10
    );
    assert_eq!(
        counts.groups[0].count, 3,
        "three equal goroutines in\n{text}"
    );
    assert!(
        counts
            .groups
            .iter()
            .all(|group| !group.addresses.is_empty() && !group.comments.is_empty())
    );
}

#[test]
fn parsers_read_what_go_writes() {
    let Some(go) = Go::find("go_parsers") else {
        return;
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/goroutines.go");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go_parsers");
    go.run([OsStr::new("run"), source.as_os_str(), folder.as_os_str()]);
    let read = |name: &str| {
        let bytes = fs::read(folder.join(name)).unwrap();
        parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
    };

    let Parsed::Blocks(dump) = read("debug2") else {
        panic!("debug2 is a dump of blocks");
    };
    for (state, expected) in GOROUTINES {
        let of_state = dump
            .blocks
            .iter()
            .filter(|block| state == "all" || block.state == state);
        assert_eq!(of_state.count(), expected, "{state}");
    }
    assert!(dump.remarks.is_empty() && dump.blocks.iter().all(|block| block.remark.is_none()));
    let spawned = dump
        .blocks
        .iter()
        .filter_map(|block| block.created_by.as_ref());
    let parents: Vec<_> = spawned.map(|by| (&*by.frame.function, by.parent)).collect();
    assert_eq!(parents, [("main.main", Some(1)); 9]);
    assert!(
        dump.blocks
            .iter()
            .flat_map(|block| block.stack.frames.iter())
            .any(|frame| &*frame.function == "main.(*server).wait")
    );
    assert!(
        dump.blocks
            .iter()
            .any(|block| block.stack.elided == Some((50, 51)))
    );
    let labels: Vec<_> = dump.blocks.iter().flat_map(|block| &block.labels).collect();
    assert_eq!(labels, [&("route".to_owned(), "/order now".to_owned())]);

    // The three forms agree on who waits at the channel: three times alone, once with a thread of its own.
    let waiting = |parsed: &Parsed| {
        let stacks = parsed.stacks();
        let total: i64 = stacks.iter().map(|stack| stack.count).sum();
        let main = stacks.iter().filter(|stack| {
            stack
                .frames
                .iter()
                .any(|frame| &*frame.function == "main.main.func1")
        });
        (total, main.map(|stack| stack.count).sum::<i64>())
    };
    for name in ["debug1", "debug2", "debug0"] {
        assert_eq!(waiting(&read(name)), (10, 3), "{name}");
    }
    let Parsed::Counts(counts) = read("debug1") else {
        panic!("debug1 is a count profile");
    };
    let labelled = counts
        .groups
        .iter()
        .find(|group| !group.labels.is_empty())
        .expect("a label");
    assert_eq!(
        labelled.labels,
        [("route".to_owned(), "/order now".to_owned())]
    );

    // What Go prints when it ends by a panic.
    let crash = go.output([OsStr::new("run"), source.as_os_str(), OsStr::new("--panic")]);
    let Ok(Parsed::Blocks(crash)) = parse(&crash.stderr) else {
        panic!("{}", String::from_utf8_lossy(&crash.stderr));
    };
    assert_eq!(crash.blocks[0].state, "running");
    assert_eq!(&*crash.blocks[0].stack.frames[0].function, "main.main");
}
