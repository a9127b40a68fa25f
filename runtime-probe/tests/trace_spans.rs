//! Spans of the crate `tracing` as regions of execution traces, read by `go tool trace` and checked by Go's own validator.
#![cfg(all(feature = "full", feature = "tracing-subscriber"))]

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime_dump_testing::go::Go;
use runtime_probe::pprof::trace::{self, FlightRecorder, SpanLayer};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, Notify};
use runtime_probe::task::{self, LocalSet};
use runtime_probe::time::sleep;
use runtime_probe::{pprof, select, spawn};
use std::future::pending;
use std::sync::{Arc, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use support::client::get;
use support::regions::{LATE_MS, Region, Regions};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, debug_span, info_span, instrument};
use tracing_subscriber::Layer;
use tracing_subscriber::prelude::*;

mod support {
    #[allow(dead_code, reason = "other tests need more")]
    pub mod client;
    pub mod regions;
}

/// There is one recorder at a time, and one subscriber for all tests.
fn alone() -> MutexGuard<'static, ()> {
    static SUBSCRIBER: Once = Once::new();
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    SUBSCRIBER.call_once(|| {
        let layer = SpanLayer::new().with_filter(LevelFilter::INFO);
        tracing_subscriber::registry().with(layer).init();
    });
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

fn recorder() -> trace::Recorder {
    let recorder = FlightRecorder::new().min_age(Duration::from_secs(600));
    recorder.max_bytes(1 << 30).start().unwrap()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[instrument]
async fn request() {
    sleep(ms(20)).await;
    query().await;
    let child = spawn(sleep(ms(10)).instrument(info_span!("child")));
    child.await.unwrap();
    // Another handle of the span of this function.
    spawn(sleep(ms(5)).in_current_span()).await.unwrap();
    let closure = task::spawn_blocking(|| info_span!("closure").in_scope(|| thread::sleep(ms(5))));
    closure.await.unwrap();
}

#[instrument]
async fn query() {
    sleep(ms(5)).await;
    sleep(ms(5)).await;
    debug_span!("filtered").in_scope(|| {});
    task::yield_now().await;
}

const REQUESTS: usize = 10;
const ROUNDS: usize = 5;

#[test]
fn an_instrumented_function_is_one_region_with_its_waits() {
    let Some(go) = Go::find("trace_spans_functions") else {
        return;
    };
    let _alone = alone();
    let recorder = recorder();
    let runtime = runtime();
    runtime.block_on(async {
        for _ in 0..REQUESTS {
            spawn(trace::task("order", request())).await.unwrap();
        }
    });
    drop(runtime);
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    assert!(regions.open.is_empty() && regions.older.is_empty());
    let queries = regions.expect("query", REQUESTS, ms(10), 60.0);
    let children = regions.expect("child", REQUESTS, ms(10), 60.0);
    let closures = regions.expect("closure", REQUESTS, ms(5), 60.0);
    let all = regions.all("request");
    let (inner, outer): (Vec<Region>, Vec<Region>) = all
        .into_iter()
        .partition(|region| region.length_ms() < 30.0);
    // Those of the tasks that were spawned in the current span.
    assert_eq!((inner.len(), outer.len()), (REQUESTS, REQUESTS));
    for outer in &outer {
        assert!(outer.length_ms() > 48.0, "{outer:?}");
        let of = |regions: &[Region]| -> Vec<Region> {
            let regions = regions.iter();
            let of = regions.filter(|region| region.user_task == outer.user_task);
            of.cloned().collect()
        };
        let [queries, children, closures, inner] =
            [&queries, &children, &closures, &inner].map(|regions| of(regions));
        let all = [&queries, &children, &closures, &inner];
        assert_eq!(all.map(Vec::len), [1; 4], "{all:?}");
        assert!(queries[0].is_within(outer), "{queries:?}, {outer:?}");
        // Each in the goroutine of its own task.
        assert!(children[0].by != outer.by && closures[0].by != outer.by);
    }
    assert!(regions.all("filtered").is_empty());
    // The drop of a finished future is no region of its own.
    assert!(regions.ended.iter().all(|region| region.by < 1 << 62));
    assert_eq!(regions.ended.len(), 5 * REQUESTS, "{:?}", regions.ended);
}

fn spins(length: Duration) {
    let began = Instant::now();
    while began.elapsed() < length {
        std::hint::spin_loop();
    }
}

#[test]
fn a_span_that_does_not_wait_is_a_region_each_time_that_it_is_entered() {
    let Some(go) = Go::find("trace_spans_scopes") else {
        return;
    };
    let _alone = alone();
    let recorder = recorder();
    let runtime = runtime();
    let handle = runtime.spawn(async {
        let span = info_span!("step");
        for _ in 0..5 {
            // Beside a wait, and between two.
            select! {
                () = sleep(ms(60_000)) => {}
                () = sleep(ms(2)) => {}
            }
            span.in_scope(|| spins(ms(2)));
            span.in_scope(|| spins(ms(2)));
            // Its own target is no word of a filter's.
            info_span!(target: "tokio::task", "runtime.spawn").in_scope(|| {});
        }
        for _ in 0..5 {
            // Not in the order of a stack.
            let (first, second) = (info_span!("first"), info_span!("second"));
            let (in_first, in_second) = (first.enter(), second.enter());
            spins(ms(1));
            drop(in_first);
            spins(ms(1));
            drop(in_second);
            // The same one twice.
            let again = info_span!("again");
            again.in_scope(|| again.in_scope(|| spins(ms(1))));
        }
    });
    runtime.block_on(handle).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| info_span!("thread").in_scope(|| thread::sleep(ms(20))));
    });
    drop(runtime);
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    assert!(regions.open.is_empty() && regions.older.is_empty());
    regions.expect("step", 10, ms(2), 60.0);
    regions.expect("first", 5, ms(1), 60.0);
    regions.expect("again", 5, ms(1), 60.0);
    // The inner one ends with the outer one, and begins anew.
    let second = regions.all("second");
    assert_eq!(second.len(), 10, "{second:?}");
    assert!(second.iter().map(Region::length_ms).sum::<f64>() > 9.9);
    assert!(regions.all("runtime.spawn").is_empty());
    let thread = regions.expect("thread", 1, ms(20), LATE_MS);
    assert!(thread[0].by > 1 << 62);
}

