//! The watchdog: its warnings, on the standard error of another process; and the files that it writes.
//!
//! Without the feature `tracing`, which would redirect the messages.
#![cfg(all(feature = "full", target_os = "linux", not(feature = "tracing")))]

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use runtime_probe::pprof::{self, Watchdog};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::oneshot;
use runtime_probe::time::sleep;
use support::application::{Application, PATIENCE};

mod support {
    pub mod application;
}

/// Longer than a busy machine delays a poll.
const LIMIT: Duration = Duration::from_millis(500);

/// A program without a fault. A busy machine must not look like one, so its limit is longer.
const WELL: &str = "well";

#[test]
#[ignore = "wants a process of its own"]
fn an_application() {
    let fault = std::env::var("WATCHDOG_TEST").unwrap();
    let limit = if fault == WELL { 4 * LIMIT } else { LIMIT };
    let mut watchdog = Watchdog::new(limit)
        .growth_every(Duration::from_millis(100))
        .wait_limit(limit);
    if fault == "waits as it likes" {
        watchdog = watchdog.wait_limit(Duration::ZERO);
    }
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
        "blocks twice" => {
            runtime.spawn_blocking(|| thread::sleep(2 * PATIENCE));
            runtime.spawn(blocks());
            thread::sleep(3 * LIMIT);
            let local = runtime_probe::task::LocalSet::new();
            let current = Builder::new_current_thread().build().unwrap();
            local
                .block_on(&current, async {
                    runtime_probe::task::spawn_local(blocks_locally()).await
                })
                .unwrap();
        }
        "waits" | "waits as it likes" => {
            let semaphore = std::sync::Arc::new(runtime_probe::sync::Semaphore::new(0));
            for _ in 0..3 {
                runtime.spawn(wants_a_permit(semaphore.clone()));
            }
            let (sender, receiver) = runtime_probe::sync::mpsc::channel::<()>(1);
            runtime.spawn(async move { sender.closed().await });
            std::mem::forget(receiver);
        }
        "spins" => drop(runtime.spawn(spins())),
        "starves" => {
            let _starving = starve();
            thread::sleep(PATIENCE);
        }
        WELL => {
            // Waiting tasks, and closures that may block, may do so for ever. Polls may last, if not too long.
            for _ in 0..300 {
                runtime.spawn(leaked());
            }
            runtime.spawn_blocking(|| thread::sleep(2 * PATIENCE));
            runtime.spawn(async {
                loop {
                    thread::sleep(LIMIT / 4);
                    runtime_probe::task::yield_now().await;
                }
            });
            // The watchdog looks every second: from the third look on all of them have lasted longer than the limit.
            thread::sleep(11 * LIMIT);
            eprintln!("so far");
        }
        "leaks" => {
            // The oldest task, which is not the fault.
            runtime.spawn(std::future::pending::<()>());
            for batch in 0.. {
                for _ in 0..30 {
                    runtime.spawn(leaked());
                }
                // Requests begin and end: the number of all tasks goes down again and again.
                for _ in 0..(batch % 10) * 100 {
                    runtime.spawn(async { sleep(Duration::from_millis(50)).await });
                }
                eprintln!("batch {batch}");
                // Several between two counts.
                thread::sleep(Duration::from_millis(20));
            }
        }
        fault => assert_eq!(fault, "nothing"),
    }
    runtime.block_on(async {
        loop {
            runtime_probe::time::sleep(LIMIT / 10).await;
        }
    });
}

/// A current-thread runtime that no thread drives, with a ready task.
fn starve() -> Runtime {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (sender, receiver) = oneshot::channel::<()>();
    runtime.spawn(async { drop(receiver.await) });
    runtime.block_on(runtime_probe::task::yield_now());
    runtime.block_on(runtime_probe::task::yield_now());
    drop(sender);
    runtime
}

async fn blocks() {
    thread::sleep(2 * PATIENCE);
}

async fn blocks_locally() {
    thread::sleep(2 * PATIENCE);
}

async fn wants_a_permit(semaphore: std::sync::Arc<runtime_probe::sync::Semaphore>) {
    drop(semaphore.acquire().await);
}

