//! A thread that waits for a shard of a map: the wait goes on, it is for a lock, and it is shown at the program's call.

use crate::process::{Faulty, line, never};

#[test]
fn the_insert_waits_for_a_lock() {
    for (how, workers) in [("join", "1"), ("spawn", "[12]")] {
        let players = Faulty::start(env!("CARGO_BIN_EXE_dashmap"), &[how]);
        players.must(
            "block?debug=1&ongoing=1",
            &format!(
                "^[0-9]{{9,}} {workers} @ .*\n# labels: .*sync.RWMutex.Lock, blocks a worker.*\n(#.*\n)*#.*dashmap::(record|.async fn.)"
            ),
        );
    }
}

/// The insert waits for another branch of its own task, and that branch is named.
#[test]
fn the_branch_beside_the_insert_is_named() {
    let players = Faulty::start(env!("CARGO_BIN_EXE_dashmap"), &["join"]);
    let sleeps = line("dashmap", "from_millis(150)");
    let page = players.must(
        "goroutine?debug=2&state=running&minwait=1s",
        &format!(
            r"^# running .*, a long poll: .*, another branch, as of its last poll: dashmap::(report|refresh|.async fn.) \(.*dashmap.rs:{sleeps}\) \[sleep\]"
        ),
    );
    assert_eq!(page.matches("another branch").count(), 1, "{page}");
}

/// Both workers are blocked; or one is, and nothing wakes the other.
#[test]
fn timers_stand_still() {
    let players = Faulty::start_with(
        env!("CARGO_BIN_EXE_dashmap"),
        &["spawn"],
        &[("RUNTIME_PROBE_WATCHDOG", "1s")],
    );
    let told = "timers and I/O of runtime [^ ]* stand still since [0-9.]+m?s: thread [0-9]+ \\([^)]*\\) polls goroutine [0-9]+ for .*";
    let page = players.must("goroutine?debug=2", &format!("^# {told}$"));
    // A sleep of 5 ms has the remark.
    let blinks = r"^# waiting .*its deadline may be past: the timers of its runtime stand still\ngoroutine \d+ \[sleep";
    let page_of_one = players.must("goroutine?debug=2&match=blink", blinks);
    never(
        &page_of_one,
        r"^# waiting .*dashmap.rs:\d+:\d+\ngoroutine \d+ \[sleep",
    );
    for path in [
        "goroutine?debug=1",
        "goroutine?format=folded",
        "block?debug=1",
        "mutex?debug=1",
        "threads?debug=1",
    ] {
        players.must(path, &format!("^# {told}$"));
    }
    players.must("tasks?debug=1", &format!("^{told}$"));
    players.must("", &format!("<li>{told}</li>"));
    players.must_say(&format!("^runtime-probe: {told}$"));
    // With the flag only, tokio tells how busy the worker on a thread is.
    let busy = match cfg!(tokio_unstable) {
        true => r"^#\t[01]\t+[0-9.]+s\t.*goroutine \d+ for [0-9.]+s$",
        false => {
            r"^#\tthread \d+ \(\S+\) is in a poll of goroutine \d+ for [0-9.]+s, which busy does not have yet$"
        }
    };
    let threads = players.must("threads?debug=2", busy);
    assert!(threads.contains("worker"), "{threads}{page}");
}

#[test]
fn a_copy_that_is_held_keeps_nothing_waiting() {
    for how in ["join", "spawn"] {
        let players = Faulty::start(env!("CARGO_BIN_EXE_dashmap"), &[how, "repaired"]);
        players.goes_on("tasks?debug=1", r"polls \d{2,}$");
        never(
            &players.page("block?debug=1&ongoing=1"),
            r"sync\.RWMutex|blocks a worker",
        );
    }
}
