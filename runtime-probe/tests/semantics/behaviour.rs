//! Tokio's documented behaviour, as tests that use only the name `tokio`. `semantics.rs` compiles them twice: with
//! tokio itself under that name, and with the probe.

use super::tokio;
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Once, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, LocalRuntime, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinSet, LocalSet};

/// All tests, for a process that runs them one after the other.
pub const ALL: &[fn()] = &[
    a_panic_reaches_who_joins,
    an_aborted_task_is_dropped,
    a_task_aborted_before_its_first_poll_is_never_polled,
    a_finished_task_cannot_be_aborted,
    a_shutdown_drops_every_future,
    a_shutdown_survives_drops_that_use_the_runtime,
    a_shutdown_in_the_background_does_not_wait,
    a_shutdown_with_a_timeout_gives_up,
    a_dropped_handle_leaves_the_task_alone,
    ids_are_the_tasks_own,
    wakers_wake,
    joined_in_a_set,
    joined_from_iterators,
    a_set_aborts_what_it_holds,
    a_set_lets_go,
    local_tasks_in_a_set,
    local_sets_run,
    local_runtimes_run,
    closures_block,
    a_closure_aborted_in_the_queue_never_runs,
    tasks_block_in_place,
    handles_block,
    nested_runtimes_are_refused,
    panics_point_at_the_caller,
    it_shows_itself,
];

/// Counts drops.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    /// A value whose drop counts.
    fn one(&self) -> impl Drop + Send + use<> {
        struct One(Drops);
        impl Drop for One {
            fn drop(&mut self) {
                self.0.0.fetch_add(1, SeqCst);
            }
        }
        One(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Waits for the count, as values may be dropped on another thread.
    fn become_count(&self, expected: usize) {
        eventually(|| self.count() == expected);
    }
}

fn eventually(mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn flavours() -> [Runtime; 2] {
    [current_thread(), multi_thread()]
}

/// A panic as the user sees it: its message and its place.
#[derive(Debug, PartialEq)]
struct Panicked {
    message: String,
    line: u32,
    here: bool,
}

/// Runs a closure that must panic.
fn panicked<R>(f: impl FnOnce() -> R) -> Panicked {
    thread_local! {
        static LAST: RefCell<Option<(bool, u32)>> = const { RefCell::new(None) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let at = info.location().map(|at| (at.file() == file!(), at.line()));
            LAST.with(|last| *last.borrow_mut() = at);
            before(info);
        }));
    });
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        panic!("no panic");
    };
    let (here, line) = LAST.with(RefCell::take).expect("the hook ran");
    Panicked {
        message: text(&*payload),
        line,
        here,
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "no text".to_owned(),
    }
}

#[test]
fn a_panic_reaches_who_joins() {
    #[derive(Debug, PartialEq)]
    struct Payload(u32);
    for runtime in flavours() {
        runtime.block_on(async {
            let handle = tokio::spawn(async {
                tokio::task::yield_now().await;
                panic_any(Payload(7));
            });
            let id = handle.id();
            let error = handle.await.unwrap_err();
            assert!(error.is_panic() && !error.is_cancelled());
            assert_eq!(error.id(), id);
            assert_eq!(
                *error.into_panic().downcast::<Payload>().unwrap(),
                Payload(7)
            );
            // The worker and the runtime go on.
            assert_eq!(tokio::spawn(async { 8 }).await.unwrap(), 8);
        });
        // The root's panic passes through.
        assert_eq!(
            panicked(|| runtime.block_on(async { panic!("root") })).message,
            "root"
        );
        assert_eq!(runtime.block_on(async { 9 }), 9);
    }
}

#[test]
fn an_aborted_task_is_dropped() {
    for runtime in flavours() {
        runtime.block_on(async {
            let drops = Drops::default();
            let (started, is_started) = oneshot::channel();
            let held = drops.one();
            let handle = tokio::spawn(async move {
                let _held = held;
                started.send(()).unwrap();
                pending::<()>().await;
            });
            is_started.await.unwrap();
            let abort = handle.abort_handle();
            assert!(!abort.is_finished());
            handle.abort();
            let error = handle.await.unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(drops.count(), 1);
            assert!(abort.is_finished());
            assert_eq!(
                error.to_string(),
                format!("task {} was cancelled", abort.id())
            );
        });
    }
}

