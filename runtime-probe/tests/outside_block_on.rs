//! A `current_thread` runtime that no thread runs: tokio counts its worker as awake, and no output does.

use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use std::io::Write;
use std::process::Stdio;
use support::application::Application;
#[cfg(feature = "ui")]
use support::client::get;

mod support {
    pub mod application;
    #[allow(dead_code, reason = "other tests need more")]
    pub mod client;
}

/// Runs two runtimes after each other, and goes on from each step when it reads a line.
#[test]
#[ignore = "it is run by another test"]
fn an_application() {
    let next = || {
        std::io::stdin().read_line(&mut String::new()).unwrap();
    };
    let ours = Builder::new_current_thread().name("ours").build().unwrap();
    let converted = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let converted: Runtime = converted.into();
    let server = pprof::serve("127.0.0.1:0").unwrap();
    eprintln!("{}", server.local_addr().unwrap());
    eprintln!("step: before");
    next();
    for (step, runtime) in [("ours", &ours), ("converted", &converted)] {
        runtime.block_on(async {
            eprintln!("step: {step}");
            next();
        });
    }
    eprintln!("step: after");
    next();
    // By its deref to tokio's, in whose `block_on` the probe counts no thread. It is seen to poll a task.
    let tokios: &tokio::runtime::Runtime = &ours;
    tokios.block_on(async {
        let polls = runtime_probe::spawn(async move {
            eprintln!("step: tokio's");
            next();
        });
        polls.await.unwrap();
    });
}

#[test]
fn a_runtime_that_no_thread_runs_is_idle() {
    let mut command = Application::command();
    command.env("RUNTIME_PROBE_DEBUG", "schedtrace=10,scheddetail=1");
    let mut application = Application::spawn(command.stdin(Stdio::piped()));
    let server = application.until("127.0.0.1:");
    let server = server.lines().last().unwrap().parse().unwrap();
    for (step, running) in [("before", 0), ("ours", 1), ("converted", 1), ("after", 0)] {
        application.until(&format!("step: {step}"));
        // The first lines may have been made before the step.
        application.until("SCHED ");
        let lines = application.until("SCHED ");
        let sched = application.until("SCHED ");
        let expected = format!("gomaxprocs=2 idleprocs={} ", 2 - running);
        for text in [&lines, &sched] {
            let last = text.lines().last().unwrap();
            assert!(last.contains(&expected), "{step}: {last}");
        }
        let procs = sched.lines().filter(|line| line.starts_with("  P"));
        let idle = procs.filter(|line| line.contains(": status=0 ") && line.contains(" m=nil "));
        assert_eq!(idle.count(), 2 - running, "{step}: {sched}");
        summary(server, step, 2 - running);
        let stdin = application.child.stdin.as_mut().unwrap();
        stdin.write_all(b"\n").unwrap();
    }
    application.until("step: tokio's");
    summary(server, "tokio's", 1);
}

#[cfg(feature = "ui")]
fn summary(server: std::net::SocketAddr, step: &str, outside: usize) {
    let page = get(server, "/debug/pprof/ui/");
    let page = page.text();
    let count = |text| page.matches(text).count();
    assert_eq!(count("no thread drives it"), outside, "{step}: {page}");
    assert_eq!(count("awake, between polls"), 0, "{step}: {page}");
}

#[cfg(not(feature = "ui"))]
fn summary(_: std::net::SocketAddr, _: &str, _: usize) {}
