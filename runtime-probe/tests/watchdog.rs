//! The watchdog: what it tells of, in a process of its own whose standard error is read; and what it leaves behind.
//!
//! Without `tracing`, which would take the messages elsewhere.
#![cfg(all(feature = "full", target_os = "linux", not(feature = "tracing")))]

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use runtime_probe::pprof::{self, Watchdog};
use runtime_probe::runtime::Builder;
use support::application::{Application, PATIENCE};

mod support {
    pub mod application;
}

/// What a busy machine does to a poll is shorter.
const LIMIT: Duration = Duration::from_millis(500);

#[test]
#[ignore = "wants a process of its own"]
fn an_application() {
    let fault = std::env::var("WATCHDOG_TEST").unwrap();
    let mut watchdog = Watchdog::new(LIMIT).growth_every(Duration::from_millis(100));
    if let Some(directory) = std::env::var_os("WATCHDOG_TEST_DIR") {
        watchdog = watchdog
            .quiet(Duration::ZERO)
            .dump_into(directory)
            .dumps(2, 400);
    }
    let _watching = watchdog.start();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    match &*fault {
        "blocks" => drop(runtime.spawn(blocks())),
        "blocks again" => drop(runtime.spawn(async {
            loop {
                thread::sleep(2 * LIMIT);
                runtime_probe::task::yield_now().await;
            }
        })),
        "starves" => {
            // A current-thread runtime that nobody drives has a task that is ready.
            let other = Builder::new_current_thread().build().unwrap();
            let (sender, receiver) = runtime_probe::sync::oneshot::channel::<()>();
            let waits = other.spawn(async { drop(receiver.await) });
            other.block_on(runtime_probe::task::yield_now());
            other.block_on(runtime_probe::task::yield_now());
            drop(sender);
            thread::sleep(PATIENCE);
            drop(waits);
        }
        "leaks" => {
            for batch in 0.. {
                for _ in 0..30 {
                    runtime.spawn(leaked());
                }
                eprintln!("batch {batch}");
                // Several in the time between two counts.
                thread::sleep(Duration::from_millis(20));
            }
        }
        _ => {}
    }
    runtime.block_on(async {
        loop {
            runtime_probe::time::sleep(LIMIT / 10).await;
        }
    });
}

async fn blocks() {
    thread::sleep(2 * PATIENCE);
}

async fn leaked() {
    std::future::pending::<()>().await;
}

impl Application {
    fn start(fault: &str, environment: &[(&str, &str)]) -> Application {
        let mut command = Application::command();
        command.env("WATCHDOG_TEST", fault);
        Application::spawn(command.envs(environment.iter().copied()))
    }

    /// What comes within a while.
    fn meanwhile(&self, time: Duration) -> String {
        thread::sleep(time);
        self.stderr.try_iter().map(|line| line + "\n").collect()
    }
}

#[test]
fn a_poll_that_blocks_is_told_once_with_its_stack() {
    let application = Application::start("blocks", &[]);
    application.until("runtime-probe: a poll of goroutine ");
    let stack = application.until("created by watchdog::an_application");
    assert!(stack.contains("[running"), "{stack}");
    assert!(stack.contains("watchdog::blocks(...)"), "{stack}");
    let more = application.meanwhile(4 * LIMIT);
    assert!(!more.contains("a poll of"), "{more}");
}

#[test]
fn a_task_that_is_ready_and_not_polled_is_told() {
    let application = Application::start("starves", &[]);
    let told = application.until("its runtime does not come round to it");
    assert!(told.contains("has been ready for "), "{told}");
    let stack = application.until("created by watchdog::an_application");
    assert!(stack.contains("[runnable"), "{stack}");
}

#[test]
fn tasks_that_only_become_more_are_told() {
    let application = Application::start("leaks", &[]);
    application.until("runtime-probe: there are more and more tasks: ");
    application.until("watchdog::leaked(...)");
}

#[test]
fn a_program_that_is_well_is_left_alone() {
    let application = Application::start("nothing", &[]);
    let said = application.meanwhile(6 * LIMIT);
    assert!(!said.contains("runtime-probe: "), "{said}");
}

#[test]
fn the_environment_starts_it_and_is_told_what_it_got_wrong() {
    let told = |value| {
        let application = Application::start("nothing", &[("RUNTIME_PROBE_WATCHDOG", value)]);
        application.until("runtime-probe: RUNTIME_PROBE_WATCHDOG")
    };
    assert!(told("soon").contains("must be a duration"));
    assert!(told("1us").contains("a watchdog needs a limit of a millisecond or more"));
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let path =
            std::env::temp_dir().join(format!("runtime-probe-watchdog-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        files
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn dumps_are_kept_few_and_short() {
    let directory = Directory::new();
    let path = directory.0.to_str().unwrap();
    let application = Application::start("blocks again", &[("WATCHDOG_TEST_DIR", path)]);
    let first = application.until("; all tasks are in ");
    let second = application.until("; all tasks are in ");
    for (at, told) in [first, second].iter().enumerate() {
        let name = format!("runtime-probe-{}-{}.txt", application.child.id(), at + 1);
        assert!(told.contains(&name), "{told}");
    }
    // The third is told as well, and leaves no file.
    let third = application.until("runtime-probe: a poll of goroutine ");
    assert!(
        !third.lines().last().unwrap().contains("all tasks are in"),
        "{third}"
    );
    let files = directory.files();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(text.len(), 400, "{text}");
        assert!(text.contains("goroutine "), "{text}");
    }
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let error = Watchdog::new(Duration::ZERO).start().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn what_is_found_is_counted() {
    let watching = Watchdog::new(Duration::from_millis(50)).start().unwrap();
    let before = pprof::watchdog_counters();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    runtime.spawn(async move {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    while pprof::watchdog_counters().long_polls == before.long_polls {
        assert!(std::time::Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    drop(watching);
}
