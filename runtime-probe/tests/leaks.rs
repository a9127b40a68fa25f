//! Tasks that can never go on: the profile of them, and the check that a test leaves none.
#![cfg(feature = "full")]

use runtime_dump_testing::go::Go;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, mpsc};
use runtime_probe::{pprof, task, time};
use std::ffi::OsStr;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use support::dump::until;

mod support {
    pub mod dump;
}

fn written(debug: u32) -> Vec<u8> {
    let mut text = Vec::new();
    let leaks = pprof::lookup("goroutineleak").unwrap();
    leaks.write_to(&mut text, debug).unwrap();
    text
}

fn text(debug: u32) -> String {
    String::from_utf8(written(debug)).unwrap()
}

/// Keeps no waker after a wait that kept one.
async fn forgets_its_waker() {
    task::yield_now().await;
    poll_fn(|_| Poll::<()>::Pending).await;
}

async fn takes_both(first: Arc<Mutex<u8>>, second: Arc<Mutex<u8>>) {
    let _first = first.lock().await;
    time::sleep(Duration::from_millis(50)).await;
    let _second = second.lock().await;
}

async fn stands_behind(lock: Arc<Mutex<u8>>) {
    time::sleep(Duration::from_millis(100)).await;
    let _lock = lock.lock().await;
}

async fn goes_on(mut commands: mpsc::Receiver<()>) {
    commands.recv().await;
}

#[test]
fn tasks_without_a_waker_and_in_a_deadlock() {
    let runtime = Runtime::new().unwrap();
    let (one, other) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
    runtime.spawn(forgets_its_waker());
    runtime.spawn(takes_both(one.clone(), other.clone()));
    runtime.spawn(takes_both(other.clone(), one.clone()));
    runtime.spawn(stands_behind(one));
    let (commands, receiver) = mpsc::channel(1);
    runtime.spawn(goes_on(receiver));
    until(|text| text.contains("deadlock") && text.contains("goes_on"));

    let deadline = Instant::now() + Duration::from_secs(30);
    let counts = loop {
        let counts = text(1);
        if counts.contains("goroutineleak profile: total 4\n") {
            break counts;
        }
        assert!(Instant::now() < deadline, "{counts}");
    };
    for there in [
        "forgets_its_waker",
        "takes_both",
        "stands_behind",
        "# 4 tasks can never go on; found are tasks without any waker and those in a deadlock or behind one, ",
    ] {
        assert!(counts.contains(there), "{there}: {counts}");
    }
    assert!(!counts.contains("goes_on"), "{counts}");

    // As in Go: all goroutines, with a mark.
    let all = text(2);
    assert_eq!(all.matches(" (leaked)").count(), 4, "{all}");
    assert_eq!(all.matches("[sync.Mutex.Lock (leaked)").count(), 3, "{all}");
    assert_eq!(all.matches("[waiting (leaked)").count(), 1, "{all}");
    let healthy = all.split("\n\n").find(|block| block.contains("goes_on"));
    assert!(healthy.unwrap().contains("[chan receive"), "{all}");
    // No other dump has the mark.
    assert!(!support::dump::dump().contains("(leaked)"));

    if let Some(go) = Go::find("goroutineleak by go tool pprof") {
        let file = std::env::temp_dir().join(format!("leaks-{}.pb.gz", std::process::id()));
        std::fs::write(&file, written(0)).unwrap();
        let output = go.output(["tool", "pprof", "-top", file.to_str().unwrap()].map(OsStr::new));
        std::fs::remove_file(&file).unwrap();
        let top = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(top.contains("Type: goroutineleak"), "{top}");
        assert!(
            top.contains("Showing nodes accounting for 4, 100% of 4 total"),
            "{top}"
        );
    }

    // A task that another task can wake is no leak any more.
    drop(commands);
    runtime.shutdown_background();
}

fn one_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

fn left_behind(test: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(test)).err()?;
    Some(*panic.downcast::<String>().unwrap())
}

#[test]
fn a_check_passes_where_all_tasks_end() {
    for runtime in [one_thread(), Runtime::new().unwrap()] {
        runtime.spawn(pending::<()>());
        runtime.block_on(async {
            let began = time::Instant::now();
            let leaks = pprof::leak_check();
            task::spawn(async {}).await.unwrap();
            // Neither task has had its last poll at the time of the check.
            task::spawn(pending::<()>()).abort();
            task::spawn(async {
                for _ in 0..20 {
                    task::yield_now().await;
                }
            });
            leaks.verify().await;
            assert!(
                began.elapsed() < Duration::from_millis(900),
                "the clock went on"
            );
        });
    }
}

/// A handle is ready before tokio removes the task from its list.
#[test]
fn a_task_that_was_joined_is_never_left() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut slowest = Duration::ZERO;
    for _ in 0..JOINS / 100 {
        runtime.block_on(async {
            let leaks = pprof::leak_check();
            for _ in 0..100 {
                task::spawn(async {}).await.unwrap();
                // Spawned as by a dependency: its record ends in tokio's hook.
                tokio::spawn(async {}).await.unwrap();
            }
            let began = Instant::now();
            leaks.verify().await;
            slowest = slowest.max(began.elapsed());
        });
    }
    println!("the slowest check of {JOINS} took {slowest:?}");
}

/// 100,000 of each kind take 9 s in a debug build, with the same result.
const JOINS: usize = 20_000;

#[test]
fn a_check_fails_with_the_dump_of_what_is_left() {
    let runtime = one_thread();
    let (_commands, receiver) = mpsc::channel(1);
    let text = left_behind(|| {
        runtime.block_on(async {
            let leaks = pprof::leak_check();
            task::spawn(goes_on(receiver));
            leaks.verify().await;
        });
    })
    .unwrap();
    assert!(text.starts_with("tasks are left behind:\n\n"), "{text}");
    assert_eq!(text.matches("\ngoroutine ").count(), 1, "{text}");
    assert!(text.contains("leaks::goes_on"), "{text}");
    assert!(text.contains("[chan receive"), "{text}");
    assert!(text.contains("runtime-probe/tests/leaks.rs:"), "{text}");
}

#[test]
fn a_check_that_is_dropped_fails_too() {
    let runtime = Runtime::new().unwrap();
    let (commands, receiver) = mpsc::channel(1);
    let dropped = || {
        let _leaks = runtime.block_on(async {
            let leaks = pprof::leak_check();
            task::spawn(goes_on(receiver));
            leaks
        });
    };
    assert!(left_behind(dropped).unwrap().contains("goes_on"));
    // In a test that fails for another reason the check does not panic: a second panic would abort the process.
    let twice = left_behind(|| {
        let _leaks = runtime.block_on(async {
            let leaks = pprof::leak_check();
            task::spawn(pending::<()>());
            leaks
        });
        std::panic::panic_any("the test itself".to_owned());
    });
    assert_eq!(twice.unwrap(), "the test itself");
    drop(commands);
}

#[test]
fn a_check_leaves_out_what_it_is_told_to_and_other_runtimes() {
    let (runtime, other) = (one_thread(), Runtime::new().unwrap());
    let (_commands, receiver) = mpsc::channel(1);
    let line = line!() + 4;
    runtime.block_on(async {
        let by_site = pprof::leak_check().ignore(format!("leaks.rs:{line}:"));
        let by_type = pprof::leak_check().ignore("leaks::goes_on");
        task::spawn(goes_on(receiver));
        other.spawn(pending::<()>());
        by_site.verify().await;
        by_type.verify().await;
    });
}
