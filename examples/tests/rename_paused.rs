//! Tests for plain tokio with the clock paused: virtual time, and how tasks end.
//!
//!     cargo test -p examples --test rename_paused
//!
//! The paused clock advances only when every task waits for it, so each duration is exact: a probe that kept the runtime awake or
//! asleep would change the output. `ci/rename.sh` compares it with plain tokio's.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, RwLock};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, advance, interval, sleep, sleep_until, timeout};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_sleep_takes_its_time_and_no_more() {
    let begun = Instant::now();
    sleep(HOUR).await;
    println!("slept {:?}", begun.elapsed());
    assert_eq!(begun.elapsed(), HOUR);
    sleep_until(begun + 2 * HOUR).await;
    assert_eq!(begun.elapsed(), 2 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn sleepers_wake_in_the_order_of_their_deadlines() {
    let begun = Instant::now();
    let mut sleepers = JoinSet::new();
    for seconds in [5, 1, 4, 2, 3] {
        sleepers.spawn(async move {
            sleep(seconds * SECOND).await;
            (seconds, begun.elapsed())
        });
    }
    let mut woken = Vec::new();
    while let Some(sleeper) = sleepers.join_next().await {
        woken.push(sleeper.expect("no sleeper panics"));
    }
    println!("woken {woken:?}");
    assert_eq!(
        woken,
        [1, 2, 3, 4, 5].map(|seconds| (seconds, seconds * SECOND))
    );
}

#[tokio::test(start_paused = true)]
async fn an_interval_ticks_evenly_and_skips_what_it_missed() {
    let begun = Instant::now();
    let mut ticker = interval(10 * SECOND);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut ticks = Vec::new();
    for work in [0, 1, 25, 1] {
        ticker.tick().await;
        ticks.push(begun.elapsed().as_secs());
        sleep(work * SECOND).await;
    }
    ticker.tick().await;
    ticks.push(begun.elapsed().as_secs());
    println!("ticks {ticks:?}");
    assert_eq!(ticks, [0, 10, 20, 45, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_what_never_ends() {
    let begun = Instant::now();
    let elapsed = timeout(HOUR, pending::<()>())
        .await
        .expect_err("never ends");
    println!("{elapsed} after {:?}", begun.elapsed());
    assert_eq!(begun.elapsed(), HOUR);

    let slept = timeout(2 * SECOND, sleep(SECOND)).await;
    assert!(slept.is_ok());
    assert_eq!(begun.elapsed(), HOUR + SECOND);
}

#[tokio::test(start_paused = true)]
async fn advancing_the_clock_wakes_what_is_due() {
    let due = Arc::new(AtomicU32::new(0));
    for seconds in 1..=10 {
        let due = Arc::clone(&due);
        tokio::spawn(async move {
            sleep(seconds * SECOND).await;
            due.fetch_add(1, SeqCst);
        });
    }
    tokio::task::yield_now().await;
    advance(Duration::from_millis(3_500)).await;
    tokio::task::yield_now().await;
    println!("due {}", due.load(SeqCst));
    assert_eq!(due.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn select_takes_the_earlier_branch_and_drops_the_other() {
    let begun = Instant::now();
    let mut slow = 0;
    let mut quick = 0;
    for _ in 0..3 {
        tokio::select! {
            () = sleep(3 * SECOND) => slow += 1,
            () = sleep(2 * SECOND) => quick += 1,
        }
    }
    println!("quick {quick}, slow {slow}");
    assert_eq!((quick, slow), (3, 0));
    assert_eq!(begun.elapsed(), 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_join_error_with_its_message() {
    let task = tokio::spawn(async {
        sleep(SECOND).await;
        panic!("out of tea");
    });
    let id = task.id();
    let error = task.await.expect_err("the task panics");
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(error.id(), id);
    let shown = error.to_string().replace(&id.to_string(), "ID");
    println!("{shown}");
    assert_eq!(shown, r#"task ID panicked with message "out of tea""#);
    let message = error.into_panic();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"out of tea"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_blocking_closure_is_one_as_well() {
    let missing = String::from("milk");
    let error = tokio::task::spawn_blocking(move || panic!("{missing} is missing"))
        .await
        .expect_err("the closure panics");
    let message = error.into_panic();
    println!("{:?}", message.downcast_ref::<String>());
    assert_eq!(
        message.downcast_ref::<String>().map(String::as_str),
        Some("milk is missing")
    );
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_is_cancelled_and_its_future_dropped() {
    let dropped = Arc::new(AtomicBool::new(false));
    let task = tokio::spawn({
        let flag = SetOnDrop(Arc::clone(&dropped));
        async move {
            let _flag = flag;
            pending::<()>().await;
        }
    });
    sleep(SECOND).await;
    let handle = task.abort_handle();
    assert!(!handle.is_finished() && !dropped.load(SeqCst));
    handle.abort();
    let error = task.await.expect_err("the task is aborted");
    println!(
        "cancelled {}, dropped {}",
        error.is_cancelled(),
        dropped.load(SeqCst)
    );
    assert!(error.is_cancelled() && dropped.load(SeqCst) && handle.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_ended_keeps_its_result_when_aborted() {
    let task = tokio::spawn(async { 42 });
    sleep(SECOND).await;
    task.abort();
    let result = task.await.expect("it had ended before");
    println!("result {result}");
    assert_eq!(result, 42);
}

#[tokio::test(start_paused = true)]
async fn a_join_set_tells_results_panics_and_cancellations_apart() {
    let mut set = JoinSet::new();
    set.spawn(async { 1 });
    set.spawn(async {
        sleep(SECOND).await;
        2
    });
    set.spawn(async {
        sleep(2 * SECOND).await;
        panic!("three")
    });
    let fourth = set.spawn(async {
        sleep(HOUR).await;
        4
    });
    set.spawn_blocking(|| 5);

    let mut results = Vec::new();
    let (mut panics, mut cancellations) = (0, 0);
    while let Some(joined) = set.join_next().await {
        match joined {
            Ok(result) => results.push(result),
            Err(error) if error.is_panic() => {
                panics += 1;
                fourth.abort();
            }
            Err(error) if error.is_cancelled() => cancellations += 1,
            Err(error) => panic!("neither panicked nor cancelled: {error}"),
        }
    }
    results.sort_unstable();
    println!("results {results:?}, panics {panics}, cancellations {cancellations}");
    assert_eq!(
        (results.as_slice(), panics, cancellations),
        ([1, 2, 5].as_slice(), 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_a_join_set_ends_its_tasks() {
    let dropped = Arc::new(AtomicBool::new(false));
    let mut set = JoinSet::new();
    let flag = SetOnDrop(Arc::clone(&dropped));
    set.spawn(async move {
        let _flag = flag;
        sleep(HOUR).await;
    });
    sleep(SECOND).await;
    assert_eq!(set.len(), 1);
    drop(set);
    sleep(SECOND).await;
    println!("dropped {}", dropped.load(SeqCst));
    assert!(dropped.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_mutex_is_passed_on_in_the_order_of_asking() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let held = order.lock().await;
    let mut set = JoinSet::new();
    for task in 0..4 {
        let order = Arc::clone(&order);
        set.spawn(async move {
            let mut order = order.lock_owned().await;
            sleep(SECOND).await;
            order.push(task);
        });
    }
    let begun = Instant::now();
    sleep(SECOND).await;
    assert!(order.try_lock().is_err());
    drop(held);
    set.join_all().await;
    println!("order {:?} in {:?}", order.lock().await, begun.elapsed());
    assert_eq!(*order.lock().await, [0, 1, 2, 3]);
    assert_eq!(begun.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn readers_share_a_lock_and_a_writer_waits_for_them() {
    let value = Arc::new(RwLock::new(1));
    let begun = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let value = Arc::clone(&value);
        readers.spawn(async move {
            let value = value.read().await;
            sleep(SECOND).await;
            *value
        });
    }
    tokio::task::yield_now().await;
    *value.write().await += 1;
    println!("written after {:?}", begun.elapsed());
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!(readers.join_all().await, [1, 1, 1]);
    assert_eq!(*value.read().await, 2);
}

#[tokio::test(start_paused = true, flavor = "current_thread")]
async fn a_notification_before_the_wait_is_not_lost() {
    let bell = Arc::new(Notify::new());
    let begun = Instant::now();
    let waiter = tokio::spawn({
        let bell = Arc::clone(&bell);
        async move {
            sleep(2 * SECOND).await;
            bell.notified().await;
            begun.elapsed()
        }
    });
    sleep(SECOND).await;
    bell.notify_one();
    let heard = waiter.await.expect("the waiter does not panic");
    println!("heard after {heard:?}");
    assert_eq!(heard, 2 * SECOND);
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