#[test]
fn spans_that_overlap_in_a_task_have_their_times() {
    let Some(go) = Go::find("trace_spans_overlap") else {
        return;
    };
    let _alone = alone();
    let recorder = recorder();
    let runtime = runtime();
    let handle = runtime.spawn(async {
        for _ in 0..5 {
            let short = sleep(ms(4)).instrument(info_span!("short"));
            let long = async {
                // Polled when only the other one was woken, too.
                sleep(ms(6)).await;
                sleep(ms(6)).await;
            };
            runtime_probe::join!(short, long.instrument(info_span!("long")));
        }
        // The last poll registers somewhere.
        for _ in 0..5 {
            let branches = async {
                select! {
                    biased;
                    () = pending() => {}
                    () = sleep(ms(60_000)) => {}
                    () = sleep(ms(4)) => {}
                }
            };
            branches.instrument(info_span!("branches")).await;
            sleep(ms(10)).await;
        }
        // Another handle keeps the span: tokio's sleep registers in its last poll, too, and a lock that is free does not.
        let (kept, free) = (info_span!("kept"), info_span!("free"));
        let lock = Mutex::new(());
        for _ in 0..5 {
            sleep(ms(4)).instrument(kept.clone()).await;
            drop(lock.lock().instrument(free.clone()).await);
            sleep(ms(10)).await;
        }
    });
    runtime.block_on(handle).unwrap();
    drop(runtime);
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    assert!(regions.open.is_empty() && regions.older.is_empty());
    regions.expect("short", 5, ms(4), 60.0);
    let long = regions.all("long");
    assert!(
        long.iter().map(Region::length_ms).sum::<f64>() > 5.0 * 11.0,
        "{long:?}"
    );
    regions.expect("branches", 5, ms(4), 60.0);
    regions.expect("kept", 5, ms(4), 60.0);
    // A machine that is held up between the poll and the drop shows both.
    let free = regions.all("free").len();
    assert!((5..8).contains(&free), "{free}");
}

