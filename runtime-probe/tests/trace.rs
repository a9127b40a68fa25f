//! Execution traces of a program whose schedule is known, read by `go tool trace` and checked by Go's own validator.

use runtime_dump_testing::go::Go;
use runtime_dump_testing::perfetto::Perfetto;
use runtime_probe::pprof::trace::FlightRecorder;
use runtime_probe::pprof::{TaskFacts, TaskState};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, Notify, mpsc};
use runtime_probe::time::sleep;
use runtime_probe::{pprof, spawn, task};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use support::application::Application;
use support::client::{connect, get};

mod support {
    pub mod application;
    #[allow(dead_code, reason = "other tests need more")]
    pub mod client;
}

/// There is one trace at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

fn server() -> SocketAddr {
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    server.detach();
    address
}

async fn sleeps_10_ms() {
    loop {
        sleep(Duration::from_millis(10)).await;
    }
}

async fn sleeps_50_ms() {
    loop {
        sleep(Duration::from_millis(50)).await;
    }
}

async fn holds_20_ms(lock: Arc<Mutex<()>>, turn: mpsc::Sender<()>) {
    loop {
        let guard = lock.lock().await;
        turn.send(()).await.unwrap();
        sleep(Duration::from_millis(20)).await;
        drop(guard);
        sleep(Duration::from_millis(20)).await;
    }
}

async fn waits_for_the_lock(lock: Arc<Mutex<()>>, mut turns: mpsc::Receiver<()>) {
    while turns.recv().await.is_some() {
        drop(lock.lock().await);
    }
}

async fn runs_closures() {
    loop {
        task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(30)))
            .await
            .unwrap();
    }
}

async fn blocks_in_place_30_ms() {
    loop {
        task::block_in_place(|| std::thread::sleep(Duration::from_millis(30)));
        sleep(Duration::from_millis(20)).await;
    }
}

/// Burns CPU for half of the time.
async fn burns_10_ms() {
    loop {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn spawns_and_aborts() {
    loop {
        let child = spawn(std::future::pending::<()>());
        task::yield_now().await;
        child.abort();
        let _ = child.await;
        sleep(Duration::from_millis(5)).await;
    }
}

async fn sends_over_a_socket() {
    use runtime_probe::io::{AsyncReadExt, AsyncWriteExt};
    let listener = runtime_probe::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        loop {
            sleep(Duration::from_millis(5)).await;
            socket.write_all(b"x").await.unwrap();
        }
    });
    let mut socket = runtime_probe::net::TcpStream::connect(address)
        .await
        .unwrap();
    loop {
        socket.read_u8().await.unwrap();
    }
}

fn start(runtime: &Runtime) {
    let lock = Arc::new(Mutex::new(()));
    let (turn, turns) = mpsc::channel(1);
    runtime.spawn(sleeps_10_ms());
    runtime.spawn(sleeps_50_ms());
    runtime.spawn(holds_20_ms(Arc::clone(&lock), turn));
    runtime.spawn(waits_for_the_lock(lock, turns));
    runtime.spawn(runs_closures());
    runtime.spawn(blocks_in_place_30_ms());
    runtime.spawn(spawns_and_aborts());
    runtime.spawn(sends_over_a_socket());
    std::thread::sleep(Duration::from_millis(200));
}

fn take(go: &Go, server: SocketAddr, path: &str, name: &str) -> PathBuf {
    let answer = get(server, &format!("/debug/pprof/{path}"));
    assert_eq!(
        answer.status,
        200,
        "{:?}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let file = go.file(name, &answer.body);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    file
}

/// A change of a task's state.
#[derive(Clone, Debug)]
struct Change {
    at_ms: f64,
    /// The task in whose poll it happened; 0 for none.
    by: u64,
    from: String,
    to: String,
    reason: String,
}

/// By task: the changes that `go tool trace -d=parsed` prints, and its name.
struct Parsed {
    changes: BTreeMap<u64, Vec<Change>>,
    names: BTreeMap<u64, String>,
}

impl Parsed {
    fn read(text: &str) -> Parsed {
        let (mut changes, mut names) = (BTreeMap::new(), BTreeMap::new());
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let word = |key| word(line, key);
            let Ok(id) = word("GoID=").parse::<u64>() else {
                continue;
            };
            let states = line.split(' ').find(|word| word.contains("->")).unwrap();
            let (from, to) = states.split_once("->").unwrap();
            let list: &mut Vec<Change> = changes.entry(id).or_default();
            // The status of a task at the begin of a later part of the trace.
            if from == to {
                continue;
            }
            list.push(Change {
                at_ms: word("Time=").parse::<f64>().unwrap() / 1e6,
                by: word("G=").parse().unwrap_or(0),
                from: from.to_owned(),
                to: to.to_owned(),
                reason: line.split('"').nth(1).unwrap_or_default().to_owned(),
            });
            if lines.peek() == Some(&"TransitionStack=") {
                lines.next();
                let mut frames = Vec::new();
                while let Some(frame) = lines.next_if(|line| line.starts_with('\t')) {
                    frames.push(frame);
                }
                let mut functions = frames.iter().filter(|frame| !frame.starts_with("\t\t"));
                let root = functions.next_back().map(|root| root.trim());
                let root = root.and_then(|root| root.rsplit_once(" @ "));
                if let Some((root, _)) = root {
                    names.entry(id).or_insert_with(|| root.to_owned());
                }
            }
        }
        Parsed { changes, names }
    }

    fn ids<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u64> + 'a {
        let names = self.names.iter();
        names
            .filter(move |(_, other)| other.contains(name))
            .map(|(id, _)| *id)
    }

    fn one(&self, name: &str) -> u64 {
        let ids: Vec<u64> = self.ids(name).collect();
        assert_eq!(ids.len(), 1, "{name}: {:?}", self.names);
        ids[0]
    }

    /// The number of tasks at the begin of the trace, and at its end.
    fn tasks(&self) -> (usize, usize) {
        let (changes, others) = (self.changes.values(), self.changes.values());
        let begin = changes.filter(|changes| changes[0].from == "Undetermined");
        let end = others.filter(|changes| changes[changes.len() - 1].to != "NotExist");
        (begin.count(), end.count())
    }

    /// Each complete wait of a task for a reason: its length in milliseconds, and the task that ended it.
    fn waits(&self, id: u64, reason: &str) -> Vec<(f64, u64)> {
        let pairs = self.changes[&id].windows(2);
        pairs
            .filter(|pair| pair[0].to == "Waiting" && pair[0].reason == reason)
            .filter(|pair| pair[1].from == "Waiting")
            .map(|pair| (pair[1].at_ms - pair[0].at_ms, pair[1].by))
            .collect()
    }
}

/// tokio's timers count whole milliseconds, rounded up, and a loaded machine is late: most waits have the expected
/// length.
fn assert_most(waits: &[(f64, u64)], ms: f64) {
    let right = waits
        .iter()
        .filter(|(wait, _)| (ms - 0.1..ms + 3.0).contains(wait));
    let (right, all) = (right.count(), waits.len());
    assert!(
        all >= 5 && right * 2 > all,
        "{right} of {all} are {ms} ms: {waits:?}"
    );
    // A thread that is preempted in the poll, after it has read the clock, has waited less.
    let short = waits.iter().filter(|(wait, _)| *wait < ms - 1.0).count();
    assert!(
        short * 5 <= all,
        "{short} of {all} are shorter than {ms} ms: {waits:?}"
    );
}

