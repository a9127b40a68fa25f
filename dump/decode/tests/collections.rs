//! Ends of channels in collections: the task that has the collection is named, and services that keep ends there are no deadlocks.
#![cfg(tokio_unstable)]

mod served;
#[path = "served/service.rs"]
mod service;

use served::{get, page_with};
use service::Service;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::sleep;

const LONG: Duration = Duration::from_secs(3600);

/// More than a node of a tree and a group of a table have room for.
const MANY: usize = 40;

/// A task, and its id.
struct Spawned {
    id: u64,
    handle: AbortHandle,
}

/// Spawns a task as a dependency does, or as the application does.
fn spawn(is_foreign: bool, future: impl Future<Output = ()> + Send + 'static) -> Spawned {
    let (id, handle) = match is_foreign {
        true => {
            let task = tokio::spawn(future);
            (task.id(), task.abort_handle())
        }
        false => {
            let task = runtime_probe::spawn(future);
            (task.id(), task.abort_handle())
        }
    };
    Spawned {
        id: id.to_string().parse().unwrap(),
        handle,
    }
}

async fn holds<T: Send>(held: T) {
    sleep(LONG).await;
    drop(held);
}

async fn drains<T: Send>(mut lines: Receiver<T>) {
    while lines.recv().await.is_some() {}
}

/// Takes a `Vec` apart, and is at its first element.
async fn takes_apart(senders: Vec<Sender<u32>>) {
    for sender in senders {
        sleep(LONG).await;
        drop(sender);
    }
}

/// The notes of a task, which stand above its header.
fn notes(page: &str, id: u64) -> &str {
    let header = page.find(&format!("goroutine {id} [")).unwrap_or(0);
    page[..header].rsplit("\n\n").next().unwrap()
}

/// A sender with a number to find it by.
struct Numbered {
    number: usize,
    _sender: Sender<u32>,
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Numbered {}

impl Hash for Numbered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

fn numbered(senders: Vec<Sender<u32>>) -> impl Iterator<Item = (usize, Sender<u32>)> {
    senders.into_iter().enumerate()
}

/// A collection in a variant.
enum Phase {
    Open { lines: Vec<Sender<u32>>, size: u64 },
    Closed(u64),
}

impl Drop for Phase {
    fn drop(&mut self) {
        match self {
            Phase::Open { lines, size } => assert_eq!(lines.len() as u64, *size),
            Phase::Closed(size) => *size = 0,
        }
    }
}

/// A collection among other members.
struct Hub {
    _by_name: HashMap<String, Vec<Sender<u32>>>,
    _closed: Phase,
}

/// A deque whose elements begin near the end of its memory.
fn wrapped(senders: Vec<Sender<u32>>) -> VecDeque<Sender<u32>> {
    let mut deque = VecDeque::with_capacity(senders.len());
    let mut senders = VecDeque::from(senders);
    let half = senders.len() / 2;
    for _ in 0..half {
        deque.push_front(senders.pop_front().unwrap());
    }
    deque.extend(senders);
    let (front, back) = deque.as_slices();
    assert!(!front.is_empty() && !back.is_empty());
    deque
}

/// A task with a collection, and tasks that wait for messages of the senders in it.
struct Case {
    name: &'static str,
    keeper: Spawned,
    waiting: Vec<Spawned>,
}

impl Case {
    fn new<F: Future<Output = ()> + Send + 'static>(
        name: &'static str,
        is_foreign: bool,
        keeper: impl FnOnce(Vec<Sender<u32>>) -> F,
    ) -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..MANY).map(|_| mpsc::channel(8)).unzip();
        Self {
            name,
            keeper: spawn(is_foreign, keeper(senders)),
            waiting: receivers
                .into_iter()
                .map(|receiver| spawn(is_foreign, drains(receiver)))
                .collect(),
        }
    }
}

