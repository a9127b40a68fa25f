//! The holders of the permits of a semaphore, as the waiting tasks name them.
#![cfg(all(feature = "full", feature = "semaphore"))]

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use runtime_probe::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};
use runtime_probe::{runtime::Runtime, task, time};
use support::dump::until;

mod support {
    pub mod dump;
}

/// The line of a dump that has all of these words.
fn line_of(words: &[&str]) -> String {
    let has = |line: &&str| words.iter().all(|word| line.contains(word));
    let text = until(|text| text.lines().any(|line| has(&line)));
    text.lines().find(has).unwrap().to_owned()
}

#[test]
fn the_tasks_that_have_its_permits_and_what_waits() {
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let semaphore = Arc::new(Semaphore::new(5));
    let (ready, mut all_ready) = mpsc::channel(2);
    let holders = [2, 3].map(|count| {
        let (semaphore, ready) = (semaphore.clone(), ready.clone());
        runtime.spawn(async move {
            let _permits = semaphore.acquire_many(count).await.unwrap();
            ready.send(()).await.unwrap();
            pending::<()>().await;
        })
    });
    runtime.block_on(async {
        all_ready.recv().await.unwrap();
        all_ready.recv().await.unwrap();
    });
    let waits = semaphore.clone();
    let waiter = runtime.spawn(async move { drop(waits.acquire_owned().await) });
    let created =
        format!("waits for a Semaphore created at runtime-probe/tests/semaphore.rs:{line}, ");
    let told = line_of(&[&created]);
    assert!(told.contains(", 0 of 5 permits free, held by "), "{told}");
    for (holder, count) in holders.iter().zip([2, 3]) {
        let held = format!(
            "goroutine {} (semaphore::the_tasks_that_have_its_permits_and_what_waits::{{closure}}) since ",
            holder.id()
        );
        let after = told.split(&held).nth(1).unwrap_or_else(|| panic!("{told}"));
        let (_since, after) = after.split_once(' ').unwrap();
        assert!(after.starts_with(&format!("({count} permits)")), "{told}");
    }
    let has = format!(
        "has 2 of 5 permits of a Semaphore created at runtime-probe/tests/semaphore.rs:{line}: 1 waits for some, "
    );
    line_of(&[&has]);

    holders[0].abort();
    runtime.block_on(waiter).unwrap();
    until(|text| !text.contains(&created));
}

/// tokio gives a call for many permits the free ones one by one, and counts these as taken.
#[test]
fn a_call_for_many_keeps_what_is_free() {
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let semaphore = Arc::new(Semaphore::new(10));
    let held = runtime.block_on(semaphore.acquire()).unwrap();
    let wait_for = |count| {
        let semaphore = semaphore.clone();
        runtime.spawn(async move { drop(semaphore.acquire_many(count).await) })
    };
    let waits =
        format!("waits for a Semaphore created at runtime-probe/tests/semaphore.rs:{line}, ");
    let keeps =
        "9 of 10 permits free, the first that waits wants 10 and keeps the free ones, held by ";
    let many = wait_for(10);
    line_of(&[&waits, keeps]);
    assert_eq!(semaphore.available_permits(), 0);
    let one = wait_for(1);
    line_of(&[&waits, keeps, "; 1 more waits for it"]);
    drop(held);
    runtime.block_on(async { (many.await.unwrap(), one.await.unwrap()) });

    let never = wait_for(11);
    let told = line_of(&[
        &waits,
        "10 of 10 permits free, the first that waits wants 11",
    ]);
    assert!(
        told.contains(" and keeps the free ones, more than there are"),
        "{told}"
    );
    semaphore.add_permits(1);
    runtime.block_on(never).unwrap();
}

/// A guard may have more permits than one call can ask for, after other guards are merged into it.
#[test]
fn guards_of_more_permits_than_a_call_takes() {
    const HALF: u32 = 3_000_000_000;
    let semaphore = Semaphore::new(2 * HALF as usize);
    let mut guard = semaphore.try_acquire_many(HALF).unwrap();
    guard.merge(semaphore.try_acquire_many(HALF).unwrap());
    assert_eq!(guard.num_permits(), 2 * HALF as usize);
    assert!(guard.split(2 * HALF as usize + 1).is_none());
    let part = guard.split(5_000_000_000).unwrap();
    assert_eq!(
        (part.num_permits(), guard.num_permits()),
        (5_000_000_000, 1_000_000_000)
    );
    drop((part, guard));
    assert_eq!(semaphore.available_permits(), 2 * HALF as usize);
}