#[test]
fn a_known_schedule_is_in_the_trace() {
    let Some(go) = Go::find("trace_truth") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    let server = server();
    let file = take(&go, server, "trace?seconds=1.5", "truth.trace");
    go.trace(&["-d=wire"], &file);
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));

    let at = "trace.rs:";
    let sleeps_10 = parsed.one("trace::sleeps_10_ms at ");
    assert!(parsed.names[&sleeps_10].contains(at), "{:?}", parsed.names);
    assert_most(&parsed.waits(sleeps_10, "sleep"), 10.0);
    let sleeps_50 = parsed.one("trace::sleeps_50_ms at ");
    assert_most(&parsed.waits(sleeps_50, "sleep"), 50.0);

    let holds = parsed.one("trace::holds_20_ms at ");
    let waits = parsed.waits(
        parsed.one("trace::waits_for_the_lock at "),
        "sync.Mutex.Lock",
    );
    assert_most(&waits, 20.0);
    let by_holder = waits.iter().filter(|(_, by)| *by == holds).count();
    assert_eq!(by_holder, waits.len(), "woken by who releases: {waits:?}");

    let closures: Vec<(f64, u64)> = parsed
        .ids("runs_closures::{closure} at ")
        .flat_map(|id| {
            let changes = &parsed.changes[&id];
            // Not a task that ran when the trace began.
            if changes[0].from != "NotExist" {
                return None;
            }
            let state = |state: &str| {
                let change = changes.iter().find(|change| change.to == state);
                change.map(|change| change.at_ms)
            };
            Some((state("NotExist")? - state("Syscall")?, 0))
        })
        .collect();
    assert_most(&closures, 30.0);
    let in_place = &parsed.changes[&parsed.one("trace::blocks_in_place_30_ms at ")];
    let in_place: Vec<(f64, u64)> = in_place
        .windows(2)
        .filter(|pair| pair[0].to == "Syscall" && pair[1].from == "Syscall")
        .map(|pair| (pair[1].at_ms - pair[0].at_ms, 0))
        .collect();
    assert_most(&in_place, 30.0);
    // The thread that ran the closure ends each wait.
    assert_most(
        &parsed.waits(parsed.one("trace::runs_closures at "), "join (sync)"),
        30.0,
    );

    let socket = parsed.one("trace::sends_over_a_socket at ");
    let network = parsed.waits(socket, "network");
    assert!(network.len() > 50, "{network:?}");
    // An aborted task is gone.
    let aborted = parsed.ids("Pending at ").filter(|id| {
        let last = parsed.changes[id].last();
        last.is_some_and(|last| last.to == "NotExist")
    });
    assert!(aborted.count() > 20);

    for (kind, function) in [
        ("net", "trace::sends_over_a_socket"),
        ("sync", "trace::waits_for_the_lock"),
        ("syscall", "runs_closures::{closure} at "),
        ("sched", "trace::holds_20_ms at "),
    ] {
        let profile = go.trace_bytes(&[&format!("-pprof={kind}")], &file);
        let profile = go.file(&format!("{kind}.pb.gz"), &profile);
        let traces = go.pprof_text(&["-traces", "-symbolize=none"], &profile);
        assert!(traces.contains(function), "{kind}: {traces}");
    }
}

async fn first_of_two(to: mpsc::Sender<()>, mut from: mpsc::Receiver<()>) {
    while to.send(()).await.is_ok() && from.recv().await.is_some() {}
}

async fn second_of_two(to: mpsc::Sender<()>, mut from: mpsc::Receiver<()>) {
    while from.recv().await.is_some() && to.send(()).await.is_ok() {}
}

/// Polls of some hundred nanoseconds, on two workers. The stamps at their begins are close to the wakes of other
/// threads.
#[test]
fn a_wake_is_before_the_poll_that_it_leads_to() {
    let Some(go) = Go::find("trace_order") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let (ping, pinged) = mpsc::channel(1);
    let (pong, ponged) = mpsc::channel(1);
    runtime.spawn(first_of_two(ping, ponged));
    runtime.spawn(second_of_two(pong, pinged));
    let file = take(&go, server(), "trace?seconds=0.5", "order.trace");
    drop(runtime);
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    let ids = ["trace::first_of_two at ", "trace::second_of_two at "].map(|name| parsed.one(name));
    for (id, other) in [(ids[0], ids[1]), (ids[1], ids[0])] {
        let waits = parsed.waits(id, "chan receive");
        assert!(waits.len() > 200, "{}", waits.len());
        // A thread that is preempted for 2 ms between reading the clock and writing its entry writes a wake too late.
        let by_other = waits.iter().filter(|(_, by)| *by == other).count();
        assert!(
            by_other * 100 >= waits.len() * 99,
            "{by_other} of {}",
            waits.len()
        );
    }
}

async fn takes_turns(lock: Arc<Mutex<()>>) {
    for _ in 0..20 {
        let guard = lock.lock().await;
        sleep(Duration::from_millis(3)).await;
        drop(guard);
        // Behind the other one in the queue of the lock.
        task::yield_now().await;
    }
}

async fn sends_and_receives(to: mpsc::Sender<()>, mut from: mpsc::Receiver<()>) {
    for _ in 0..20 {
        sleep(Duration::from_millis(2)).await;
        to.send(()).await.unwrap();
        from.recv().await.unwrap();
    }
}

async fn receives_and_sends(to: mpsc::Sender<()>, mut from: mpsc::Receiver<()>) {
    for _ in 0..20 {
        from.recv().await.unwrap();
        sleep(Duration::from_millis(2)).await;
        to.send(()).await.unwrap();
    }
}

async fn joins_closures() {
    for _ in 0..10 {
        let closure = task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(5)));
        closure.await.unwrap();
    }
}

/// All waits of a program that begins and ends while both are taken.
#[test]
fn sums_of_waits_in_a_trace_are_those_of_a_block_profile() {
    let Some(go) = Go::find("trace_block") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let recorder = FlightRecorder::new().min_age(Duration::from_secs(600));
    let recorder = recorder.max_bytes(1 << 30).start().unwrap();
    pprof::set_block_profile_rate(1);
    let lock = Arc::new(Mutex::new(()));
    let (ping, pinged) = mpsc::channel(1);
    let (pong, ponged) = mpsc::channel(1);
    let tasks = [
        runtime.spawn(takes_turns(Arc::clone(&lock))),
        runtime.spawn(takes_turns(lock)),
        runtime.spawn(sends_and_receives(ping, ponged)),
        runtime.spawn(receives_and_sends(pong, pinged)),
        runtime.spawn(joins_closures()),
    ];
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    pprof::set_block_profile_rate(0);
    let (mut trace, mut block) = (Vec::new(), Vec::new());
    recorder.write_to(&mut trace).unwrap();
    let profile = pprof::lookup("block").unwrap();
    profile.write_to(&mut block, 0).unwrap();
    let trace = go.file("block.trace", &trace);
    go.validate_traces(std::slice::from_ref(&trace)).unwrap();
    let block = go.file("block.pb.gz", &block);
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &trace));
    // As in Go, the block profile does not count a sleep as a wait. So each function has waits for one reason in it.
    for (reason, names) in [
        ("sync.Mutex.Lock", &["takes_turns"][..]),
        (
            "chan receive",
            &["sends_and_receives", "receives_and_sends"],
        ),
        ("join (sync)", &["joins_closures"]),
    ] {
        let waits: Vec<(f64, u64)> = names
            .iter()
            .flat_map(|name| {
                let ids: Vec<u64> = parsed.ids(&format!("trace::{name} at ")).collect();
                ids.into_iter().flat_map(|id| parsed.waits(id, reason))
            })
            .collect();
        let in_trace: f64 = waits.iter().map(|(wait, _)| wait).sum();
        let focus = format!("-focus=trace::({})$", names.join("|"));
        let number = |kind: &str, unit: &str| {
            let kind = format!("-sample_index={kind}");
            let options = ["-top", "-symbolize=none", unit, &kind, &focus];
            let top = go.pprof_text(&options, &block);
            let all = top.split("Showing nodes accounting for ").nth(1);
            let digits = |c: char| c != '.' && !c.is_ascii_digit();
            let number = all.and_then(|rest| rest.split(digits).next()?.parse::<f64>().ok());
            number.unwrap_or_else(|| panic!("{top}"))
        };
        let (delay_ms, count) = (
            number("delay", "-unit=us") / 1e3,
            number("contentions", "-unit=count"),
        );
        assert!(waits.len() >= 10, "{reason}: {waits:?}");
        assert_eq!(waits.len() as f64, count, "{reason}: {waits:?}");
        // An entry has its time in units of 10 ns, and Go's reader moves equal times of two threads apart.
        assert!(
            (in_trace - delay_ms).abs() < 0.001 * waits.len() as f64,
            "{reason}: {in_trace} ms in the trace, {delay_ms} ms in the profile"
        );
    }
}

