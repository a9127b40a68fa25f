//! A timer that has ended is no branch, and two equal futures part in the `join!` that polls them.

use crate::process::{Faulty, never};

/// A job, a wait of it that lasts beside that for the lock, and where its timer ended.
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
    for (job, beside, ended) in JOBS {
        // All fifty in one block, whichever branch was polled first.
        let page = jobs.must(
            &format!("goroutine?debug=2&group=1&match=past_branches::{job}$"),
            &format!(
                r"\A.*\n# 50 tasks, waiting .*\n.*\[select\]:\nselect.branch_1_of_2\(...\)\n(.*\n)*past_branches::{job}\(...\)\n.*\ncreated by .*\n.*\n\z"
            ),
        );
        assert_eq!(page.matches("\nselect.branch_").count(), 2, "{page}");
        assert_eq!(
            page.matches("past_branches.rs:21").count(),
            1 + usize::from(job == "side_by_side"),
            "{page}"
        );
        assert!(page.contains(beside), "{page}");
        never(&page, ended);
    }
    let retried = jobs.must(
        "goroutine?debug=2&group=1&match=past_branches::with_deadline$",
        "^# 50 tasks, waiting ",
    );
    never(&retried, r"past_branches.rs:33$");
}
