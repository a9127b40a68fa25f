//! Ten clients at once, and clients that read nothing.

use std::future::pending;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use console_api::instrument::{InstrumentRequest, StateRequest, TaskDetailsRequest};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::{task, time};
use runtime_probe_console::Server;
use tokio::time::timeout;
use tonic::Code;
use view::{PATIENCE, View, connect};

#[allow(
    dead_code,
    reason = "of the view no more is asked than names and numbers"
)]
#[path = "support/view.rs"]
mod view;

/// Clients at once.
const CLIENTS: usize = 10;

/// More than fit into the first message, if each has the longest name that is kept.
const MANY: usize = 700;

/// More than the client takes in one message: 4.5 MB.
const TOO_MANY: usize = 9_000;

/// One test at a time: each client gets all tasks of the process, and the tests measure the memory of the process.
static ALONE: Mutex<()> = Mutex::new(());

fn name() -> String {
    "x".repeat(256)
}

/// A service with so many tasks, all with one long name.
fn service(tasks: usize) -> Runtime {
    let service = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let name = name();
    for _ in 0..tasks {
        let task = task::Builder::new().name(&name);
        task.spawn_on(pending::<()>(), service.handle()).unwrap();
    }
    service
}

fn clients() -> tokio::runtime::Runtime {
    let mut clients = tokio::runtime::Builder::new_current_thread();
    clients.enable_all().build().unwrap()
}

/// Attaches, and takes messages until they have so many tasks.
async fn take_all(server: SocketAddr, tasks: usize) -> View {
    let mut view = View::attach(&mut connect(server).await).await;
    view.until(|view| (view.tasks.len() >= tasks).then_some(()))
        .await;
    view
}

/// Opens the page of a task, and takes so many messages of it.
async fn take_details(server: SocketAddr, id: u64, messages: usize) {
    let request = TaskDetailsRequest {
        id: Some(id.into()),
    };
    let details = connect(server).await.watch_task_details(request).await;
    let mut details = details.unwrap().into_inner();
    for _ in 0..messages {
        let next = timeout(PATIENCE, details.message()).await;
        assert_eq!(next.unwrap().unwrap().unwrap().task_id, Some(id.into()));
    }
}

#[test]
fn ten_clients_at_once_are_told_of_each_task_once() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _service = service(MANY);
    let console = Server::new("127.0.0.1:0").serve().unwrap();
    let address = console.local_addr();
    clients().block_on(async {
        let attached: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(take_all(address, MANY)))
            .collect();
        for client in attached {
            assert_eq!(client.await.unwrap().messages, 2);
        }
    });
}

#[test]
fn ten_clients_and_their_pages_are_none_of_the_tasks() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _service = service(CLIENTS);
    let console = Server::new("127.0.0.1:0").interval(Duration::from_millis(50));
    let console = console.serve().unwrap();
    let address = console.local_addr();
    clients().block_on(async {
        let attached = (0..CLIENTS).map(|client| async move {
            let mut view = take_all(address, CLIENTS).await;
            let mut ids: Vec<u64> = view.tasks.keys().copied().collect();
            ids.sort_unstable();
            // Two looks while the pages are open.
            take_details(address, ids[client], 3).await;
            for _ in 0..3 {
                view.next().await;
            }
            view
        });
        let attached: Vec<_> = attached.map(tokio::spawn).collect();
        for client in attached {
            let view = client.await.unwrap();
            assert_eq!(view.named(&name()).len(), CLIENTS);
            assert_eq!(view.tasks.len(), CLIENTS, "{:#?}", view.tasks);
        }
    });
}

#[test]
fn what_one_message_cannot_hold_comes_in_more() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _service = service(TOO_MANY);
    let console = Server::new("127.0.0.1:0").serve().unwrap();
    let view = clients().block_on(take_all(console.local_addr(), TOO_MANY));
    assert_eq!(view.messages, 3);
}

