//! `go tool pprof` against the server, and Go's own answers compared with ours.
#![cfg(feature = "full")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use runtime_dump_testing::go::Go;
use runtime_dump_testing::grammar::{self, Block, Counts};
use support::client::{ask, get};
use support::tasks::{KINDS, application};

mod support {
    #[allow(dead_code, reason = "nothing is sent byte for byte here")]
    pub mod client;
    #[allow(dead_code, reason = "no test waits for the ticker here")]
    pub mod tasks;
}

/// The output of `go tool pprof` for a URL of the server. Its other output may only say where the profile comes from.
fn pprof(go: &Go, options: &[&str], server: SocketAddr, path: &str) -> String {
    let url = format!("http://{server}/debug/pprof/{path}");
    let output = go.output(pprof_arguments(options, &url));
    let stderr = String::from_utf8_lossy(&output.stderr);
    let unexpected = stderr.lines().find(|line| {
        *line != format!("Fetching profile over HTTP from {url}")
            && !line.starts_with("Saved profile in ")
    });
    assert!(
        output.status.success() && unexpected.is_none(),
        "{options:?} {path}: {}, {stderr}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

fn pprof_arguments<'a>(options: &'a [&str], url: &'a str) -> impl Iterator<Item = &'a OsStr> {
    let words = ["tool", "pprof"].iter().chain(options).copied();
    words.chain([url]).map(OsStr::new)
}

/// The stacks of `-traces`, leaf first, with their counts.
fn traces(text: &str) -> Vec<(u64, Vec<&str>)> {
    let stacks =
        text.split("-----------+-------------------------------------------------------\n");
    stacks
        .filter_map(|text| {
            let mut lines = text.lines().map(str::trim);
            let (count, leaf) = lines.next()?.split_once(' ')?;
            let stack = [leaf.trim()].into_iter().chain(lines).collect();
            Some((count.parse().ok()?, stack))
        })
        .collect()
}

#[test]
fn pprof_reads_the_profile_and_its_text() {
    let Some(go) = Go::find("pprof_over_http") else {
        return;
    };
    let server = application().server;
    for path in ["goroutine", "goroutine?debug=1"] {
        let top = pprof(&go, &["-top", "-nodecount=1000"], server, path);
        assert!(top.contains("Type: goroutine\n"), "{top}");
        // A profile also names inlined functions. A text has one name for an address; in unoptimized code, as here,
        // these are all names.
        for name in [
            "go_pprof::support::tasks::kind_chan_receive",
            "tokio::sync::mpsc::bounded::Receiver::recv",
            "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
            "select.branch_1_of_2",
        ] {
            let has = |line: &str| line.ends_with(&format!("%  {name}"));
            assert!(top.lines().any(has), "{path}: {name} in\n{top}");
        }

        let text = pprof(&go, &["-traces"], server, path);
        assert!(!text.contains("<unknown>"), "{text}");
        let traces = traces(&text);
        let of = |name: &str| {
            let has = |stack: &&(u64, Vec<&str>)| stack.1.iter().any(|f| f.ends_with(name));
            let stacks: Vec<_> = traces.iter().filter(has).collect();
            assert_eq!(stacks.len(), 1, "{path}: {name} in\n{text}");
            stacks[0].clone()
        };
        assert_eq!(of("::kind_chan_receive").0, 3);
        // One sample has each branch below the trunk.
        let selects = of("::kind_select");
        let at = |name: &str| selects.1.iter().position(|frame| frame.ends_with(name));
        let frames = [
            at("Future>::poll"),
            at("select.branch_2_of_2"),
            at("Receiver::recv"),
            at("select.branch_1_of_2"),
            at("::kind_select"),
        ];
        assert!(frames.iter().all(Option::is_some), "{selects:?}");
        assert!(frames.is_sorted(), "{selects:?}");
        assert_eq!(selects.0, 1);
        // The task runs: its stack is that of its thread.
        let running = of("::hold_a_worker").1;
        assert!(
            running.iter().any(|f| f.contains("std::sync::mp")),
            "{running:?}"
        );

        let raw = pprof(&go, &["-raw"], server, path);
        assert!(
            raw.starts_with("PeriodType: goroutine count\nPeriod: 1\n"),
            "{raw}"
        );
    }
    let raw = pprof(&go, &["-raw"], server, "goroutine");
    let mappings = raw.split_once("\nMappings\n").unwrap().1;
    assert!(mappings.lines().next().unwrap().contains("[FN]"), "{raw}");
}

#[test]
fn a_stack_begins_with_the_call_that_waits_and_ends_with_the_tasks_future() {
    let Some(go) = Go::find("pprof_clean") else {
        return;
    };
    let server = application().server;
    for path in ["goroutine", "goroutine?debug=1", "goroutine?debug=3"] {
        let text = pprof(&go, &["-traces"], server, path);
        for frame in ["runtime_probe::", "core::task::wake::", "atomic_waker"] {
            assert!(!text.contains(frame), "{path}: {frame} in\n{text}");
        }
        // A sample of `debug=3` begins with its labels.
        let text: String = text
            .lines()
            .filter(|line| !line.contains(":  "))
            .map(|line| format!("{line}\n"))
            .collect();
        let traces = traces(&text);
        let of = |name: &str| {
            let mut stacks = traces.iter().map(|(_, stack)| stack);
            stacks.find(|stack| stack.iter().any(|f| f.ends_with(name)))
        };
        for (name, leaf) in [
            (
                "::kind_chan_receive",
                "tokio::sync::mpsc::bounded::Receiver::recv",
            ),
            (
                "::kind_chan_send",
                "tokio::sync::mpsc::bounded::Sender::send",
            ),
            ("::kind_mutex_lock", "tokio::sync::mutex::Mutex::lock"),
        ] {
            let stack = of(name).unwrap_or_else(|| panic!("{path}: {name} in\n{text}"));
            assert_eq!(stack[0], leaf, "{path}: {stack:?}");
            let root = stack.last().unwrap();
            assert!(root.ends_with(name), "{path}: {stack:?}");
        }
    }
}

#[test]
fn pprof_groups_and_filters_tasks_by_their_labels() {
    let Some(go) = Go::find("pprof_labels") else {
        return;
    };
    let server = application().server;
    let path = "goroutine?debug=3&match=kind_";
    let tags = pprof(&go, &["-tags"], server, path);
    assert!(tags.contains("  3 (37.50%): chan receive\n"), "{tags}");
    let text = pprof(&go, &["-traces", "-tagroot=state"], server, path);
    // Labels, the count with the leaf, and the root, which is the state.
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for trace in text
        .split("-----------+")
        .skip(1)
        .filter(|trace| trace.contains("id:  "))
    {
        *states
            .entry(trace.lines().last().unwrap().trim())
            .or_default() += 1;
    }
    assert_eq!(states, BTreeMap::from(KINDS), "{text}");
    let raw = pprof(&go, &["-raw"], server, path);
    assert_eq!(raw.matches("wait:[").count(), 8, "{raw}");
    assert!(raw.contains(" nanoseconds]"), "{raw}");
}

#[test]
fn pprof_reads_what_changed_and_why_nothing_is_there() {
    let Some(go) = Go::find("pprof_delta") else {
        return;
    };
    let server = application().server;
    let span = std::thread::spawn(move || {
        let delta = get(server, "/debug/pprof/goroutine?seconds=2&match=begins$");
        assert_eq!(delta.status, 200);
        delta.body
    });
    std::thread::sleep(std::time::Duration::from_millis(700));
    let runtime = runtime_probe::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    async fn begins() {
        std::future::pending().await
    }
    let tasks: Vec<_> = (0..7).map(|_| runtime.spawn(begins())).collect();
    let file = go.file("delta.pb.gz", &span.join().unwrap());
    let top = go.pprof_text(&["-top"], &file);
    assert!(top.contains("Duration: 2"), "{top}");
    assert!(
        top.contains("Showing nodes accounting for 7, 100% of 7 total\n"),
        "{top}"
    );
    drop(tasks);

    let nothing = "goroutine?match=nothing_at_all";
    let comments = pprof(&go, &["-comments"], server, nothing);
    assert!(
        comments.starts_with("no task matches match=nothing_at_all: "),
        "{comments}"
    );
    for path in [nothing, "goroutine?debug=1&match=nothing_at_all"] {
        let top = pprof(&go, &["-top"], server, path);
        assert!(
            top.contains("Showing nodes accounting for 0, "),
            "{path}: {top}"
        );
    }
}

#[test]
fn pprof_shows_why_there_is_no_profile() {
    let Some(go) = Go::find("pprof_refused") else {
        return;
    };
    let server = application().server;
    for (path, sentence) in [
        ("nosuch", "Unknown profile"),
        (
            "goroutine?debug=abc",
            "invalid value for \"debug\" - must be a non-negative integer",
        ),
    ] {
        let url = format!("http://{server}/debug/pprof/{path}");
        let output = go.output(pprof_arguments(&["-raw"], &url));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains(sentence), "{stderr}");
    }
}

/// Requests that Go and the probe answer in the same way: status, headers, and the text of an error.
const ALIKE: [&str; 16] = [
    "GET /debug/pprof/",
    "GET /debug/pprof/goroutine",
    "GET /debug/pprof/goroutine?debug=0",
    "GET /debug/pprof/goroutine?debug=1",
    "GET /debug/pprof/goroutine?debug=2",
    "HEAD /debug/pprof/goroutine?debug=1",
    "GET /debug/pprof/cmdline",
    "GET /debug/pprof/symbol?0x1",
    "GET /debug/pprof/nosuch",
    "GET /debug/pprof/nosuch?debug=1",
    "GET /debug/pprof/goroutine/",
    "GET /debug/pprof/goroutine?seconds=abc",
    "GET /debug/pprof/goroutine?seconds=0&debug=1",
    "GET /debug/pprof/goroutine?seconds=1",
    "POST /debug/pprof/goroutine",
    "DELETE /debug/pprof/cmdline",
];

#[test]
fn go_says_the_same_of_the_same() {
    let Some(go) = Go::find("differential") else {
        return;
    };
    let server = application().server;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/kinds.go");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential");
    let arguments = [OsStr::new("run"), source.as_os_str(), folder.as_os_str()];
    let answers = go.run(arguments.into_iter().chain(ALIKE.map(OsStr::new)));

    let ours: String = ALIKE
        .iter()
        .map(|request| answer(server, request))
        .collect();
    assert_eq!(ours, String::from_utf8(answers).unwrap());

    let theirs = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let ours = |path: &str| get(server, path).text().to_owned();

    let blocks = grammar::read_goroutines(&theirs("debug2")).unwrap();
    let expected = kinds(&blocks);
    assert_eq!(expected.len(), KINDS.len(), "{expected:?}");
    let blocks = grammar::read_goroutines(&ours("/debug/pprof/goroutine?debug=2&plain=1")).unwrap();
    assert_eq!(kinds(&blocks), expected);

    let expected = grammar::read_counts(&theirs("debug1")).unwrap();
    let counts = grammar::read_counts(&ours("/debug/pprof/goroutine?debug=1")).unwrap();
    assert_eq!(counts.name, expected.name);
    assert_eq!(counts_of_kinds(&counts), counts_of_kinds(&expected));

    let head = |raw: &str| -> Vec<String> {
        let lines = raw.lines().filter(|line| !line.starts_with("Time: "));
        let head = lines.take_while(|line| !line.contains(':') || !line.starts_with("     "));
        head.map(str::to_owned).collect()
    };
    let expected = head(&go.pprof_text(&["-raw"], &folder.join("debug0")));
    assert_eq!(expected.last().unwrap(), "goroutine/count");
    assert_eq!(head(&pprof(&go, &["-raw"], server, "goroutine")), expected);
}

