//! A dump names the task whose end a task waits for: tasks, closures and sets, and never a task that it does not wait
//! for.
#![cfg(feature = "full")]

use std::collections::HashSet;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runtime_probe::runtime::Runtime;
use runtime_probe::sync::{Notify, mpsc};
use runtime_probe::task::{self, JoinSet};
use runtime_probe::time;
use support::dump::{dump, until};

mod support {
    pub mod dump;
}

/// A dump has the tasks of all tests, so one of them runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The remarks on a task, once they contain these words.
fn remarks(id: task::Id, words: &str) -> String {
    let block = format!("\ngoroutine {id} [");
    let of = |text: &str| {
        let before = text.split(&block).next().filter(|before| *before != text);
        before
            .and_then(|before| before.lines().last())
            .unwrap_or_default()
            .to_owned()
    };
    of(&until(|text| of(text).contains(words)))
}

#[test]
fn tasks_closures_and_sets_are_named() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    async fn awaited() {
        pending().await
    }
    let task = runtime.spawn(awaited());
    let closure = runtime.spawn_blocking(move || released.recv().ok());
    let (task_id, closure_id) = (task.id(), closure.id());
    let limited = runtime.spawn(async move { time::timeout(Duration::from_secs(600), task).await });
    let blocked = runtime.spawn(closure);
    let (tell, told) = std::sync::mpsc::channel();
    let drains = runtime.spawn(async move {
        let mut set = JoinSet::new();
        for _ in 0..7 {
            tell.send(set.spawn(awaited()).id()).unwrap();
        }
        set.join_next().await.is_some()
    });
    let mut members: Vec<task::Id> = told.iter().take(7).collect();
    members.sort_by_key(|id| id.to_string().parse::<u64>().unwrap());

    let text = remarks(limited.id(), "waits for ");
    let name = "joins::tasks_closures_and_sets_are_named::awaited";
    let told = format!("waits for goroutine {task_id} ({name}) to end");
    assert!(text.contains(&told), "{text}");
    // `spawn` of a handle: the wrapper's future is tokio's own type.
    let text = remarks(blocked.id(), "waits for ");
    let told = format!(
        "waits for goroutine {closure_id} (joins::tasks_closures_and_sets_are_named) to end"
    );
    assert!(text.contains(&told), "{text}");
    let text = remarks(drains.id(), "waits for ");
    let named: Vec<String> = members[..5]
        .iter()
        .map(|id| format!("goroutine {id} ({name})"))
        .collect();
    let told = format!(
        "waits for one of 7 tasks of a JoinSet to end: {}, 2 more",
        named.join(", ")
    );
    assert!(text.contains(&told), "{text}");
    release.send(()).unwrap();
    limited.abort();
    drains.abort();
}

/// A handle keeps the waker of its last poll, and the generation of that poll comes again every 32,768 polls.
#[test]
fn a_handle_that_is_not_polled_any_more_is_not_named() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (kept, awaited) = (
        runtime.spawn(pending::<()>()),
        runtime.spawn(pending::<()>()),
    );
    let (kept_id, awaited_id) = (kept.id(), awaited.id());
    let again = Arc::new(Notify::new());
    let (polled, mut polls) = mpsc::unbounded_channel();
    let notified = Arc::clone(&again);
    let waits = runtime.spawn(async move {
        let (mut kept, mut awaited) = (kept, awaited);
        time::timeout(Duration::from_millis(1), &mut kept)
            .await
            .unwrap_err();
        loop {
            polled.send(()).unwrap();
            task::unconstrained(async {
                runtime_probe::select! {
                    _ = &mut awaited => unreachable!(),
                    () = notified.notified() => {}
                }
            })
            .await;
        }
    });
    for poll in 0..33_000 {
        polls.blocking_recv().unwrap();
        // Around the poll that has the generation again, and some before.
        if poll < 3 || (32_760..32_775).contains(&poll) {
            assert!(!dump().contains(&format!("waits for goroutine {kept_id} ")));
        }
        again.notify_one();
    }
    // Nor is the other one named: the task's waker is in a handle that it does not await.
    assert!(!dump().contains(&format!("waits for goroutine {awaited_id} ")));
    waits.abort();
}

/// Two tasks wait for each other, one of them with a time limit; and one task of a set can end.
#[test]
fn what_goes_on_is_no_deadlock() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let (give, given) = runtime_probe::sync::oneshot::channel::<task::JoinHandle<()>>();
    let first = runtime.spawn(async move {
        let other = given.await.unwrap();
        time::timeout(Duration::from_secs(600), other).await.ok();
    });
    let (first_id, waits_for) = (first.id(), "waits for ");
    let other = runtime.spawn(async move { first.await.unwrap() });
    let other_id = other.id();
    give.send(other).unwrap();

    let lock = Arc::new(runtime_probe::sync::Mutex::new(()));
    let drains = runtime.spawn(async move {
        let _held = lock.lock().await;
        let mut set = JoinSet::new();
        let needs = Arc::clone(&lock);
        set.spawn(async move { drop(needs.lock().await) });
        set.spawn(time::sleep(Duration::from_secs(600)));
        set.join_next().await.is_some()
    });
    for id in [first_id, other_id, drains.id()] {
        remarks(id, waits_for);
    }
    for _ in 0..20 {
        let text = dump();
        assert!(!text.contains("# deadlock: "), "{text}");
    }
    drains.abort();
}