/// A profile that begins and ends while the trace is taken.
#[test]
fn a_trace_has_the_samples_of_a_cpu_profile() {
    let Some(go) = Go::find("trace_cpu") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    runtime.spawn(burns_10_ms());
    let server = server();
    let recorder = FlightRecorder::new().min_age(Duration::from_secs(600));
    let recorder = recorder.max_bytes(1 << 30).start().unwrap();
    let profile = get(server, "/debug/pprof/profile?seconds=2").body;
    let mut trace = Vec::new();
    recorder.write_to(&mut trace).unwrap();
    drop(recorder);
    let profile = go.file("cpu.pb.gz", &profile);
    let trace = go.file("cpu.trace", &trace);
    go.validate_traces(std::slice::from_ref(&trace)).unwrap();
    let text = go.trace(&["-d=parsed"], &trace);
    let samples: Vec<&str> = text.split(" StackSample ").skip(1).collect();
    let burns = |sample: &&&str| {
        let stack = sample.split("M=").next().unwrap_or_default();
        stack.contains("trace::burns_10_ms")
    };
    let in_trace = [samples.len(), samples.iter().filter(burns).count()];
    // Both have the same samples, so the numbers are the same.
    let in_profile = ["-focus=.", "-focus=trace::burns_10_ms"].map(|focus| {
        let options = ["-top", "-sample_index=samples", "-symbolize=none", focus];
        let top = go.pprof_text(&options, &profile);
        let number = top.split("Showing nodes accounting for ").nth(1);
        let digits = |c: char| !c.is_ascii_digit();
        let number = number.and_then(|rest| rest.split(digits).next()?.parse::<usize>().ok());
        number.unwrap_or_else(|| panic!("{top}"))
    });
    assert!(in_profile[1] > 0, "{in_profile:?}");
    assert_eq!(in_trace, in_profile);
}

#[test]
fn a_trace_has_the_tasks_of_the_dumps_around_it() {
    let Some(go) = Go::find("trace_counts") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let stay = || std::future::pending::<()>();
    let early: Vec<_> = (0..100).map(|_| runtime.spawn(stay())).collect();
    std::thread::sleep(Duration::from_millis(100));
    let server = server();
    let in_dump = || {
        let dump = get(server, "/debug/pprof/goroutine?debug=1")
            .text()
            .to_owned();
        let total = dump.split("goroutine profile: total ").nth(1);
        total
            .and_then(|rest| rest.lines().next()?.parse::<usize>().ok())
            .unwrap()
    };
    let before = in_dump();
    let handle = runtime.handle().clone();
    let meanwhile = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        for _ in 0..30 {
            handle.spawn(stay());
        }
        for _ in 0..50 {
            handle.spawn(task::yield_now());
        }
        for task in &early[..20] {
            task.abort();
        }
    });
    let file = take(&go, server, "trace?seconds=1", "counts.trace");
    meanwhile.join().unwrap();
    let after = in_dump();
    assert_eq!(after, before + 30 - 20);
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    assert_eq!(parsed.tasks(), (before, after), "{:?}", parsed.names);
    let spawned = parsed
        .changes
        .values()
        .filter(|changes| changes[0].from == "NotExist");
    assert_eq!(spawned.count(), 80);
}