/// The children have wakers of their own, so where they wait is not known. Their polls are recognized by the stack.
#[test]
fn a_child_of_an_unordered_set_is_one_region_with_its_waits() {
    let Some(go) = Go::find("trace_spans_unordered") else {
        return;
    };
    let _alone = alone();
    let recorder = recorder();
    let runtime = runtime();
    let handle = runtime.spawn(async {
        let child = |times| async move {
            for _ in 0..times {
                sleep(ms(4)).await;
                info_span!("in child").in_scope(|| spins(ms(1)));
            }
            sleep(ms(10)).await;
        };
        let mut unordered = FuturesUnordered::new();
        for times in 0..ROUNDS {
            unordered.push(child(times).instrument(info_span!("unordered")));
        }
        while unordered.next().await.is_some() {
            // By hand, of a span that is kept, and behind a registration of the set.
            info_span!("between").in_scope(|| spins(ms(1)));
        }
        let stream = futures_util::stream::iter(0..ROUNDS).map(child);
        let stream = stream.map(|child| child.instrument(info_span!("buffered")));
        let mut stream = stream.buffer_unordered(2);
        while stream.next().await.is_some() {}
        // More children than have regions over their waits.
        let many = (0..400).map(|_| async {
            sleep(ms(10)).await;
            sleep(ms(10)).await;
        });
        futures_util::future::join_all(many.map(|child| child.instrument(info_span!("many"))))
            .await;
        // Children that are dropped while they wait.
        let mut dropped = FuturesUnordered::new();
        for _ in 0..ROUNDS {
            dropped.push(sleep(ms(60_000)).instrument(info_span!("dropped")));
        }
        let _ = tokio::time::timeout(ms(5), dropped.next()).await;
        drop(dropped);
        sleep(ms(30)).await;
    });
    runtime.block_on(handle).unwrap();
    drop(runtime);
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    assert!(regions.open.is_empty() && regions.older.is_empty());
    // From 0 to 4 times 5 ms, and 10 ms. Regions of one name that overlap may have exchanged their ends: Go's regions
    // nest.
    let children =
        ["unordered", "buffered"].map(|name| regions.expect(name, ROUNDS, ms(4), LATE_MS));
    for children in children {
        let sum: f64 = children.iter().map(Region::length_ms).sum();
        assert!((98.0..300.0).contains(&sum), "{children:?}");
    }
    let in_child = 2 * (ROUNDS - 1) * ROUNDS / 2;
    regions.expect("in child", in_child, ms(1), 60.0);
    regions.expect("between", ROUNDS, ms(1), 60.0);
    let many = regions.all("many");
    let long = many.iter().filter(|region| region.length_ms() > 18.0);
    assert!((200..=257).contains(&long.count()), "{}", many.len());
    assert!(many.len() > 400, "the others are by polls: {}", many.len());
    let dropped = regions.expect("dropped", ROUNDS, ms(4), LATE_MS);
    assert!(
        dropped.iter().all(|region| region.length_ms() < 25.0),
        "{dropped:?}"
    );
}

async fn notified_by(notify: Arc<Notify>) {
    notify.notified().await;
}

#[test]
fn spans_end_with_their_tasks() {
    let Some(go) = Go::find("trace_spans_ends") else {
        return;
    };
    let _alone = alone();
    let before = recorder();
    let runtime = runtime();
    let never = Arc::new(Notify::new());
    let waits = || notified_by(Arc::clone(&never));
    // Entered before the trace that is looked at.
    let early = async {
        sleep(ms(100)).await;
        sleep(ms(20)).await;
    };
    let early = runtime.spawn(early.instrument(info_span!("early")));
    thread::sleep(ms(50));
    drop(before);
    let recorder = recorder();
    thread::sleep(ms(20));
    let aborted = runtime.spawn(waits().instrument(info_span!("aborted")));
    let left = runtime.spawn(waits().instrument(info_span!("left")));
    runtime.block_on(async {
        sleep(ms(20)).await;
        aborted.abort();
        let _ = aborted.await;
        early.await.unwrap();
        let panics = spawn(async { panic!("on purpose") }.instrument(info_span!("panics")));
        panics.await.unwrap_err();
    });
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    drop((left, runtime, recorder));
    // From its first poll in the trace on.
    regions.expect("early", 1, ms(20), LATE_MS);
    regions.expect("panics", 1, ms(0), LATE_MS);
    regions.expect("aborted", 1, ms(20), LATE_MS);
    assert_eq!(regions.open, ["left"]);
    assert!(regions.ended.iter().all(|region| region.by < 1 << 62));
}

