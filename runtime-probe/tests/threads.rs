//! The pages of threads: the stack of every thread of the process, and tokio's counts of its workers.
#![cfg(target_os = "linux")]

mod support {
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub mod client;
}

use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use support::client::{Answer, get};

fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let server = pprof::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.detach();
        address
    })
}

fn ask(page: &str) -> Answer {
    get(server(), &format!("/debug/pprof/{page}"))
}

#[inline(never)]
fn waits_in_a_channel(wait: Receiver<()>) {
    let _ = wait.recv();
}

/// The name as the kernel stores it.
const NAMED: &str = "# \"a name longer t\", CPU ";
const WAITS: &str = "threads::waits_in_a_channel(...)\n";

fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n")
        .filter(|block| block.contains("\nthread "))
}

#[test]
fn every_thread_has_a_block() {
    let (done, wait) = mpsc::channel();
    let name = "a name longer than the kernel keeps";
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(|| waits_in_a_channel(wait))
        .unwrap();
    let started = std::time::Instant::now();
    let (text, block) = loop {
        let answer = ask("threads?debug=2");
        assert_eq!(answer.status, 200);
        let text = answer.text().to_owned();
        let block = blocks(&text).find(|block| block.starts_with(NAMED) && block.contains(WAITS));
        if let Some(block) = block {
            break (text.clone(), block.to_owned());
        }
        assert!(started.elapsed().as_secs() < 20, "{text}");
    };
    assert!(block.contains(" [sleeping]:\n"), "{block}");
    assert!(
        block.contains("std::sync::mp"),
        "the call into std: {block}"
    );
    let stack = block.split("created by").next().unwrap();
    let ends = stack.trim_end().lines().rev().nth(1).unwrap();
    assert!(
        ends.starts_with("threads::"),
        "without what begins a thread: {block}"
    );
    // As many as there are: threads of this test begin and end, so the page's own number counts.
    let ids = blocks(&text).filter_map(|block| block.split("\nthread ").nth(1)?.split(' ').next());
    let ids: Vec<u32> = ids.map(|id| id.parse().unwrap()).collect();
    assert!(ids.contains(&std::process::id()), "{ids:?}");
    assert!(ids.is_sorted());
    assert!(
        text.contains("[running]:\n"),
        "the one that answers: {text}"
    );
    drop(done);
    thread.join().unwrap();
}

#[test]
fn equal_stacks_are_counted() {
    let (done, waits): (Vec<_>, Vec<_>) = (0..5).map(|_| mpsc::channel()).unzip();
    let threads: Vec<_> = waits
        .into_iter()
        .map(|wait| std::thread::spawn(|| waits_in_a_channel(wait)))
        .collect();
    let started = std::time::Instant::now();
    loop {
        let answer = ask("threads?debug=1");
        let text = answer.text();
        assert!(text.starts_with("threads profile: total "), "{text}");
        let mut groups = text
            .split("\n\n")
            .filter(|group| group.contains("waits_in_a_channel"));
        if groups.any(|group| group.lines().any(|line| line.starts_with("5 @ "))) {
            break;
        }
        assert!(started.elapsed().as_secs() < 20, "{text}");
    }
    let own = ask("threads?format=folded&crate=threads");
    let has_own = |line: &str| line.contains("threads::waits_in_a_channel");
    let lines: Vec<&str> = own.text().lines().filter(|line| has_own(line)).collect();
    assert!(!lines.is_empty(), "{}", own.text());
    for line in lines {
        // The innermost function may be of another crate.
        let (outer, _) = line.rsplit_once(';').unwrap();
        let mut frames = outer.split(';');
        assert!(frames.all(|frame| frame.starts_with("threads::")), "{line}");
    }
    drop(done);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());

    let profile = ask("threads");
    assert_eq!(
        profile.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(
        profile.header("content-disposition"),
        Some("attachment; filename=\"threads\"")
    );
    assert_eq!(profile.body[..2], [0x1f, 0x8b]);
    assert!(ask("threads?format=folded").text().contains("threads::"));
}

