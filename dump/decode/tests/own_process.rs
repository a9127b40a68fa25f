//! Tasks that plain tokio spawns, decoded in their own process and compared with the stacks of the waker.
#![cfg(tokio_unstable)]

#[expect(dead_code, reason = "pages are asked once here")]
mod served;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime_probe::pprof;
use served::{alone, runtime};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_secs(3600);

/// Spawns each kind of wait twice: through the probe's spawn and through tokio's. Returns the ids of both tasks.
macro_rules! spawn_both {
    ($($kind:ident),* $(,)?) => {
        BTreeMap::from([$((
            stringify!($kind),
            [runtime_probe::spawn($kind()).id(), tokio::spawn($kind()).id()],
        )),*])
    };
}

async fn sleeps() {
    tokio::time::sleep(LONG).await;
}

async fn ticks() {
    let mut interval = tokio::time::interval(LONG);
    interval.tick().await;
    interval.tick().await;
}

async fn times_out() {
    let (_sender, receiver) = oneshot::channel::<()>();
    let _ = tokio::time::timeout(LONG, receiver).await;
}

async fn locks() {
    let mutex = Arc::new(Mutex::new(0));
    let _held = mutex.lock().await;
    *mutex.lock().await += 1;
}

async fn reads() {
    let lock = RwLock::new(0);
    let _held = lock.write().await;
    drop(lock.read().await);
}

async fn writes() {
    let lock = RwLock::new(0);
    let _held = lock.read().await;
    *lock.write().await += 1;
}

async fn acquires() {
    let semaphore = Semaphore::new(1);
    drop(semaphore.acquire_many(2).await);
}

async fn is_notified() {
    Notify::new().notified().await;
}

async fn sends() {
    let (sender, _receiver) = mpsc::channel(1);
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
}

async fn receives() {
    let (_sender, mut receiver) = mpsc::channel::<u8>(1);
    receiver.recv().await;
}

async fn receives_unbounded() {
    let (_sender, mut receiver) = mpsc::unbounded_channel::<u8>();
    receiver.recv().await;
}

async fn receives_once() {
    let (_sender, receiver) = oneshot::channel::<u8>();
    let _ = receiver.await;
}

async fn receives_broadcast() {
    let (_sender, mut receiver) = broadcast::channel::<u8>(1);
    let _ = receiver.recv().await;
}

async fn watches() {
    let (_sender, mut receiver) = watch::channel(0);
    let _ = receiver.changed().await;
}

async fn meets() {
    Barrier::new(2).wait().await;
}

async fn joins() {
    let _ = tokio::spawn(std::future::pending::<()>()).await;
}

async fn joins_set() {
    let mut set = JoinSet::new();
    set.spawn(std::future::pending::<()>());
    set.join_next().await;
}

async fn accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _ = listener.accept().await;
}

async fn reads_stream() {
    use tokio::io::AsyncReadExt;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let _ = stream.read_u8().await;
}

async fn receives_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let _ = socket.recv(&mut [0; 8]).await;
}

async fn selects() {
    tokio::select! {
        () = sleeps() => {}
        () = receives_once() => {}
    }
}

async fn joins_both() {
    tokio::join!(sleeps(), receives_once());
}

async fn boxes() {
    let inner: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(sleeps());
    inner.await;
}

async fn recurses() {
    fn deeper(depth: u32) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            match depth {
                0 => sleeps().await,
                _ => deeper(depth - 1).await,
            }
        })
    }
    deeper(3).await;
}

async fn calls() {
    outer(1).await;
}

async fn outer(depth: u8) {
    inner(depth).await;
}

async fn inner(depth: u8) {
    receives().await;
    std::hint::black_box(depth);
}

async fn collects() {
    let mut children = FuturesUnordered::new();
    children.push(sleeps());
    children.push(sleeps());
    children.next().await;
}

#[test]
fn decoded_stacks_are_those_that_the_waker_sees() {
    let _alone = alone();
    let runtime = runtime(2);
    let mut pairs = runtime.block_on(async {
        spawn_both!(
            sleeps,
            ticks,
            times_out,
            locks,
            reads,
            writes,
            acquires,
            is_notified,
            sends,
            receives,
            receives_unbounded,
            receives_once,
            receives_broadcast,
            watches,
            meets,
            joins,
            joins_set,
            accepts,
            reads_stream,
            receives_datagram,
            selects,
            joins_both,
            boxes,
            recurses,
            calls,
            collects,
        )
    });
    let dump = decoded_dump(pairs.values().map(|pair| pair[1]));
    let (kind, [ours, foreign]) = pairs.remove_entry("collects").unwrap();
    // The children have wakers of their own, so the waker sees none of them.
    assert!(!dump.task(ours).contains("own_process::sleeps"), "{kind}");
    assert_eq!(
        dump.task(foreign)
            .matches("own_process::sleeps(...)")
            .count(),
        2
    );
    let mut different = String::new();
    for (kind, [ours, foreign]) in &pairs {
        let (ours, foreign) = (dump.task(*ours), dump.task(*foreign));
        assert!(foreign.contains("decoded"), "{kind}: {foreign}");
        let (seen, decoded) = (shown(ours), shown(foreign));
        let is_same = match seen[0] == "select" {
            true => functions(&seen) == functions(&decoded),
            false => seen == decoded,
        };
        if !is_same {
            different += &format!("{kind}:\n{ours}\n\n{foreign}\n\n");
        }
    }
    assert!(different.is_empty(), "{different}");
}

