//! Tasks that missed a notification, and where they wait.

use crate::process::{Faulty, line};

#[test]
fn the_sessions_that_wait_are_counted() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_lost_notify"), &[]);
    let wait = line("lost_notify", "end.notified().await;");
    service.must(
        "block?debug=1&ongoing=1",
        &format!(
            r"^\d{{7,}} 5 @ .*\n# labels: .*sync.Cond.Wait.*\n#.*tokio::sync::notify.*\n(#.*\n)*#.*lost_notify.rs:{wait}\n"
        ),
    );
    service.must(
        "goroutine?debug=2&group=1",
        r"^# 5 tasks, waiting .*\ngoroutine \d+ \[sync.Cond.Wait\]:\n",
    );
}

#[test]
fn sessions_that_were_told_before_they_waited() {
    let service = Faulty::start(env!("CARGO_BIN_EXE_lost_notify"), &["repaired"]);
    service.goes_on(
        "tasks?debug=1",
        r"lost_notify::session\nalive 0, spawned 5, finished 5,",
    );
}
