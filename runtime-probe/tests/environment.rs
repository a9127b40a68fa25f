//! A wrong value in the environment is one line on standard error and one on the index page.
#![cfg(feature = "full")]

use std::collections::BTreeSet;
use std::env;
use std::process::Command;
use support::client::get;

mod support {
    pub mod client;
}

const INSIDE: &str = "PROBE_TEST_INSIDE";

/// The probe's lines on standard error, and the index page, of a process with only these variables.
fn told(variables: &[(&str, &str)]) -> (Vec<String>, String) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_application", "--nocapture"])
        .env_clear()
        .env(INSIDE, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = said
        .lines()
        .filter_map(|line| line.strip_prefix("runtime-probe: "))
        .map(str::to_owned)
        .collect();
    (lines, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn an_application() {
    if env::var_os(INSIDE).is_none() {
        return;
    }
    let _runtime = runtime_probe::runtime::Runtime::new().unwrap();
    let server = runtime_probe::pprof::serve("127.0.0.1:0").unwrap();
    let page = get(server.local_addr().unwrap(), "/debug/pprof/");
    assert_eq!(page.status, 200);
    println!("{}", page.text());
}

#[test]
fn a_value_that_cannot_be_used_is_told_once_on_each_side() {
    for (name, value, says) in [
        ("RUNTIME_PROBE", "maybe", "neither on nor off"),
        ("RUNTIME_PROBE_BLOCK_RATE", "-1", "not a number of nanosec"),
        ("RUNTIME_PROBE_MUTEX_FRACTION", "-1", "not a number of unl"),
        ("RUNTIME_PROBE_MUTEX_FRACTION", "3000000000", "not a number"),
        ("RUNTIME_PROBE_TASK_HISTOGRAMS", "yes", "not 1 or 0"),
        ("RUNTIME_PROBE_SIGNAL", "abc", "neither a number nor off"),
        ("RUNTIME_PROBE_SIGNAL", "99", "there is no signal 99"),
        ("RUNTIME_PROBE_SIGQUIT", "core", "neither dump nor exit"),
        ("RUNTIME_PROBE_WATCHDOG", "soon", "must be a duration"),
        ("RUNTIME_PROBE_LISTEN", "nonsense", "cannot listen on"),
        ("RUNTIME_PROBE_DEBUG_FILE", "/none", "not the debug file"),
        ("RUNTIME_PROBE_WATCHDOGS", "1s", "is not known"),
        (
            "RUNTIME_PROBE_WATCHDOG_DIR",
            "/",
            "has no effect without RUNTIME_PROBE_WATCHDOG",
        ),
        (
            "RUNTIME_PROBE_TOKEN",
            "0123456789abcdef",
            "has no effect without RUNTIME_PROBE_LISTEN",
        ),
    ] {
        let (lines, page) = told(&[(name, value)]);
        assert_eq!(lines.len(), 1, "{name}={value}: {lines:?}");
        let line = &lines[0];
        assert!(line.contains(says), "{name}={value}: {line}");
        assert!(page.contains(&format!("<li>{line}</li>")), "{line}: {page}");
        assert!(!line.contains("0123456789abcdef"), "{line}");
    }
    let (lines, _) = told(&[
        ("RUNTIME_PROBE_WATCHDOG", "1s"),
        ("RUNTIME_PROBE_WATCHDOG_DIR", "/none"),
    ]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("not a directory"), "{lines:?}");
}

#[test]
fn what_can_be_used_is_taken_without_a_word() {
    let (lines, page) = told(&[
        ("RUNTIME_PROBE", "1"),
        ("RUNTIME_PROBE_BLOCK_RATE", "1000"),
        ("RUNTIME_PROBE_MUTEX_FRACTION", ""),
        ("RUNTIME_PROBE_TASK_HISTOGRAMS", "1"),
        ("RUNTIME_PROBE_SIGQUIT", "dump"),
        ("RUNTIME_PROBE_WATCHDOG", "poll=1s,wait=20s"),
        ("RUNTIME_PROBE_WATCHDOG_DIR", "/"),
        ("RUNTIME_PROBE_SIGNAL", "off"),
        ("RUNTIME_PROBABLY", "unrelated"),
    ]);
    assert_eq!(lines, Vec::<String>::new());
    assert!(page.contains("RUNTIME_PROBE_SIGNAL=off is"), "{page}");
}

#[test]
fn each_way_to_say_no_switches_it_off() {
    let pages: BTreeSet<bool> = ["off", "0", "false", "no", "OFF"]
        .into_iter()
        .map(|no| {
            let (lines, page) = told(&[("RUNTIME_PROBE", no), ("RUNTIME_PROBE_X", "1")]);
            assert_eq!(lines, Vec::<String>::new(), "{no}");
            page.contains("the probe is switched off")
        })
        .collect();
    assert_eq!(pages, BTreeSet::from([true]));
    let (_, page) = told(&[("RUNTIME_PROBE", "on")]);
    assert!(!page.contains("the probe is switched off"), "{page}");
}
