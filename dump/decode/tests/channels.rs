//! The channel that a task waits at, the task with its other end, and deadlocks of tasks through channels.
#![cfg(tokio_unstable)]

mod served;
#[path = "served/service.rs"]
mod service;

use futures_util::StreamExt;
use served::{get, page_with};
use service::Service;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};

const LONG: Duration = Duration::from_secs(3600);

/// The way that tasks are spawned: by the application or by a dependency.
#[derive(Clone, Copy)]
enum Spawn {
    Ours,
    Foreign,
}

impl Spawn {
    fn spawn(self, future: impl Future<Output = ()> + Send + 'static) -> (u64, AbortHandle) {
        let (id, handle) = match self {
            Spawn::Ours => {
                let task = runtime_probe::spawn(future);
                (task.id(), task.abort_handle())
            }
            Spawn::Foreign => {
                let task = tokio::spawn(future);
                (task.id(), task.abort_handle())
            }
        };
        (id.to_string().parse().unwrap(), handle)
    }

    /// The name of a task in a condition.
    fn name(self, id: u64, function: &str) -> String {
        match self {
            Spawn::Ours => format!("goroutine {id} (channels::{function})"),
            Spawn::Foreign => format!("goroutine {id}"),
        }
    }
}

struct Inbox {
    from: Receiver<u32>,
}

/// Waits for room in a channel before it receives from its own inbox.
async fn passes(inbox: Inbox, to: Sender<u32>) {
    let mut inbox = inbox;
    loop {
        to.send(0).await.unwrap();
        inbox.from.recv().await;
    }
}

#[test]
fn two_tasks_that_wait_for_room_in_each_others_channels_are_told() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let tasks = runtime.block_on(async {
            let (to_one, from) = mpsc::channel(1);
            let one = Inbox { from };
            let (to_other, from) = mpsc::channel(1);
            let other = Inbox { from };
            to_one.send(0).await.unwrap();
            to_other.send(0).await.unwrap();
            [
                spawn.spawn(passes(one, to_other)),
                spawn.spawn(passes(other, to_one)),
            ]
        });
        let [one, other] = [&tasks[0], &tasks[1]].map(|(id, _)| *id);
        let [first, second] = [one, other].map(|id| spawn.name(id, "passes"));
        let condition = format!(
            "# may be a deadlock: {first} waits for room in a channel whose Receiver may be with {second}; {second} waits for room in a \
             channel whose Receiver may be with {first}\n"
        );
        let page = page_with(address, "goroutine?debug=2", &[&condition]);
        for of in [one, other] {
            let note = format!(
                ", which has room for 1 message, its Receiver may be with goroutine {}",
                one + other - of
            );
            assert!(page.contains(&note), "{note}\n{page}");
        }
        assert!(!get(address, "goroutine?debug=2&decode=0").contains("may be a deadlock"));
        for (_, task) in &tasks {
            task.abort();
        }
        gone(address);
    }
}

/// Waits until no dump reports a deadlock.
fn gone(address: SocketAddr) {
    for _ in 0..300 {
        if !get(address, "goroutine?debug=2").contains("may be a deadlock") {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it is told for ever");
}

async fn writes(mut lines: Receiver<u32>) {
    while lines.recv().await.is_some() {}
}

/// The writer ends when the last sender is dropped. This function keeps the sender.
async fn closes(lines: Sender<u32>, writer: JoinHandle<()>) {
    lines.send(1).await.unwrap();
    writer.await.unwrap();
    drop(lines);
}

/// Like `closes`, with a time limit.
async fn closes_in_time(lines: Sender<u32>, writer: JoinHandle<()>) {
    lines.send(1).await.unwrap();
    let _ = timeout(LONG, writer).await;
    drop(lines);
}

/// A structure that a thread has behind an `Arc`, so that its sender is not found.
struct Shared {
    _lines: Sender<u64>,
}

fn keep_elsewhere(sender: Sender<u64>) {
    let shared = Arc::new(Shared { _lines: sender });
    std::thread::spawn(move || {
        std::thread::sleep(LONG);
        drop(shared);
    });
}

async fn moves_the_sender(mut lines: Receiver<u64>, sender: Sender<u64>) {
    keep_elsewhere(sender);
    while lines.recv().await.is_some() {}
}

#[test]
fn a_task_that_waits_for_a_message_of_its_own_joiner_is_told() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let (writer, closer) = runtime.block_on(async {
            let (sender, receiver) = mpsc::channel(8);
            let writer = tokio::spawn(writes(receiver));
            let id: u64 = writer.id().to_string().parse().unwrap();
            (id, spawn.spawn(closes(sender, writer)))
        });
        let closes = spawn.name(closer.0, "closes");
        let condition = format!(
            "# may be a deadlock: goroutine {writer} waits for a message of a channel whose only Sender may be with {closes}; {closes} \
             waits for the end of goroutine {writer}\n"
        );
        let page = page_with(address, "goroutine?debug=2", &[&condition]);
        let note = format!(
            ", which has 1 Sender, its only Sender may be with goroutine {}",
            closer.0
        );
        assert!(page.contains(&note), "{page}");
        page_with(
            address,
            "goroutine?format=json",
            &[&condition[2..condition.len() - 1]],
        );
        closer.1.abort();
        gone(address);
    }
}