async fn waits_for_long() {
    tokio::time::sleep(LONG).await;
}

async fn comes_and_goes(number: u64) {
    tokio::time::sleep(Duration::from_micros(number % 700)).await;
    tokio::task::yield_now().await;
}

/// Other tasks are spawned, polled and finished during these reads.
#[test]
fn under_churn_tasks_that_wait_are_decoded_and_no_other_stack_is_shown() {
    let _alone = alone();
    const WAITING: usize = 200;
    let runtime = runtime(2);
    let _entered = runtime.handle().enter();
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| tokio::spawn(waits_for_long()).id())
        .collect();
    for first in 0..100 {
        tokio::spawn(async move {
            for number in first.. {
                let _ = tokio::spawn(comes_and_goes(number)).await;
            }
        });
    }
    let dump = decoded_dump(waiting.iter().copied());
    let is_decoded = |id| dump.task(id).contains("own_process::waits_for_long(...)");
    assert!(waiting.iter().all(|id| is_decoded(*id)), "{}", dump.text);
    for _ in 0..20 {
        let dump = Dump::take();
        for id in &waiting {
            // On a loaded machine there may be no time to decode the task.
            let task = dump.task(*id);
            let is_right = task.contains("own_process::waits_for_long(...)");
            assert!(is_right || !task.contains("decoded"), "{task}");
        }
        for task in dump.tasks.values().filter(|task| task.contains("decoded")) {
            let comes_and_goes = task.contains("own_process::comes_and_goes(...)");
            if comes_and_goes {
                let place = [
                    "tokio::time::sleep::Sleep(...)",
                    "tokio::task::yield_now::yield_now(...)",
                ];
                assert!(
                    place.iter().any(|place| task.contains(place))
                        || task.contains("not polled yet"),
                    "{task}"
                );
            }
            assert!(
                comes_and_goes
                    || task.contains("own_process::waits_for_long(...)")
                    || task.contains("own_process::under_churn_"),
                "{task}"
            );
        }
    }
}

#[test]
fn decoding_can_be_left_out() {
    let _alone = alone();
    let runtime = runtime(1);
    let id = runtime.block_on(async { tokio::spawn(waits_for_long()).id() });
    decoded_dump([id].into_iter());
    let serving = pprof::serve("127.0.0.1:0").unwrap();
    let address = serving.local_addr().unwrap();
    let with = get(address, "decode=1");
    assert!(with.contains("own_process::waits_for_long(...)"), "{with}");
    assert!(
        with.contains(" foreign tasks are decoded; the index of types takes "),
        "{with}"
    );
    let without = get(address, "decode=0");
    assert!(!without.contains("decoded"), "{without}");
    assert!(
        without.contains("foreign task: a dependency spawned it"),
        "{without}"
    );
    let refused = get(address, "decode=2");
    assert!(
        refused.contains("invalid value for \"decode\""),
        "{refused}"
    );
    // The other forms have the same stacks.
    let matching = get(address, "match=waits_for_long&state=sleep");
    assert!(
        matching.contains("own_process::waits_for_long(...)"),
        "{matching}"
    );
}