#[test]
fn there_is_one_trace_at_a_time_and_it_ends_with_its_client() {
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    let server = server();
    let mut first = connect(server).unwrap();
    let request = format!("GET /debug/pprof/trace?seconds=60 HTTP/1.1\r\nHost: {server}\r\n\r\n");
    std::io::Write::write_all(&mut first, request.as_bytes()).unwrap();
    // The reply arrives while the trace is taken.
    let mut head = [0; 12];
    std::io::Read::read_exact(&mut first, &mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let path = "/debug/pprof/trace?seconds=0.05";
    let deadline = Instant::now() + Duration::from_secs(30);
    let second = get(server, path);
    assert_eq!(
        (second.status, second.text()),
        (
            500,
            "Could not enable tracing: tracing is already enabled\n"
        )
    );
    drop(first);
    while get(server, path).status != 200 {
        assert!(Instant::now() < deadline, "it goes on without its client");
        std::thread::sleep(Duration::from_millis(50));
    }
    for wrong in [
        "seconds=0",
        "seconds=-1",
        "seconds=x",
        "seconds=1e99",
        "seconds=1e-",
        "seconds=inf",
        "seconds=NaN",
    ] {
        let answer = get(server, &format!("/debug/pprof/trace?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

/// Go's handler takes any number that `strconv.ParseFloat` reads. A length below a nanosecond is 0 there, too.
#[test]
fn a_trace_of_no_time_is_a_trace() {
    let Some(go) = Go::find("trace_of_no_time") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    let server = server();
    for seconds in ["1e-9", "1E-9", ".5e-9", "0.0000000001", "5e-300", "0.1e-1"] {
        let file = take(
            &go,
            server,
            &format!("trace?seconds={seconds}"),
            "short.trace",
        );
        let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
        parsed.one("trace::sleeps_10_ms at ");
    }
}

#[test]
fn what_was_there_before_has_a_state() {
    let Some(go) = Go::find("trace_before") else {
        return;
    };
    let _alone = alone();
    async fn waits_for_ever(begun: Arc<Notify>) {
        begun.notified().await;
    }
    let runtime = runtime();
    let never = Arc::new(Notify::new());
    for _ in 0..1000 {
        runtime.spawn(waits_for_ever(Arc::clone(&never)));
    }
    // Its poll lasts longer than the trace.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    runtime.spawn(async move {
        let _ = stopped.recv();
    });
    start(&runtime);
    let file = take(&go, server(), "trace?seconds=0.3", "before.trace");
    drop(stop);
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    let waiting = parsed.ids("waits_for_ever at ").filter(|id| {
        let changes = &parsed.changes[id];
        changes.len() == 1 && changes[0].to == "Waiting"
    });
    assert_eq!(waiting.count(), 1000);
    let running = parsed.ids("trace::what_was_there_before_has_a_state at ");
    let running: Vec<&Change> = running
        .filter_map(|id| parsed.changes[&id].last())
        .collect();
    assert_eq!(running.len(), 1, "{:?}", parsed.names);
    assert_eq!(running[0].to, "Running");
    // It runs from the begin on.
    assert!(running[0].at_ms < 100.0, "{running:?}");
    let sleeps = parsed.waits(parsed.one("trace::sleeps_10_ms at "), "sleep");
    assert!(sleeps.len() > 10, "{sleeps:?}");
}

#[test]
fn the_flight_recorder_has_the_last_seconds() {
    let Some(go) = Go::find("trace_flight") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    let server = server();
    let last = "/debug/pprof/trace?last=1";
    assert_eq!(get(server, last).status, 404);
    let recorder = FlightRecorder::new()
        .min_age(Duration::from_secs(1))
        .start()
        .unwrap();
    let again = FlightRecorder::new().start().unwrap_err();
    assert_eq!(again.to_string(), "flight recorder already enabled");
    std::thread::sleep(Duration::from_millis(2500));
    let mut bytes = Vec::new();
    recorder.write_to(&mut bytes).unwrap();
    let file = go.file("flight.trace", &bytes);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    let sleeps = &parsed.changes[&parsed.one("trace::sleeps_10_ms at ")];
    let length = sleeps.last().unwrap().at_ms - sleeps[0].at_ms;
    assert!((900.0..2000.0).contains(&length), "{length} ms");
    assert!(
        parsed
            .waits(parsed.one("trace::sleeps_10_ms at "), "sleep")
            .len()
            > 30
    );
    // A task that has ended has its name.
    assert!(
        parsed.ids("runs_closures::{closure} at ").count() > 10,
        "{:?}",
        parsed.names
    );
    // Over HTTP, and beside a trace.
    take(&go, server, "trace?last=1", "last.trace");
    take(&go, server, "trace?seconds=0.2", "beside.trace");
    assert_eq!(
        get(server, "/debug/pprof/trace?last=1&seconds=1").status,
        400
    );
    drop(recorder);
    assert_eq!(get(server, last).status, 404);

    let small = FlightRecorder::new().max_bytes(1).start().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    bytes.clear();
    small.write_to(&mut bytes).unwrap();
    let file = go.file("small.trace", &bytes);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    let sleeps = &parsed.changes[&parsed.one("trace::sleeps_10_ms at ")];
    assert!(sleeps.last().unwrap().at_ms - sleeps[0].at_ms < 450.0);
}

/// Some 4 MiB of events in four seconds.
async fn never_stops() {
    loop {
        for _ in 0..8 {
            task::yield_now().await;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

#[test]
fn the_flight_recorder_has_the_last_of_many_events() {
    let Some(go) = Go::find("trace_many") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    let server = server();
    let recorder = FlightRecorder::new().max_bytes(4 << 20).start().unwrap();
    let flood = runtime.spawn(never_stops());
    let past = |name: &str| {
        let mut bytes = Vec::new();
        recorder.write_to(&mut bytes).unwrap();
        let file = go.file(name, &bytes);
        go.validate_traces(std::slice::from_ref(&file)).unwrap();
        let text = go.trace(&["-d=parsed"], &file);
        assert!(!text.contains("events were lost"), "{name}");
        let parsed = Parsed::read(&text);
        let sleeps = &parsed.changes[&parsed.one("trace::sleeps_10_ms at ")];
        let at: Vec<f64> = sleeps.iter().map(|change| change.at_ms).collect();
        at
    };
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(8));
    let first = past("first.trace");
    let length = first.last().unwrap() - first[0];
    assert!(
        length < begun.elapsed().as_secs_f64() * 1e3 - 500.0,
        "it is not full: {length} ms"
    );
    // The end of a thread that has written an entry ends nothing, however full the recorder is.
    let notify = Arc::new(Notify::new());
    let notified = runtime.spawn({
        let notify = Arc::clone(&notify);
        async move { notify.notified().await }
    });
    std::thread::sleep(Duration::from_millis(50));
    std::thread::spawn(move || notify.notify_one())
        .join()
        .unwrap();
    runtime.block_on(notified).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    // Nor does one look take anything from the next one.
    let second = past("second.trace");
    let lengths = [&first, &second].map(|at| at.last().unwrap() - at[0]);
    assert!(lengths[1] > lengths[0] / 2.0, "{lengths:?} ms");
    // A client takes the events, and the recorder goes on with them.
    take(&go, server, "trace?seconds=0.2", "beside_many.trace");
    flood.abort();
    std::thread::sleep(Duration::from_millis(700));
    let third = past("third.trace");
    let length = third.last().unwrap() - third[0];
    assert!(length > 500.0, "{length} ms");
    let longest = third.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = longest.fold(0.0, f64::max);
    assert!(longest < 300.0, "nothing is missing for {longest} ms");
}

/// With the feature `tracing` warnings are events.
#[cfg(feature = "tracing")]
fn warnings_go_to_standard_error() {
    use tracing::field::{Field, Visit};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    struct Message;
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                eprintln!("{value:?}");
            }
        }
    }
    struct Warnings;
    impl<S: tracing::Subscriber> Layer<S> for Warnings {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            if *event.metadata().level() == tracing::Level::WARN {
                event.record(&mut Message);
            }
        }
    }
    let subscriber = tracing_subscriber::registry().with(Warnings);
    tracing::subscriber::set_global_default(subscriber).unwrap();
}

#[test]
fn threads_that_end_do_not_end_the_past() {
    let Some(go) = Go::find("trace_threads") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    let recorder = FlightRecorder::new().max_bytes(4 << 20).start().unwrap();
    let notify = Arc::new(Notify::new());
    runtime.spawn({
        let notify = Arc::clone(&notify);
        async move {
            loop {
                notify.notified().await;
            }
        }
    });
    // The recorder keeps 64 chunks, and each thread writes one entry at least.
    for _ in 0..200 {
        let notify = Arc::clone(&notify);
        std::thread::spawn(move || notify.notify_one())
            .join()
            .unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut bytes = Vec::new();
    recorder.write_to(&mut bytes).unwrap();
    let file = go.file("threads.trace", &bytes);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    let sleeps = &parsed.changes[&parsed.one("trace::sleeps_10_ms at ")];
    let length = sleeps.last().unwrap().at_ms - sleeps[0].at_ms;
    assert!(length > 900.0, "{length} ms");
}

#[test]
#[ignore = "the process that other tests look at"]
fn an_application() {
    #[cfg(feature = "tracing")]
    warnings_go_to_standard_error();
    let runtime = runtime();
    start(&runtime);
    if std::env::var_os("LONG_POLLS").is_some() {
        runtime.spawn(blocks_300_ms());
    }
    std::thread::sleep(support::application::PATIENCE);
}

async fn blocks_300_ms() {
    loop {
        sleep(Duration::from_millis(300)).await;
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn the_watchdog_writes_what_the_flight_recorder_has() {
    let Some(go) = Go::find("trace_watchdog") else {
        return;
    };
    let directory = go.file("beside", b"").with_file_name("dumps");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let mut command = Application::command();
    command
        .env("LONG_POLLS", "1")
        .env("RUNTIME_PROBE_FLIGHT_RECORDER", "10s")
        .env("RUNTIME_PROBE_WATCHDOG", "poll=100ms,quiet=1ms")
        .env("RUNTIME_PROBE_WATCHDOG_DIR", &directory)
        .env("RUNTIME_PROBE_LISTEN", "127.0.0.1:0");
    let application = Application::spawn(&mut command);
    let listening = application.until("listening on ");
    let address = listening.rsplit_once("http://").unwrap().1;
    let address = address.split('/').next().unwrap().parse().unwrap();
    // The second recording has a complete poll.
    application.until(", the last seconds in ");
    let text = application.until(", the last seconds in ");
    let line = text.lines().last().unwrap();
    let (_, path) = line.split_once(", the last seconds in ").unwrap();
    let trace = PathBuf::from(path.trim());
    assert_eq!(trace.parent(), Some(&*directory));
    assert!(trace.with_extension("txt").exists(), "{line}");
    go.validate_traces(std::slice::from_ref(&trace)).unwrap();
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &trace));
    let blocks = parsed.one("trace::blocks_300_ms at ");
    let polls = parsed.changes[&blocks].windows(2);
    let longest = polls
        .filter(|pair| pair[0].to == "Running")
        .map(|pair| pair[1].at_ms - pair[0].at_ms)
        .fold(0.0, f64::max);
    assert!(longest > 299.0, "{longest} ms");
    take(&go, address, "trace?last=1", "last.trace");
    // At most ten files are kept.
    let deadline = Instant::now() + Duration::from_secs(60);
    let traces = || {
        let files = std::fs::read_dir(&directory).unwrap();
        let names = files.map(|file| file.unwrap().path());
        let traces = names.filter(|path| path.extension().is_some_and(|end| end == "trace"));
        traces.count()
    };
    while traces() < 10 {
        assert!(Instant::now() < deadline, "{} traces", traces());
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(traces(), 10);
}

#[test]
fn lines_of_the_schedulers_state_are_written() {
    let mut command = Application::command();
    command.env(
        "RUNTIME_PROBE_DEBUG",
        "schedtrace=100,scheddetail=1,heaptrace=100",
    );
    let application = Application::spawn(&mut command);
    application.until("SCHED ");
    let text = application.until("SCHED ");
    let count = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
    assert_eq!(
        (count("  P0: status="), count("  P1: status=")),
        (1, 1),
        "{text}"
    );
    assert!(count("  M") >= 3 && count("  G") >= 7, "{text}");
    assert!(
        text.contains(": status=4(sleep) m=nil lockedm=nil\n"),
        "{text}"
    );
    let sched = text.lines().last().unwrap();
    let numbers = sched
        .split_once("ms: gomaxprocs=2 idleprocs=")
        .map(|(_, rest)| rest);
    assert!(
        numbers.is_some_and(|rest| rest.contains(" threads=")),
        "{sched}"
    );
    let heap = application.until("HEAP ");
    let heap = heap.lines().last().unwrap();
    assert!(heap.contains("ms: rss=") && heap.contains(" KiB"), "{heap}");
}

/// A request: two regions in its own task, one of them with a wait inside; one in a child; one in a closure; and
/// logs.
async fn answers() {
    pprof::trace::region("read", sleep(Duration::from_millis(20))).await;
    let child = spawn(async {
        pprof::trace::log("child", "é");
        pprof::trace::region("in a child", sleep(Duration::from_millis(10))).await;
    });
    let closure = task::spawn_blocking(|| {
        let _region = pprof::trace::region_scope("in a closure");
        std::thread::sleep(Duration::from_millis(10));
    });
    let long = "0123456789".repeat(200);
    pprof::trace::log("answer", &long);
    child.await.unwrap();
    closure.await.unwrap();
    // They overlap.
    futures_util::future::join(
        pprof::trace::region("first", sleep(Duration::from_millis(2))),
        pprof::trace::region("second", sleep(Duration::from_millis(4))),
    )
    .await;
}

#[test]
fn user_tasks_have_their_regions_and_logs() {
    let Some(go) = Go::find("trace_user") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    runtime.spawn(async {
        loop {
            pprof::trace::task("request", answers()).await;
        }
    });
    // A user task that begins before the trace, and is aborted in a region.
    let old = runtime.spawn(pprof::trace::task("old", async {
        sleep(Duration::from_millis(300)).await;
        pprof::trace::region("of an old task", std::future::pending::<()>()).await;
    }));
    std::thread::sleep(Duration::from_millis(100));
    let server = server();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        let region = pprof::trace::region_scope("outside of tasks");
        pprof::trace::log("thread", "outside");
        old.abort();
        std::thread::sleep(Duration::from_millis(20));
        drop(region);
    });
    let file = take(&go, server, "trace?seconds=1", "user.trace");
    thread.join().unwrap();
    go.trace(&["-d=wire"], &file);
    let text = go.trace(&["-d=parsed"], &file);
    // Complete requests: those that began and ended in the trace.
    let requests = said(&text, "TaskBegin", "request");
    assert!(requests.len() > 5, "{text}");
    let whole = |id: &str| text.contains(&format!(" ID={id} "));
    let of_task = |kind: &str, id: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!(" {kind} ")));
        lines
            .filter(|line| word(line, "Task=") == id)
            .map(|line| line.split_once("Task=").unwrap().1.to_owned())
            .collect()
    };
    for request in &requests[..requests.len() - 1] {
        let id = word(request, "ID=");
        assert!(whole(id));
        let names = |kind| {
            let mut names: Vec<String> = of_task(kind, id)
                .iter()
                .map(|line| line.split('"').nth(1).unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("RegionBegin"), names("RegionEnd"));
        // If the first region ends before the second one, the second one begins again.
        let mut regions = names("RegionBegin");
        regions.dedup();
        let expected = ["first", "in a child", "in a closure", "read", "second"];
        assert_eq!(regions, expected);
        assert_eq!(names("Log"), ["answer", "child"]);
        let logs = of_task("Log", id).join("\n");
        let kept = &"0123456789".repeat(200)[..1024];
        assert!(logs.contains(&format!("Message=\"{kept}\"")), "{logs}");
        assert!(logs.contains("Message=\"é\""), "{logs}");
    }
    // A region includes its waits.
    let reads: Vec<(f64, u64)> = region_times(&text, "read");
    assert_most(&reads, 20.0);
    // A user task that began before the trace has a name that says so.
    assert_eq!(
        said(&text, "TaskBegin", "old (began before the trace)").len(),
        1
    );
    assert_eq!(said(&text, "RegionBegin", "of an old task").len(), 1);
    assert_eq!(
        said(&text, "TaskEnd", "old (began before the trace)").len(),
        1
    );
    // A thread outside of all tasks.
    let outside = region_times(&text, "outside of tasks");
    assert!(
        outside.len() == 1 && (19.0..).contains(&outside[0].0),
        "{outside:?}"
    );
    assert_eq!(said(&text, "Log", "thread").len(), 1);
    // The task has the name of its future.
    let parsed = Parsed::read(&text);
    let spawned_here = parsed.ids("trace::user_tasks_have_their_regions_and_logs at ");
    assert_eq!(spawned_here.count(), 2, "{:?}", parsed.names);
    let dump = get(server, "/debug/pprof/goroutine?debug=2");
    assert!(!dump.text().contains("regions::"), "{}", dump.text());

    let (viewer, _viewer) = go.trace_viewer(&file);
    let page = |path: &str| {
        let answer = get(viewer, path);
        assert_eq!(answer.status, 200, "{path}");
        answer.text().to_owned()
    };
    let tasks = page("/usertasks");
    assert!(tasks.contains("request"), "{tasks}");
    let task = page("/usertask?type=request");
    assert!(
        task.contains("region read") || task.contains("read"),
        "{task}"
    );
    let regions = page("/userregions");
    for region in ["read", "in a child", "in a closure", "outside of tasks"] {
        assert!(regions.contains(region), "{region}: {regions}");
    }
    let id = word(&requests[0], "ID=");
    let events = page(&format!("/jsontrace?view=task&taskid={id}"));
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    let events = events["traceEvents"].as_array().unwrap();
    assert!(events.len() > 10, "{events:?}");
    for path in ["/goroutines", "/jsontrace?view=thread"] {
        page(path);
    }
}

