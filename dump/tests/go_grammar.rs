//! Go's own dumps are read with the grammar that ours are checked with: proof that the checker means what Go means.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use support::go::Go;
use support::grammar;

mod support {
    #[allow(dead_code, reason = "pprof is not asked here")]
    pub mod go;
    #[allow(dead_code, reason = "each test reads another part of a dump")]
    pub mod grammar;
}

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