/// A worker has the only sender in a variable that the block captured.
async fn has_a_worker() {
    let (sender, mut receiver) = mpsc::channel::<u8>(8);
    let of_worker = sender.clone();
    tokio::spawn(async move {
        sleep(LONG).await;
        let _ = of_worker.send(1).await;
    });
    drop(sender);
    while receiver.recv().await.is_some() {}
}

/// The sender was lent before it was moved to a thread.
async fn has_a_thread() {
    let (sender, mut receiver) = mpsc::channel::<u64>(8);
    sender.send(1).await.unwrap();
    keep_elsewhere(sender);
    while receiver.recv().await.is_some() {}
}

/// A thread is busy with a task until this is dropped.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn is_busy(sender: Sender<i8>, until_false: Arc<AtomicBool>) {
    while until_false.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = sender.send(1).await;
}

/// The task with the sender is being polled.
async fn has_a_busy_worker(until_false: Arc<AtomicBool>) {
    let (sender, mut receiver) = mpsc::channel::<i8>(8);
    sender.send(1).await.unwrap();
    tokio::spawn(is_busy(sender, until_false));
    while receiver.recv().await.is_some() {}
}

/// A future that is no async body.
struct Sink<'s> {
    _sender: Sender<i16>,
    sleeps: Pin<Box<dyn Future<Output = ()> + Send + 's>>,
}

impl Future for Sink<'_> {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.sleeps.as_mut().poll(context)
    }
}

/// A future that is no async body has the sender.
async fn has_a_sink() {
    let (sender, mut receiver) = mpsc::channel::<i16>(8);
    sender.send(1).await.unwrap();
    let sink = Sink {
        _sender: sender,
        sleeps: Box::pin(sleep(LONG)),
    };
    tokio::spawn(async move {
        sink.await;
        sleep(LONG).await;
    });
    while receiver.recv().await.is_some() {}
}

/// An end in an enum, which is not read.
enum Kept {
    Sender(Sender<i32>),
    Number(u64),
    Text(String),
}

async fn keeps(kept: Kept) {
    sleep(LONG).await;
    match kept {
        Kept::Sender(sender) => drop(sender),
        Kept::Number(number) => println!("{number}"),
        Kept::Text(text) => println!("{text}"),
    }
}

async fn has_a_keeper(number: u64) {
    let (sender, mut receiver) = mpsc::channel::<i32>(8);
    sender.send(1).await.unwrap();
    let kept = match number {
        0 => Kept::Sender(sender),
        1 => Kept::Text(String::new()),
        _ => Kept::Number(number),
    };
    tokio::spawn(keeps(kept));
    while receiver.recv().await.is_some() {}
}

#[test]
fn a_sender_that_was_lent_before_it_was_moved_is_no_deadlock() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let busy = Busy(Arc::new(AtomicBool::new(true)));
        let tasks = runtime.block_on(async {
            [
                spawn.spawn(has_a_worker()),
                spawn.spawn(has_a_thread()),
                spawn.spawn(has_a_busy_worker(busy.0.clone())),
                spawn.spawn(has_a_sink()),
                spawn.spawn(has_a_keeper(0)),
            ]
        });
        let waits: Vec<String> = tasks
            .iter()
            .map(|(id, _)| format!("goroutine {id} [chan receive"))
            .collect();
        let waits: Vec<&str> = waits.iter().map(String::as_str).collect();
        page_with(address, "goroutine?debug=2", &waits);
        for _ in 0..5 {
            let page = get(address, "goroutine?debug=2");
            assert!(!page.contains("may be a deadlock"), "{page}");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(busy);
        for (_, task) in tasks {
            task.abort();
        }
    }
}

