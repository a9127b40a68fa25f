//! `go tool pprof` reads what the encoders write, and says the same of both forms.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;

use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::cpu::{CpuProfile, Ran, Taken};
use runtime_dump::profile::proto::Profile;
use runtime_dump::stack::Stack;
use runtime_dump_testing::cases::{self, Case};
use runtime_dump_testing::go::Go;

#[path = "go_traces/traces.rs"]
mod traces;

/// pprof has no symbols for a text, and looks for a binary unless told not to.
const NO_SYMBOLS: &str = "-symbolize=none";

#[test]
fn pprof_reads_both_forms_alike() {
    let Some(go) = Go::find("both_forms") else {
        return;
    };
    for case in cases::all() {
        let (binary, text) = files(&go, &case);
        let binary = go.pprof_text(&["-raw"], &binary);
        assert!(
            binary.starts_with("PeriodType: goroutine count\nPeriod: 1\nTime: 2023-11-14 "),
            "{binary}"
        );
        let text = go.pprof_text(&["-raw", NO_SYMBOLS], &text);
        assert_eq!(
            samples_by_address(&binary),
            samples_by_address(&text),
            "{}",
            case.name
        );
        let total: u64 = samples_by_address(&binary).values().sum();
        assert_eq!(total, case.rows.len() as u64, "{}", case.name);
    }
}

#[test]
fn pprof_survives_its_own_round_trip() {
    let Some(go) = Go::find("round_trip") else {
        return;
    };
    for case in cases::all()
        .iter()
        .filter(|case| ["branches", "mappings", "rust_names"].contains(&case.name))
    {
        let (binary, _) = files(&go, case);
        let again = go.file("again.pb.gz", &go.pprof(&["-proto"], &binary));
        assert_eq!(
            go.pprof_text(&["-raw"], &binary),
            go.pprof_text(&["-raw"], &again),
            "{}",
            case.name
        );
        let again = Profile::decode(&std::fs::read(again).unwrap()).unwrap();
        let ours = case.profile();
        assert_eq!(again.sample, ours.sample, "{}", case.name);
        assert_eq!(again.location, ours.location, "{}", case.name);
    }
}

#[test]
fn pprof_shows_rust_names_as_they_are() {
    let Some(go) = Go::find("rust_names") else {
        return;
    };
    let case = named("rust_names");
    let (binary, _) = files(&go, &case);
    let names = case.tables.stacks[0]
        .trunk
        .iter()
        .map(|location| &*location.frames[0].function);
    let top = go.pprof_text(&["-top", "-nodefraction=0"], &binary);
    let traces = go.pprof_text(&["-traces"], &binary);
    for name in names {
        assert!(
            top.lines()
                .any(|line| line.ends_with(&format!("%  {name}"))),
            "{name} in {top}"
        );
        assert!(
            traces
                .lines()
                .any(|line| line.trim_start_matches("         1 ").trim() == name),
            "{name} in {traces}"
        );
    }
}

#[test]
fn pprof_shows_stacks_and_inlined_functions() {
    let Some(go) = Go::find("stacks") else { return };
    let (binary, _) = files(&go, &named("shared_stack"));
    let traces = go.pprof_text(&["-traces"], &binary);
    let expected = "
         3   tokio::sync::Semaphore::acquire
             app::db::get_conn (inline)
             app::db::query::{{closure}}
             app::serve::{{closure}}::{{closure}}
-----------+-------------------------------------------------------
         1   tokio::time::Sleep::poll
-----------+-------------------------------------------------------
";
    assert!(traces.ends_with(expected), "{traces}");
    let top = go.pprof_text(&["-top"], &binary);
    assert!(top.contains("Type: goroutine\n"), "{top}");
    assert!(
        top.contains("Showing nodes accounting for 4, 100% of 4 total\n"),
        "{top}"
    );
}

#[test]
fn pprof_subtracts_a_base() {
    let Some(go) = Go::find("base") else { return };
    let (base, _) = files(&go, &named("one_task"));
    let (binary, _) = files(&go, &named("shared_stack"));
    let top = go.pprof_text(&["-top", "-diff_base", base.to_str().unwrap()], &binary);
    // Three tasks against one at the same addresses, and one that is new.
    assert!(
        top.contains("Showing nodes accounting for 3, 300.00% of 1 total\n"),
        "{top}"
    );
}

#[test]
fn pprof_tells_tasks_apart_by_their_labels() {
    let Some(go) = Go::find("labels") else { return };
    for case in cases::all() {
        let samples = go.file(&format!("{}.samples.pb.gz", case.name), &case.samples());
        let raw = go.pprof_text(&["-raw"], &samples);
        let ids = raw.matches(" id:[").count();
        assert_eq!(ids, case.rows.len(), "{}: {raw}", case.name);
    }
    let case = named("minutes");
    let samples = go.file("minutes.pb.gz", &case.samples());
    let states = go.pprof_text(&["-tags"], &samples);
    for part in [
        " state: Total ",
        " spawned: Total ",
        " wait: Total ",
        " id: Total ",
    ] {
        assert!(states.contains(part), "{part} in {states}");
    }
    let of_state = go.pprof_text(&["-top", "-tagfocus=state=receive"], &samples);
    let waiting = case
        .rows
        .iter()
        .filter(|row| row.reason == "chan receive")
        .count();
    let focused = format!("Showing nodes accounting for {waiting}, ");
    assert!(waiting > 0 && of_state.contains(&focused), "{of_state}");
    let long = case
        .rows
        .iter()
        .filter(|row| row.since_ns >= 60_000_000_000);
    let long = long.count();
    // It says on standard error how it read the range.
    let options = ["tool", "pprof", "-top", "-tagfocus=wait=60s:"];
    let output = go.output(options.iter().map(OsStr::new).chain([samples.as_os_str()]));
    let of_minutes = String::from_utf8(output.stdout).unwrap();
    let focused = format!("Showing nodes accounting for {long}, ");
    assert!(long > 0 && of_minutes.contains(&focused), "{of_minutes}");
    let rooted = go.pprof_text(&["-traces", "-tagroot=state"], &samples);
    assert!(
        rooted.lines().any(|line| line.trim() == "chan receive"),
        "{rooted}"
    );
}