#[test]
fn the_task_that_has_ends_in_a_collection_is_named() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for is_foreign in [false, true] {
        let cases = runtime.block_on(async {
            [
                Case::new("Vec", is_foreign, holds),
                Case::new("array", is_foreign, |all| {
                    holds(<[Sender<u32>; MANY]>::try_from(all).unwrap())
                }),
                Case::new("Option<Vec>", is_foreign, |all| holds(Some(all))),
                Case::new("Box<[T]>", is_foreign, |all| holds(all.into_boxed_slice())),
                Case::new("VecDeque", is_foreign, |all| holds(wrapped(all))),
                Case::new("HashMap", is_foreign, |all| {
                    holds(numbered(all).collect::<HashMap<_, _>>())
                }),
                Case::new("HashSet", is_foreign, |all| {
                    let all = numbered(all).map(|(number, _sender)| Numbered { number, _sender });
                    holds(all.collect::<HashSet<_>>())
                }),
                Case::new("BTreeMap", is_foreign, |all| {
                    holds(numbered(all).collect::<BTreeMap<_, _>>())
                }),
                Case::new("IntoIter", is_foreign, takes_apart),
                Case::new("Vec<Option<T>>", is_foreign, |all| {
                    let all = all.into_iter().map(Some).chain([None]);
                    holds(all.collect::<Vec<_>>())
                }),
                Case::new("Vec<Box<T>>", is_foreign, |all| {
                    holds(all.into_iter().map(Box::new).collect::<Vec<_>>())
                }),
                Case::new("enum", is_foreign, |lines| {
                    let size = lines.len() as u64;
                    holds(Phase::Open { lines, size })
                }),
                Case::new("shared and nested", is_foreign, |mut all| {
                    let half = all.split_off(MANY / 2);
                    let _by_name = HashMap::from([("a".to_owned(), all), ("b".to_owned(), half)]);
                    let hub = Hub {
                        _by_name,
                        _closed: Phase::Closed(7),
                    };
                    holds(Arc::new(std::sync::Mutex::new(hub)))
                }),
            ]
        });
        let missing = |page: &str| {
            let mut missing = Vec::new();
            for case in &cases {
                let named = format!("its only Sender may be with goroutine {}", case.keeper.id);
                let waiting = case.waiting.iter();
                let waiting = waiting.filter(|task| !notes(page, task.id).contains(&named));
                missing.extend(waiting.map(|_| case.name));
            }
            missing
        };
        let begun = Instant::now();
        let mut page = get(address, "goroutine?debug=2");
        // The index is being made, or a task was polled meanwhile.
        while !missing(&page).is_empty() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{:?}\n{page}",
                missing(&page)
            );
            page = get(address, "goroutine?debug=2");
        }
        assert!(!page.contains("may be a deadlock"), "{page}");
        assert!(!page.contains("beyond the bound"), "{page}");
        for case in &cases {
            case.keeper.handle.abort();
            case.waiting.iter().for_each(|task| task.handle.abort());
        }
    }
}

#[test]
fn elements_beyond_the_bound_are_told() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let (senders, _receivers): (Vec<_>, Vec<_>) = (0..1_300).map(|_| mpsc::channel(8)).unzip();
    let (single, receiver) = mpsc::channel::<u32>(8);
    let tasks = runtime.block_on(async {
        [
            spawn(true, holds::<Vec<Sender<u32>>>(senders)),
            spawn(true, holds(vec![single])),
            spawn(true, drains(receiver)),
        ]
    });
    let named = format!("its only Sender may be with goroutine {}", tasks[1].id);
    let limit = "300 elements of collections are beyond the bound of what is read";
    page_with(address, "goroutine?debug=2", &[&named, limit]);
    for task in tasks {
        task.handle.abort();
    }
}

/// A service that many tasks share.
struct Shared {
    by_number: std::sync::Mutex<HashMap<u64, Arc<Notify>>>,
    lines: std::sync::Mutex<HashMap<u64, Sender<u8>>>,
}

async fn waits_for(shared: Arc<Shared>, notify: Arc<Notify>) {
    notify.notified().await;
    drop((shared.by_number.lock(), shared.lines.lock()));
}