/// The results of a set are mostly taken in a loop: a poll that takes one waits for the next one.
#[test]
fn a_set_in_a_loop_is_a_join_each_time() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let set = || {
        let mut set = JoinSet::new();
        set.spawn(async {});
        set.spawn(pending::<()>());
        set.spawn(pending());
        set
    };
    let by_next = runtime.spawn(async move {
        let mut set = set();
        while set.join_next().await.is_some() {}
    });
    let by_id = runtime.spawn(async move {
        let mut set = set();
        while set.join_next_with_id().await.is_some() {}
    });
    let by_poll = runtime.spawn(async move {
        let mut set = set();
        while poll_fn(|context| set.poll_join_next(context))
            .await
            .is_some()
        {}
    });
    for id in [by_next.id(), by_id.id(), by_poll.id()] {
        remarks(id, "waits for one of 2 tasks of a JoinSet to end");
        let text = dump();
        assert!(
            text.contains(&format!("\ngoroutine {id} [join]:")),
            "{text}"
        );
    }
    // What was taken is no wait beside the next one.
    let sleeps = runtime.spawn(async move {
        let mut set = set();
        set.join_next().await;
        time::sleep(Duration::from_secs(600)).await;
    });
    let sleeping = format!("\ngoroutine {} [sleep]:", sleeps.id());
    until(|text| text.contains(&sleeping));
}

/// Which task waits for the end of which, noted before the wait; and a lock for each depth.
#[derive(Default)]
struct Tree {
    waits: std::sync::Mutex<HashSet<(String, String)>>,
    locks: [runtime_probe::sync::Mutex<u32>; 5],
}

impl Tree {
    fn note(&self, awaited: task::Id) {
        let mut waits = self.waits.lock().unwrap();
        waits.insert((task::id().to_string(), awaited.to_string()));
    }
}

/// Waits for tasks in all ways, with and without holding a lock that no awaited task needs.
fn grow(tree: Arc<Tree>, depth: usize, seed: u64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let random = move |step: u64| {
        let mixed = (seed + step).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
    };
    Box::pin(async move {
        if depth == 5 || random(0) % 4 == 0 {
            return time::sleep(Duration::from_micros(random(1) % 3000)).await;
        }
        let child = |at: u64| grow(Arc::clone(&tree), depth + 1, random(at));
        let locked = match random(2) % 2 {
            0 => Some(tree.locks[depth].lock().await),
            _ => None,
        };
        match random(3) % 4 {
            0 => {
                let child = task::spawn(child(10));
                tree.note(child.id());
                child.await.unwrap();
            }
            1 => {
                let mut child = task::spawn(child(11));
                tree.note(child.id());
                let limit = Duration::from_micros(random(4) % 3000);
                if time::timeout(limit, &mut child).await.is_err() {
                    drop(locked);
                    time::sleep(Duration::from_micros(random(5) % 3000)).await;
                    child.abort();
                    child.await.ok();
                }
            }
            2 => {
                let mut set = JoinSet::new();
                for at in 0..1 + random(6) % 4 {
                    tree.note(set.spawn(child(20 + at)).id());
                }
                for _ in 0..1 + random(7) % 4 {
                    set.join_next().await;
                }
            }
            _ => {
                let length = Duration::from_micros(random(8) % 2000);
                let closure = task::spawn_blocking(move || std::thread::sleep(length));
                tree.note(closure.id());
                closure.await.unwrap();
            }
        }
    })
}

/// Runs for `JOINS_SECONDS`.
#[test]
fn what_is_told_of_tasks_that_go_on_is_so() {
    let _alone = alone();
    let seconds = std::env::var("JOINS_SECONDS").map_or(3, |text| {
        text.parse().expect("JOINS_SECONDS is a number of seconds")
    });
    let runtime = Runtime::new().unwrap();
    let tree = Arc::new(Tree::default());
    let mut roots = JoinSet::new();
    let (began, mut looks, mut told, mut grown) = (Instant::now(), 0u64, 0u64, 0u64);
    while began.elapsed() < Duration::from_secs(seconds) || told == 0 {
        while roots.len() < 50 {
            grown += 1;
            roots.spawn_on(grow(Arc::clone(&tree), 0, grown), runtime.handle());
        }
        let text = dump();
        assert!(!text.contains("# deadlock: "), "{text}");
        let waits = tree.waits.lock().unwrap();
        for (line, next) in text.lines().zip(text.lines().skip(1)) {
            let Some((_, awaited)) = line.split_once(", waits for ") else {
                continue;
            };
            let Some((before, after)) = awaited.split_once(" to end") else {
                continue;
            };
            // A task that has ended meanwhile has no name after its number.
            let id = |text: &str| text.split([' ', ',']).next().unwrap().to_owned();
            let waiter = id(next.strip_prefix("goroutine ").unwrap());
            let named = format!("{before}{}", after.split(", with ").next().unwrap());
            for awaited in named.split("goroutine ").skip(1).map(id) {
                told += 1;
                assert!(waits.contains(&(waiter.clone(), awaited)), "{line}\n{next}");
            }
        }
        drop(waits);
        looks += 1;
        while roots.try_join_next().is_some() {}
    }
    eprintln!("{looks} looks, {grown} trees, {told} ends told, none of them wrong, no deadlock");
}