#[test]
fn waits_that_may_end_are_no_deadlock() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let mut tasks = Vec::new();
    let told = runtime.block_on(async {
        // This wait has a time limit.
        let (sender, receiver) = mpsc::channel(8);
        let writer = tokio::spawn(writes(receiver));
        let limited: u64 = writer.id().to_string().parse().unwrap();
        tasks.push(Spawn::Ours.spawn(closes_in_time(sender, writer)));
        // This channel has a second sender, which belongs to no task.
        let (sender, receiver) = mpsc::channel(8);
        let elsewhere = sender.clone();
        let writer = tokio::spawn(writes(receiver));
        tasks.push(Spawn::Ours.spawn(closes(sender, writer)));
        // These senders were an argument and a captured variable, and were moved.
        let (sender, receiver) = mpsc::channel(8);
        tasks.push(Spawn::Ours.spawn(moves_the_sender(receiver, sender)));
        let (sender, mut receiver) = mpsc::channel::<u64>(8);
        tasks.push(Spawn::Foreign.spawn(async move {
            keep_elsewhere(sender);
            while receiver.recv().await.is_some() {}
        }));
        // This wait has another branch.
        let (sender, mut receiver) = mpsc::channel::<u32>(8);
        tasks.push(Spawn::Ours.spawn(async move {
            tokio::select! {
                _ = receiver.recv() => {}
                () = sleep(LONG) => {}
            }
            drop(sender);
        }));
        Box::leak(Box::new(elsewhere));
        limited
    });
    // The other end is named in each of these cases.
    let note = format!("its only Sender may be with goroutine {}", tasks[0].0);
    let page = page_with(address, "goroutine?debug=2", &[&note]);
    assert!(
        page.contains(&format!("goroutine {told} [chan receive")),
        "{page}"
    );
    for _ in 0..5 {
        let page = get(address, "goroutine?debug=2");
        assert!(!page.contains("may be a deadlock"), "{page}");
        // An argument that was moved away does not count as an end of the function.
        let own = format!("goroutine {} [chan receive", tasks[2].0);
        let at = page.find(&own).unwrap();
        let notes = page[..at].lines().last().unwrap();
        assert!(!notes.contains("this very task"), "{notes}");
        std::thread::sleep(Duration::from_millis(50));
    }
    for (_, task) in tasks {
        task.abort();
    }
}

async fn answers(to: oneshot::Sender<u32>) {
    sleep(LONG).await;
    let _ = to.send(1);
}

async fn asks(from: oneshot::Receiver<u32>) {
    let _ = from.await;
}

async fn watches(mut of: watch::Receiver<u32>) {
    let _ = of.changed().await;
}

async fn changes(of: watch::Sender<u32>) {
    sleep(LONG).await;
    let _ = of.send(1);
}

async fn listens(mut to: broadcast::Receiver<u32>) {
    let _ = to.recv().await;
}

async fn tells(to: broadcast::Sender<u32>) {
    sleep(LONG).await;
    let _ = to.send(1);
}

#[test]
fn every_kind_of_channel_has_its_words() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let (mut lines, mut tasks) = (Vec::new(), Vec::new());
        runtime.block_on(async {
            let (sender, receiver) = oneshot::channel();
            tasks.extend([spawn.spawn(answers(sender)), spawn.spawn(asks(receiver))]);
            lines.push(("the value", "", tasks[0].0));
            let (sender, receiver) = watch::channel(0);
            tasks.extend([spawn.spawn(changes(sender)), spawn.spawn(watches(receiver))]);
            lines.push(("a change", "only ", tasks[2].0));
            let (sender, receiver) = broadcast::channel(4);
            tasks.extend([spawn.spawn(tells(sender)), spawn.spawn(listens(receiver))]);
            lines.push(("a message", "only ", tasks[4].0));
        });
        for (what, only, id) in lines {
            let end = format!("its {only}Sender may be with goroutine {id}");
            let page = page_with(address, "goroutine?debug=2", &[&end]);
            let line = page.lines().find(|line| line.contains(&end)).unwrap();
            assert!(
                line.contains(&format!("waits for {what} of channel 0x")),
                "{line}"
            );
        }
        for (_, task) in tasks {
            task.abort();
        }
    }
}

/// A message for an actor.
enum Message {
    Add(u64),
    Ask {
        name: String,
        answer: oneshot::Sender<u64>,
    },
    Later(Box<Message>),
}

/// An actor that asks another one, or itself, before it receives.
async fn actor(mut inbox: Receiver<Message>, of: Sender<Message>, is_boxed: bool) {
    let mut sum = 0;
    let (answer, value) = oneshot::channel();
    let ask = Message::Ask {
        name: "sum".into(),
        answer,
    };
    of.send(Message::Add(1)).await.ok();
    let ask = match is_boxed {
        true => Message::Later(Box::new(ask)),
        false => ask,
    };
    of.send(ask).await.ok();
    sum += value.await.unwrap_or(0);
    while let Some(message) = inbox.recv().await {
        let message = match message {
            Message::Later(message) => *message,
            message => message,
        };
        match message {
            Message::Add(number) => sum += number,
            Message::Ask { name, answer } => {
                assert!(!name.is_empty());
                let _ = answer.send(sum);
            }
            Message::Later(_) => {}
        }
    }
}

/// An actor that does something else before it receives.
async fn busy_actor(inbox: Receiver<Message>) {
    sleep(LONG).await;
    drop(inbox);
}

