//! Dumps while thousands of tasks begin and end: each dump is complete, has every lasting task exactly once, and
//! keeps no memory. Runs for `SPAWN_SECONDS` (default 5). In a process of its own, as the memory of the process is
//! measured.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::collections::HashSet;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::Profile;
use runtime_dump_testing::grammar;
use runtime_probe::runtime::Builder;
use runtime_probe::{pprof, spawn, sync::oneshot, task, time};
use support::{client, memory};

mod support {
    #[allow(dead_code, reason = "this test asks in one way only")]
    pub mod client;
    pub mod memory;
}

/// Lasting tasks.
const LASTING: usize = 300;

/// Tasks of one storm, all alive at the same time for a moment. There is one storm for each worker.
const BATCH: usize = 500;
const STORMS: usize = 2;

/// The lasting tasks, the short tasks, and the storms that spawn them.
const MOST: usize = LASTING + STORMS * (BATCH + 1);

/// Rounds of dumps, one dump of each form, for any length of time.
const LEAST_ROUNDS: usize = 12;

/// How much memory may grow after the first rounds: malloc's arenas fill, tables grow by doubling, and a task that
/// runs at a new place needs the debug information of that place. After 80 s and nine million tasks the growth was 8
/// MiB, nearly all of it in the first 30 s; on a loaded machine it was 10 MiB after 5 s. A leak of one record (144 B)
/// in ten tasks would reach this limit after 1,200,000 tasks, a leak of one row (64 B) for each dump and task after
/// some 120 dumps.
const TOLERANCE_KIB: usize = 16 << 10;

static SPAWNED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn dumps_are_whole_while_tasks_come_and_go() {
    let seconds = std::env::var("SPAWN_SECONDS").map_or(5.0, |text| {
        text.parse().expect("SPAWN_SECONDS is a number of seconds")
    });
    let runtime = Builder::new_multi_thread()
        .worker_threads(STORMS)
        .enable_all()
        .build()
        .unwrap();
    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..LASTING {
        runtime.spawn(lasting());
    }
    let storms: Vec<_> = (0..STORMS)
        .map(|_| runtime.spawn(storm(Arc::clone(&over))))
        .collect();
    let serving = pprof::serve("127.0.0.1:0").unwrap();
    let server = serving.local_addr().unwrap();

    let begin = Instant::now();
    let total = Duration::from_secs_f64(seconds);
    let (mut rounds, mut early_kib) = (0, 0);
    while begin.elapsed() < total || rounds < LEAST_ROUNDS {
        assert_whole(server);
        rounds += 1;
        if rounds == LEAST_ROUNDS / 2 {
            early_kib = memory::resident_kib();
        }
    }
    let late_kib = memory::resident_kib();
    over.store(true, Relaxed);
    for storm in storms {
        runtime.block_on(storm).unwrap();
    }
    let spawned = SPAWNED.load(Relaxed);
    println!("{rounds} rounds, {spawned} tasks: {early_kib} KiB early, {late_kib} KiB late");
    assert!(spawned > 5 * BATCH, "{spawned} tasks are no storm");
    assert!(
        late_kib <= early_kib + TOLERANCE_KIB,
        "{early_kib} KiB, {late_kib} KiB"
    );
}

async fn lasting() {
    pending::<()>().await;
}

/// Tasks of three kinds, again and again: tasks that end in their first poll, that wait for each other, or that
/// sleep.
async fn storm(over: Arc<AtomicBool>) {
    while !over.load(Relaxed) {
        let tasks: Vec<_> = (0..BATCH / 2)
            .flat_map(|number| {
                let (sender, receiver) = oneshot::channel();
                let waits = spawn(async move { receiver.await.is_ok_and(|sent| sent == number) });
                let wakes = spawn(async move {
                    match number % 3 {
                        0 => {}
                        1 => task::yield_now().await,
                        _ => time::sleep(Duration::from_millis(1)).await,
                    }
                    sender.send(number).is_ok()
                });
                [waits, wakes]
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        SPAWNED.fetch_add(BATCH, Relaxed);
    }
}

/// One dump of each form.
fn assert_whole(server: SocketAddr) {
    let text = |query: &str| {
        let answer = client::get(server, &format!("/debug/pprof/goroutine?{query}"));
        assert_eq!(answer.status, 200, "{query}");
        answer.text().to_owned()
    };
    let profile = |query: &str| {
        let answer = client::get(server, &format!("/debug/pprof/goroutine?{query}"));
        Profile::decode(&answer.body).unwrap()
    };
    for query in ["debug=2", "debug=2&plain=1", "debug=2&fresh=1"] {
        let text = text(query);
        let blocks = grammar::read_goroutines(&text).unwrap();
        let ids: HashSet<u64> = blocks.iter().map(|block| block.id).collect();
        assert_eq!(ids.len(), blocks.len(), "{query}: a task comes twice");
        let lasts = |block: &&grammar::Block| {
            let mut frames = block.frames.iter();
            frames.any(|frame| frame.function == "dumps_under_spawns::lasting")
        };
        assert_eq!(blocks.iter().filter(lasts).count(), LASTING, "{query}");
        assert!(blocks.len() <= MOST, "{query}: {} tasks", blocks.len());
    }
    grammar::read_goroutines(&text("debug=2&group=1")).unwrap();
    let counts = grammar::read_counts(&text("debug=1")).unwrap();
    assert!(
        (LASTING..=MOST).contains(&(counts.total as usize)),
        "{}",
        counts.total
    );
    let lasting = text("format=folded&match=dumps_under_spawns::lasting");
    let folded = lasting
        .lines()
        .find(|line| line.starts_with("dumps_under_spawns::lasting"));
    assert!(
        folded.is_some_and(|line| line.ends_with(&format!(" {LASTING}"))),
        "{lasting}"
    );
    let samples = profile("debug=3").sample.len();
    assert!((LASTING..=MOST).contains(&samples), "{samples}");
    let counted: i64 = profile("debug=0")
        .sample
        .iter()
        .map(|sample| sample.value[0])
        .sum();
    assert!((LASTING..=MOST).contains(&(counted as usize)), "{counted}");
}
