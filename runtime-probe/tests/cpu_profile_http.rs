//! `/debug/pprof/profile`: its forms, its parameters, and access to it.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::Profile;
use runtime_dump_testing::go::Go;
use runtime_probe::pprof;
use support::burning::*;
use support::client::{connect, get};

mod support {
    #[allow(dead_code, reason = "a part of the functions burns here")]
    pub mod burning;
    #[allow(dead_code, reason = "only GET is sent here")]
    pub mod client;
}

fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let serving = pprof::serve("127.0.0.1:0").unwrap();
        let address = serving.local_addr().unwrap();
        serving.detach();
        address
    })
}

/// The answer to `profile?...`.
fn fetched(parameters: &str) -> Profile {
    let answer = get(server(), &format!("/debug/pprof/profile?{parameters}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    Profile::decode(&answer.body).unwrap()
}

#[test]
fn samples_of_tasks_and_threads_are_kept_apart_on_demand() {
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    let runtime = two_workers();
    let stop = Stop(&STOP);
    for name in ["first", "second"] {
        let burn = async move {
            while !STOP.load(Relaxed) {
                burn_named(Duration::from_millis(5));
                runtime_probe::task::yield_now().await;
            }
        };
        runtime_probe::task::Builder::new()
            .name(name)
            .spawn_on(burn, runtime.handle())
            .unwrap();
    }
    let profile = fetched("seconds=1&labels=task,thread");
    drop(stop);
    let mut tasks: Vec<&str> = with_function(&profile, "::burn_named")
        .map(|sample| {
            let thread = label(&profile, sample, "thread").unwrap();
            assert!(thread.starts_with("burner "), "{thread}");
            let site = label(&profile, sample, "spawned_at").unwrap();
            assert!(site.contains("tests/cpu_profile_http.rs:"), "{site}");
            label(&profile, sample, "task").unwrap()
        })
        .collect();
    tasks.sort_unstable();
    tasks.dedup();
    assert_eq!(tasks, ["first", "second"]);
}

#[test]
fn more_hertz_than_the_kernel_ticks_are_weight() {
    let _alone = alone();
    let burner = thread::spawn(|| {
        let began = thread_cpu_ns();
        burn_thread(Duration::from_millis(1500));
        thread_cpu_ns() - began
    });
    let profile = fetched("seconds=1&hz=1000");
    let burnt = burner.join().unwrap();
    assert_eq!(profile.period, 1_000_000);
    let samples = samples_in(&profile, "::burn_thread");
    let most = burnt / 1_000_000;
    assert!(
        samples > 0 && samples as u64 <= most + 10,
        "{samples} of {most}"
    );
    let remarks = remarks(&profile);
    // Any tick of the kernel: Linux is built with at most a thousand hertz.
    let ticks_slower = remarks.contains("effective rate: ");
    let points = with_function(&profile, "::burn_thread").count() as i64;
    assert!(ticks_slower || points <= samples, "{remarks}");
    assert!(
        remarks.starts_with("rate: a sample for each 1ms"),
        "{remarks}"
    );
}

#[test]
fn forms_and_headers() {
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    let runtime = two_workers();
    let _stop = burn_in_two_tasks(&runtime, &STOP);
    let answer = get(server(), "/debug/pprof/profile?seconds=1");
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"profile\"")
    );
    let profile = Profile::decode(&answer.body).unwrap();
    let types: Vec<_> = profile
        .sample_type
        .iter()
        .map(|of| (profile.string(of.r#type), profile.string(of.unit)))
        .collect();
    assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
    assert_eq!(profile.period, 10_000_000);
    assert!(profile.duration_nanos >= 1_000_000_000);
    assert!(remarks(&profile).contains(" s that all threads used"));

    let text = get(server(), "/debug/pprof/profile?seconds=1&debug=1");
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let text = text.text().to_owned();
    assert!(text.starts_with("cpu profile: total "), "{text}");
    assert!(text.contains("\n# rate: a sample for each 10ms"), "{text}");
    assert!(text.contains("\n# labels: {\"spawned_at\":\""), "{text}");
    assert!(text.contains("::burn_seven+0x"), "{text}");

    let folded = get(server(), "/debug/pprof/profile?seconds=1&format=folded");
    let folded = folded.text();
    let line = folded.lines().find(|line| line.contains("::burn_seven"));
    let (stack, ns) = line.unwrap().rsplit_once(' ').unwrap();
    // From the task's root on: the frames of the worker are left out.
    assert!(stack.contains("burn_in_two_tasks::rounds;"), "{stack}");
    assert!(!stack.contains("std::thread"), "{stack}");
    assert!(ns.parse::<u64>().unwrap() >= 10_000_000, "{folded}");

    // Only the frames of this crate and the innermost frame.
    let own = get(
        server(),
        "/debug/pprof/profile?seconds=1&format=folded&crate=cpu_profile_http",
    );
    let stacks = own.text().lines().filter(|line| !line.starts_with('#'));
    let stacks = stacks.filter_map(|line| line.rsplit_once(' '));
    let around: Vec<&str> = stacks
        .filter_map(|(stack, _)| Some(stack.rsplit_once(';')?.0))
        .collect();
    assert!(
        around.iter().any(|stack| stack.contains("::burn_seven")),
        "{}",
        own.text()
    );
    let mut around = around.iter().flat_map(|stack| stack.split(';'));
    assert!(
        around.all(|frame| frame.starts_with("cpu_profile_http::")),
        "{}",
        own.text()
    );
}

#[test]
fn a_profile_of_nothing_says_so() {
    let _alone = alone();
    let text = get(server(), "/debug/pprof/profile?seconds=1&hz=1&debug=1");
    let text = text.text();
    assert!(text.contains("\n# no sample: "), "{text}");
    assert!(text.starts_with("cpu profile: total 0\n"), "{text}");
}

#[test]
fn bad_input_is_told() {
    for (parameters, told) in [
        ("seconds=0", "must be a positive integer"),
        ("seconds=-1", "must be a positive integer"),
        ("seconds=abc", "must be a positive integer"),
        ("seconds=1e9", "must be a positive integer"),
        ("seconds=1000000000", "must not be more than 3600"),
        ("seconds=3601", "must not be more than 3600"),
        ("seconds=%2B1", "must be a positive integer"),
        ("seconds=", "must be a positive integer"),
        ("hz=0", "must be 1 to 1000"),
        ("hz=1e9", "must be 1 to 1000"),
        ("hz=1001", "must be 1 to 1000"),
        ("hz=-1", "must be 1 to 1000"),
        ("hz=abc", "must be 1 to 1000"),
        ("labels=worker", "must be task, thread or task,thread"),
        ("labels=", "must be task, thread or task,thread"),
        ("debug=2", "must be 0 or 1"),
        (
            "debug=1&format=folded",
            "format and debug params are incompatible",
        ),
        ("format=svg", "must be folded or flamegraph"),
        ("second=1", "unknown parameter \"second\""),
    ] {
        let answer = get(server(), &format!("/debug/pprof/profile?{parameters}"));
        assert_eq!(answer.status, 400, "{parameters}");
        assert!(
            answer.text().contains(told),
            "{parameters}: {}",
            answer.text()
        );
    }
}

fn until(condition: &dyn Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(10));
    }
}

/// The names of this process's threads, as the kernel stores them.
fn threads() -> impl Iterator<Item = String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
}