#[test]
fn a_lock_that_blocks_its_thread_is_a_region() {
    let Some(go) = Go::find("trace_blocked") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let recorder = FlightRecorder::new().start().unwrap();
    let lock = Arc::new(runtime_probe::sync::blocking::Mutex::new(()));
    for _ in 0..5 {
        let held = lock.lock().unwrap();
        let waiting = Arc::clone(&lock);
        let task = runtime.spawn(async move { drop(waiting.lock().unwrap()) });
        let waiting = Arc::clone(&lock);
        let thread = std::thread::spawn(move || drop(waiting.lock().unwrap()));
        std::thread::sleep(Duration::from_millis(20));
        drop(held);
        runtime.block_on(task).unwrap();
        thread.join().unwrap();
        // A lock that is free blocks no thread.
        drop(lock.lock().unwrap());
    }
    let mut bytes = Vec::new();
    recorder.write_to(&mut bytes).unwrap();
    let file = go.file("blocked.trace", &bytes);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let text = go.trace(&["-d=parsed"], &file);
    // Of the task, and of the thread outside of any. Either of them may come when the lock is free again.
    let blocked = region_times(&text, "thread blocked by a lock");
    assert!((6..=10).contains(&blocked.len()), "{blocked:?}");
    let long = blocked.iter().filter(|(blocked, _)| *blocked > 10.0);
    assert!(long.count() >= 6, "{blocked:?}");
}