#[test]
fn tokios_numbers_stand_below() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .name("counted")
        .build()
        .unwrap();
    runtime.block_on(async {
        runtime_probe::spawn(async {}).await.unwrap();
    });
    let text = ask("threads?debug=2").text().to_owned();
    let line = text
        .lines()
        .find(|line| line.contains("runtime counted (multi_thread, 2 workers)"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    let header = text
        .lines()
        .find(|line| line.starts_with("#\tworker\t"))
        .unwrap();
    let columns = header.split('\t').filter(|cell| !cell.is_empty()).count();
    let worker = text
        .lines()
        .find(|line| line.starts_with("#\t1\t"))
        .unwrap();
    assert_eq!(
        worker.split('\t').filter(|cell| !cell.is_empty()).count(),
        columns
    );
    let why = "-: tokio tells it with --cfg tokio_unstable only";
    if cfg!(tokio_unstable) {
        assert!(line.contains(" 1 spawned; "), "{line}");
        assert!(!text.contains(why));
    } else {
        assert!(line.contains(" - spawned; "), "{line}");
        assert!(text.contains(why), "{text}");
    }
    assert!(
        text.contains(", runtime counted"),
        "its workers say whose they are: {text}"
    );

    let idle = "tokio::runtime::scheduler::multi_thread::";
    assert!(text.contains(idle), "a worker is in tokio's code: {text}");

    drop(runtime);
    let text = ask("threads?debug=1").text().to_owned();
    assert!(!text.contains("runtime counted"), "{text}");
}

/// A poll that goes on after its worker was handed over is in no worker's row.
#[test]
fn a_poll_that_has_handed_its_worker_over_has_a_line() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .name("handed over")
        .build()
        .unwrap();
    let (done, wait) = mpsc::channel();
    runtime.spawn(async {
        runtime_probe::task::block_in_place(|| waits_in_a_channel(wait));
    });
    let line = match cfg!(tokio_unstable) {
        true => "s, and is no worker any more: it has handed that over (block_in_place)\n",
        false => "s, which busy does not have yet\n",
    };
    let started = std::time::Instant::now();
    loop {
        let answer = ask("threads?debug=1");
        if answer.text().contains(line) {
            break;
        }
        assert!(started.elapsed().as_secs() < 20, "{}", answer.text());
    }
    drop(done);
}

/// tokio's average of no poll at all is 3.278 us.
#[test]
#[cfg(tokio_unstable)]
fn a_worker_that_has_polled_nothing_has_no_mean() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .name("without a poll")
        .build()
        .unwrap();
    let text = ask("threads?debug=1").text().to_owned();
    let (_, table) = text
        .split_once("runtime without a poll (multi_thread, 1 workers)")
        .unwrap();
    let rows = table.lines().skip(1).take(2);
    let rows: Vec<Vec<&str>> = rows
        .map(|line| {
            line.split('\t')
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let mean = rows[0]
        .iter()
        .position(|cell| *cell == "mean poll")
        .unwrap();
    assert_eq!(rows[1][mean], "-", "{text}");
    drop(runtime);
}

#[test]
fn a_runtime_that_cannot_be_reached_says_so() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    pprof::Hooks::new()
        .runtime_name("unreachable")
        .install(&mut builder);
    let runtime = builder.build().unwrap();
    runtime.block_on(async {});
    let text = ask("threads?debug=1").text().to_owned();
    assert!(
        text.contains("runtime unreachable: what tokio counts of it cannot be reached"),
        "{text}"
    );
}

#[test]
#[cfg(not(feature = "interpose"))]
fn who_created_a_thread_is_not_known_and_said_so() {
    let text = ask("threadcreate?debug=1").text().to_owned();
    assert!(text.starts_with("threadcreate profile: total "), "{text}");
    assert!(text.contains("creator unknown"), "{text}");
    let text = ask("threadcreate?debug=2").text().to_owned();
    let why = "no stack: creator unknown: only with the feature interpose it is noted";
    assert!(text.contains(why), "{text}");
    assert_eq!(ask("threadcreate").body[..2], [0x1f, 0x8b]);
}

#[test]
fn parameters_are_strict() {
    for (query, sentence) in [
        (
            "threads?debug=3",
            "invalid value for \"debug\" - must be 0, 1 or 2",
        ),
        (
            "threads?seconds=5",
            "unknown parameter \"seconds\" (known here: crate, debug, format, names)",
        ),
        (
            "threadcreate?names=long",
            "invalid value for \"names\" - must be short or full",
        ),
        (
            "threads?crate=a+b",
            "invalid value for \"crate\" - must be names of crates: app,app-core",
        ),
        (
            "threads?debug=1&format=folded",
            "format and debug params are incompatible",
        ),
    ] {
        let answer = ask(query);
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.text().trim_end(), sentence);
    }
}

#[test]
fn the_profiles_have_names() {
    for name in ["threads", "threadcreate"] {
        let profile = pprof::lookup(name).unwrap();
        assert!(profile.count() >= 2, "{name}");
        let mut text = Vec::new();
        profile.write_to(&mut text, 2).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("\nthread "));
    }
}