#[test]
fn actors_that_ask_themselves_or_each_other_are_told() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        for is_boxed in [false, true] {
            let (of_one, one) = mpsc::channel(40);
            let (of_other, other) = mpsc::channel(40);
            let (of_alone, itself) = mpsc::channel(40);
            let (of_busy, busy) = mpsc::channel(40);
            let (_of_asker, asker) = mpsc::channel(40);
            let tasks = runtime.block_on(async {
                // The unread messages are in two blocks of the channel.
                for number in 0..31 {
                    of_alone.send(Message::Add(number)).await.unwrap();
                }
                [
                    spawn.spawn(actor(one, of_other, is_boxed)),
                    spawn.spawn(actor(other, of_one, is_boxed)),
                    spawn.spawn(actor(itself, of_alone, is_boxed)),
                    spawn.spawn(busy_actor(busy)),
                    spawn.spawn(actor(asker, of_busy, is_boxed)),
                ]
            });
            let [one, other, itself, busy, _] = tasks.each_ref().map(|(id, _)| *id);
            let [first, second, lonely] = [one, other, itself].map(|id| spawn.name(id, "actor"));
            let waits =
                "waits for a message of a channel whose only Sender may be in a message for";
            let page = page_with(
                address,
                "goroutine?debug=2",
                &[
                    &format!(
                        "# may be a deadlock: {first} {waits} {second}; {second} {waits} {first}\n"
                    ),
                    &format!("# may be a deadlock: {lonely} {waits} that very task\n"),
                    &format!(
                        "its Sender may be in a message that goroutine {busy} has not received"
                    ),
                    "its Sender may be in a message that this very task has not received",
                ],
            );
            assert_eq!(page.matches("may be a deadlock").count(), 2, "{page}");
            for (_, task) in &tasks {
                task.abort();
            }
            gone(address);
        }
    }
}

/// What several tasks share.
struct State {
    hurry: Notify,
    lines: std::sync::Mutex<Option<Sender<u16>>>,
    numbers: tokio::sync::Mutex<Receiver<u16>>,
}

async fn hurries(state: Arc<State>) {
    state.hurry.notified().await;
}

async fn hurries_owned(hurry: Arc<Notify>) {
    hurry.notified_owned().await;
}

async fn calls(hurry: Arc<Notify>) {
    sleep(LONG).await;
    hurry.notify_one();
}

async fn has(state: Arc<State>) {
    sleep(LONG).await;
    state.hurry.notify_waiters();
    drop(state.lines.lock().unwrap().take());
}

async fn counts(state: Arc<State>) {
    let mut numbers = state.numbers.lock().await;
    while numbers.recv().await.is_some() {}
}

#[test]
fn the_tasks_with_a_notify_or_a_shared_end_are_named() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let (sender, receiver) = mpsc::channel(8);
        let state = Arc::new(State {
            hurry: Notify::new(),
            lines: std::sync::Mutex::new(Some(sender)),
            numbers: tokio::sync::Mutex::new(receiver),
        });
        let (single, lonely) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let _of_no_task = lonely.clone();
        let tasks = runtime.block_on(async {
            [
                spawn.spawn(has(state.clone())),
                spawn.spawn(hurries(state.clone())),
                spawn.spawn(hurries(state.clone())),
                spawn.spawn(counts(state.clone())),
                spawn.spawn(calls(single.clone())),
                spawn.spawn(hurries_owned(single)),
                spawn.spawn(hurries_owned(lonely)),
            ]
        });
        let ids = tasks.each_ref().map(|(id, _)| *id);
        let [has, first, second, counts, calls, owned, lonely] = ids;
        let may_notify = format!("goroutine {has}, {counts} may notify it");
        let calls = format!("goroutine {calls} may notify it");
        let senders =
            format!("its only Sender may be with goroutine {has}, {first}, {second}, {counts}");
        let page = page_with(
            address,
            "goroutine?debug=2",
            &[&may_notify, &calls, &senders],
        );
        // The notes stand above the header of their task.
        let notes = |id: u64, reason: &str| {
            let header = page.find(&format!("goroutine {id} [{reason}")).unwrap();
            page[..header].rsplit("\n\n").next().unwrap()
        };
        for id in [first, second] {
            assert!(notes(id, "sync.Cond.Wait").contains(&may_notify), "{page}");
        }
        assert!(notes(owned, "sync.Cond.Wait").contains(&calls), "{page}");
        let lonely = notes(lonely, "sync.Cond.Wait");
        assert!(lonely.contains("waits for Notify 0x"), "{lonely}");
        assert!(!lonely.contains("may notify it"), "{lonely}");
        assert!(notes(counts, "chan receive").contains(&senders), "{page}");
        assert!(!page.contains("may be a deadlock"), "{page}");
        for (_, task) in tasks {
            task.abort();
        }
    }
}