#[test]
fn a_task_aborted_before_its_first_poll_is_never_polled() {
    let drops = Drops::default();
    current_thread().block_on(async {
        let held = drops.one();
        let handle = tokio::spawn(async move {
            let _held = held;
            panic!("polled");
        });
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
    });
    assert_eq!(drops.count(), 1);
    // The one worker is busy, so the second task cannot be polled before it is aborted.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let (started, is_started) = mpsc::channel();
    let busy = runtime.spawn(async move {
        started.send(()).unwrap();
        let _ = gate.recv();
    });
    is_started.recv().unwrap();
    let held = drops.one();
    let handle = runtime.spawn(async move {
        let _held = held;
        panic!("polled");
    });
    handle.abort();
    go.send(()).unwrap();
    runtime.block_on(async {
        busy.await.unwrap();
        assert!(handle.await.unwrap_err().is_cancelled());
    });
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_finished_task_cannot_be_aborted() {
    for runtime in flavours() {
        runtime.block_on(async {
            let handle = tokio::spawn(async { 5 });
            while !handle.is_finished() {
                tokio::task::yield_now().await;
            }
            handle.abort();
            assert_eq!(handle.await.unwrap(), 5);
        });
    }
}

#[test]
fn a_shutdown_drops_every_future() {
    for runtime in flavours() {
        let drops = Drops::default();
        let mut handles = Vec::new();
        for _ in 0..50 {
            let held = drops.one();
            handles.push(runtime.spawn(async move {
                let _held = held;
                pending::<()>().await;
            }));
        }
        runtime.block_on(tokio::task::yield_now());
        // These tasks may never be polled.
        for _ in 0..50 {
            let held = drops.one();
            handles.push(runtime.spawn(async move {
                let _held = held;
                pending::<()>().await;
            }));
        }
        let handle = runtime.handle().clone();
        drop(runtime);
        assert_eq!(drops.count(), 100);
        // A join handle outlives the runtime, and a spawn comes too late.
        let late = drops.one();
        handles.push(handle.spawn(async move { drop(late) }));
        assert_eq!(drops.count(), 101);
        for handle in handles {
            let error = current_thread().block_on(handle).unwrap_err();
            assert!(error.is_cancelled());
        }
    }
}

#[test]
fn a_shutdown_survives_drops_that_use_the_runtime() {
    struct Spawns(Drops);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let held = self.0.one();
            drop(tokio::spawn(async move { drop(held) }));
        }
    }
    struct Aborts(tokio::task::AbortHandle, Arc<Notify>);
    impl Drop for Aborts {
        fn drop(&mut self) {
            self.0.abort();
            self.1.notify_waiters();
        }
    }
    for runtime in flavours() {
        let drops = Drops::default();
        for _ in 0..20 {
            let notify = Arc::new(Notify::new());
            let (waits, held) = (notify.clone(), drops.one());
            let first = runtime.spawn(async move {
                let _held = held;
                waits.notified().await;
            });
            let (aborts, spawns) = (Aborts(first.abort_handle(), notify), Spawns(drops.clone()));
            runtime.spawn(async move {
                let _held = (aborts, spawns);
                pending::<()>().await;
            });
        }
        runtime.block_on(tokio::task::yield_now());
        drop(runtime);
        assert_eq!(drops.count(), 40);
    }
}

#[test]
fn a_shutdown_in_the_background_does_not_wait() {
    for runtime in flavours() {
        let drops = Drops::default();
        let (go, gate) = mpsc::channel::<()>();
        let (started, is_started) = mpsc::channel();
        let (task, closure) = (drops.one(), drops.one());
        runtime.spawn(async move {
            let _held = task;
            pending::<()>().await;
        });
        runtime.spawn_blocking(move || {
            let _held = closure;
            started.send(()).unwrap();
            let _ = gate.recv();
        });
        is_started.recv().unwrap();
        // Also from inside another runtime, where a drop would panic.
        current_thread().block_on(async move { runtime.shutdown_background() });
        drops.become_count(1);
        go.send(()).unwrap();
        drops.become_count(2);
    }
}