async fn sleeps_5_ms() {
    sleep(Duration::from_millis(5)).await;
}

/// Runs a runtime of its own, which parks this thread.
fn runs_a_runtime() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sleeps_and_joins());
}

async fn sleeps_and_joins() {
    sleeps_5_ms().await;
    spawn(sleeps_5_ms()).await.unwrap();
}

async fn runs_runtimes_in_closures() {
    loop {
        task::spawn_blocking(runs_a_runtime).await.unwrap();
    }
}

async fn runs_runtimes_in_place() {
    loop {
        // One inside of the other, as libraries do.
        task::block_in_place(|| task::block_in_place(runs_a_runtime));
        task::yield_now().await;
    }
}

#[test]
fn a_poll_goes_on_while_a_runtime_inside_of_it_parks() {
    let Some(go) = Go::find("trace_nested") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    let recorder = FlightRecorder::new().start().unwrap();
    runtime.spawn(runs_runtimes_in_closures());
    runtime.spawn(runs_runtimes_in_place());
    std::thread::sleep(Duration::from_millis(500));
    let mut bytes = Vec::new();
    recorder.write_to(&mut bytes).unwrap();
    drop(recorder);
    let file = go.file("nested.trace", &bytes);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
    let in_place = parsed.one("trace::runs_runtimes_in_place at ");
    let closures: Vec<u64> = parsed.ids("trace::runs_a_runtime at ").collect();
    assert!(closures.len() > 5, "{:?}", parsed.names);
    for id in closures.into_iter().chain([in_place]) {
        let changes = &parsed.changes[&id];
        let waits = changes.iter().filter(|change| change.to == "Waiting");
        // Only for the tasks of the runtime inside.
        for wait in waits {
            assert_eq!(wait.reason, "polls another task", "{changes:?}");
        }
        let time_in = |state: &str| -> f64 {
            let pairs = changes.windows(2);
            let of_state = pairs.filter(|pair| pair[0].to == state);
            of_state.map(|pair| pair[1].at_ms - pair[0].at_ms).sum()
        };
        // It blocks its thread between the polls of those tasks, too. Most of them sleep.
        let (blocks, runs) = (time_in("Syscall"), time_in("Running"));
        assert!(blocks > 2.0 * runs, "{blocks} ms, {runs} ms: {changes:?}");
    }
}

/// Each worker has a proc, and Go's timeline a row for each proc.
#[test]
fn the_procs_of_workers_that_have_ended_are_used_again() {
    let Some(go) = Go::find("trace_procs") else {
        return;
    };
    let _alone = alone();
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let begins = Arc::clone(&is_over);
    let runtimes = std::thread::spawn(move || {
        while !begins.load(std::sync::atomic::Ordering::Relaxed) {
            let mut builder = Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(runtime.spawn(sleeps_5_ms())).unwrap();
        }
    });
    let file = take(&go, server(), "trace?seconds=6", "procs.trace");
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    runtimes.join().unwrap();
    let text = go.trace(&["-d=parsed"], &file);
    let all = |key: &str| -> std::collections::BTreeSet<&str> {
        let words = text.split([' ', '\n']);
        words.filter_map(|word| word.strip_prefix(key)).collect()
    };
    let (threads, procs) = (all("M=").len(), all("P=").len());
    assert!(threads > 50, "{threads}");
    // A thread's end is known two parts later.
    assert!(
        procs * 10 < threads * 8,
        "{procs} procs of {threads} threads"
    );
}

/// A poll that began before the events that are kept, and ended among them.
#[test]
fn the_flight_recorder_shows_a_poll_that_began_earlier() {
    let Some(go) = Go::find("trace_earlier") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    // Both sizes: one leaves the events in the chunks, the other collects them.
    for bytes in [10 << 20, 1 << 20] {
        let recorder = FlightRecorder::new()
            .min_age(Duration::from_millis(500))
            .max_bytes(bytes)
            .start()
            .unwrap();
        runtime.spawn(sleeps_10_ms());
        let hangs = runtime.spawn(hangs_1_s());
        runtime.block_on(hangs).unwrap();
        let mut trace = Vec::new();
        recorder.write_to(&mut trace).unwrap();
        drop(recorder);
        let file = go.file("earlier.trace", &trace);
        go.validate_traces(std::slice::from_ref(&file)).unwrap();
        let parsed = Parsed::read(&go.trace(&["-d=parsed"], &file));
        let changes = &parsed.changes[&parsed.one("trace::hangs_1_s at ")];
        let state = |state: &str| {
            let change = changes.iter().find(|change| change.to == state);
            change
                .unwrap_or_else(|| panic!("{state}: {changes:?}"))
                .at_ms
        };
        let polled = state("NotExist") - state("Running");
        assert!(polled > 200.0, "{changes:?}");
    }
}

async fn hangs_1_s() {
    task::yield_now().await;
    std::thread::sleep(Duration::from_secs(1));
}

/// One request after another, and a pause, each with its own labels.
async fn serves() {
    loop {
        pprof::labels(["route", "/a"], sleep(Duration::from_millis(4))).await;
        pprof::labels(["route", "/b"], sleep(Duration::from_millis(4))).await;
        sleep(Duration::from_millis(4)).await;
    }
}