async fn spins() {
    loop {
        runtime_probe::task::yield_now().await;
    }
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

    /// The lines that arrive within a time.
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
fn a_second_culprit_is_told_at_once_and_is_the_innermost_task() {
    let application = Application::start("blocks twice", &[]);
    application.until("runtime-probe: a poll of goroutine ");
    let first = application.until("created by watchdog::an_application");
    assert!(first.contains("watchdog::blocks(...)"), "{first}");
    let told = application.until("runtime-probe: a poll of goroutine ");
    let (_, id) = told
        .lines()
        .last()
        .unwrap()
        .split_once("goroutine ")
        .unwrap();
    let id = id.split(' ').next().unwrap();
    let stack = application.until("created by watchdog::an_application");
    let header = stack
        .lines()
        .find(|line| line.starts_with("goroutine "))
        .unwrap();
    assert!(
        header.starts_with(&format!("goroutine {id} [running")),
        "{id}: {stack}"
    );
    assert!(stack.contains("watchdog::blocks_locally(...)"), "{stack}");
    // The root around it is not reported separately, and a closure of the pool is allowed to block.
    let more = application.meanwhile(3 * LIMIT);
    assert!(!more.contains("a poll of"), "{more}");
    assert!(!(first + &stack + &more).contains("[blocking"));
}

#[test]
fn a_wait_for_a_permit_is_told_and_one_for_receivers_to_go_is_not() {
    let application = Application::start("waits", &[]);
    let told = application.until("runtime-probe: goroutine ");
    let told = told + &application.until("watchdog::wants_a_permit(...)");
    assert!(
        told.contains(" (semacquire), one of 3 tasks that wait there"),
        "{told}"
    );
    let more = application.meanwhile(3 * LIMIT);
    assert!(!more.contains("runtime-probe: "), "{more}");
}

#[test]
fn no_wait_is_told_where_there_is_no_limit() {
    let application = Application::start("waits as it likes", &[]);
    let told = application.meanwhile(20 * LIMIT);
    assert!(!told.contains("runtime-probe: "), "{told}");
}

#[test]
fn a_task_that_spins_is_told_with_its_rate() {
    let application = Application::start("spins", &[]);
    let told = application.until(" spins: ");
    assert!(told.contains(" polls/s for 5."), "{told}");
    let stack = application.until("created by watchdog::an_application");
    assert!(stack.contains("watchdog::spins"), "{stack}");
}

#[test]
fn a_task_that_is_ready_and_not_polled_is_told() {
    let application = Application::start("starves", &[]);
    let told = application.until("its runtime has one thread and is in no block_on since ");
    assert!(told.contains("has been ready for "), "{told}");
    let stack = application.until("created by watchdog::starve");
    assert!(stack.contains("[runnable"), "{stack}");
}

#[test]
fn tasks_that_only_become_more_are_told() {
    let application = Application::start("leaks", &[]);
    application.until("runtime-probe: there are more and more tasks, spawned at runtime-probe/tests/watchdog.rs:106:29: ");
    let stack = application.until("watchdog::leaked(...)");
    assert!(
        !stack.contains("created by "),
        "another stack before it: {stack}"
    );
}

#[test]
fn a_program_that_is_well_is_left_alone() {
    let application = Application::start(WELL, &[]);
    let said = application.until("so far");
    assert!(!said.contains("runtime-probe: "), "{said}");
}

#[test]
fn the_environment_starts_it_and_is_told_what_it_got_wrong() {
    let told = |value| {
        let application = Application::start("nothing", &[("RUNTIME_PROBE_WATCHDOG", value)]);
        application.until("runtime-probe: RUNTIME_PROBE_WATCHDOG")
    };
    assert!(told("soon").contains("must be a duration"));
    assert!(told("poll=1s,wat=2s").contains("has no rule \"wat\": poll, wait, growth and quiet"));
    assert!(told("wait=soon").contains("wait: must be a duration"));
    assert!(
        told("wait=30s,poll=1us").contains("a watchdog needs a limit of a millisecond or more")
    );
    assert!(told("1us").contains("a watchdog needs a limit of a millisecond or more"));
}

/// A directory that is removed with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!(
            "runtime-probe-watchdog-{}-{name}",
            std::process::id()
        ));
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
    let directory = Directory::new("few");
    let path = directory.0.to_str().unwrap();
    let application = Application::start("blocks again", &[("WATCHDOG_TEST_DIR", path)]);
    let first = application.until("; all tasks are in ");
    let second = application.until("; all tasks are in ");
    for (at, told) in [first, second].iter().enumerate() {
        let name = format!("runtime-probe-{}-{}.txt", application.child.id(), at + 1);
        assert!(told.contains(&name), "{told}");
    }
    // The third one is reported as well, without a file.
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
fn a_dump_of_a_process_before_is_kept() {
    let directory = Directory::new("kept");
    let path = directory.0.to_str().unwrap();
    let application = Application::start("blocks again", &[("WATCHDOG_TEST_DIR", path)]);
    let name = |number| format!("runtime-probe-{}-{number}.txt", application.child.id());
    // Long before the first warning.
    let kept = directory.0.join(name(1));
    fs::write(&kept, "kept").unwrap();
    let told = application.until("; all tasks are in ");
    assert!(told.contains(&name(2)), "{told}");
    assert!(!told.contains("no dump in"), "{told}");
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    // At most two files are written.
    let told = application.until("runtime-probe: a poll of goroutine ");
    assert!(
        !told.lines().last().unwrap().contains("all tasks are in"),
        "{told}"
    );
    assert_eq!(directory.files().len(), 2);
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let error = Watchdog::new(Duration::ZERO).start().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

/// Waits until a counter is above `before`.
fn until_above(before: u64, counter: fn() -> u64) {
    let deadline = Instant::now() + PATIENCE;
    while counter() <= before {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_found_is_counted_by_its_kind() {
    let growth_every = Duration::from_millis(20);
    let watchdog = Watchdog::new(Duration::from_millis(50)).growth_every(growth_every);
    let watching = watchdog.start().unwrap();
    let long_polls = || pprof::watchdog_counters().long_polls;
    let late_runtimes = || pprof::watchdog_counters().late_runtimes;
    let growths = || pprof::watchdog_counters().growths;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    // The second one is not reported, as the first one was just now, but counts.
    for before in [long_polls(), long_polls() + 1] {
        // Dropped, also by a failure, it ends the poll: the runtime waits for its worker.
        let (going_on, over) = mpsc::channel::<()>();
        let task = runtime.spawn(async move {
            let _ = over.recv();
        });
        until_above(before, long_polls);
        drop(going_on);
        runtime.block_on(task).unwrap();
    }
    assert_eq!(growths(), 0);

    let late = late_runtimes();
    let starving = starve();
    // From here on no task is polled.
    let long = long_polls();
    until_above(late, late_runtimes);
    assert_eq!((long_polls(), growths()), (long, 0));
    drop(starving);

    let deadline = Instant::now() + PATIENCE;
    while growths() == 0 {
        assert!(Instant::now() < deadline);
        for _ in 0..30 {
            runtime.spawn(leaked());
        }
        thread::sleep(growth_every / 4);
    }
    drop(watching);
}