#[test]
fn a_shutdown_with_a_timeout_gives_up() {
    for runtime in flavours() {
        let drops = Drops::default();
        let (go, gate) = mpsc::channel::<()>();
        let (started, is_started) = mpsc::channel();
        let task = drops.one();
        runtime.spawn(async move {
            let _held = task;
            pending::<()>().await;
        });
        runtime.spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = gate.recv();
        });
        is_started.recv().unwrap();
        let begun = Instant::now();
        runtime.shutdown_timeout(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!(drops.count(), 1);
        go.send(()).unwrap();
    }
}

#[test]
fn a_dropped_handle_leaves_the_task_alone() {
    for runtime in flavours() {
        let drops = Drops::default();
        let (send, receive) = oneshot::channel();
        let output = drops.one();
        runtime.block_on(async {
            drop(tokio::spawn(async move {
                send.send(()).unwrap();
                output
            }));
            receive.await.unwrap();
        });
        // No task takes the output.
        drops.become_count(1);
    }
}

#[test]
fn ids_are_the_tasks_own() {
    for runtime in flavours() {
        runtime.block_on(async {
            assert!(tokio::task::try_id().is_none(), "a root is no task");
            let handle = tokio::spawn(async { tokio::task::id() });
            let id = handle.id();
            assert_eq!(handle.await.unwrap(), id);
            let mut set = JoinSet::new();
            let abort = set.spawn(async { tokio::task::id() });
            let (joined, own) = set.join_next_with_id().await.unwrap().unwrap();
            assert_eq!((joined, own), (abort.id(), abort.id()));
            let handle = tokio::task::spawn_blocking(tokio::task::id);
            let id = handle.id();
            assert_eq!(handle.await.unwrap(), id);
        });
    }
}

#[test]
fn wakers_wake() {
    /// Wakes itself several times, each time in another way.
    struct Restless {
        polls: u32,
        kept: Option<Waker>,
    }
    impl Future for Restless {
        type Output = u32;
        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
            let waker = context.waker();
            assert!(waker.clone().will_wake(waker));
            assert!(waker.clone().will_wake(&waker.clone()));
            self.polls += 1;
            match self.polls {
                1 => waker.wake_by_ref(),
                2 => waker.clone().wake(),
                3 => self.kept = Some(waker.clone()),
                // A second wake of the same poll causes no second poll.
                4 => (0..3).for_each(|_| waker.wake_by_ref()),
                polls => return Poll::Ready(polls),
            }
            if let Some(kept) = self.kept.take() {
                std::thread::spawn(move || kept.wake()).join().unwrap();
            }
            Poll::Pending
        }
    }
    for runtime in flavours() {
        let restless = || Restless {
            polls: 0,
            kept: None,
        };
        assert_eq!(runtime.block_on(runtime.spawn(restless())).unwrap(), 5);
        assert_eq!(runtime.block_on(restless()), 5);
        // Wakers may outlive the task and its runtime.
        let waker = runtime.block_on(async {
            tokio::spawn(std::future::poll_fn(|context| {
                Poll::Ready(context.waker().clone())
            }))
            .await
            .unwrap()
        });
        waker.wake_by_ref();
        drop(runtime);
        waker.clone().wake();
    }
}

#[test]
fn joined_in_a_set() {
    for runtime in flavours() {
        runtime.block_on(async {
            let handle = Handle::current();
            let mut set = JoinSet::new();
            set.spawn(async { 1 });
            set.spawn_on(async { 2 }, &handle);
            set.spawn_blocking(|| 3);
            set.spawn_blocking_on(|| 4, &handle);
            assert_eq!((set.len(), set.is_empty()), (4, false));
            let mut joined = BTreeSet::new();
            while let Some(number) = set.join_next().await {
                joined.insert(number.unwrap());
            }
            assert_eq!(joined, BTreeSet::from([1, 2, 3, 4]));
            assert!(set.is_empty() && set.try_join_next().is_none());

            set.spawn(async { panic!("in a set") });
            let error = set.join_next().await.unwrap().unwrap_err();
            assert_eq!(text(&*error.into_panic()), "in a set");

            let mut set = JoinSet::new();
            for number in 0..10 {
                set.spawn(async move { number });
            }
            let mut all = set.join_all().await;
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
        });
    }
}

