//! The messages that a client gets about the tasks, over real sockets.

use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use console_api::instrument::{
    PauseRequest, ResumeRequest, State, StateRequest, TaskDetailsRequest, Temporality,
};
use console_api::tasks::Stats;
use console_api::tasks::task_details::PollTimesHistogram;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use runtime_probe::pprof::{self, TaskFacts, TaskState};
use runtime_probe::runtime::{self, Runtime};
use runtime_probe::task::{Builder, LocalSet};
use runtime_probe_console::{Server, Serving, serve};
use tonic::Streaming;
use view::{PATIENCE, View, connect};

#[path = "support/view.rs"]
mod view;

/// The service under test. Clients run on plain tokio, which the probe does not see.
fn service() -> &'static Runtime {
    static SERVICE: OnceLock<Runtime> = OnceLock::new();
    SERVICE.get_or_init(|| Runtime::new().unwrap())
}

fn console() -> (Serving, SocketAddr) {
    let console = Server::new("127.0.0.1:0").interval(Duration::from_millis(50));
    let console = console.serve().unwrap();
    let address = console.local_addr();
    (console, address)
}

fn id_of(task: &runtime_probe::task::JoinHandle<()>) -> u64 {
    task.id().to_string().parse().unwrap()
}

fn facts(id: u64) -> TaskFacts {
    let found = pprof::task_facts()
        .into_iter()
        .find(|task| task.id.as_u64() == id);
    found.expect("a task that is alive")
}

/// The facts of a task that has been polled so often.
async fn polled(id: u64, polls: u64) -> TaskFacts {
    let search = async {
        loop {
            let facts = facts(id);
            if facts.polls >= polls && facts.state == TaskState::Waiting {
                return facts;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, search)
        .await
        .expect("in time")
}

fn named(name: &str) -> Builder<'_> {
    Builder::new().name(name)
}

/// tokio-console's rule for a lost waker: polled, not running, not woken since, and without a waker.
fn is_lost(stats: &Stats) -> bool {
    let polls = stats.poll_stats.expect("numbers of polls");
    let at = |stamp: Option<prost_types::Timestamp>| {
        stamp.map(|stamp| SystemTime::try_from(stamp).expect("a time"))
    };
    let begun = at(polls.last_poll_started);
    let (woken, running) = (
        at(stats.last_wake) > begun,
        begun > at(polls.last_poll_ended),
    );
    polls.polls > 0 && !woken && !running && stats.waker_clones == stats.waker_drops
}

#[tokio::test]
async fn a_task_is_what_it_was_spawned_as() {
    let (_console, address) = console();
    let handle = service().handle();
    let line = line!() + 1;
    let waits = named("waits").spawn_on(pending::<()>(), handle).unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let blocks = move || released.recv().unwrap();
    let blocks = named("blocks").spawn_blocking_on(blocks, handle).unwrap();

    let mut view = View::attach(&mut connect(address).await).await;
    let id = view.until(|view| view.one("waits")).await;
    assert_eq!(id, id_of(&waits));
    assert_eq!(view.field(id, "task.id").unwrap(), id.to_string());
    assert_eq!(view.field(id, "kind").unwrap(), "task");
    let size = view.field(id, "size.bytes").expect("a size");
    assert_eq!(view.field(id, "original_size.bytes").unwrap(), size);
    let place = view.tasks[&id].location.clone().expect("a location");
    assert!(place.file().ends_with("console/tests/attach.rs"), "{place}");
    assert_eq!(place.line, Some(line));
    let blocking = view.until(|view| view.one("blocks")).await;
    assert_eq!(view.field(blocking, "kind").unwrap(), "blocking");
    assert_eq!(view.tasks[&blocking].kind, 1);

    waits.abort();
    release.send(()).unwrap();
    blocks.await.unwrap();
    for id in [id, blocking] {
        view.until(|view| view.stats[&id].dropped_at).await;
    }
    // A client that attaches now still gets them.
    let mut later = View::attach(&mut connect(address).await).await;
    let id = later.until(|view| view.one("waits")).await;
    assert!(later.stats[&id].dropped_at.is_some());
}

/// The same future, but larger than tokio keeps without a box, in debug builds and in release builds.
fn large(body: impl Future<Output = ()>) -> impl Future<Output = ()> {
    let bytes = [0u8; 20 << 10];
    async move {
        body.await;
        std::hint::black_box(bytes);
    }
}

#[tokio::test]
async fn kinds_parents_and_boxes_are_told() {
    let (_console, address) = console();
    let child = large(pending());
    let child_size = size_of_val(&child).to_string();
    let spawns = async {
        named("child").spawn(child).unwrap().await.unwrap();
    };
    let parent = named("parent").spawn_on(spawns, service().handle());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let root_line = line!() + 7;
    let thread = std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let root = large(async {
            let _local = named("local").spawn_local(pending::<()>());
            let _ = ended.await;
        });
        LocalSet::new().block_on(&runtime, root);
    });

    let mut view = View::attach(&mut connect(address).await).await;
    let child = view.until(|view| view.one("child")).await;
    assert_eq!(view.field(child, "kind").unwrap(), "task");
    let parent = parent.unwrap();
    assert_eq!(view.parents(child), [id_of(&parent)]);
    // The test itself is a task of plain tokio.
    assert!(view.parents(id_of(&parent)).is_empty());
    let boxed = size_of::<Box<()>>().to_string();
    assert_eq!(view.field(child, "original_size.bytes"), Some(child_size));
    assert_eq!(view.field(child, "size.bytes").unwrap(), boxed);

    let local = view.until(|view| view.one("local")).await;
    assert_eq!(view.field(local, "kind").unwrap(), "local");
    let [root] = view.parents(local)[..] else {
        panic!("{:?}", view.parents(local))
    };
    // The root's number is greater than those of all tasks, so it may be in a later message.
    let place = view
        .until(|view| view.tasks.get(&root)?.location.clone())
        .await;
    assert!(place.file().ends_with("console/tests/attach.rs"), "{place}");
    assert_eq!(place.line, Some(root_line));
    assert_eq!(view.field(root, "kind").unwrap(), "block_on");
    assert_eq!(view.field(root, "size.bytes").unwrap(), boxed);

    parent.abort();
    end.send(()).unwrap();
    thread.join().unwrap();
    view.until(|view| view.stats[&root].dropped_at).await;
}