/// Permits that were forgotten and never added again: no task has them, and the dump names the last task that forgot
/// some.
#[test]
fn permits_that_leaked() {
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let semaphore = Arc::new(Semaphore::new(2));
    let mut last = None;
    for _ in 0..2 {
        let takes = semaphore.clone();
        let forgets = runtime.spawn(async move { takes.acquire().await.unwrap().forget() });
        last = Some(forgets.id());
        runtime.block_on(forgets).unwrap();
    }
    let waits = semaphore.clone();
    let waiter = runtime.spawn(async move { drop(waits.acquire_owned().await) });
    let told = line_of(&[&format!(
        "Semaphore created at runtime-probe/tests/semaphore.rs:{line}, "
    )]);
    let words = format!(
        "which has no permits, 2 were forgotten since its first use, last by goroutine {}, which has ended or is not listed",
        last.unwrap()
    );
    assert!(told.contains(&words), "{told}");
    semaphore.add_permits(1);
    runtime.block_on(waiter).unwrap();
}

/// All permits are held by tasks that wait for permits of the same semaphore.
#[test]
fn a_knot_is_a_deadlock() {
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let semaphore = Arc::new(Semaphore::new(2));
    for _ in 0..2 {
        let semaphore = semaphore.clone();
        runtime.spawn(async move {
            let _first = semaphore.acquire().await.unwrap();
            time::sleep(Duration::from_millis(50)).await;
            let _second = semaphore.acquire().await.unwrap();
        });
    }
    let created =
        format!("a Semaphore created at runtime-probe/tests/semaphore.rs:{line} that goroutine ");
    line_of(&["# deadlock: ", &created]);
    // With a third permit both go on.
    semaphore.add_permits(1);
    until(|text| !text.contains(&created));
}

/// If one holder can go on, no deadlock is reported.
#[test]
fn a_holder_that_goes_on_unties_it() {
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let semaphore = Arc::new(Semaphore::new(2));
    let sleeps = semaphore.clone();
    let (has_one, seen) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let _permit = sleeps.acquire().await.unwrap();
        has_one.send(()).unwrap();
        time::sleep(Duration::from_secs(3600)).await;
    });
    // Otherwise the other task may be first, and wait for itself.
    seen.recv().unwrap();
    runtime.spawn(async move {
        let _first = semaphore.acquire().await.unwrap();
        let _both = semaphore.acquire_many(2).await.unwrap();
    });
    let waits =
        format!("waits for a Semaphore created at runtime-probe/tests/semaphore.rs:{line}, ");
    until(|text| text.contains(&waits));
    std::thread::sleep(Duration::from_millis(300));
    let text = support::dump::dump();
    assert!(text.contains(&waits), "{text}");
    assert!(
        !text.contains(&format!("semaphore.rs:{line} that goroutine")),
        "{text}"
    );
}

/// A permit was given to a future that its task does not poll any more.
#[test]
fn a_futurelock() {
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let semaphore = Arc::new(Semaphore::new(1));
    let first = semaphore.clone().try_acquire_owned().unwrap();
    let takes = semaphore.clone();
    let task = runtime.spawn(async move {
        let mut kept = pin!(takes.acquire());
        task::yield_now().await;
        runtime_probe::select! {
            _ = &mut kept => {}
            () = time::sleep(Duration::from_millis(50)) => drop(takes.acquire().await),
        }
    });
    let created = format!("semaphore.rs:{line}");
    until(|text| text.matches(&created).count() >= 1);
    std::thread::sleep(Duration::from_millis(200));
    drop(first);
    let told = line_of(&["was given permits of a Semaphore", &created]);
    assert!(
        told.contains("which it has not polled since: 1 waits behind it"),
        "{told}"
    );
    task.abort();
}