#[test]
fn joined_from_iterators() {
    for runtime in flavours() {
        runtime.block_on(async {
            let mut set: JoinSet<u32> = (0..5).map(|number| async move { number }).collect();
            set.extend((5..8).map(|number| async move { number }));
            let mut all = set.join_all().await;
            all.sort_unstable();
            assert_eq!(all, (0..8).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_set_aborts_what_it_holds() {
    for runtime in flavours() {
        let drops = Drops::default();
        let fill = |set: &mut JoinSet<()>| {
            for _ in 0..10 {
                let held = drops.one();
                set.spawn(async move {
                    let _held = held;
                    pending::<()>().await;
                });
            }
        };
        runtime.block_on(async {
            let mut set = JoinSet::new();
            fill(&mut set);
            set.abort_all();
            while let Some(joined) = set.join_next().await {
                assert!(joined.unwrap_err().is_cancelled());
            }
            assert_eq!(drops.count(), 10);
            fill(&mut set);
            set.shutdown().await;
            assert_eq!((drops.count(), set.len()), (20, 0));
            fill(&mut set);
            drop(set);
        });
        drop(runtime);
        assert_eq!(drops.count(), 30);
    }
}

#[test]
fn a_set_lets_go() {
    for runtime in flavours() {
        runtime.block_on(async {
            let (send, receive) = oneshot::channel();
            let gate = Arc::new(Notify::new());
            let opened = gate.clone();
            let mut set = JoinSet::new();
            set.spawn(async move {
                opened.notified().await;
                send.send(()).unwrap();
            });
            set.detach_all();
            assert!(set.is_empty());
            drop(set);
            gate.notify_one();
            receive.await.unwrap();
        });
    }
}

#[test]
fn local_tasks_in_a_set() {
    for runtime in flavours() {
        let local = LocalSet::new();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut set = JoinSet::new();
        let first = seen.clone();
        set.spawn_local_on(async move { first.borrow_mut().push(1) }, &local);
        local.block_on(&runtime, async {
            let second = seen.clone();
            set.spawn_local(async move { second.borrow_mut().push(2) });
            while let Some(joined) = set.join_next().await {
                joined.unwrap();
            }
        });
        seen.borrow_mut().sort_unstable();
        assert_eq!(*seen.borrow(), [1, 2]);
    }
}

#[test]
fn local_sets_run() {
    for runtime in flavours() {
        let count = Rc::new(RefCell::new(0));
        let add = |number: u32| {
            let count = count.clone();
            async move {
                tokio::task::yield_now().await;
                *count.borrow_mut() += number;
            }
        };
        let local = LocalSet::new();
        local.spawn_local(add(1));
        {
            let _guard = local.enter();
            tokio::task::spawn_local(add(10));
        }
        let joined = local.block_on(&runtime, async {
            let id = tokio::task::spawn_local(add(100));
            let abort = tokio::task::spawn_local(pending::<()>());
            abort.abort();
            assert!(abort.await.unwrap_err().is_cancelled());
            id.await.unwrap();
            "done"
        });
        assert_eq!(joined, "done");
        runtime.block_on(local.run_until(async {
            tokio::task::spawn_local(add(1000)).await.unwrap();
        }));
        local.spawn_local(add(10_000));
        // The set, as a future, ends when all its tasks have ended.
        runtime.block_on(local);
        assert_eq!(*count.borrow(), 11_111);

        let drops = Drops::default();
        let local = LocalSet::default();
        let (polled, unpolled) = (drops.one(), drops.one());
        local.spawn_local(async move {
            let _held = polled;
            pending::<()>().await;
        });
        local.block_on(&runtime, tokio::task::yield_now());
        local.spawn_local(async move { drop(unpolled) });
        drop(local);
        assert_eq!(drops.count(), 2);
    }
}

#[test]
fn local_runtimes_run() {
    let drops = Drops::default();
    let runtime = LocalRuntime::new().unwrap();
    let count = Rc::new(RefCell::new(0));
    let (first, second) = (count.clone(), count.clone());
    let outside = runtime.spawn_local(async move { *first.borrow_mut() += 1 });
    let answer = runtime.block_on(async move {
        outside.await.unwrap();
        tokio::task::spawn_local(async move { *second.borrow_mut() += 10 })
            .await
            .unwrap();
        tokio::spawn(async { tokio::time::sleep(Duration::from_millis(1)).await })
            .await
            .unwrap();
        tokio::task::spawn_blocking(|| 42).await.unwrap()
    });
    assert_eq!((answer, *count.borrow()), (42, 11));
    let error = runtime
        .block_on(runtime.spawn_local(async { panic!("local") }))
        .unwrap_err();
    assert_eq!(text(&*error.into_panic()), "local");
    let held = drops.one();
    runtime.spawn_local(async move {
        let _held = held;
        pending::<()>().await;
    });
    let handle = runtime.handle().clone();
    let held = drops.one();
    handle.spawn(async move { drop(held) });
    drop(runtime);
    assert_eq!(drops.count(), 2);

    let built = Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .unwrap();
    assert_eq!(
        built.block_on(async { tokio::task::spawn_local(async { 6 }).await.unwrap() }),
        6
    );
    built.shutdown_background();
}

#[test]
fn closures_block() {
    for runtime in flavours() {
        runtime.block_on(async {
            assert_eq!(tokio::task::spawn_blocking(|| 3).await.unwrap(), 3);
            let error = tokio::task::spawn_blocking(|| panic!("blocking"))
                .await
                .unwrap_err();
            assert!(error.is_panic());
            assert_eq!(text(&*error.into_panic()), "blocking");
            // A closure is inside the runtime.
            let inner = tokio::task::spawn_blocking(|| Handle::current().block_on(async { 4 }));
            assert_eq!(inner.await.unwrap(), 4);
        });
        assert_eq!(runtime.block_on(runtime.spawn_blocking(|| 5)).unwrap(), 5);
        let handle = runtime.handle().clone();
        assert_eq!(runtime.block_on(handle.spawn_blocking(|| 6)).unwrap(), 6);
    }
}

#[test]
fn a_closure_aborted_in_the_queue_never_runs() {
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let drops = Drops::default();
    let busy = runtime.spawn_blocking(move || gate.recv().unwrap());
    let held = drops.one();
    let queued = runtime.spawn_blocking(move || {
        let _held = held;
        panic!("ran");
    });
    queued.abort();
    go.send(()).unwrap();
    runtime.block_on(async {
        busy.await.unwrap();
        assert!(queued.await.unwrap_err().is_cancelled());
    });
    drop(runtime);
    assert_eq!(drops.count(), 1);
}

#[test]
fn tasks_block_in_place() {
    let runtime = multi_thread();
    let blocked = runtime.block_on(async {
        tokio::spawn(async {
            let id = tokio::task::id();
            let inner = tokio::task::block_in_place(|| {
                assert_eq!(tokio::task::id(), id);
                // From here a runtime may be entered again.
                Handle::current().block_on(async {
                    tokio::task::yield_now().await;
                    tokio::spawn(async { 11 }).await.unwrap()
                })
            });
            tokio::task::yield_now().await;
            inner + 1
        })
        .await
        .unwrap()
    });
    assert_eq!(blocked, 12);
    let refused =
        panicked(|| current_thread().block_on(async { tokio::task::block_in_place(|| ()) }));
    assert_eq!(
        refused.message,
        "can call blocking only when running on the multi-threaded runtime"
    );
}

#[test]
fn handles_block() {
    for runtime in flavours() {
        let handle = runtime.handle().clone();
        let joined = std::thread::spawn(move || {
            // On a current-thread runtime that no thread drives, so the future must not need the driver.
            handle.block_on(async { 21 }) * 2
        });
        assert_eq!(joined.join().unwrap(), 42);
        let _guard = runtime.enter();
        assert_eq!(Handle::current().block_on(async { 1 }), 1);
        assert!(Handle::try_current().is_ok());
    }
    assert!(Handle::try_current().unwrap_err().is_missing_context());
}

#[test]
fn nested_runtimes_are_refused() {
    const NESTED: &str = "Cannot start a runtime from within a runtime. This happens because a function (like \
                          `block_on`) attempted to block the current thread while the thread is being used to drive \
                          asynchronous tasks. If you are in an async function, use `.await` on the future instead \
                          of blocking on it.";
    const DROPPED: &str = "Cannot drop a runtime in a context where blocking is not allowed. This happens when a \
                           runtime is dropped from within an asynchronous context.";
    for runtime in flavours() {
        let inner = current_thread();
        let refused = panicked(|| runtime.block_on(async { inner.block_on(async {}) }));
        assert_eq!(refused.message, NESTED);
        let refused = panicked(|| runtime.block_on(async { Handle::current().block_on(async {}) }));
        assert_eq!(refused.message, NESTED);
        let local = LocalSet::new();
        let refused = panicked(|| runtime.block_on(async { local.block_on(&inner, async {}) }));
        assert_eq!(refused.message, NESTED);
        drop(inner);
        let inner = multi_thread();
        let refused = panicked(|| runtime.block_on(async move { drop(inner) }));
        assert_eq!(refused.message, DROPPED);
        assert_eq!(runtime.block_on(async { 1 }), 1);
    }
}

#[test]
fn panics_point_at_the_caller() {
    /// The panic's place is the line of the call.
    macro_rules! at {
        ($text:ident, $call:expr) => {{
            let line = line!();
            let panicked = panicked(|| {
                let _ = $call;
            });
            assert!(panicked.message.starts_with($text), "{panicked:?}");
            assert!(
                panicked.here && panicked.line == line,
                "{panicked:?} not at line {line}"
            );
        }};
    }
    const OUTSIDE: &str =
        "there is no reactor running, must be called from the context of a Tokio 1.x runtime";
    at!(OUTSIDE, tokio::spawn(async {}));
    at!(OUTSIDE, tokio::task::spawn(async {}));
    at!(OUTSIDE, tokio::task::spawn_blocking(|| ()));
    at!(OUTSIDE, Handle::current());
    at!(OUTSIDE, JoinSet::new().spawn(async {}));
    at!(OUTSIDE, JoinSet::new().spawn_blocking(|| ()));
    const NOT_LOCAL: &str =
        "`spawn_local` called from outside of a `task::LocalSet` or `runtime::LocalRuntime`";
    at!(NOT_LOCAL, tokio::task::spawn_local(async {}));
    at!(NOT_LOCAL, JoinSet::new().spawn_local(async {}));
    const NESTED: &str = "Cannot start a runtime from within a runtime.";
    for runtime in flavours() {
        let inner = current_thread();
        let local_inner = LocalRuntime::new().unwrap();
        runtime.block_on(async {
            let (handle, local) = (Handle::current(), LocalSet::new());
            at!(NESTED, inner.block_on(async {}));
            at!(NESTED, handle.block_on(async {}));
            at!(NESTED, local.block_on(&inner, async {}));
            at!(NESTED, local_inner.block_on(async {}));
        });
    }
    const SINGLE: &str = "can call blocking only when running on the multi-threaded runtime";
    current_thread().block_on(async {
        at!(SINGLE, tokio::task::block_in_place(|| ()));
    });
    let mut builder = Builder::new_multi_thread();
    const WORKERS: &str = "Worker threads cannot be set to 0";
    at!(WORKERS, builder.worker_threads(0));
    const BLOCKING: &str = "Max blocking threads cannot be set to 0";
    at!(BLOCKING, builder.max_blocking_threads(0));
    const NAMELESS: &str = "runtime name shouldn't be empty";
    at!(NAMELESS, builder.name(" "));
    const EVENTS: &str = "event_interval must be greater than 0";
    at!(EVENTS, builder.event_interval(0));
    const GLOBAL: &str = "global_queue_interval must be greater than 0";
    at!(GLOBAL, builder.global_queue_interval(0));
}

/// The text of `Debug`, by type; `semantics.rs` compares the two.
pub fn shown() -> [String; 4] {
    let shown = format!("{:?}", current_thread().handle());
    // After the name come addresses and counts.
    let name = |text: String| {
        text.split([' ', '{', '('])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    [
        name(shown),
        name(format!("{:?}", current_thread())),
        format!("{:?}", JoinSet::<u8>::new()),
        format!("{:?}", LocalSet::new()),
    ]
}

#[test]
fn it_shows_itself() {
    assert_eq!(
        shown(),
        ["Handle", "Runtime", "JoinSet { len: 0 }", "LocalSet"]
    );
}