#[test]
fn there_is_one_at_a_time_and_it_ends_with_its_client() {
    let _alone = alone();
    let mut first = connect(server()).unwrap();
    let request = format!(
        "GET /debug/pprof/profile?seconds=3600 HTTP/1.1\r\nHost: {}\r\n\r\n",
        server()
    );
    first.write_all(request.as_bytes()).unwrap();
    // By the thread's name: a second request might arrive before the first one.
    until(&|| threads().any(|name| name == "probe-cpu-profi\n"));
    let in_use = "Could not enable CPU profiling: cpu profiling already in use\n";
    let second = || get(server(), "/debug/pprof/profile?seconds=1");
    let answer = second();
    assert_eq!((answer.status, answer.text()), (500, in_use));
    let error = pprof::start_cpu_profile(io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(error.to_string(), "cpu profiling already in use");
    // No profile was started, so this stops none.
    pprof::stop_cpu_profile().unwrap();
    assert_eq!(second().text(), in_use);

    drop(first);
    until(&|| pprof::start_cpu_profile(io::sink()).is_ok());
    assert_eq!(second().text(), in_use);
    pprof::stop_cpu_profile().unwrap();
    assert_eq!(second().status, 200);
}

#[test]
fn the_index_lists_it() {
    let index = get(server(), "/debug/pprof/");
    assert!(index.text().contains("profile?seconds=5"));
}

#[test]
fn pprof_reads_and_splits_it() {
    let Some(go) = Go::find("pprof_cpu") else {
        return;
    };
    let _alone = alone();
    static STOP: AtomicBool = AtomicBool::new(false);
    let runtime = two_workers();
    let _stop = burn_in_two_tasks(&runtime, &STOP);
    let answer = get(server(), "/debug/pprof/profile?seconds=1&labels=thread");
    let file = go.file("cpu.pb.gz", &answer.body);
    let top = go.pprof_text(&["-top"], &file);
    assert!(top.contains("Type: cpu\n"), "{top}");
    assert!(top.contains("Duration: 1"), "{top}");
    assert!(top.contains("::burn_seven\n"), "{top}");
    for (key, value) in [
        ("spawned_at", "tests/support/burning.rs:"),
        ("thread", "burner "),
    ] {
        let tree = go.pprof_text(&["-traces", &format!("-tagroot={key}")], &file);
        let roots = tree.split("-----------+").filter_map(|trace| {
            let trace = trace.trim_end();
            trace.contains("burn_").then(|| trace.lines().last())?
        });
        let mut roots: Vec<&str> = roots.map(str::trim).collect();
        roots.sort_unstable();
        roots.dedup();
        assert_eq!(roots.len(), 2, "{tree}");
        assert!(roots.iter().all(|root| root.contains(value)), "{roots:?}");
    }
    let raw = go.pprof_text(&["-raw"], &file);
    assert!(
        raw.contains("PeriodType: cpu nanoseconds\nPeriod: 10000000\n"),
        "{raw}"
    );
    assert!(raw.contains("\nsamples/count cpu/nanoseconds\n"), "{raw}");
    let comments = go.pprof_text(&["-comments"], &file);
    assert!(
        comments.contains("rate: a sample for each 10ms"),
        "{comments}"
    );
}