#[test]
fn a_collection_that_ten_thousand_tasks_share_is_read_in_seconds() {
    const TASKS: u64 = 10_000;
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let idle = runtime.block_on(async { spawn(true, holds(0)) });
    page_with(
        address,
        "goroutine?debug=2",
        &["1 of 1 foreign tasks are decoded"],
    );
    idle.handle.abort();
    let shared = Arc::new(Shared {
        by_number: std::sync::Mutex::default(),
        lines: std::sync::Mutex::default(),
    });
    let mut tasks = Vec::new();
    runtime.block_on(async {
        for number in 0..TASKS {
            let notify = Arc::new(Notify::new());
            if number < 900 {
                let (sender, receiver) = mpsc::channel(8);
                shared.lines.lock().unwrap().insert(number, sender);
                shared
                    .by_number
                    .lock()
                    .unwrap()
                    .insert(number, notify.clone());
                tasks.push(spawn(true, drains(receiver)));
            }
            tasks.push(spawn(true, waits_for(shared.clone(), notify)));
        }
        sleep(Duration::from_secs(1)).await;
    });
    let sharing = format!("its only Sender may be with goroutine {}, ", tasks[1].id);
    let page = page_with(
        address,
        "goroutine?debug=2",
        &[&sharing, "waits for Notify 0x", "..."],
    );
    assert!(!page.contains("may be a deadlock"));
    for task in tasks {
        task.handle.abort();
    }
}

/// A message. Each number is a type of its own, so that no other case has an end of the same type.
#[derive(Debug)]
#[expect(dead_code, reason = "a message that no test looks into")]
struct Of<const CASE: u32>(u8);

/// A connection, which waits for lines from its server.
async fn connection<const CASE: u32>(mut lines: Receiver<Of<CASE>>) {
    while lines.recv().await.is_some() {}
}

/// Keeps a `Sender` for each live connection, and waits for new ones.
async fn serves(mut new: Receiver<(u64, Sender<Of<1>>)>) {
    let mut live = HashMap::new();
    while let Some((number, sender)) = new.recv().await {
        sender.send(Of(0)).await.unwrap();
        live.insert(number, sender);
    }
}

/// Accepts connections, and gives their senders to the server.
async fn accepts(to: Sender<(u64, Sender<Of<1>>)>) {
    for number in 0..5 {
        let (sender, receiver) = mpsc::channel(8);
        sender.send(Of(0)).await.unwrap();
        tokio::spawn(connection(receiver));
        to.send((number, sender)).await.unwrap();
    }
    sleep(LONG).await;
}

/// Sends each message to all listeners.
async fn broadcasts(mut messages: Receiver<u8>) {
    let mut listeners = Vec::new();
    for _ in 0..5 {
        let (sender, receiver) = mpsc::channel::<Of<2>>(8);
        sender.send(Of(0)).await.unwrap();
        tokio::spawn(connection(receiver));
        listeners.push(sender);
    }
    while let Some(message) = messages.recv().await {
        for listener in &listeners {
            listener.send(Of(message)).await.unwrap();
        }
    }
}

/// Gives jobs to free workers, and takes workers back by a channel.
async fn has_a_pool(mut jobs: Receiver<u8>) {
    let mut free = VecDeque::new();
    let (back, mut returned) = mpsc::channel(8);
    for _ in 0..3 {
        let (sender, mut receiver) = mpsc::channel::<Of<3>>(1);
        let (of_worker, back) = (sender.clone(), back.clone());
        tokio::spawn(async move {
            while receiver.recv().await.is_some() {
                if back.send(of_worker.clone()).await.is_err() {
                    return;
                }
            }
        });
        free.push_back(sender);
    }
    loop {
        tokio::select! {
            Some(job) = jobs.recv(), if !free.is_empty() => {
                free.pop_front().unwrap().send(Of(job)).await.unwrap();
            }
            Some(worker) = returned.recv() => free.push_back(worker),
            else => return,
        }
    }
}

/// Keeps the answers to requests until they are there.
async fn answers_later(mut requests: Receiver<(u64, oneshot::Sender<Of<4>>)>) {
    let mut pending = BTreeMap::new();
    while let Some((number, answer)) = requests.recv().await {
        assert!(!answer.is_closed());
        pending.insert(number, answer);
    }
}

async fn asks(of: Sender<(u64, oneshot::Sender<Of<4>>)>) {
    let (answer, value) = oneshot::channel();
    assert!(!answer.is_closed());
    of.send((1, answer)).await.unwrap();
    let _ = value.await;
}

/// Moves a value to a thread.
fn keep_on_a_thread<T: Send + 'static>(kept: T) {
    std::thread::spawn(move || {
        std::thread::sleep(LONG);
        drop(kept);
    });
}