/// All stages of a pipeline with little room work. At any time many wait for room, and many for a message.
#[test]
fn a_pipeline_under_way_is_no_deadlock() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let (first, mut from) = mpsc::channel(1);
    let mut tasks = Vec::new();
    for stage in 0..50 {
        let (to, next) = mpsc::channel(1);
        let mut inbox = std::mem::replace(&mut from, next);
        tasks.push(runtime.spawn(async move {
            while let Some(number) = inbox.recv().await {
                if stage % 7 == 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                if to.send(number).await.is_err() {
                    return;
                }
            }
        }));
    }
    // This task feeds the first stage from the last one, with fewer messages than there is room for.
    tasks.push(runtime.spawn(async move {
        for number in 0..20 {
            first.send(number).await.unwrap();
        }
        while let Some(number) = from.recv().await {
            first.send(number).await.unwrap();
        }
    }));
    page_with(
        address,
        "goroutine?debug=2",
        &["waits for room in channel 0x"],
    );
    for _ in 0..100 {
        let page = get(address, "goroutine?debug=2");
        assert!(!page.contains("may be a deadlock"), "{page}");
    }
    for task in tasks {
        task.abort();
    }
}

/// A message. Each number is a type of its own, so that no other case has an end of the same type.
#[derive(Debug)]
#[expect(dead_code, reason = "a message that no test looks into")]
struct Of<const CASE: u32>(u8);

async fn holds<T: Send>(held: T) {
    sleep(LONG).await;
    drop(held);
}

/// Blocks a thread on a future. The thread's closure has the future, but no end of its own.
fn block_a_thread_on(future: impl Future<Output = ()> + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(future);
    });
}

async fn has_a_thread_that_is_blocked() {
    let (sender, mut receiver) = mpsc::channel::<Of<1>>(8);
    sender.send(Of(1)).await.unwrap();
    block_a_thread_on(holds(sender));
    while receiver.recv().await.is_some() {}
}

struct Request<const CASE: u32> {
    answer: oneshot::Sender<Of<CASE>>,
}

fn serves_on_a_thread<const CASE: u32>(requests: std::sync::mpsc::Receiver<Request<CASE>>) {
    for request in requests {
        std::thread::sleep(LONG);
        let _ = request.answer.send(Of(0));
    }
}

/// The request is in a bounded channel of std's, or with the thread that serves it.
async fn asks_a_thread(requests: std::sync::mpsc::SyncSender<Request<2>>) {
    let (answer, value) = oneshot::channel();
    assert!(!answer.is_closed());
    requests.send(Request { answer }).unwrap();
    let _ = value.await;
}

/// A future that is written by hand: it waits for commands, too.
async fn supervises(
    mut commands: Receiver<Of<3>>,
    lines: Sender<Of<4>>,
    mut worker: JoinHandle<()>,
) {
    lines.send(Of(0)).await.unwrap();
    std::future::poll_fn(|context| {
        if commands.poll_recv(context).is_ready() {
            return Poll::Ready(());
        }
        Pin::new(&mut worker).poll(context).map(|_| ())
    })
    .await;
    drop(lines);
}

async fn drains<T: Send>(mut lines: Receiver<T>) {
    while lines.recv().await.is_some() {}
}

/// Like `supervises`, as a structure.
struct Supervisor {
    commands: Receiver<Of<5>>,
    worker: JoinHandle<()>,
}

impl Future for Supervisor {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.commands.poll_recv(context).is_ready() {
            return Poll::Ready(());
        }
        Pin::new(&mut self.worker).poll(context).map(|_| ())
    }
}

async fn awaits_a_supervisor(
    commands: Receiver<Of<5>>,
    lines: Sender<Of<6>>,
    worker: JoinHandle<()>,
) {
    lines.send(Of(0)).await.unwrap();
    Supervisor { commands, worker }.await;
    drop(lines);
}

/// The only Sender is lent, and a task without an end of its own can make a second one from a weak one.
async fn keeps_the_last_one(lines: Sender<Of<7>>, worker: JoinHandle<()>) {
    lines.send(Of(0)).await.unwrap();
    worker.await.unwrap();
    drop(lines);
}

/// Keeps each answer for later, with its request's number.
async fn answers_later(mut requests: Receiver<Request<8>>) {
    let mut pending = std::collections::HashMap::new();
    while let Some(request) = requests.recv().await {
        assert!(!request.answer.is_closed());
        pending.insert(pending.len(), request.answer);
    }
}

/// Gives each request to a task of its own.
async fn has_helpers(mut requests: Receiver<Request<9>>) {
    while let Some(request) = requests.recv().await {
        assert!(!request.answer.is_closed());
        tokio::spawn(async move {
            sleep(LONG).await;
            let _ = request.answer.send(Of(0));
        });
    }
}

