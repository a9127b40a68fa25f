//! A timer that has ended is no branch, and two equal futures are two branches of the `join!` that polls them.

use crate::process::{Faulty, line, never};

/// A job, its wait beside the wait for the lock, and the timer that has ended.
const JOBS: [(&str, &str, &str); 3] = [
    ("until_shutdown", r"tokio::sync::broadcast::", "Interval"),
    ("side_by_side", "tokio::sync::mutex::", "Sleep"),
    (
        "one_after_the_other",
        "<tokio::time::sleep::Sleep",
        "Interval",
    ),
];

#[test]
fn only_what_lasts_is_a_branch() {
    let jobs = Faulty::start(env!("CARGO_BIN_EXE_past_branches"), &[]);
    let lock = line("past_branches", "store.lock().await += 1");
    let lock = format!("past_branches.rs:{lock}");
    let pause = line("past_branches", "from_millis(20)");
    for (job, beside, ended) in JOBS {
        let locks = 1 + usize::from(job == "side_by_side");
        // At the begin they may all wait for their timers.
        let at_lock = format!(r"(.*\n)*.*{lock}\b.*\n").repeat(locks);
        // All fifty are in one block, whichever branch was polled first.
        let page = jobs.must(
            &format!("goroutine?debug=2&group=1&match=past_branches::{job}$"),
            &format!(
                r"\A.*\n# 50 tasks, waiting .*\n.*\[select\]:\nselect.branch_1_of_2\(...\)\n{at_lock}(.*\n)*past_branches::{job}\(...\)\n.*\ncreated by .*\n.*\n\z"
            ),
        );
        assert_eq!(page.matches("\nselect.branch_").count(), 2, "{page}");
        assert_eq!(page.matches(&lock).count(), locks, "{page}");
        assert!(page.contains(beside), "{page}");
        never(&page, ended);
    }
    let retried = jobs.must(
        "goroutine?debug=2&group=1&match=past_branches::with_deadline$",
        &format!(r"^# 50 tasks, waiting .*\n(.*\n)*.*{lock}\b"),
    );
    never(&retried, &format!(r"past_branches.rs:{pause}$"));
}

#[test]
fn a_lock_that_is_released_keeps_no_job() {
    let jobs = Faulty::start(env!("CARGO_BIN_EXE_past_branches"), &["repaired"]);
    jobs.goes_on(
        "tasks?debug=1",
        r"past_branches::with_deadline\nalive 0, spawned 50,",
    );
    jobs.goes_on(
        "goroutine?debug=2&group=1&match=past_branches::until_shutdown$",
        r"\[select\]:\n(.*\n)*?<?tokio::time::interval::",
    );
}