async fn inherits() {
    sleep(Duration::from_millis(2)).await;
}

async fn spawns_children() {
    loop {
        spawn(inherits()).await.unwrap();
        let closure = task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)));
        closure.await.unwrap();
    }
}

async fn ends_at_once() {}

async fn never() {
    std::future::pending().await
}

async fn waits_for_ever(lock: Arc<Mutex<()>>) {
    drop(lock.lock().await);
}

/// Waits until a task has been polled.
fn until_waiting(task: &task::JoinHandle<()>) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let id = pprof::TaskId::from(task.id());
    let has_waited = |facts: &TaskFacts| facts.polls > 1 || facts.state == TaskState::Waiting;
    while !pprof::task_facts()
        .iter()
        .any(|facts| facts.id == id && has_waited(facts))
    {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tasks with labels of each kind.
fn start_labelled(runtime: &Runtime) {
    let spawned = [
        runtime.spawn(pprof::labels(["tenant", "old"], sleeps_10_ms())),
        runtime.spawn(pprof::labels(["tenant", "acme"], serves())),
        runtime.spawn(pprof::labels(["tenant", "parent"], spawns_children())),
        runtime.spawn(pprof::labels(["tenant", "asleep"], never())),
        runtime.spawn(async {
            loop {
                // A future of one poll; its labels are removed at the end of that poll.
                spawn(pprof::labels(["kind", "short"], ends_at_once()));
                sleep(Duration::from_millis(5)).await;
            }
        }),
        runtime.spawn(sleeps_50_ms()),
    ];
    // A task has its labels from its first poll on.
    spawned.iter().for_each(until_waiting);
}

/// By task: its labels as `go tool trace -d=parsed` prints them, in order.
fn labels_told(text: &str) -> BTreeMap<u64, Vec<&str>> {
    let mut told: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains(" Label=")) {
        let label = line.split('"').nth(1).unwrap();
        told.entry(word(line, "G=").parse().unwrap())
            .or_default()
            .push(label);
    }
    told
}

/// The labels of the tasks of [`start_labelled`] in a trace.
fn assert_labels(text: &str) {
    let parsed = Parsed::read(text);
    let told = labels_told(text);
    let of = |id: u64| told.get(&id).cloned().unwrap_or_default();
    // Each part of a trace can be read without the parts before, so each part repeats them.
    let old = of(parsed.one("trace::sleeps_10_ms at "));
    assert!(!old.is_empty(), "{told:?}");
    assert!(old.iter().all(|label| *label == "tenant: old"), "{old:?}");
    let turns = of(parsed.one("trace::serves at "));
    let cycle = [
        "route: /a, tenant: acme",
        "route: /b, tenant: acme",
        "tenant: acme",
    ];
    assert!(turns.len() > 30, "{turns:?}");
    let mut followed = 0;
    for turn in turns.windows(2).filter(|turn| turn[0] != turn[1]) {
        let at = cycle.iter().position(|label| *label == turn[0]).unwrap();
        assert_eq!(turn[1], cycle[(at + 1) % 3], "{turns:?}");
        followed += 1;
    }
    assert!(followed > 30, "{turns:?}");
    let ran = |id: &u64| {
        let changes = &parsed.changes[id];
        changes.iter().any(|change| change.to == "Running")
    };
    for (name, label) in [
        ("trace::inherits at ", "tenant: parent"),
        ("spawns_children::{closure} at ", "tenant: parent"),
        ("trace::ends_at_once at ", "kind: short"),
    ] {
        let ids: Vec<u64> = parsed.ids(name).filter(ran).collect();
        assert!(ids.len() > 10, "{name}: {ids:?}");
        for id in ids {
            let labels = of(id);
            assert!(!labels.is_empty(), "{name}: {id}");
            assert!(labels.iter().all(|told| *told == label), "{labels:?}");
        }
    }
    // In Go's format only a running goroutine can have labels.
    assert_eq!(of(parsed.one("trace::never at ")), [""; 0]);
    assert_eq!(of(parsed.one("trace::sleeps_50_ms at ")), [""; 0]);
}

#[test]
fn labels_are_in_the_trace() {
    let Some(go) = Go::find("trace_labels") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start_labelled(&runtime);
    let file = take(&go, server(), "trace?seconds=1.5", "labels.trace");
    go.trace(&["-d=wire"], &file);
    assert_labels(&go.trace(&["-d=parsed"], &file));
    // The timeline shows them after the names.
    let (viewer, _viewer) = go.trace_viewer(&file);
    let timeline = get(viewer, "/jsontrace?view=proc");
    for (name, label) in [
        ("trace::sleeps_10_ms", "tenant: old"),
        ("trace::serves", "route: /b, tenant: acme"),
        ("trace::ends_at_once", "kind: short"),
    ] {
        let mut names = timeline.text().split("\"name\":\"").skip(1);
        let is_it = |text: &str| text.contains(name) && text.contains(&format!(" ({label})\""));
        assert!(names.any(is_it), "no {name} ({label})");
    }
    // The removal of labels at the end of a future of one poll is not written.
    assert!(!timeline.text().contains("no labels"));

    let server = server();
    let file = take(&go, server, "trace?seconds=0.3&labels=0", "without.trace");
    let text = go.trace(&["-d=parsed"], &file);
    assert!(text.contains("trace::serves at "), "{text}");
    assert_eq!(labels_told(&text), BTreeMap::new());
    assert_eq!(get(server, "/debug/pprof/trace?labels=2").status, 400);

    let recorder = FlightRecorder::new()
        .min_age(Duration::from_secs(1))
        .start()
        .unwrap();
    std::thread::sleep(Duration::from_millis(2000));
    let mut bytes = Vec::new();
    recorder.write_to(&mut bytes).unwrap();
    drop(recorder);
    let file = go.file("flight.trace", &bytes);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    assert_labels(&go.trace(&["-d=parsed"], &file));
}

#[test]
fn perfetto_has_labels_as_annotations() {
    let Some(perfetto) = Perfetto::find("trace_perfetto_labels") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start_labelled(&runtime);
    let answer = get(server(), "/debug/pprof/trace?format=perfetto&seconds=1");
    assert_eq!(answer.status, 200);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("labels.pftrace");
    std::fs::write(&file, &answer.body).unwrap();
    let read: serde_json::Value = serde_json::from_str(&perfetto.read(&[file]).unwrap()).unwrap();
    // For slices with this name on a task's track, or for its polls: a label of each.
    let values = |kind: &str, task: &str, name: &str, key: &str| -> Vec<String> {
        let rows = read[kind].as_array().unwrap().iter();
        let of_task = rows.filter(|row| {
            let track = read["tracks"][row["track"].to_string()]["name"].as_str();
            let is_its_track = track.unwrap().contains(&format!(" trace::{task} at "));
            let text = row["name"].as_str().unwrap();
            match name {
                "" => text.starts_with(&format!("trace::{task} at ")),
                name => is_its_track && text == name,
            }
        });
        of_task
            .filter(|row| !row["end"].is_null() || kind == "instants" || task == "never")
            .map(|row| row["arguments"][key].as_str().unwrap_or("none").to_owned())
            .collect()
    };
    let all = |values: Vec<String>, value: &str| {
        assert!(!values.is_empty(), "{value}");
        assert!(
            values.iter().all(|told| told == value),
            "{value}: {values:?}"
        );
    };
    let tenant = "labels.tenant";
    // The wait of the task when the trace begins, which lasts to its end.
    all(values("slices", "never", "waits", tenant), "asleep");
    all(
        values("slices", "sleeps_10_ms", "waits: sleep", tenant),
        "old",
    );
    all(values("slices", "sleeps_10_ms", "runs", tenant), "old");
    all(values("slices", "sleeps_10_ms", "", tenant), "old");
    all(
        values("slices", "inherits", "waits: sleep", tenant),
        "parent",
    );
    all(values("slices", "inherits", "", tenant), "parent");
    all(
        values("slices", "sleeps_50_ms", "waits: sleep", tenant),
        "none",
    );
    // In force for the only poll: at its end.
    all(values("slices", "ends_at_once", "", "labels.kind"), "short");
    all(
        values("slices", "ends_at_once", "runs", "labels.kind"),
        "short",
    );

    let route = "labels.route";
    let mut waits = values("slices", "serves", "waits: sleep", route);
    waits.sort();
    waits.dedup();
    assert_eq!(waits, ["/a", "/b", "none"]);
    let switched = values("instants", "serves", "labels", route);
    for label in ["/a", "/b", "none"] {
        assert!(
            switched.iter().filter(|told| *told == label).count() > 2,
            "{switched:?}"
        );
    }
}