/// Forwards each request.
async fn forwards(mut requests: Receiver<Request<10>>, to: Sender<Request<10>>) {
    while let Some(request) = requests.recv().await {
        assert!(!request.answer.is_closed());
        let _ = to.send(request).await;
    }
}

async fn asks_for<const CASE: u32>(of: Sender<Request<CASE>>) {
    let (answer, value) = oneshot::channel();
    assert!(!answer.is_closed());
    assert!(of.send(Request { answer }).await.is_ok());
    let _ = value.await;
}

/// Returns the Sender, which is in the result of a task that has ended until this is joined.
async fn gives_back(sender: Sender<Of<11>>) -> Sender<Of<11>> {
    sender
}

async fn joins_later(giver: JoinHandle<Sender<Of<11>>>) {
    sleep(LONG).await;
    let _ = giver.await.unwrap().send(Of(0)).await;
}

async fn has_a_giver() {
    let (sender, mut receiver) = mpsc::channel(8);
    sender.send(Of(0)).await.unwrap();
    let giver = tokio::spawn(gives_back(sender));
    tokio::spawn(joins_later(giver));
    while receiver.recv().await.is_some() {}
}

/// Keeps a future, and awaits it later.
async fn delays(future: impl Future<Output = ()> + Send) {
    sleep(LONG).await;
    future.await;
}

async fn has_a_delayed_holder() {
    let (sender, mut receiver) = mpsc::channel::<Of<12>>(8);
    sender.send(Of(0)).await.unwrap();
    tokio::spawn(delays(holds(sender)));
    while receiver.recv().await.is_some() {}
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Gives a future to a queue of jobs.
async fn has_a_job(jobs: Sender<Job>) {
    let (sender, mut receiver) = mpsc::channel::<Of<13>>(8);
    sender.send(Of(0)).await.unwrap();
    let job: Job = Box::pin(holds(sender));
    assert!(jobs.send(job).await.is_ok());
    while receiver.recv().await.is_some() {}
}

#[test]
fn services_at_work_are_no_deadlock() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let mut tasks = Vec::new();
        let (to_thread, requests) = std::sync::mpsc::sync_channel(8);
        std::thread::spawn(move || serves_on_a_thread(requests));
        let (_to_supervisor, commands) = mpsc::channel(8);
        let (_to_other, of_other) = mpsc::channel(8);
        let (to_jobs, _jobs) = mpsc::channel(8);
        let (last, from_last) = mpsc::channel(8);
        let _weak = last.downgrade();
        runtime.block_on(async {
            tasks.push(spawn.spawn(has_a_thread_that_is_blocked()));
            tasks.push(spawn.spawn(asks_a_thread(to_thread)));
            let (sender, receiver) = mpsc::channel(8);
            let worker = tokio::spawn(drains(receiver));
            tasks.push(spawn.spawn(supervises(commands, sender, worker)));
            let (sender, receiver) = mpsc::channel(8);
            let worker = tokio::spawn(drains(receiver));
            tasks.push(spawn.spawn(awaits_a_supervisor(of_other, sender, worker)));
            let worker = tokio::spawn(drains(from_last));
            tasks.push(spawn.spawn(keeps_the_last_one(last, worker)));
            tasks.push(spawn.spawn(has_a_giver()));
            tasks.push(spawn.spawn(has_a_job(to_jobs)));
            tasks.push(spawn.spawn(has_a_delayed_holder()));
            let (sender, receiver) = mpsc::channel(8);
            tasks.push(spawn.spawn(answers_later(receiver)));
            tasks.push(spawn.spawn(asks_for(sender)));
            let (sender, receiver) = mpsc::channel(8);
            tasks.push(spawn.spawn(has_helpers(receiver)));
            tasks.push(spawn.spawn(asks_for(sender)));
            let (sender, receiver) = mpsc::channel(8);
            let (next, last) = mpsc::channel(8);
            tasks.push(spawn.spawn(holds(last)));
            tasks.push(spawn.spawn(forwards(receiver, next)));
            tasks.push(spawn.spawn(asks_for(sender)));
        });
        let waits: Vec<String> = tasks
            .iter()
            .map(|(id, _)| format!("goroutine {id} ["))
            .collect();
        let mut waits: Vec<&str> = waits.iter().map(String::as_str).collect();
        let last = tasks[12].0;
        let forwarded =
            format!("its Sender may be in a message that goroutine {last} has not received");
        waits.push(&forwarded);
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
        for (_, task) in tasks {
            task.abort();
        }
    }
}

