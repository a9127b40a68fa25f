//! Capacity of a channel, and permits of a semaphore, given to a future that its task keeps and does not poll.
#![cfg(tokio_unstable)]

mod served;
#[path = "served/service.rs"]
mod service;

use served::{get, page_with};
use service::Service;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{interval, sleep};

/// Waits for capacity once more, while `claim` gets the next capacity of the channel.
async fn sends_again(to: mpsc::Sender<u32>) {
    let mut claim = pin!(to.send(0));
    tokio::select! {
        _ = &mut claim => {}
        () = sleep(Duration::from_millis(20)) => drop(to.send(1).await),
    }
}

/// Like `sends_again`, but the future that lost is dropped.
async fn gives_up(to: mpsc::Sender<u32>) {
    tokio::select! {
        _ = to.send(0) => {}
        () = sleep(Duration::from_millis(20)) => drop(to.send(1).await),
    }
}

async fn sends(to: mpsc::Sender<u32>, number: u32) {
    let _ = to.send(number).await;
}

/// Spawns tasks that wait for capacity of a full channel: one that waits in two ways, and three others.
async fn channel<S>(spawn: impl Fn(mpsc::Sender<u32>, u32), first: S) -> mpsc::Receiver<u32>
where
    S: FnOnce(mpsc::Sender<u32>),
{
    let (sender, receiver) = mpsc::channel(1);
    sender.send(9).await.unwrap();
    first(sender.clone());
    sleep(Duration::from_millis(200)).await;
    for number in 0..3 {
        spawn(sender.clone(), number);
    }
    sleep(Duration::from_millis(50)).await;
    receiver
}

async fn permits_of(limit: Arc<Semaphore>) {
    let mut first = pin!(limit.acquire_many(2));
    tokio::select! {
        _ = &mut first => {}
        () = sleep(Duration::from_millis(20)) => drop(limit.acquire().await),
    }
}

const THROUGH: &str = "was given room in a channel through the future `claim` of given_permits::sends_again (tokio::sync::mpsc::bounded::Sender::send), which it has not polled since: 4 wait behind it";

#[test]
fn the_task_that_does_not_take_its_room_is_named() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    // The first pass spawns through the probe, the second one through a dependency.
    for is_ours in [true, false] {
        let (mut receiver, first) = runtime.block_on(async {
            let (told, id) = std::sync::mpsc::channel();
            let receiver = channel(
                |sender, number| match is_ours {
                    true => drop(runtime_probe::spawn(sends(sender, number))),
                    false => drop(tokio::spawn(sends(sender, number))),
                },
                |sender| {
                    let task = match is_ours {
                        true => runtime_probe::spawn(sends_again(sender)).id(),
                        false => tokio::spawn(sends_again(sender)).id(),
                    };
                    told.send(task).unwrap();
                },
            );
            let mut receiver = receiver.await;
            // The capacity of this value goes to `claim`, the first in the queue.
            assert_eq!(receiver.recv().await, Some(9));
            (receiver, id.recv().unwrap())
        });
        let condition = match is_ours {
            true => {
                format!("# futurelock: goroutine {first} (given_permits::sends_again) {THROUGH}")
            }
            false => format!("# futurelock: goroutine {first} {THROUGH}"),
        };
        let page = page_with(address, "goroutine?debug=2", &[&condition]);
        let behind = format!(
            "waits for room in a channel: it was given to goroutine {first}, which has been polled since without taking it; 3 more wait for it"
        );
        assert_eq!(page.matches(&behind).count(), 3, "{page}");
        assert!(
            page.contains(
                "waits for room in a channel, which it was given itself; 3 more wait for it"
            ),
            "{page}"
        );
        page_with(address, "goroutine?debug=1", &[&condition]);
        page_with(address, "goroutine?debug=0&format=folded", &[&condition]);
        page_with(address, "ui/", &[THROUGH]);
        // The end of the channel ends all senders.
        receiver.close();
        drop(receiver);
        let begun = Instant::now();
        while get(address, "goroutine?debug=2").contains("futurelock:") {
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
    }
}

#[test]
fn permits_of_a_semaphore_are_told_by_their_number() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let limit = Arc::new(Semaphore::new(2));
    runtime.block_on(async {
        let all = limit.acquire_many(2).await.unwrap();
        runtime_probe::spawn(permits_of(limit.clone()));
        sleep(Duration::from_millis(200)).await;
        drop(all);
    });
    page_with(
        address,
        "goroutine?debug=2",
        &[
            "(given_permits::permits_of) was given 2 permits of a semaphore through the future `first` of given_permits::permits_of (tokio::sync::semaphore::Semaphore::acquire_many), which it has not polled since: 1 waits behind it",
        ],
    );
    limit.close();
}

#[test]
fn a_future_that_is_dropped_takes_nothing_along() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let mut receiver = runtime.block_on(channel(
        |sender, number| drop(runtime_probe::spawn(sends(sender, number))),
        |sender| drop(runtime_probe::spawn(gives_up(sender))),
    ));
    runtime.block_on(async { assert_eq!(receiver.recv().await, Some(9)) });
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..3 {
        let page = get(address, "goroutine?debug=2");
        assert!(!page.contains("was given"), "{page}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Senders that keep their futures over many polls, and poll them: given capacity is always soon taken.
#[test]
fn room_on_its_way_is_no_futurelock() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let (sender, mut receiver) = mpsc::channel(1);
    for number in 0..100 {
        let sender = sender.clone();
        runtime.spawn(async move {
            loop {
                let mut claim = pin!(sender.send(number));
                let mut clock = interval(Duration::from_millis(3));
                loop {
                    tokio::select! {
                        _ = &mut claim => break,
                        _ = clock.tick() => tokio::task::yield_now().await,
                    }
                }
            }
        });
    }
    // Each of the 100 senders waits for about 400 ms, longer than given capacity may stay untaken.
    runtime.spawn(async move {
        while receiver.recv().await.is_some() {
            sleep(Duration::from_millis(4)).await;
        }
    });
    page_with(address, "goroutine?debug=2", &["[select]"]);
    for _ in 0..20 {
        let page = get(address, "goroutine?debug=2");
        assert!(!page.contains("was given"), "{page}");
    }
}