#[tokio::test]
async fn what_it_did_lies_between_two_looks() {
    let (_console, address) = console();
    let ticks = async {
        loop {
            runtime_probe::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let task = named("ticks").spawn_on(ticks, service().handle()).unwrap();
    let before = polled(id_of(&task), 20).await;
    let mut view = View::attach(&mut connect(address).await).await;
    let id = view.until(|view| view.one("ticks")).await;
    let stats = view
        .until(|view| Some(view.stats[&id]).filter(|stats| stats.wakes > before.polls + 5))
        .await;
    let after = facts(id);
    let poll_stats = stats.poll_stats.unwrap();
    assert!(
        (before.polls..=after.polls).contains(&poll_stats.polls),
        "{poll_stats:?}"
    );
    let busy: Duration = poll_stats.busy_time.unwrap().try_into().unwrap();
    // The estimate of the clock's rate improves with time. In a young process on a busy machine it is off by a few
    // hundredths.
    assert!(
        busy.as_secs_f64() >= before.busy.as_secs_f64() * 0.95,
        "{busy:?} < {before:?}"
    );
    assert!(
        busy.as_secs_f64() <= after.busy.as_secs_f64() * 1.05,
        "{busy:?} > {after:?}"
    );
    assert!(
        (poll_stats.polls - 1..=poll_stats.polls).contains(&stats.wakes),
        "{stats:?}"
    );
    assert!(!is_lost(&stats), "{stats:?}");
}

#[tokio::test]
async fn lost_wakers_and_self_wakes_are_told() {
    let (_console, address) = console();
    let handle = service().handle();
    // No leaf keeps a waker.
    let lost = poll_fn(|_| Poll::<()>::Pending);
    let lost = named("lost").spawn_on(lost, handle).unwrap();
    let mut left = 100;
    let wakes_itself = async move {
        poll_fn(|context| {
            context.waker().wake_by_ref();
            left -= 1;
            if left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        pending::<()>().await
    };
    let selfish = named("selfish").spawn_on(wakes_itself, handle).unwrap();
    let mut view = View::attach(&mut connect(address).await).await;
    view.until(|view| is_lost(&view.stats[&view.one("lost")?]).then_some(()))
        .await;
    let stats = view
        .until(|view| Some(view.stats[&view.one("selfish")?]).filter(|stats| stats.wakes >= 99))
        .await;
    assert!(stats.self_wakes >= 98, "{stats:?}");
    lost.abort();
    selfish.abort();
}

async fn next(states: &mut Streaming<State>) -> Temporality {
    let next = tokio::time::timeout(PATIENCE, states.message()).await;
    let state = next.expect("in time").unwrap().expect("no end");
    state.temporality()
}

#[tokio::test]
async fn one_client_pauses_and_the_other_goes_on() {
    let (_console, address) = console();
    let (mut one, mut other) = (connect(address).await, connect(address).await);
    let mut paused = View::attach(&mut one).await;
    let mut live = View::attach(&mut other).await;
    let mut states = one.watch_state(StateRequest {}).await.unwrap().into_inner();
    assert_eq!(next(&mut states).await, Temporality::Live);
    one.pause(PauseRequest {}).await.unwrap();
    assert_eq!(next(&mut states).await, Temporality::Paused);

    let task = named("meanwhile").spawn_on(pending::<()>(), service().handle());
    live.until(|view| view.one("meanwhile")).await;
    // Messages that were under way at the pause have arrived by then.
    let came = async {
        loop {
            paused.next().await;
            assert!(paused.one("meanwhile").is_none());
        }
    };
    let quiet = tokio::time::timeout(Duration::from_millis(300), came).await;
    assert!(quiet.is_err());
    one.resume(ResumeRequest {}).await.unwrap();
    assert_eq!(next(&mut states).await, Temporality::Live);
    paused.until(|view| view.one("meanwhile")).await;
    task.unwrap().abort();
}

#[tokio::test]
async fn the_polls_of_a_task_that_is_watched_are_counted() {
    const BUSY: Duration = Duration::from_millis(2);
    let (_console, address) = console();
    let (polls, mut wanted) = tokio::sync::mpsc::unbounded_channel::<()>();
    let works = async move {
        while wanted.recv().await.is_some() {
            let begin = std::time::Instant::now();
            while begin.elapsed() < BUSY {}
        }
    };
    let task = named("works").spawn_on(works, service().handle()).unwrap();
    let id = id_of(&task);
    let mut client = connect(address).await;
    let request = TaskDetailsRequest {
        id: Some(id.into()),
    };
    let mut details = client
        .watch_task_details(request)
        .await
        .unwrap()
        .into_inner();
    let begun = polled(id, 1).await;
    for more in 1..=20 {
        polls.send(()).unwrap();
        // One poll for each message: a message that arrives during a poll would be taken in that poll.
        polled(id, begun.polls + more).await;
    }
    let done = SystemTime::now();
    let histogram = tokio::time::timeout(PATIENCE, async {
        loop {
            let details = details.message().await.unwrap().expect("no end");
            assert_eq!(details.task_id.unwrap().id, id);
            let Some(PollTimesHistogram::Histogram(told)) = details.poll_times_histogram else {
                continue;
            };
            if SystemTime::try_from(details.now.unwrap()).unwrap() >= done {
                let bytes = &mut told.raw_histogram.as_slice();
                let histogram: Histogram<u64> = Deserializer::new().deserialize(bytes).unwrap();
                return histogram;
            }
        }
    })
    .await
    .expect("in time");
    let after = facts(id);
    // A poll is noted by the next poll. The first poll may have been before the page was opened.
    assert!(
        (19..=after.polls - begun.polls + 1).contains(&histogram.len()),
        "{histogram:?}"
    );
    let (least, sum) = (
        Duration::from_nanos(histogram.value_at_quantile(0.5)),
        Duration::from_secs_f64(histogram.mean() * histogram.len() as f64 / 1e9),
    );
    assert!(least >= BUSY.mul_f64(0.98), "{least:?}");
    assert!(
        sum.as_secs_f64() <= after.busy.as_secs_f64() * 1.02,
        "{sum:?} {after:?}"
    );

    task.abort();
    let end = tokio::time::timeout(PATIENCE, async {
        while let Ok(Some(_)) = details.message().await {}
    });
    end.await
        .expect("the end of the task is that of its details");
    let error = client.watch_task_details(request).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::NotFound);
    assert!(error.message().contains("no task of that id"), "{error}");
}

/// A task that is woken again and again by a task that occupies their only thread for a while after each wake.
#[tokio::test]
async fn how_long_a_task_is_ready_is_told() {
    const KEPT: Duration = Duration::from_millis(10);
    const ROUNDS: u64 = 20;
    let (_console, address) = console();
    let (go, going) = tokio::sync::oneshot::channel::<()>();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (round, mut rounds) = tokio::sync::mpsc::unbounded_channel::<()>();
            let late = async move { while rounds.recv().await.is_some() {} };
            let _late = named("late").spawn(late).unwrap();
            going.await.unwrap();
            for _ in 0..ROUNDS {
                round.send(()).unwrap();
                std::thread::sleep(KEPT);
                runtime_probe::task::yield_now().await;
            }
            ended.await.unwrap();
        });
    });
    let mut client = connect(address).await;
    let mut view = View::attach(&mut client).await;
    let id = view.until(|view| view.one("late")).await;
    let request = TaskDetailsRequest {
        id: Some(id.into()),
    };
    let details = client.watch_task_details(request).await.unwrap();
    let mut details = details.into_inner();
    let begun = polled(id, 1).await;
    go.send(()).unwrap();

    let after = polled(id, begun.polls + ROUNDS).await;
    assert_eq!(after.polls, begun.polls + ROUNDS, "a poll for each round");
    let least = KEPT * ROUNDS as u32;
    // The estimate of the clock's rate improves with time.
    let most = (after.age - begun.ready - after.busy).mul_f64(1.05);
    let scheduled = after.ready - begun.ready;
    assert!(
        (least.mul_f64(0.95)..=most).contains(&scheduled),
        "{begun:?} {after:?}"
    );
    let stats = view
        .until(|view| {
            // A wake is sent before the poll that follows it; the ready time ends with that poll.
            let polled = |stats: &Stats| {
                stats
                    .poll_stats
                    .is_some_and(|told| told.polls >= after.polls)
            };
            Some(view.stats[&id]).filter(|stats| stats.wakes + 1 >= after.polls && polled(stats))
        })
        .await;
    let told: Duration = stats.scheduled_time.unwrap().try_into().unwrap();
    let last = facts(id).ready;
    assert!(
        (after.ready.mul_f64(0.95)..=last.mul_f64(1.05)).contains(&told),
        "{told:?} {after:?}"
    );

    let histogram = tokio::time::timeout(PATIENCE, async {
        loop {
            let details = details.message().await.unwrap().expect("no end");
            let Some(told) = details.scheduled_times_histogram else {
                continue;
            };
            let bytes = &mut told.raw_histogram.as_slice();
            let histogram: Histogram<u64> = Deserializer::new().deserialize(bytes).unwrap();
            if histogram.len() >= ROUNDS {
                return histogram;
            }
        }
    });
    let histogram = histogram.await.expect("in time");
    // The task may have been spawned after the page was opened; then the wait for its first poll counts, too.
    assert!(histogram.len() <= ROUNDS + 1, "{histogram:?}");
    let half = Duration::from_nanos(histogram.value_at_quantile(0.5));
    assert!(
        (KEPT.mul_f64(0.95)..=most).contains(&half),
        "{half:?} of {most:?}"
    );
    end.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn another_address_is_refused_unless_it_is_asked_for() {
    let error = serve("0.0.0.0:0").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .contains("0.0.0.0:0 is not a loopback address"),
        "{error}"
    );
    drop(Server::new("0.0.0.0:0").allow_remote().serve().unwrap());
    // An IPv4 address mapped to IPv6 is treated as the IPv4 address, if there is IPv6.
    let kind = |address| serve(address).map_err(|error| error.kind()).err();
    let refused = Some(std::io::ErrorKind::InvalidInput);
    assert_ne!(kind("[::ffff:127.0.0.1]:0"), refused);
    assert_eq!(kind("[::ffff:0.0.0.0]:0"), refused);
}

#[test]
fn it_stops_when_it_is_dropped() {
    let (console, address) = console();
    drop(console);
    assert!(std::net::TcpStream::connect(address).is_err());
}