/// The requests of an actor with many of them.
macro_rules! requests {
    ($($name:ident)*) => {
        #[expect(dead_code, reason = "only the last variant is sent")]
        enum Many {
            $($name { number: u64, answer: Option<oneshot::Sender<Of<20>>> },)*
            Nested(Box<Nested>),
        }

        impl Many {
            fn answer(self) -> Option<oneshot::Sender<Of<20>>> {
                match self {
                    $(Many::$name { number, answer } => {
                        assert_eq!(number, 1);
                        answer
                    })*
                    Many::Nested(nested) => match *nested {
                        Nested::Empty => None,
                        Nested::Of(many) => many.answer(),
                    },
                }
            }
        }
    };
}

requests! { A B C D E F G H I J K L M N O P Q R S T U V W X Y Z }

enum Nested {
    Empty,
    Of(Many),
}

fn many(is_nested: bool) -> (Many, oneshot::Receiver<Of<20>>) {
    let (answer, value) = oneshot::channel();
    let answer = Some(answer);
    let many = Many::Z { number: 1, answer };
    match is_nested {
        true => (Many::Nested(Box::new(Nested::Of(many))), value),
        false => (many, value),
    }
}

/// An actor in an async block, which asks itself.
#[expect(
    clippy::manual_async_fn,
    reason = "the block has captured the Receiver"
)]
fn asks_itself(
    mut inbox: Receiver<Many>,
    of: Sender<Many>,
    is_nested: bool,
) -> impl Future<Output = ()> + Send {
    async move {
        let empty = Many::Nested(Box::new(Nested::Empty));
        assert!(of.send(empty).await.is_ok());
        let (ask, value) = many(is_nested);
        assert!(of.send(ask).await.is_ok());
        drop(value.await);
        while let Some(many) = inbox.recv().await {
            drop(many.answer());
        }
    }
}

/// Waits for room in a channel whose Receiver is in its own inbox.
async fn subscribes(mut inbox: Receiver<Receiver<Of<21>>>, to: Sender<Receiver<Of<21>>>) {
    let (sender, receiver) = mpsc::channel(1);
    assert!(to.send(receiver).await.is_ok());
    assert!(sender.send(Of(0)).await.is_ok());
    assert!(sender.send(Of(1)).await.is_ok());
    while let Some(mut receiver) = inbox.recv().await {
        receiver.recv().await;
    }
}

#[test]
fn actors_in_async_blocks_with_many_requests_are_told() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let (of_one, one) = mpsc::channel(8);
        let (of_nested, nested) = mpsc::channel(8);
        let (of_subscriber, subscriber) = mpsc::channel(8);
        let tasks = runtime.block_on(async {
            [
                spawn.spawn(asks_itself(one, of_one, false)),
                spawn.spawn(asks_itself(nested, of_nested, true)),
                spawn.spawn(subscribes(subscriber, of_subscriber)),
            ]
        });
        let name = |at: usize, function: &str| spawn.name(tasks[at].0, function);
        let asks = |at| {
            format!(
                "# may be a deadlock: {} waits for a message of a channel whose only Sender may be in a message for that very task\n",
                name(at, "asks_itself")
            )
        };
        let subscribes = format!(
            "# may be a deadlock: {} waits for room in a channel whose Receiver may be in a message for that very task\n",
            name(2, "subscribes")
        );
        page_with(
            address,
            "goroutine?debug=2",
            &[
                &asks(0),
                &asks(1),
                &subscribes,
                "its Receiver may be in a message that this very task has not received",
            ],
        );
        for (_, task) in &tasks {
            task.abort();
        }
        gone(address);
    }
}

/// Receives by a stream.
async fn streams(mut lines: ReceiverStream<Of<30>>) {
    while lines.next().await.is_some() {}
}

async fn streams_unbounded(lines: mpsc::UnboundedReceiver<Of<31>>) {
    let mut lines = UnboundedReceiverStream::new(lines);
    while tokio_stream::StreamExt::next(&mut lines).await.is_some() {}
}

/// The writer ends when the last sender is dropped. This function keeps the sender.
async fn ends<T: Send>(lines: Sender<T>, writer: JoinHandle<()>) {
    assert!(!lines.is_closed());
    writer.await.unwrap();
    drop(lines);
}

async fn ends_unbounded<T: Send>(lines: mpsc::UnboundedSender<T>, writer: JoinHandle<()>) {
    assert!(!lines.is_closed());
    writer.await.unwrap();
    drop(lines);
}

#[test]
fn a_wait_for_a_stream_of_messages_is_a_wait_for_a_message() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let tasks = runtime.block_on(async {
            let (sender, receiver) = mpsc::channel(8);
            let writer = tokio::spawn(streams(ReceiverStream::new(receiver)));
            let (unbounded, receiver) = mpsc::unbounded_channel();
            let other = tokio::spawn(streams_unbounded(receiver));
            [
                (writer.id(), spawn.spawn(ends(sender, writer))),
                (other.id(), spawn.spawn(ends_unbounded(unbounded, other))),
            ]
        });
        let conditions = [(0, "ends"), (1, "ends_unbounded")].map(|(at, function)| {
            let (writer, (id, _)) = &tasks[at];
            let ends = spawn.name(*id, function);
            format!(
                "# may be a deadlock: goroutine {writer} waits for a message of a channel whose only Sender may be with {ends}; {ends} \
                 waits for the end of goroutine {writer}\n"
            )
        });
        page_with(
            address,
            "goroutine?debug=2",
            &[&conditions[0], &conditions[1]],
        );
        for (_, (_, task)) in &tasks {
            task.abort();
        }
        gone(address);
    }
}

