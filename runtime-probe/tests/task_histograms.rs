//! `/debug/pprof/tasks`: tasks by spawn location, their counts, and histograms of their polls, waits and delays.

#![cfg(feature = "full")]

mod support {
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub mod application;
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub mod client;
}

use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use serde_json::Value;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};
use support::application::Application;
use support::client::{Answer, PATIENCE, get};

fn ask(page: &str) -> Answer {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    let server = *SERVER.get_or_init(|| {
        let server = pprof::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.detach();
        address
    });
    get(server, &format!("/debug/pprof/{page}"))
}

/// The histograms are switched on for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The row of a line on the page.
fn of_line(page: &str, line: u32) -> Option<Value> {
    let answer = ask(page);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json: Value = serde_json::from_slice(&answer.body).unwrap();
    let here = format!("{}:{line}:", file!());
    let mut rows = json["locations"].as_array().unwrap().iter();
    rows.find(|row| {
        row["location"]
            .as_str()
            .is_some_and(|at| at.contains(&here))
    })
    .cloned()
}

/// Asks until the row is as expected.
fn until(line: u32, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let row = of_line("tasks", line).unwrap_or_default();
        if is_so(&row) {
            return row;
        }
        assert!(began.elapsed() < PATIENCE, "{row:#}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn numbers(row: &Value, names: &[&str]) -> Vec<u64> {
    let number = |name: &&str| {
        row[*name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {row:#}"))
    };
    names.iter().map(number).collect()
}

/// A duration between two durations that the program has measured.
#[derive(Clone, Copy)]
struct Between(Duration, Duration);

/// The percentiles are between those of the shorter and those of the longer durations, except for their 3 % of
/// resolution.
fn assert_between(name: &str, summary: &Value, measured: &[Between]) {
    let mut least: Vec<_> = measured.iter().map(|between| between.0).collect();
    let mut most: Vec<_> = measured.iter().map(|between| between.1).collect();
    least.sort_unstable();
    most.sort_unstable();
    let count = measured.len();
    assert_eq!(summary["count"], count as u64, "{name}: {summary}");
    for (quantile, per_cent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
        let at = (count * per_cent).div_ceil(100) - 1;
        let said = summary[quantile].as_f64().unwrap();
        // Beside the 3 %, the difference of the two clocks.
        let (least, most) = (least[at].as_nanos() as f64, most[at].as_nanos() as f64);
        assert!(
            said >= least * 0.96 - 200.0 && said <= most * 1.04 + 200.0,
            "{name} {quantile}: {said} is not between {least} and {most}"
        );
    }
}

fn burn(length: Duration) {
    let began = Instant::now();
    while began.elapsed() < length {
        std::hint::spin_loop();
    }
}

#[test]
fn percentiles_are_between_what_the_program_measures_inside_and_outside() {
    let _alone = alone();
    pprof::set_task_histograms(true);
    // Times inside of a poll, between two stamps.
    let inside: Arc<Mutex<Vec<(Instant, Instant)>>> = Arc::default();
    let kept: Arc<Mutex<Option<Waker>>> = Arc::default();
    let future = {
        let (inside, kept) = (inside.clone(), kept.clone());
        poll_fn(move |context: &mut Context<'_>| -> Poll<()> {
            let began = Instant::now();
            *kept.lock().unwrap() = Some(context.waker().clone());
            burn(Duration::from_micros(
                50 * (1 + began.elapsed().as_nanos() as u64 % 7),
            ));
            inside.lock().unwrap().push((began, Instant::now()));
            Poll::Pending
        })
    };
    let mut future = Box::pin(pprof::instrument(future));
    let line = line!() - 1;
    let (mut polls, mut waits, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    let mut woken = None;
    for round in 0..40u64 {
        let began = Instant::now();
        let context = &mut Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(context).is_pending());
        let ended = Instant::now();
        let (inner_began, inner_ended) = *inside.lock().unwrap().last().unwrap();
        polls.push(Between(inner_ended - inner_began, ended - began));
        if let Some((before, after)) = woken {
            delays.push(Between(began - after, inner_began - before));
        }
        thread::sleep(Duration::from_micros(100 * (round % 5)));
        let before = Instant::now();
        kept.lock().unwrap().take().unwrap().wake();
        let after = Instant::now();
        waits.push(Between(before - ended, after - inner_ended));
        woken = Some((before, after));
        thread::sleep(Duration::from_micros(100 * (round % 3)));
    }
    // No poll follows the last wake. The first delay, since the spawn, was not measured.
    waits.pop();
    let row = of_line("tasks", line).unwrap();
    assert_between("poll", &row["poll_ns"], &polls);
    assert_between("wait", &row["wait_ns"], &waits);
    let born = row["delay_ns"]["count"].as_u64().unwrap();
    assert_eq!(born, delays.len() as u64 + 1);
    // One more, shorter or longer than all others: it moves the others by one at most.
    delays.push(Between(Duration::ZERO, Duration::MAX / 4));
    assert_between("delay", &row["delay_ns"], &delays);
    assert_eq!(numbers(&row, &["alive", "spawned", "polls"]), [1, 1, 40]);
    assert_eq!(row["kind"], "instrumented");
    drop(future);
    let row = of_line("tasks", line).unwrap();
    assert_eq!(numbers(&row, &["alive", "finished", "panicked"]), [0, 1, 0]);
    assert_between("poll, once it has ended", &row["poll_ns"], &polls);
    pprof::set_task_histograms(false);
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn tasks_are_counted_by_how_they_end_without_any_times() {
    let _alone = alone();
    let runtime = runtime();
    let polls = Arc::new(AtomicU64::new(0));
    let counted = |polls: &Arc<AtomicU64>, number: u32| {
        let polls = polls.clone();
        let mut left = number % 4;
        poll_fn(move |context| {
            polls.fetch_add(1, Ordering::Relaxed);
            match (number, left) {
                // Waits for ever.
                (90.., _) => Poll::Pending,
                // A panic without a message.
                (80.., 0) => std::panic::resume_unwind(Box::new(())),
                (_, 0) => Poll::Ready(()),
                _ => {
                    left -= 1;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            }
        })
    };
    let tasks: Vec<_> = (0..100)
        .map(|number| runtime.spawn(counted(&polls, number)))
        .collect();
    let line = line!() - 2;
    until(line, |row| {
        row["finished"] == 90 && row["alive"] == 10 && row["polls"] == polls.load(Ordering::Relaxed)
    });
    tasks[95..].iter().for_each(|task| task.abort());
    let row = until(line, |row| row["finished"] == 95);
    assert_eq!(
        numbers(&row, &["alive", "spawned", "panicked"]),
        [5, 100, 10]
    );
    assert_eq!(row["kind"], "task");
    assert_eq!(row["polls"], polls.load(Ordering::Relaxed));
    assert_eq!(row["poll_ns"], Value::Null);
    // A runtime that is dropped by a panic does not make its tasks panic.
    let dropping = thread::spawn(move || {
        let _runtime = runtime;
        std::panic::resume_unwind(Box::new(()));
    });
    dropping.join().unwrap_err();
    let row = until(line, |row| row["alive"] == 0);
    assert_eq!(numbers(&row, &["finished", "panicked"]), [100, 10]);
    drop(tasks);
}

#[test]
fn closures_are_polled_once() {
    let _alone = alone();
    pprof::set_task_histograms(true);
    let runtime = runtime();
    let mut measured = Vec::new();
    let mut line = 0;
    for milliseconds in [1, 3, 9] {
        let began = Instant::now();
        let closure = move || {
            let began = Instant::now();
            thread::sleep(Duration::from_millis(milliseconds));
            began.elapsed()
        };
        line = line!() + 1;
        let task = runtime.spawn_blocking(closure);
        let inside = runtime.block_on(task).unwrap();
        measured.push(Between(inside, began.elapsed()));
    }
    let row = until(line, |row| row["finished"] == 3);
    assert_between("poll", &row["poll_ns"], &measured);
    assert_eq!(
        (&row["kind"], &row["delay_ns"]["count"]),
        (&"blocking".into(), &3.into())
    );
    assert_eq!(row["wait_ns"], Value::Null);
    pprof::set_task_histograms(false);
}

#[cfg(tokio_unstable)]
#[test]
fn tasks_of_dependencies_are_counted() {
    let _alone = alone();
    pprof::set_task_histograms(true);
    let runtime = runtime();
    let _inside = runtime.enter();
    let line = line!() + 1;
    let task = tokio::spawn(async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    runtime.block_on(task).unwrap();
    let row = until(line, |row| row["finished"] == 1);
    assert_eq!(row["kind"], "foreign");
    assert_eq!(row["panicked"], Value::Null);
    assert!(row["polls"].as_u64() >= Some(4), "{row:#}");
    assert_eq!(row["poll_ns"]["count"], row["polls"]);
    assert_eq!(
        row["wait_ns"]["count"].as_u64(),
        row["polls"].as_u64().map(|polls| polls - 1)
    );
    assert!(row["wait_ns"]["max"].as_u64() >= Some(900_000), "{row:#}");
    assert_eq!(row["delay_ns"], Value::Null);
    pprof::set_task_histograms(false);
}

/// A spawn that is passed as a function has a line of std as its location, which all such spawns share.
#[test]
fn tasks_of_a_line_of_std_are_apart_by_their_futures() {
    async fn order() {
        std::future::pending::<()>().await;
    }
    async fn invoice() {
        std::future::pending::<()>().await;
    }
    let _alone = alone();
    let runtime = Builder::new_current_thread().build().unwrap();
    let _entered = runtime.enter();
    Vec::from_iter((0..2).map(|_| order()).map(runtime_probe::spawn));
    Vec::from_iter((0..3).map(|_| invoice()).map(runtime_probe::spawn));
    let answer = ask("tasks?debug=1");
    let lines: Vec<&str> = answer.text().lines().collect();
    for (future, alive) in [("order", "alive 2, "), ("invoice", "alive 3, ")] {
        let name = format!("tasks_of_a_line_of_std_are_apart_by_their_futures::{future}");
        let of_it = |pair: &&[&str]| pair[0].ends_with(&name) && pair[1].starts_with(alive);
        let row = lines.windows(2).find(of_it);
        let row = row.unwrap_or_else(|| panic!("{future}: {}", answer.text()));
        assert!(row[0].contains("/ops/function.rs:"), "{row:?}");
    }
}

#[test]
fn a_span_notes_for_as_long_as_it_lasts() {
    let _alone = alone();
    let line = line!() + 5;
    let end = Arc::new(AtomicBool::new(false));
    let spinning = {
        let end = end.clone();
        thread::spawn(move || {
            let mut future = Box::pin(pprof::instrument(poll_fn(|_| Poll::<()>::Pending)));
            while !end.load(Ordering::Relaxed) {
                let _ = future
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
                thread::sleep(Duration::from_micros(100));
            }
        })
    };
    let row = until(line, |row| row["polls"].as_u64() > Some(10));
    assert_eq!(row["poll_ns"], Value::Null);
    let text = ask("tasks?debug=1");
    assert!(
        text.text().contains("RUNTIME_PROBE_TASK_HISTOGRAMS=1"),
        "{}",
        text.text()
    );

    let before = numbers(&of_line("tasks", line).unwrap(), &["polls"])[0];
    let row = of_line("tasks?seconds=1", line).unwrap();
    let after = numbers(&of_line("tasks", line).unwrap(), &["polls"])[0];
    let polls = numbers(&row, &["polls"])[0];
    assert!(
        polls > 0 && polls <= after - before,
        "{polls} of {before} to {after}"
    );
    let timed = row["poll_ns"]["count"].as_u64().unwrap();
    assert!(
        timed > 0 && timed <= after - before,
        "{timed} of {before} to {after}"
    );
    assert_eq!(row["spawned"], 0);

    // It is off again: the counts stay, nothing is added.
    let noted = of_line("tasks", line).unwrap();
    until(line, |row| row["polls"].as_u64() > Some(after + 10));
    let later = of_line("tasks", line).unwrap();
    assert_eq!(noted["poll_ns"]["count"], later["poll_ns"]["count"]);
    // A second span has nothing that happened between the two.
    let row = of_line("tasks?seconds=1", line).unwrap();
    let longest = numbers(&row["poll_ns"], &["max"])[0];
    assert!(longest < 900_000_000, "a poll of the time between: {row:#}");
    end.store(true, Ordering::Relaxed);
    spinning.join().unwrap();
}

#[test]
fn the_text_has_what_the_json_has() {
    let _alone = alone();
    let text = ask("tasks?seconds=1&debug=1");
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(
        text.text().contains(" spawn locations, "),
        "{}",
        text.text()
    );
    assert!(
        text.text().contains("times to within 3 %"),
        "{}",
        text.text()
    );
    pprof::set_task_histograms(true);
    let runtime = runtime();
    let line = line!() + 1;
    let task = runtime.spawn(async {});
    runtime.block_on(task).unwrap();
    until(line, |row| row["finished"] == 1);
    let text = ask("tasks?debug=1");
    let here = format!("{}:{line}:", file!());
    let mut blocks = text.text().split("\n\n");
    let block = blocks.find(|block| block.contains(&here)).unwrap();
    let mut lines = block.lines().skip(1);
    assert_eq!(
        lines.next(),
        Some("alive 0, spawned 1, finished 1, panicked 0, polls 1")
    );
    let words = |line: Option<&str>| -> Vec<String> {
        line.unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(words(lines.next()), ["count", "p50", "p90", "p99", "max"]);
    assert_eq!(words(lines.next())[..2], ["poll", "1"]);
    assert_eq!(words(lines.next()), ["wait", "0", "-", "-", "-", "-"]);
    assert_eq!(words(lines.next())[..2], ["delay", "1"]);
    pprof::set_task_histograms(false);
}

#[test]
fn other_parameters_are_refused() {
    for (page, sentence) in [
        ("tasks?debug=2", "must be 0 (JSON) or 1 (text)"),
        ("tasks?debug=x", "must be a non-negative integer"),
        ("tasks?seconds=0", "must be a positive integer"),
        ("tasks?seconds=4000", "must not be more than 3600"),
        ("tasks?format=folded", "must be json"),
    ] {
        let answer = ask(page);
        assert_eq!(answer.status, 400, "{page}");
        assert!(
            answer.text().contains(sentence),
            "{page}: {}",
            answer.text()
        );
    }
}

#[test]
fn the_environment_switches_them_on() {
    for (value, said) in [
        ("1", "noted before: true"),
        ("0", "noted before: false"),
        ("2", "RUNTIME_PROBE_TASK_HISTOGRAMS=2: not 1 or 0"),
        ("yes", "RUNTIME_PROBE_TASK_HISTOGRAMS=yes: not 1 or 0"),
    ] {
        let mut command = Application::command();
        let application = Application::spawn(command.env("RUNTIME_PROBE_TASK_HISTOGRAMS", value));
        application.until(said);
    }
}

#[test]
#[ignore = "a program that the test above runs"]
fn an_application() {
    let _runtime = runtime();
    eprintln!("noted before: {}", pprof::set_task_histograms(false));
}

#[test]
fn futures_of_one_line_are_told_apart_by_their_type() {
    async fn soon() {
        tokio::task::yield_now().await;
    }
    async fn never() {
        std::future::pending::<()>().await;
    }
    let _alone = alone();
    let runtime = runtime();
    fn start<F: Future<Output = ()> + Send + 'static>(runtime: &Runtime, future: F) -> u32 {
        runtime.spawn(future);
        line!() - 1
    }
    let lines = [(); 3].map(|()| start(&runtime, never()));
    let line = lines[0];
    let name = format!("{}:{line}:", file!());
    // Their polls are before the span.
    until(line, |row| row["polls"] == 3);
    let span = thread::spawn(|| ask("tasks?seconds=2"));
    thread::sleep(Duration::from_millis(500));
    for _ in 0..5 {
        start(&runtime, soon());
    }
    let delta: Value = serde_json::from_slice(&span.join().unwrap().body).unwrap();
    let of = |future: &str| {
        let mut rows = delta["locations"].as_array().unwrap().iter();
        let row = rows.find(|row| {
            let is =
                |key: &str, part: &str| row[key].as_str().is_some_and(|text| text.contains(part));
            is("location", &name) && is("future", future)
        });
        numbers(
            row.unwrap_or_else(|| panic!("{future}: {delta:#}")),
            &["alive", "spawned", "finished", "polls"],
        )
    };
    assert_eq!(of("::never::"), [3, 0, 0, 0]);
    assert_eq!(of("::soon::"), [0, 5, 5, 10]);
    let row = |future: &str| {
        let mut rows = delta["locations"].as_array().unwrap().iter();
        let is = |row: &&Value| {
            row["future"]
                .as_str()
                .is_some_and(|name| name.contains(future))
        };
        rows.find(is).unwrap().clone()
    };
    assert_eq!(row("::soon::")["poll_ns"]["count"], 10);
    assert!(row("::never::")["poll_ns"].is_null());
    let text = ask("tasks?debug=1");
    for function in ["never", "soon"] {
        let line = text.text().lines().find(|line| {
            line.contains(&name) && line.ends_with(&format!(" (task): task_histograms::futures_of_one_line_are_told_apart_by_their_type::{function}"))
        });
        assert!(line.is_some(), "{function}: {}", text.text());
    }
}
