//! Ten thousand connections of misbehaving clients: the server's threads and memory stay bounded, the application is
//! not affected, and the next client is answered. In a process of its own, because it counts the process's threads.
#![cfg(feature = "full")]

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use runtime_probe::{pprof, runtime::Runtime, time};
use support::client::{self, PATIENCE};

mod support {
    #[allow(dead_code, reason = "this test asks in one way only")]
    pub mod client;
}

const CONNECTIONS: usize = 10_000;

/// A dump of so many tasks is some 20 MB: far more than the buffers between a server and a client that does not read.
const TASKS: usize = 50_000;

/// A thread for each permit, and the accept thread. Two threads that have given up their permits may still be ending.
const MOST_THREADS: usize = 64 + 1 + 2;

/// Twice the bound of `limits` for a hostile client: an allocator keeps freed memory, by thread.
const MOST_BYTES: usize = 2 * (68 << 20);

/// The ticker sleeps a millisecond. A machine with one free core for all of this is late at times.
const LATEST_TICK: Duration = Duration::from_secs(2);

const INDEX: &str = "/debug/pprof/";
const DUMP: &str = "/debug/pprof/goroutine?debug=1";

/// The bytes that a connection sends before it stops. No connection ever reads.
const MANNERS: [&str; 6] = [
    "",
    "GET /debug/pp",
    "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n0x",
    "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /debug/pprof/goroutine?debug=2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "not HTTP at all\r\n\r\n",
];

#[test]
fn ten_thousand_bad_connections_are_bounded() {
    let runtime = Runtime::new().unwrap();
    let ticks = Arc::new(Ticks::default());
    for _ in 0..TASKS {
        runtime.spawn(std::future::pending::<()>());
    }
    runtime.spawn(tick(Arc::clone(&ticks)));
    let serving = pprof::serve("127.0.0.1:0").unwrap();
    let server = serving.local_addr().unwrap();
    // The memory of one dump does not count as memory of the crowd.
    assert!(answers_a_person(server, DUMP));
    let resident = resident_bytes();
    ticks.latest_us.store(0, Relaxed);

    let watched = Arc::new(Watched::default());
    let watcher = Arc::clone(&watched);
    let watcher = thread::spawn(move || watcher.watch());
    let at_once = CONNECTIONS.min(file_descriptors().saturating_sub(300));
    assert!(at_once > 300, "too few file descriptors");
    let mut crowd = VecDeque::new();
    for number in 0..CONNECTIONS {
        if crowd.len() == at_once {
            crowd.pop_front();
        }
        let mut stream = TcpStream::connect(server).unwrap();
        // Fails if the server has closed the connection already.
        let _ = stream.write_all(MANNERS[number % MANNERS.len()].as_bytes());
        crowd.push_back(stream);
        // The listener's queue holds 128. The kernel lets a connection that finds it full wait for a second.
        if number % 32 == 0 {
            while not_yet_accepted(server) > 64 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        if number % (CONNECTIONS / 4) == CONNECTIONS / 8 {
            assert!(
                answers_a_person(server, INDEX),
                "after {number} connections"
            );
        }
    }
    assert!(answers_a_person(server, INDEX), "after all connections");
    watched.enough.store(true, Relaxed);
    watcher.join().unwrap();

    let threads = watched.threads.load(Relaxed);
    assert!(threads > 32, "only {threads} threads: there was no crowd");
    assert!(threads <= MOST_THREADS as u64, "{threads} threads");
    let grown = watched
        .resident
        .load(Relaxed)
        .saturating_sub(resident as u64);
    assert!(grown < MOST_BYTES as u64, "{grown} bytes more");
    let latest = Duration::from_micros(ticks.latest_us.load(Relaxed));
    assert!(latest < LATEST_TICK, "a tick was late by {latest:?}");
    println!("{at_once} at once: {threads} threads, {grown} bytes more, a tick late by {latest:?}");

    // Some unread dumps are still under way. They end with their clients, and the next dump is made.
    let last = crowd.split_off(crowd.len() - 100);
    drop(crowd);
    assert!(answers_a_person(server, DUMP), "after the crowd");

    // The other silent connections do not delay the shutdown.
    let begin = Instant::now();
    serving.shutdown();
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    // A thread that has ended stays in the list for a moment.
    let begin = Instant::now();
    while server_threads() > 0 {
        assert!(begin.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
    drop(last);
}

/// Whether a patient client gets a page. A crowded server may reject a client, and four unread dumps block a fifth
/// one; neither may last.
fn answers_a_person(server: SocketAddr, page: &str) -> bool {
    let request = format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match client::send(server, request.as_bytes()) {
            Ok(answer) if answer.status == 200 => return true,
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
    false
}

#[derive(Default)]
struct Ticks {
    /// The greatest delay so far.
    latest_us: AtomicU64,
}

async fn tick(ticks: Arc<Ticks>) {
    const REST: Duration = Duration::from_millis(1);
    loop {
        let due = Instant::now() + REST;
        time::sleep(REST).await;
        let late = due.elapsed().as_micros();
        ticks.latest_us.fetch_max(late as u64, Relaxed);
    }
}

/// The greatest values so far.
#[derive(Default)]
struct Watched {
    threads: AtomicU64,
    resident: AtomicU64,
    enough: AtomicBool,
}

impl Watched {
    fn watch(&self) {
        while !self.enough.load(Relaxed) {
            self.threads.fetch_max(server_threads() as u64, Relaxed);
            self.resident.fetch_max(resident_bytes() as u64, Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Connections that the kernel has accepted and the server has not: the receive queue of the listening socket (state
/// 0A).
fn not_yet_accepted(server: SocketAddr) -> usize {
    let port = format!(":{:04X}", server.port());
    // Listening sockets come first, before thousands of connections.
    let sockets = BufReader::new(fs::File::open("/proc/self/net/tcp").unwrap());
    for line in sockets.lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        if words[1].ends_with(&port) && words[3] == "0A" {
            return usize::from_str_radix(words[4].split_once(':').unwrap().1, 16).unwrap();
        }
    }
    panic!("no line of the listener");
}

/// Linux shows 15 bytes of a thread's name. A thread that ends while it is counted is ignored.
fn server_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name == "runtime-probe-h\n").count()
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// The limit of file descriptors of this process.
fn file_descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap();
    soft.parse().unwrap_or(usize::MAX)
}