/// A thread has the sender in a box.
async fn has_a_thread_with_a_box() {
    let (sender, mut receiver) = mpsc::channel::<Of<5>>(8);
    sender.send(Of(0)).await.unwrap();
    keep_on_a_thread(Box::new(sender));
    while receiver.recv().await.is_some() {}
}

/// A thread has the senders in a boxed slice. The `Vec` is listed to the end of its scope.
async fn has_a_thread_with_a_slice() {
    let (sender, mut receiver) = mpsc::channel::<Of<6>>(8);
    sender.send(Of(0)).await.unwrap();
    let boxed: Box<[Sender<Of<6>>]> = Box::new([sender]);
    keep_on_a_thread(boxed);
    while receiver.recv().await.is_some() {}
}

/// A thread has the `Vec`, which was lent before.
async fn has_a_thread_with_a_vec() {
    let (sender, mut receiver) = mpsc::channel::<Of<7>>(8);
    let all = vec![sender];
    all[0].send(Of(0)).await.unwrap();
    keep_on_a_thread(all);
    while receiver.recv().await.is_some() {}
}

/// The workers end when their senders are dropped. They are, one by one, and the last worker has more to do.
async fn ends_workers() {
    let mut workers: Vec<(Sender<Of<8>>, JoinHandle<()>)> = Vec::new();
    for _ in 0..3 {
        let (sender, receiver) = mpsc::channel(8);
        sender.send(Of(0)).await.unwrap();
        workers.push((sender, tokio::spawn(works(receiver))));
    }
    for (sender, worker) in workers {
        drop(sender);
        worker.await.unwrap();
    }
}

async fn works(mut lines: Receiver<Of<8>>) {
    while lines.recv().await.is_some() {}
    sleep(LONG).await;
}

/// Takes one sender out of a map, and gives it to a task of its own.
async fn gives_out() {
    let mut map = HashMap::new();
    let (sender, mut receiver) = mpsc::channel::<Of<9>>(8);
    sender.send(Of(0)).await.unwrap();
    map.insert(1, sender);
    let sender = map.remove(&1).unwrap();
    sender.send(Of(0)).await.unwrap();
    tokio::spawn(async move {
        let _sender = sender;
        sleep(LONG).await;
    });
    while receiver.recv().await.is_some() {}
    drop(map);
}

#[test]
fn services_that_keep_ends_in_collections_are_no_deadlock() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for is_foreign in [false, true] {
        let mut tasks = Vec::new();
        let (_to_all, messages) = mpsc::channel(8);
        let (_to_pool, jobs) = mpsc::channel(8);
        runtime.block_on(async {
            let (to_server, new) = mpsc::channel(8);
            tasks.push(spawn(is_foreign, serves(new)));
            tasks.push(spawn(is_foreign, accepts(to_server)));
            tasks.push(spawn(is_foreign, broadcasts(messages)));
            tasks.push(spawn(is_foreign, has_a_pool(jobs)));
            let (of, requests) = mpsc::channel(8);
            tasks.push(spawn(is_foreign, answers_later(requests)));
            tasks.push(spawn(is_foreign, asks(of)));
            tasks.push(spawn(is_foreign, has_a_thread_with_a_box()));
            tasks.push(spawn(is_foreign, has_a_thread_with_a_slice()));
            tasks.push(spawn(is_foreign, has_a_thread_with_a_vec()));
            tasks.push(spawn(is_foreign, ends_workers()));
            tasks.push(spawn(is_foreign, gives_out()));
        });
        let waits: Vec<String> = tasks
            .iter()
            .map(|task| format!("goroutine {} [", task.id))
            .collect();
        let mut waits: Vec<&str> = waits.iter().map(String::as_str).collect();
        // The connections, the listeners, and the asker.
        let named = [tasks[0].id, tasks[2].id, tasks[4].id]
            .map(|id| format!("Sender may be with goroutine {id}"));
        waits.extend(named.iter().map(String::as_str));
        page_with(address, "goroutine?debug=2", &waits);
        for _ in 0..5 {
            let page = get(address, "goroutine?debug=2");
            let told: Vec<&str> = page
                .lines()
                .filter(|line| line.contains("may be a deadlock"))
                .collect();
            assert!(told.is_empty(), "{told:#?}\n{page}");
            std::thread::sleep(Duration::from_millis(20));
        }
        for task in tasks {
            task.handle.abort();
        }
    }
}