#[test]
fn perfetto_reads_the_same() {
    let Some(perfetto) = Perfetto::find("trace_perfetto") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    start(&runtime);
    runtime.spawn(async {
        loop {
            pprof::trace::task("request", answers()).await;
        }
    });
    let endless = Arc::new(Mutex::new(()));
    let held = Arc::clone(&endless).try_lock_owned().unwrap();
    until_waiting(&runtime.spawn(waits_for_ever(endless)));
    // Go allows empty names.
    runtime.spawn(async {
        loop {
            pprof::trace::task("", async {
                pprof::trace::log("", "of no kind");
                pprof::trace::region("", sleep(Duration::from_millis(10))).await;
            })
            .await;
        }
    });
    let server = server();
    let answer = get(server, "/debug/pprof/trace?format=perfetto&seconds=1.5");
    assert_eq!(answer.status, 200);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("truth.pftrace");
    std::fs::write(&file, &answer.body).unwrap();
    let read: serde_json::Value = serde_json::from_str(&perfetto.read(&[file]).unwrap()).unwrap();
    let tracks = read["tracks"].as_object().unwrap();
    let track_of = |row: &serde_json::Value| &tracks[&row["track"].to_string()];
    let slices = read["slices"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    for kind in ["slices", "instants"] {
        let rows = read[kind].as_array().unwrap();
        assert!(rows.iter().any(|row| row["name"] == "(no name)"), "{kind}");
        assert!(rows.iter().all(|row| row["name"] != ""), "{kind}");
    }

    // A wait that began before the trace, and outlasts it.
    let endless = slices.iter().find(|slice| {
        slice["name"] == "waits: sync.Mutex.Lock"
            && text(&track_of(slice)["name"]).contains(" trace::waits_for_ever at ")
    });
    assert!(
        endless.is_some_and(|slice| slice["end"].is_null()),
        "{endless:?}"
    );
    drop(held);

    // The waits of a task are on its own track, with the stack.
    let waits = |task: &str, state: &str| -> Vec<(f64, u64)> {
        let of_task = slices.iter().filter(|slice| {
            let track = text(&track_of(slice)["name"]);
            slice["name"] == state && track.contains(&format!(" trace::{task} at "))
        });
        of_task
            .filter_map(|slice| {
                let stack = slice["stack"].as_array().unwrap();
                assert_eq!(stack[0], *format!("trace::{task}"), "{slice}");
                let [begin, end] = ["begin", "end"].map(|side| slice[side].as_f64());
                Some(((end? - begin?) / 1e6, 0))
            })
            .collect()
    };
    assert_most(&waits("sleeps_10_ms", "waits: sleep"), 10.0);
    assert_most(&waits("sleeps_50_ms", "waits: sleep"), 50.0);
    assert_most(&waits("waits_for_the_lock", "waits: sync.Mutex.Lock"), 20.0);
    assert_most(&waits("runs_closures", "waits: join (sync)"), 30.0);

    let counters = read["counters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|counter| {
            track_of(counter)["name"] == "memory (RSS), bytes"
                && counter["value"].as_u64() > Some(1 << 20)
        });
    assert!(counters.count() >= 2);

    // Its polls are on the threads' tracks, and a flow leads from each wake to its poll.
    let workers = tracks.values().filter(|track| {
        let name = text(&track["name"]);
        name.starts_with("worker ") && track["tid"].as_u64() > Some(0)
    });
    // A worker that `block_in_place` hands over gets another thread.
    assert!(workers.count() >= 2);
    let polls = slices.iter().filter(|slice| {
        let name = text(&slice["name"]);
        name.starts_with("trace::waits_for_the_lock at ")
            && track_of(slice)["tid"].as_u64() > Some(0)
    });
    let instants = read["instants"].as_array().unwrap();
    let mut led_to = 0;
    for poll in polls {
        for flow in poll["flows"].as_array().unwrap() {
            let wake = instants
                .iter()
                .find(|wake| wake["flows"].as_array().unwrap().contains(flow));
            let wake = wake.unwrap();
            assert_eq!(wake["name"], "wakes");
            assert_eq!(wake["arguments"]["task"], poll["arguments"]["task"]);
            assert!(wake["begin"].as_u64() <= poll["begin"].as_u64());
            led_to += 1;
        }
    }
    assert!(led_to > 20, "{led_to}");

    // Regions, user tasks and logs.
    let named = |name: &str| slices.iter().filter(|slice| slice["name"] == *name).count();
    for name in [
        "request",
        "read",
        "in a child",
        "in a closure",
        "first",
        "second",
    ] {
        assert!(named(name) > 3, "{name}: {}", named(name));
    }
    let logs = instants.iter().filter(|log| log["name"] == "child");
    assert!(logs.clone().count() > 3 && logs.clone().all(|log| log["arguments"]["message"] == "é"));
    assert_eq!(get(server, "/debug/pprof/trace?format=go").status, 400);
}

/// A word of a line of `go tool trace -d=parsed`.
fn word<'l>(line: &'l str, key: &str) -> &'l str {
    let word = line.split(' ').find_map(|word| word.strip_prefix(key));
    word.unwrap_or_default()
}

/// Events of user tasks, regions and logs with a name.
fn said(text: &str, kind: &str, name: &str) -> Vec<String> {
    let (kind, name) = (format!(" {kind} "), format!("=\"{name}\""));
    let lines = text.lines();
    lines
        .filter(|line| line.contains(&kind) && line.contains(&name))
        .map(str::to_owned)
        .collect()
}

/// How long each region with a name lasted, in milliseconds; regions of one user task do not overlap.
fn region_times(text: &str, name: &str) -> Vec<(f64, u64)> {
    let ms = |line: &str| word(line, "Time=").parse::<f64>().unwrap() / 1e6;
    let ends = said(text, "RegionEnd", name);
    let begins = said(text, "RegionBegin", name);
    let times = begins.iter().filter_map(|begin| {
        let same = |end: &&String| {
            word(end, "Task=") == word(begin, "Task=") && word(end, "G=") == word(begin, "G=")
        };
        let end = ends.iter().find(same)?;
        Some((ms(end) - ms(begin), 0))
    });
    times.collect()
}
