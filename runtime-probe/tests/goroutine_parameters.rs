//! The parameters of `/debug/pprof/goroutine`, on real sockets.
#![cfg(feature = "full")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::Profile;
use runtime_dump_testing::grammar::{self, Block};
use support::client::{self, Answer, get};
use support::tasks::{Application, application};

mod support {
    #[allow(dead_code, reason = "every request is a GET here")]
    pub mod client;
    #[allow(dead_code, reason = "not every kind is looked at here")]
    pub mod tasks;
}

fn ask(query: &str) -> Answer {
    get(
        application().server,
        &format!("/debug/pprof/goroutine?{query}"),
    )
}

#[track_caller]
fn blocks(query: &str) -> (String, Vec<Block>) {
    let answer = ask(query);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text().to_owned();
    let blocks = grammar::read_goroutines(&text).unwrap();
    (text, blocks)
}

/// The functions of this program's tasks in the dump, by the part of their name after `kind_`.
fn kinds(blocks: &[Block]) -> Vec<&str> {
    let frames = blocks.iter().flat_map(|block| &block.frames);
    let mut kinds: Vec<&str> = frames
        .filter_map(|frame| Some(frame.function.split_once("::kind_")?.1))
        .collect();
    kinds.sort_unstable();
    kinds
}

#[track_caller]
fn profile(query: &str) -> Profile {
    let answer = ask(query);
    assert_eq!(
        answer.status,
        200,
        "{:?}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    Profile::decode(&answer.body).unwrap()
}

fn comments(profile: &Profile) -> Vec<&str> {
    let comments = profile.comment.iter();
    comments.map(|comment| profile.string(*comment)).collect()
}

fn total(profile: &Profile) -> i64 {
    profile.sample.iter().map(|sample| sample.value[0]).sum()
}

#[test]
fn match_is_found_in_functions_and_spawn_locations() {
    let (text, of_function) = blocks("debug=2&match=kind_chan_(receive|send)$");
    assert_eq!(
        kinds(&of_function),
        ["chan_receive", "chan_receive", "chan_receive", "chan_send"],
        "{text}"
    );
    let (all, matching) = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# 4 of "))
        .and_then(|line| line.split_once(" tasks match "))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(all.parse::<u64>().unwrap() >= 11);
    assert_eq!(matching, "match=kind_chan_(receive|send)$");

    // The spawn of the task whose function is `kind_sleep`, by its line.
    let (_, slept) = blocks("debug=2&match=kind_sleep");
    let created = &slept[0].created_by.as_ref().unwrap().position;
    let spawn = format!("debug=2&match=support/tasks.rs:{}:", created.line);
    let (text, spawned_there) = blocks(&spawn);
    assert_eq!(kinds(&spawned_there), ["sleep"], "{text}");
    // The function that spawned it. Scaffolding, which no dump shows, is not found.
    assert!(blocks("debug=2&match=start_all").1.len() >= 11);
    assert_eq!(blocks("debug=2&match=Instrumented").1.len(), 0);
    // The name of a task.
    let runtime = runtime_probe::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let name = "the one and only";
    let named = runtime.block_on(async {
        let pending = std::future::pending::<()>();
        runtime_probe::task::Builder::new()
            .name(name)
            .spawn(pending)
    });
    let named = named.unwrap().id().to_string();
    let (text, found) = blocks("debug=2&match=one+and+only");
    let found: Vec<String> = found.iter().map(|block| block.id.to_string()).collect();
    assert_eq!(found, [named], "{text}");
    let sample = profile("debug=3&match=one+and+only");
    let labels = sample.sample[0].label.iter();
    let texts: Vec<&str> = labels.map(|label| sample.string(label.str)).collect();
    assert!(texts.contains(&name), "{texts:?}");

    assert_eq!(profile("match=kind_chan_receive").sample[0].value, [3]);
    let counts = ask("debug=1&match=kind_chan_receive");
    let counts = grammar::read_counts(counts.text()).unwrap();
    assert_eq!((counts.total, counts.groups.len()), (3, 1));
}

#[test]
fn state_is_a_word_or_a_reason() {
    let (_, waiting) = blocks("debug=2&state=waiting");
    assert!(waiting.iter().all(|block| {
        block
            .remarks
            .iter()
            .any(|remark| remark.starts_with("# waiting "))
    }));
    assert!(kinds(&waiting).contains(&"sleep"));
    let (text, some) = blocks("debug=2&state=Sleep,chan%20send&match=kind_");
    // One branch of the select sleeps.
    assert_eq!(kinds(&some), ["chan_send", "select", "sleep"], "{text}");
    let (_, running) = blocks("debug=2&state=running");
    let roots = running.iter().filter_map(|block| block.frames.last());
    let mut roots = roots.map(|frame| &frame.function);
    assert!(
        roots.any(|root| root.ends_with("hold_a_worker")),
        "{running:?}"
    );
    assert!(
        running.iter().all(|block| block.state == "running"),
        "{running:?}"
    );
}

#[test]
fn minwait_is_a_go_duration() {
    application();
    std::thread::sleep(Duration::from_millis(60));
    // The ticker sleeps a millisecond at a time; all others wait for ever.
    let (text, long) = blocks("debug=2&minwait=50ms");
    assert!(!text.contains("::tick("), "{text}");
    assert!(kinds(&long).contains(&"sleep"), "{text}");
    let (text, none) = blocks("debug=2&minwait=1h2m3.5s");
    assert!(none.is_empty(), "{text}");
    let (_, all) = blocks("debug=2&minwait=0");
    assert!(all.len() >= 11);
}

#[test]
fn limit_keeps_the_first_and_says_what_it_leaves_out() {
    let (text, three) = blocks("debug=2&limit=3");
    assert_eq!(three.len(), 3);
    assert_eq!(three[0].state, "running");
    let remark = text.lines().next().unwrap();
    let (all, left_out) = remark
        .strip_prefix("# ")
        .and_then(|rest| rest.split_once(" tasks; limit leaves out "))
        .and_then(|(all, rest)| Some((all.parse::<u64>().ok()?, rest.strip_suffix(" of them")?)))
        .unwrap_or_else(|| panic!("{text}"));
    assert_eq!(left_out.parse(), Ok(all - 3));

    let plain = ask("debug=2&limit=3&plain=1");
    assert!(plain.text().starts_with("goroutine "), "{}", plain.text());
    let (_, all) = blocks("debug=2&limit=1000000");
    assert!(all[0].remarks.len() == 1, "{:?}", all[0].remarks);

    // In a list of stacks the most frequent ones are kept.
    let answer = ask("debug=1&limit=1&match=kind_");
    let counts = grammar::read_counts(answer.text()).unwrap();
    assert_eq!((counts.total, counts.groups.len()), (3, 1));
    // The total of each answer is its own: tasks begin and end.
    let is_the_remark = |remark: &str| {
        remark.starts_with("8 of ")
            && remark.ends_with(" tasks match match=kind_; limit leaves out 5 stacks of 5 tasks")
    };
    let remark = answer.text().lines().nth(1).unwrap();
    let remark = remark.strip_prefix("# ").unwrap_or_default();
    assert!(is_the_remark(remark), "{}", answer.text());
    let profile = profile("limit=1&match=kind_");
    assert_eq!(profile.sample.len(), 1);
    let comments = comments(&profile);
    assert!(is_the_remark(comments[0]), "{comments:?}");
}

#[test]
fn equal_stacks_are_one_block() {
    let (text, groups) = blocks("debug=2&group=1&match=kind_");
    let state = |block: &Block| block.state.clone();
    let states: BTreeSet<String> = groups.iter().map(state).collect();
    // Six kinds; three tasks are of one of them.
    assert_eq!((groups.len(), states.len()), (6, 6), "{text}");
    let received = groups
        .iter()
        .find(|block| block.state == "chan receive")
        .unwrap();
    let remark = received.remarks.last().unwrap();
    assert!(remark.starts_with("# 3 tasks, waiting "), "{remark}");
    let ids: BTreeSet<&str> = remark
        .split("(goroutine ")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    let (_, each) = blocks("debug=2&match=kind_chan_receive");
    let expected: BTreeSet<String> = each.iter().map(|block| block.id.to_string()).collect();
    assert_eq!(ids, expected.iter().map(String::as_str).collect());
    let sleep = groups.iter().find(|block| block.state == "sleep").unwrap();
    assert!(
        sleep.remarks.last().unwrap().starts_with("# waiting "),
        "{text}"
    );

    let (text, one) = blocks("debug=2&group=1&match=kind_&limit=1");
    assert_eq!(one.len(), 1);
    let remark = text.lines().next().unwrap();
    assert!(
        remark.contains("; limit leaves out 5 stacks of "),
        "{remark}"
    );
}

#[test]
fn names_can_be_full() {
    let function = |query: &str, with: &str| {
        let (text, blocks) = blocks(query);
        let mut frames = blocks.iter().flat_map(|block| &block.frames);
        let found = frames.find(|frame| frame.function.contains(with));
        found
            .unwrap_or_else(|| panic!("{with} in {text}"))
            .function
            .clone()
    };
    assert_eq!(
        function("debug=2&match=kind_chan_receive&names=short", "Receiver"),
        "tokio::sync::mpsc::bounded::Receiver::recv"
    );
    let full = function("debug=2&match=kind_chan_receive&names=full", "Receiver");
    assert!(
        full.starts_with("tokio::sync::mpsc::bounded::Receiver<"),
        "{full}"
    );
    assert!(
        full.ends_with("::recv::{{closure}}") || full.ends_with("::recv::{closure#0}"),
        "{full}"
    );
    let named = |query: &str| {
        let profile = profile(query);
        let functions = profile.function.iter();
        let names: Vec<String> = functions
            .map(|function| profile.string(function.name).to_owned())
            .collect();
        names
    };
    assert!(named("match=kind_chan_receive&names=full").contains(&full));
    assert!(!named("match=kind_chan_receive").contains(&full));
}

/// The same calls, as in a loop that the compiler has unrolled.
macro_rules! unrolled {
    ($spawn:expr) => {
        [$spawn, $spawn, $spawn]
    };
}

#[test]
fn one_spawn_at_several_addresses_is_one_block() {
    async fn of_an_unrolled_loop() {
        std::future::pending::<()>().await;
    }
    let runtime = runtime_probe::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handle = runtime.handle();
    let tasks = unrolled!(handle.spawn(of_an_unrolled_loop()));
    runtime.block_on(runtime_probe::task::yield_now());
    let (text, each) = blocks("debug=2&match=of_an_unrolled_loop");
    let offsets = text
        .lines()
        .filter(|line| line.contains("goroutine_parameters.rs:") && line.contains(" +0x"));
    let offsets: BTreeSet<&str> = offsets.collect();
    assert_eq!((each.len(), offsets.len()), (3, 3), "{text}");
    let (text, groups) = blocks("debug=2&group=1&match=of_an_unrolled_loop");
    assert_eq!(groups.len(), 1, "{text}");
    assert!(
        groups[0].remarks.last().unwrap().starts_with("# 3 tasks, "),
        "{text}"
    );
    drop(tasks);
}

#[test]
fn an_empty_dump_says_why() {
    let why = |text: &str| {
        let tasks = text
            .strip_prefix("no task matches match=nothing <here>\\n, minwait=1s: ")
            .and_then(|rest| rest.strip_suffix(" tasks, 0 match"))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(tasks.parse::<u64>().unwrap() >= 11, "{text}");
    };
    const FILTER: &str = "match=nothing+%3Chere%3E%0A&minwait=1s";
    for form in ["debug=2", "debug=2&group=1"] {
        let (text, blocks) = blocks(&format!("{form}&{FILTER}"));
        assert!(blocks.is_empty());
        why(text.strip_prefix("# ").unwrap().trim_end());
    }
    let counts = ask(&format!("debug=1&{FILTER}"));
    assert_eq!(grammar::read_counts(counts.text()).unwrap().total, 0);
    let line = counts.text().lines().nth(1).unwrap();
    why(line.strip_prefix("# ").unwrap());
    for form in ["debug=0", "debug=3"] {
        let profile = profile(&format!("{form}&{FILTER}"));
        assert!(profile.sample.is_empty());
        why(comments(&profile)[0]);
    }
    let folded = ask(&format!("format=folded&{FILTER}"));
    assert_eq!(folded.text().lines().count(), 1);
    why(folded.text().strip_prefix("# ").unwrap().trim_end());
}

#[test]
fn debug_3_has_a_sample_for_each_task() {
    let answer = ask("debug=3&match=kind_");
    let disposition = "attachment; filename=\"goroutine\"";
    assert_eq!(answer.header("content-disposition"), Some(disposition));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let profile = profile("debug=3&match=kind_");
    let label = |sample: &runtime_dump::profile::proto::Sample, key: &str| {
        let mut labels = sample.label.iter();
        *labels
            .find(|label| profile.string(label.key) == key)
            .unwrap()
    };
    let states: Vec<&str> = profile
        .sample
        .iter()
        .map(|sample| profile.string(label(sample, "state").str))
        .collect();
    assert_eq!(
        states
            .iter()
            .filter(|state| **state == "chan receive")
            .count(),
        3
    );
    assert_eq!(states.len(), 8);
    let ids: BTreeSet<i64> = profile
        .sample
        .iter()
        .map(|sample| label(sample, "id").num)
        .collect();
    assert_eq!(ids.len(), 8);
    for sample in &profile.sample {
        assert_eq!(sample.value, [1]);
        let wait = label(sample, "wait");
        assert!(wait.num > 0);
        assert_eq!(profile.string(wait.num_unit), "nanoseconds");
        let spawned = profile.string(label(sample, "spawned").str);
        assert!(spawned.contains("support/tasks.rs:"), "{spawned}");
    }
    // The longest wait comes first, as in the text.
    let waits: Vec<i64> = profile
        .sample
        .iter()
        .map(|sample| label(sample, "wait").num)
        .collect();
    assert!(waits.is_sorted_by(|a, b| a >= b), "{waits:?}");
}

#[test]
fn seconds_is_what_changed_meanwhile() {
    // Tasks that end, and tasks that begin, within the seconds.
    async fn ends(gate: runtime_probe::sync::oneshot::Receiver<()>) {
        let _ = gate.await;
    }
    async fn begins() {
        std::future::pending::<()>().await;
    }
    let runtime = runtime_probe::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let gates: Vec<_> = (0..5)
        .map(|_| {
            let (gate, at_gate) = runtime_probe::sync::oneshot::channel();
            runtime.spawn(ends(at_gate));
            gate
        })
        .collect();
    let until = |name: &str, count: usize| {
        let deadline = Instant::now() + client::PATIENCE;
        while blocks(&format!("debug=2&state=waiting&match={name}$"))
            .1
            .len()
            != count
        {
            assert!(Instant::now() < deadline);
        }
    };
    until("ends", 5);
    let span = std::thread::spawn(|| {
        let answer = ask("seconds=2&match=::(begins|ends)$");
        let disposition = "attachment; filename=\"goroutine-delta\"";
        assert_eq!(answer.header("content-disposition"), Some(disposition));
        Profile::decode(&answer.body).unwrap()
    });
    let in_form = |form: &'static str| {
        std::thread::spawn(move || {
            let answer = ask(&format!("seconds=2&match=::(begins|ends)$&{form}"));
            assert_eq!(answer.status, 200, "{form}");
            answer.text().to_owned()
        })
    };
    let text = in_form("debug=1");
    let folded = in_form("format=folded");
    #[cfg(feature = "flamegraph")]
    let picture = in_form("format=flamegraph");
    std::thread::sleep(Duration::from_millis(700));
    drop(gates);
    (0..3).for_each(|_| drop(runtime.spawn(begins())));
    let text = text.join().unwrap();
    assert!(
        text.starts_with("goroutine profile: total -2\n# change within 2"),
        "{text}"
    );
    let (begun, ended) = (text.find("\n3 @ 0x"), text.find("\n-5 @ 0x"));
    assert!(begun.is_some() && begun < ended, "{text}");
    assert!(
        text[begun.unwrap()..ended.unwrap()].contains("::begins"),
        "{text}"
    );
    let folded = folded.join().unwrap();
    let mut lines: Vec<_> = folded
        .lines()
        .filter(|line| line.contains(';') || line.contains("::begins"))
        .collect();
    lines.sort_unstable();
    assert!(
        matches!(lines[..], [begins, ends] if begins.ends_with("::begins 3") && ends.contains("::ends;") && ends.ends_with(" -5")),
        "{folded}"
    );
    #[cfg(feature = "flamegraph")]
    {
        let picture = picture.join().unwrap();
        assert!(
            picture.contains("::begins (3 goroutine, 100.00%)"),
            "{picture}"
        );
        assert!(picture.contains("1 stacks that became fewer are left out"));
    }
    let delta = span.join().unwrap();
    let of = |name: &str| {
        let function = |id: &u64| {
            let lines = delta.location[*id as usize - 1].line.iter();
            lines
                .map(|line| delta.string(delta.function[line.function_id as usize - 1].name))
                .any(|function| function.ends_with(name))
        };
        let samples = delta
            .sample
            .iter()
            .filter(|sample| sample.location_id.iter().any(function));
        samples.map(|sample| sample.value[0]).collect::<Vec<_>>()
    };
    assert_eq!(of("::ends"), [-5]);
    assert_eq!(of("::begins"), [3]);
    assert_eq!(delta.sample.len(), 2);
    assert!(
        (2_000_000_000..12_000_000_000).contains(&delta.duration_nanos),
        "{}",
        delta.duration_nanos
    );
    assert_eq!(total(&delta), -2);

    let nothing = profile("seconds=1&match=::(begins|ends)$");
    assert!(nothing.sample.is_empty());
    let last = comments(&nothing).last().copied().unwrap().to_owned();
    assert!(
        last.starts_with("no stack has more or fewer tasks than 1.0s before"),
        "{last}"
    );
}