/// `cargo test --release -p runtime-dump-decode --test own_process -- --ignored --nocapture`; `TASKS=1000` for one number of tasks.
#[test]
#[ignore = "a measurement, for a quiet machine and a release build"]
fn what_decoding_takes() {
    let _alone = alone();
    let runtime = runtime(2);
    let only = std::env::var("TASKS").map(|text| text.parse().expect("TASKS is a number"));
    for tasks in only.map_or(vec![1_000, 100_000], |tasks| vec![tasks]) {
        let ids: Vec<_> = runtime.block_on(async {
            let spawn = |_| tokio::spawn(waits_for_long()).id();
            (0..tasks).map(spawn).collect()
        });
        let began = Instant::now();
        decoded_dump(ids[..1].iter().copied());
        println!("the first: {:?}", began.elapsed());
        let serving = pprof::serve("127.0.0.1:0").unwrap();
        let address = serving.local_addr().unwrap();
        // The two are measured alternately, so that other load affects both.
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..if tasks <= 1_000 { 200 } else { 15 } {
            for (query, took) in [("decode=1", &mut with), ("decode=0", &mut without)] {
                let (began, cpu) = (Instant::now(), cpu_time());
                get(address, query);
                took.push((began.elapsed(), cpu_time().saturating_sub(cpu)));
            }
        }
        let median = |took: &[(Duration, Duration)], of: fn(&(Duration, Duration)) -> Duration| {
            let mut took: Vec<Duration> = took.iter().map(of).collect();
            took.sort_unstable();
            took[took.len() / 2]
        };
        for (what, of) in [
            (
                "time",
                (|took| took.0) as fn(&(Duration, Duration)) -> Duration,
            ),
            ("CPU time, of client and server", |took| took.1),
        ] {
            let (with, without) = (median(&with, of), median(&without, of));
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            println!("{tasks} tasks, {what}: {with:?} decoded, {without:?} not: {ratio:.2}");
        }
        let head = get(address, "limit=1");
        let head = head.lines().find(|line| line.contains("decoded"));
        println!("{head:?}");
    }
}

/// The CPU time of all living threads.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn get(address: std::net::SocketAddr, query: &str) -> String {
    served::get(address, &format!("goroutine?debug=2&{query}"))
}

/// A dump of `debug=2`.
struct Dump {
    text: String,
    tasks: BTreeMap<u64, String>,
}

impl Dump {
    fn take() -> Self {
        let profile = pprof::lookup("goroutine").unwrap();
        let mut bytes = Vec::new();
        profile.write_to(&mut bytes, 2).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        // The remarks on the whole dump are directly above the first task.
        let is_remark = |line: &str| line.starts_with('#') && line.contains(" foreign tasks are ");
        let tasks: Vec<&str> = text.lines().filter(|line| !is_remark(line)).collect();
        let tasks = tasks.join("\n");
        let blocks = tasks.split("\n\n").filter_map(|block| {
            let mut lines = block.lines();
            let id = lines.find_map(|line| line.strip_prefix("goroutine "))?;
            let (id, _) = id.split_once(" [")?;
            Some((id.parse().ok()?, block.to_owned()))
        });
        let tasks = blocks.collect();
        Self { text, tasks }
    }

    fn task(&self, id: tokio::task::Id) -> &str {
        let id: u64 = id.to_string().parse().unwrap();
        self.tasks
            .get(&id)
            .unwrap_or_else(|| panic!("{id} is not in:\n{}", self.text))
    }
}

/// A dump in which all of these tasks are decoded. The index is built at its first use, and a task may be polled once
/// more.
fn decoded_dump(ids: impl Iterator<Item = tokio::task::Id>) -> Dump {
    let ids: Vec<_> = ids.collect();
    let began = Instant::now();
    loop {
        let dump = Dump::take();
        let is_decoded = |id: &tokio::task::Id| dump.task(*id).contains("decoded");
        if ids.iter().all(is_decoded) || began.elapsed() > Duration::from_secs(60) {
            return dump;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The functions without their lines. The order of a select's branches differs from poll to poll, and the line of an
/// await in a macro is inside the macro in the debug information.
fn functions(shown: &[String]) -> Vec<&String> {
    let mut functions: Vec<_> = shown.iter().filter(|line| !line.contains(".rs:")).collect();
    functions.sort();
    functions
}

/// The text in the brackets, each leaf, and the functions of this program with their lines. A wrapper that a library
/// puts around a future is a poll on the waker's stack, and is folded in a chain of futures. A leaf that is no async fn
/// is its type in a chain, and its poll on the waker's stack.
fn shown(block: &str) -> Vec<String> {
    let mut shown = Vec::new();
    let mut is_leaf = false;
    for line in block.lines() {
        let own = line.contains("own_process::");
        match line {
            _ if line.starts_with('#') || line.starts_with("created by ") => {}
            _ if line.starts_with("goroutine ") => {
                let reason = line.split_once('[').unwrap().1;
                let reason = reason.split([',', ']']).next().unwrap();
                shown.push(reason.to_owned());
                is_leaf = true;
            }
            _ if line.starts_with('\t') => {
                if let Some(at) = line.find("own_process.rs:") {
                    let end = line.find(" +").unwrap_or(line.len());
                    shown.push(line[at..end].to_owned());
                }
            }
            // A branch begins with its leaf, on the line below its name.
            _ if line.starts_with("select.branch_") => is_leaf = true,
            _ if is_leaf || own => {
                let poll = line
                    .strip_prefix('<')
                    .and_then(|line| line.split_once(" as "));
                let function = poll.map_or(line.trim_end_matches("(...)"), |(of, _)| of);
                is_leaf = false;
                shown.push(function.to_owned());
            }
            _ => {}
        }
    }
    shown
}