#[test]
fn pprof_reads_deltas_and_comments() {
    let Some(go) = Go::find("deltas") else { return };
    let case = named("shared_stack");
    let stacks = &case.tables.stacks;
    let count =
        |first, second| CountProfile::new("goroutine", [(&stacks[0], first), (&stacks[1], second)]);
    let mut after = count(1, 5);
    after.comment("two came, two went");
    let delta = after.since(&count(3, 3), 1_000_000_000);
    let delta = delta.to_profile(&case.tables.mappings, 2_000_000_000);
    let delta = go.file("delta.pb.gz", &delta.to_gzip());
    let raw = go.pprof_text(&["-raw"], &delta);
    assert!(
        raw.contains("\nDuration: 1\n") || raw.contains("Duration: 1s"),
        "{raw}"
    );
    let values: Vec<&str> = raw
        .lines()
        .skip_while(|line| *line != "Samples:")
        .skip(2)
        .take_while(|line| *line != "Locations")
        .map(|line| line.split_once(':').unwrap().0.trim())
        .collect();
    assert_eq!(values, ["2", "-2"], "{raw}");
    let comments = go.pprof_text(&["-comments"], &delta);
    assert_eq!(comments, "two came, two went\n");

    let mut nothing = CountProfile::new("goroutine", []);
    nothing.comment("no task matches");
    let binary = go.file("nothing.pb.gz", &nothing.to_profile(&[], 0).to_gzip());
    let top = go.pprof_text(&["-top"], &binary);
    assert!(top.contains("Showing nodes accounting for 0, "), "{top}");
    let mut text = Vec::new();
    nothing.write_text(&mut text).unwrap();
    let text = go.file("nothing.txt", &text);
    assert!(
        go.pprof_text(&["-raw"], &text)
            .starts_with("PeriodType: goroutine count\n")
    );
}

#[test]
fn pprof_reads_cpu_time_in_both_forms() {
    let Some(go) = Go::find("cpu_time") else {
        return;
    };
    let stack = Stack {
        missing: Some("no stack".into()),
        ..Stack::default()
    };
    let labels = [("spawned_at", "src/a.rs:1:2"), ("task", "a \"b\", c")];
    let ran = |labels, samples| Ran {
        stack: &stack,
        labels,
        samples,
    };
    let mut profile = CpuProfile::new(10_000_000, [ran(&labels, 70), ran(&[], 30)]);
    profile.comment("a remark");
    let taken = Taken {
        time_ns: 1_700_000_000_000_000_000,
        duration_ns: 1_000_000_000,
    };
    let binary = go.file("cpu.pb.gz", &profile.to_profile(&[], taken).to_gzip());
    let raw = go.pprof_text(&["-raw"], &binary);
    assert!(raw.contains("samples/count cpu/nanoseconds\n"), "{raw}");
    assert!(raw.contains("         70  700000000: 1 \n"), "{raw}");
    assert!(raw.contains("task:[a \"b\", c]"), "{raw}");
    let mut text = Vec::new();
    profile.write_text(&mut text).unwrap();
    let text = go.file("cpu.txt", &text);
    let raw = go.pprof_text(&["-raw", NO_SYMBOLS], &text);
    assert!(raw.starts_with("PeriodType: cpu count\n"), "{raw}");
    let counts: Vec<u64> = raw
        .lines()
        .filter_map(|line| line.trim().split_once(": ")?.0.parse().ok())
        .collect();
    assert!(counts.starts_with(&[70, 30]), "{raw}");
}

fn named(name: &str) -> Case {
    cases::all()
        .into_iter()
        .find(|case| case.name == name)
        .unwrap()
}

/// The binary file and the text.
fn files(go: &Go, case: &Case) -> (PathBuf, PathBuf) {
    let binary = go.file(&format!("{}.pb.gz", case.name), &case.profile().to_gzip());
    let text = go.file(&format!("{}.txt", case.name), case.count_text().as_bytes());
    (binary, text)
}

/// What `-raw` says: the count of each list of addresses.
fn samples_by_address(raw: &str) -> BTreeMap<Vec<String>, u64> {
    let lines = raw.lines().skip_while(|line| *line != "Samples:");
    let samples = lines
        .clone()
        .skip(2)
        .take_while(|line| *line != "Locations");
    let locations = lines
        .skip_while(|line| *line != "Locations")
        .skip(1)
        .take_while(|line| *line != "Mappings");
    // `     2: 0x555500001010 M=1 app::db::get_conn src/db.rs:31:0 s=0`; inlined functions below it have no number.
    let addresses: BTreeMap<&str, &str> = locations
        .filter_map(|line| line.split_once(": 0x"))
        .map(|(id, rest)| (id.trim(), rest.split_whitespace().next().unwrap()))
        .collect();
    // `          3: 1 2 3 `
    let sample = |line: &str| {
        let (count, ids) = line.split_once(':').unwrap();
        let list = ids
            .split_whitespace()
            .map(|id| addresses[id].to_owned())
            .collect();
        (list, count.trim().parse().unwrap())
    };
    samples.map(sample).collect()
}