#[test]
fn what_tokio_promises() {
    // One word more, for the entry of the holder.
    assert_eq!(
        size_of::<OwnedSemaphorePermit>(),
        size_of::<tokio::sync::OwnedSemaphorePermit>() + size_of::<usize>()
    );
    let semaphore = Arc::new(Semaphore::new(3));
    let mut permit = semaphore.try_acquire_many(3).unwrap();
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::NoPermits
    );
    let part = permit.split(2).unwrap();
    assert_eq!((permit.num_permits(), part.num_permits()), (1, 2));
    assert!(permit.split(2).is_none());
    permit.merge(part);
    assert_eq!(permit.num_permits(), 3);
    assert!(std::ptr::eq(permit.semaphore(), &*semaphore));
    drop(permit);
    assert_eq!(semaphore.available_permits(), 3);
    assert_eq!(semaphore.forget_permits(5), 3);
    semaphore.add_permits(1);
    semaphore.close();
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::Closed
    );
    assert!(semaphore.is_closed());
}

/// A step that both semaphores take; their answers are compared.
#[derive(Clone, Debug)]
enum Step {
    Take(u32),
    Give(usize),
    Forget(usize),
    Split(usize, usize),
    Merge(usize, usize),
    Add(usize),
    ForgetFree(usize),
    Poll(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u32).prop_map(Step::Take),
        any::<usize>().prop_map(Step::Give),
        any::<usize>().prop_map(Step::Forget),
        (any::<usize>(), 0..3usize).prop_map(|(at, count)| Step::Split(at, count)),
        (any::<usize>(), any::<usize>()).prop_map(|(at, other)| Step::Merge(at, other)),
        (0..3usize).prop_map(Step::Add),
        (0..3usize).prop_map(Step::ForgetFree),
        (0..4u32).prop_map(Step::Poll),
    ]
}

proptest! {
    /// Compared with tokio's own semaphore, step by step.
    #[test]
    fn it_is_tokios(first in 0..5usize, steps in proptest::collection::vec(step(), 0..60)) {
        let ours = Arc::new(Semaphore::new(first));
        let theirs = Arc::new(tokio::sync::Semaphore::new(first));
        let mut taken: Vec<(OwnedSemaphorePermit, tokio::sync::OwnedSemaphorePermit)> = Vec::new();
        let place = |at: usize, len: usize| (len > 0).then(|| at % len.max(1));
        for step in steps {
            match step {
                Step::Take(count) => {
                    let (our, their) = (ours.clone().try_acquire_many_owned(count), theirs.clone().try_acquire_many_owned(count));
                    prop_assert_eq!(our.is_ok(), their.is_ok());
                    taken.extend(our.ok().zip(their.ok()));
                }
                Step::Give(at) => {
                    if let Some(at) = place(at, taken.len()) {
                        drop(taken.swap_remove(at));
                    }
                }
                Step::Forget(at) => {
                    if let Some(at) = place(at, taken.len()) {
                        let (our, their) = taken.swap_remove(at);
                        our.forget();
                        their.forget();
                    }
                }
                Step::Split(at, count) => {
                    if let Some(at) = place(at, taken.len()) {
                        let (our, their) = (taken[at].0.split(count), taken[at].1.split(count));
                        prop_assert_eq!(our.is_some(), their.is_some());
                        taken.extend(our.zip(their));
                    }
                }
                Step::Merge(at, other) => {
                    if taken.len() > 1 {
                        let (our, their) = taken.swap_remove(other % taken.len());
                        let at = at % taken.len();
                        taken[at].0.merge(our);
                        taken[at].1.merge(their);
                    }
                }
                Step::Add(count) => {
                    ours.add_permits(count);
                    theirs.add_permits(count);
                }
                Step::ForgetFree(count) => prop_assert_eq!(ours.forget_permits(count), theirs.forget_permits(count)),
                Step::Poll(count) => {
                    // Pending futures are dropped and give their permits back.
                    let mut context = Context::from_waker(Waker::noop());
                    let our = pin!(ours.acquire_many(count)).poll(&mut context);
                    let their = pin!(theirs.acquire_many(count)).poll(&mut context);
                    prop_assert_eq!(our.is_ready(), their.is_ready());
                }
            }
            prop_assert_eq!(ours.available_permits(), theirs.available_permits());
            for (our, their) in &taken {
                prop_assert_eq!(our.num_permits(), their.num_permits());
            }
        }
    }
}