/// Workers that share a Receiver.
async fn works(jobs: Arc<tokio::sync::Mutex<Receiver<Request<22>>>>) {
    sleep(LONG).await;
    drop(jobs.lock().await.recv().await);
}

async fn listens_twice(mut to: Receiver<Of<23>>) {
    while to.recv().await.is_some() {}
}

async fn takes_senders(inbox: Receiver<Sender<Of<23>>>) {
    sleep(LONG).await;
    drop(inbox);
}

#[test]
fn all_tasks_that_may_receive_a_message_are_named() {
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    for spawn in [Spawn::Ours, Spawn::Foreign] {
        let (of_pool, jobs) = mpsc::channel(8);
        let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
        let (sender, receiver) = mpsc::channel(8);
        let (to_keeper, of_keeper) = mpsc::channel(8);
        to_keeper.try_send(sender.clone()).unwrap();
        let tasks = runtime.block_on(async {
            [
                spawn.spawn(works(jobs.clone())),
                spawn.spawn(works(jobs.clone())),
                spawn.spawn(asks_for(of_pool)),
                spawn.spawn(listens_twice(receiver)),
                spawn.spawn(holds(sender)),
                spawn.spawn(takes_senders(of_keeper)),
            ]
        });
        let [one, other, _, _, holds, keeper] = tasks.each_ref().map(|(id, _)| *id);
        page_with(
            address,
            "goroutine?debug=2",
            &[
                &format!(
                    "its Sender may be in a message that goroutine {one}, {other} have not received"
                ),
                &format!(
                    "its Senders may be with goroutine {holds} and in a message that goroutine {keeper} has not received"
                ),
            ],
        );
        for (_, task) in &tasks {
            task.abort();
        }
    }
}

/// Many ends and one `Notify`, which all tasks share.
struct Wide {
    stop: Notify,
    ends: [Option<Sender<Of<24>>>; 1],
    more: Lines,
    jobs: tokio::sync::Mutex<Receiver<Request<25>>>,
}

struct Lines {
    first: [Sender<Of<24>>; 0],
    a: Sender<Of<24>>,
    b: watch::Sender<u32>,
    c: watch::Receiver<u32>,
    d: broadcast::Sender<u32>,
}

async fn waits_to_stop(wide: Arc<Wide>) {
    wide.stop.notified().await;
    assert!(wide.ends.len() + wide.more.first.len() == 1);
    drop(wide.more.a.clone());
    drop((
        wide.more.b.subscribe(),
        wide.more.c.clone(),
        wide.more.d.clone(),
    ));
    drop(wide.jobs.lock().await);
}

#[test]
fn ten_thousand_tasks_that_share_ends_and_a_notify_are_read_in_seconds() {
    const TASKS: usize = 10_000;
    let service = Service::start();
    let (runtime, address) = (&service.runtime, service.address);
    let (_, idle) = runtime.block_on(async { Spawn::Foreign.spawn(holds(0)) });
    let decoded = "1 of 1 foreign tasks are decoded";
    page_with(address, "goroutine?debug=2", &[decoded]);
    idle.abort();
    let (of_pool, jobs) = mpsc::channel(200);
    let (b, c) = watch::channel(0);
    let wide = Arc::new(Wide {
        stop: Notify::new(),
        ends: [None],
        more: Lines {
            first: [],
            a: mpsc::channel(8).0,
            b,
            c,
            d: broadcast::channel(8).0,
        },
        jobs: tokio::sync::Mutex::new(jobs),
    });
    let mut tasks = Vec::new();
    runtime.block_on(async {
        for _ in 0..150 {
            tasks.push(Spawn::Foreign.spawn(asks_for(of_pool.clone())));
        }
        for _ in 0..TASKS {
            tasks.push(Spawn::Foreign.spawn(waits_to_stop(wide.clone())));
        }
        sleep(Duration::from_secs(1)).await;
    });
    // Decoding for each task anew, or comparing all of them for each note, takes more than the 30 s that this waits.
    let page = page_with(
        address,
        "goroutine?debug=2",
        &["have not received", "waits for Notify 0x"],
    );
    assert!(!page.contains("may notify it"));
    assert!(!page.contains("may be a deadlock"));
    for (_, task) in &tasks {
        task.abort();
    }
}