#[test]
fn folded_stacks_count_all_tasks() {
    let answer = ask("format=folded&match=kind_");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let lines: Vec<&str> = answer.text().lines().collect();
    assert!(lines[0].starts_with("# 8 of "), "{lines:?}");
    let counts: Vec<(&str, u64)> = lines[1..]
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(stack, count)| (stack, count.parse().unwrap()))
        .collect();
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 8);
    assert!(!answer.text().contains("Instrumented"), "{counts:?}");
    let received = counts.iter().filter(|(stack, _)| {
        stack.contains("::kind_chan_receive;tokio::sync::mpsc::bounded::Receiver::recv")
    });
    assert_eq!(
        received.map(|(_, count)| *count).collect::<Vec<_>>(),
        [3],
        "{counts:?}"
    );
}

#[test]
fn a_flame_graph_is_a_picture_or_a_sentence_that_says_what_it_needs() {
    let answer = ask("format=flamegraph&match=kind_%7C%3Cscript%3E");
    if cfg!(feature = "flamegraph") {
        assert_eq!(answer.header("content-type"), Some("image/svg+xml"));
        let picture = answer.text();
        assert!(picture.contains("<svg ") && picture.trim_end().ends_with("</svg>"));
        assert!(
            picture.contains("kind_chan_receive (3 goroutine, 37.50%)"),
            "{picture}"
        );
        assert!(picture.contains("truncate_text_right = true"), "{picture}");
        assert!(picture.contains("match=kind_|&lt;script&gt;"), "{picture}");
        let empty = ask("format=flamegraph&match=nothing");
        assert!(
            empty.text().starts_with("# no task matches "),
            "{}",
            empty.text()
        );
    } else {
        assert_eq!(answer.status, 501);
        assert!(
            answer
                .text()
                .contains("needs the feature \"flamegraph\" of runtime-probe")
        );
    }
}