#[test]
fn a_guard_across_an_await_is_a_region_of_its_task() {
    let Some(go) = Go::find("trace_spans_guards") else {
        return;
    };
    let _alone = alone();
    let recorder = recorder();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let outside = info_span!("around").entered();
    LocalSet::new().block_on(&runtime, async {
        let held = |name: &'static str, length| async move {
            let _entered = match name {
                "shorter" => info_span!("shorter").entered(),
                _ => info_span!("longer").entered(),
            };
            sleep(length).await;
        };
        let shorter = task::spawn_local(held("shorter", ms(10)));
        let longer = task::spawn_local(held("longer", ms(20)));
        shorter.await.unwrap();
        longer.await.unwrap();
        // The span of the thread is not this task's.
        spawn(sleep(ms(5)).instrument(info_span!("inside")))
            .await
            .unwrap();
    });
    drop(outside);
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    assert!(regions.open.is_empty() && regions.older.is_empty());
    let shorter = regions.expect("shorter", 1, ms(10), LATE_MS);
    let longer = regions.expect("longer", 1, ms(20), LATE_MS);
    assert!(shorter[0].end_ms < longer[0].end_ms && longer[0].begin_ms < shorter[0].end_ms);
    let inside = regions.expect("inside", 1, ms(5), LATE_MS);
    let around = regions.expect("around", 1, ms(25), LATE_MS);
    assert!(longer[0].end_ms < inside[0].begin_ms && inside[0].end_ms < around[0].end_ms);
    assert!(around[0].by > 1 << 62 && inside[0].by < 1 << 62);
    assert_eq!(regions.ended.len(), 4, "{:?}", regions.ended);
}

#[cfg(tokio_unstable)]
#[test]
fn a_region_of_a_foreign_task_ends_when_its_span_is_closed() {
    let Some(go) = Go::find("trace_spans_foreign") else {
        return;
    };
    let _alone = alone();
    let recorder = recorder();
    let runtime = runtime();
    let foreign = async {
        for _ in 0..5 {
            sleep(ms(5)).instrument(info_span!("part")).await;
            info_span!("scope").in_scope(|| spins(ms(1)));
            sleep(ms(5)).await;
        }
    };
    let foreign = foreign.instrument(info_span!("foreign"));
    runtime.block_on(async { tokio::spawn(foreign).await.unwrap() });
    drop(runtime);
    let regions = Regions::of(&recorder, &go).without_waits_of_threads();
    assert!(regions.open.is_empty() && regions.older.is_empty());
    let foreign = regions.expect("foreign", 1, ms(50), LATE_MS);
    // A worker that is held up knows the end of a poll late. The next one, on another worker, may begin before that, and
    // what it does up to then is not shown.
    for (name, least_ms, most_ms) in [("part", 4.0, 10.0), ("scope", 0.9, 4.0)] {
        let all = regions.all(name);
        assert!((3..=5).contains(&all.len()), "{name}: {all:?}");
        assert!(
            all.iter().all(|region| region.is_within(&foreign[0])),
            "{all:?}"
        );
        let right = |region: &&Region| (least_ms..most_ms).contains(&region.length_ms());
        assert!(all.iter().filter(right).count() * 2 > all.len(), "{all:?}");
    }
    assert!(foreign[0].by < 1 << 62);
}

/// A trace that is written in parts, of a program that goes on.
#[test]
fn spans_go_on_over_the_parts_of_a_trace() {
    let Some(go) = Go::find("trace_spans_parts") else {
        return;
    };
    let _alone = alone();
    let runtime = runtime();
    runtime.spawn(async {
        loop {
            request().await;
        }
    });
    runtime.spawn(notified_by(Arc::new(Notify::new())).instrument(info_span!("for ever")));
    // A poll that begins before the trace, and ends in it.
    runtime.spawn(async {
        info_span!("older").in_scope(|| thread::sleep(ms(1000)));
    });
    thread::sleep(ms(50));
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let answer = get(server.local_addr().unwrap(), "/debug/pprof/trace?seconds=3");
    assert_eq!(answer.status, 200);
    let file = go.file("spans.trace", &answer.body);
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let regions = Regions::read(&go.trace(&["-d=parsed"], &file));
    for (name, least_ms, most_ms) in [("query", 9.0, 20.0), ("child", 9.0, 20.0)] {
        let all = regions.all(name);
        let right = all
            .iter()
            .filter(|region| (least_ms..most_ms).contains(&region.length_ms()));
        let right = right.count();
        assert!(right > 10 && right * 2 > all.len(), "{name}: {all:?}");
    }
    // What does not enter its span in the trace has no region.
    assert!(regions.all("for ever").is_empty());
    assert!(regions.older.iter().any(|name| name == "older"));
    let (viewer, _viewer) = go.trace_viewer(&file);
    let page = get(viewer, "/userregions");
    for name in ["request", "query", "child", "closure"] {
        assert!(page.text().contains(name), "{name}: {}", page.text());
    }
}