#[test]
fn a_connection_has_one_stream_of_updates_and_a_few_others() {
    /// Streams in all.
    const STREAMS: usize = 8;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let console = Server::new("127.0.0.1:0").serve().unwrap();
    clients().block_on(async {
        let mut client = connect(console.local_addr()).await;
        let view = View::attach(&mut client).await;
        let refused = client.watch_updates(InstrumentRequest {}).await;
        let refused = refused.map(drop).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        let sentence = refused.message();
        assert!(
            sentence.contains("a stream of updates already"),
            "{sentence}"
        );

        let mut others = Vec::new();
        while others.len() < STREAMS - 1 {
            let state = timeout(PATIENCE, client.watch_state(StateRequest {})).await;
            others.push(state.expect("room").unwrap());
        }
        let wait = Duration::from_millis(300);
        let one_more = timeout(wait, client.watch_state(StateRequest {})).await;
        assert!(one_more.is_err(), "there is room for more");

        // The next clients are admitted once these have left.
        drop((view, others));
        let again = async {
            while let Err(refused) = client.watch_updates(InstrumentRequest {}).await {
                assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
            }
        };
        timeout(PATIENCE, again).await.expect("it is free again");
    });
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = payload.len().to_be_bytes();
    let head = [high, middle, low, kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

/// Asks for updates, and reads only the head of the first one.
fn deaf(server: SocketAddr) -> TcpStream {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let headers = [
        vec![0x83, 0x86],
        [
            vec![0x04],
            text("/rs.tokio.console.instrument.Instrument/WatchUpdates"),
        ]
        .concat(),
        [vec![0x01], text("localhost")].concat(),
        [vec![0x0f, 0x10], text("application/grpc")].concat(),
        [vec![0x00], text("te"), text("trailers")].concat(),
    ];
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &headers.concat()),
        // An empty message, and no more.
        frame(0, 1, 1, &[0; 5]),
    ];
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(&request.concat()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let [high, middle, low, kind, ..] = head;
        if kind == 0 {
            return stream;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        stream.read_exact(&mut payload).expect("what is in it");
    }
}

#[test]
fn a_client_that_takes_nothing_is_hung_up_on() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _service = service(MANY);
    for patience in [Duration::from_millis(500), Duration::from_secs(3600)] {
        let console = Server::new("127.0.0.1:0").interval(Duration::from_millis(50));
        let console = console.patience(patience).serve().unwrap();
        let mut deaf = deaf(console.local_addr());
        let begin = Instant::now();
        // The connection is alive, as the answer to a ping shows.
        let ping = frame(6, 0, 0, &[0; 8]);
        let is_patient = patience > PATIENCE;
        // A client that answers no ping either would be disconnected after 20 s.
        let wait = Duration::from_secs(if is_patient { 1 } else { 15 });
        while begin.elapsed() < wait && deaf.write_all(&ping).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        let hung_up = deaf.write_all(&ping).is_err();
        assert_eq!(
            hung_up,
            !is_patient,
            "after {:?} of {patience:?}",
            begin.elapsed()
        );
    }
}

/// The memory of the process that is allocated and was written to, in KiB.
fn allocated() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.expect("this is Linux").parse().unwrap()
}

#[test]
fn what_clients_do_not_take_is_not_kept_for_them() {
    const TASKS: usize = 100;
    /// Updates until the buffers of a connection are full: each update is 25 KB, and the window of a stream is 64 KB.
    const FULL: usize = 10;
    /// So many more updates, for ten clients, would take 8 MB.
    const MORE: usize = 20;
    const MOST_KIB: i64 = 3 << 10;

    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let service = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let service = service.unwrap();
    for _ in 0..TASKS {
        service.spawn(async {
            loop {
                time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let console = Server::new("127.0.0.1:0").interval(Duration::from_millis(50));
    let console = console.serve().unwrap();
    let address = console.local_addr();
    let _deaf: Vec<TcpStream> = (0..CLIENTS).map(|_| deaf(address)).collect();
    let polls = |view: &View| {
        let polls = view.stats.values().filter_map(|stats| stats.poll_stats);
        polls.map(|stats| stats.polls).sum::<u64>()
    };
    clients().block_on(async {
        let mut view = View::attach(&mut connect(address).await).await;
        for _ in 0..FULL {
            view.next().await;
        }
        let (polled, filled) = (polls(&view), allocated());
        for _ in 0..MORE {
            view.next().await;
        }
        let more = allocated() - filled;
        assert!(more < MOST_KIB, "{more} KiB more");
        // Each update had changes of each task.
        assert!(polls(&view) - polled >= (TASKS * MORE) as u64);
    });
}