#[test]
fn frames_are_those_of_some_crates_and_of_what_is_waited_for() {
    let name = "kind_chan_receive";
    let (_, found) = blocks(&format!("debug=2&match={name}&crate=goroutine-parameters"));
    assert_eq!(found.len(), 3);
    for block in &found {
        let functions: Vec<_> = block.frames.iter().map(|frame| &*frame.function).collect();
        assert!(
            matches!(functions[..], ["tokio::sync::mpsc::bounded::Receiver::recv", own] if own.ends_with(name)),
            "{functions:?}"
        );
        let position = &block.frames[0].position;
        assert!(position.file.starts_with("tokio-"), "{position:?}");
    }
    let folded = ask(&format!(
        "format=folded&match={name}&crate=goroutine_parameters"
    ));
    assert!(
        folded.text().contains(&format!(
            "{name};tokio::sync::mpsc::bounded::Receiver::recv 3\n"
        )),
        "{}",
        folded.text()
    );
}

#[test]
fn bad_values_are_refused_with_a_sentence() {
    for (query, sentence) in [
        (
            "match=(",
            "invalid value for \"match\" - not a regular expression: ",
        ),
        (
            "minwait=10",
            "invalid value for \"minwait\" - must be a duration, such as 300ms, 10s or 1h2m3.5s",
        ),
        (
            "minwait=-1s",
            "invalid value for \"minwait\" - must not be negative",
        ),
        (
            "state=slep",
            "invalid value for \"state\" - \"slep\" is none of running, runnable, waiting, blocking, queued, IO wait, ",
        ),
        ("state=", "invalid value for \"state\" - \"\" is none of "),
        (
            "limit=0",
            "invalid value for \"limit\" - must be a positive integer",
        ),
        (
            "limit=-1",
            "invalid value for \"limit\" - must be a non-negative integer",
        ),
        (
            "names=long",
            "invalid value for \"names\" - must be short or full",
        ),
        ("debug=1&group=1", "group=1 needs debug=2"),
        (
            "debug=2&group=yes",
            "invalid value for \"group\" - must be a non-negative integer",
        ),
        (
            "debug=2&group=1&plain=1",
            "plain=1 leaves out the lines in which group=1 says how many tasks there are",
        ),
        ("debug=3&plain=1", "plain=1 needs debug=2"),
        (
            "debug=4",
            "invalid value for \"debug\" - must be 0, 1, 2 or 3",
        ),
        (
            "format=svg",
            "invalid value for \"format\" - must be folded or flamegraph",
        ),
        (
            "format=folded&debug=2",
            "format and debug params are incompatible",
        ),
        (
            "seconds=1&debug=2",
            "seconds and debug params are incompatible",
        ),
        (
            "seconds=1&limit=2",
            "seconds and limit params are incompatible",
        ),
        (
            "seconds=3601",
            "invalid value for \"seconds\" - must not be more than 3600",
        ),
        (
            "seconds=%2B5",
            "invalid value for \"seconds\" - must be a positive integer",
        ),
    ] {
        let answer = ask(query);
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.text().starts_with(sentence),
            "{query}: {}",
            answer.text()
        );
        assert_eq!(answer.header("x-go-pprof"), Some("1"));
    }
    let long = "a".repeat(257);
    let answer = ask(&format!("match={long}"));
    assert_eq!(
        answer.text(),
        "invalid value for \"match\" - must not be longer than 256 bytes\n"
    );
}

#[test]
fn the_application_does_not_notice() {
    let application: &Application = application();
    for query in [
        "debug=3",
        "debug=2&group=1",
        "format=folded",
        "debug=2&match=kind_&names=full",
    ] {
        assert_eq!(ask(query).status, 200);
        application.wait_for_ticks(20);
    }
}