/// Our answer in the format of `kinds.go`.
fn answer(server: SocketAddr, request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    let answer = ask(server, method, path, "");
    let mut line = format!("{request}|{}", answer.status);
    for name in [
        "content-type",
        "x-content-type-options",
        "content-disposition",
        "x-go-pprof",
        "allow",
    ] {
        line += &format!("|{}", answer.header(name).unwrap_or_default());
    }
    let body = if answer.status < 400 {
        ""
    } else {
        answer.text()
    };
    line + &format!("|{body:?}\n")
}

/// The tasks of `kind_*` functions: the name without case and underscores, the text in the brackets, and the function
/// that started it.
fn kinds(blocks: &[Block]) -> BTreeMap<(String, String, String), usize> {
    let mut kinds = BTreeMap::new();
    for block in blocks {
        let Some(kind) = block.frames.iter().find_map(|f| kind(&f.function)) else {
            continue;
        };
        let started_by = &block.created_by.as_ref().unwrap().function;
        let started_by = last_part(started_by).to_lowercase().replace('_', "");
        *kinds
            .entry((kind, block.state.clone(), started_by))
            .or_default() += 1;
    }
    kinds
}

fn counts_of_kinds(counts: &Counts) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for group in &counts.groups {
        for comment in &group.comments {
            assert_eq!(comment.len(), 3, "an address, a function and a position");
        }
        let kind = group.comments.iter().find_map(|comment| {
            let (function, _offset) = comment[1].rsplit_once("+0x")?;
            kind(function)
        });
        if let Some(kind) = kind {
            *kinds.entry(kind).or_default() += group.count;
        }
    }
    kinds
}

/// `chanreceive` for `main.kindChanReceive` and `support::tasks::kind_chan_receive`.
fn kind(function: &str) -> Option<String> {
    let name = last_part(function).to_lowercase().replace('_', "");
    name.strip_prefix("kind").map(str::to_owned)
}

fn last_part(function: &str) -> &str {
    function.rsplit([':', '.']).next().unwrap_or(function)
}
