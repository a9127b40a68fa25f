//! Clients that read a byte a second of a large dump: their memory is bounded, they are dropped in the end, and
//! neither the application nor other clients wait for them. In a process of its own, as its threads are counted.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use runtime_probe::{pprof, runtime::Runtime, time};
use support::{client, memory};

mod support {
    #[allow(dead_code, reason = "this test asks in one way only")]
    pub mod client;
    pub mod memory;
}

/// A dump of so many tasks is some 15 MB: far more than the buffers between a server and a client that hardly reads.
const TASKS: usize = 40_000;

/// As many as there may be dumps at once.
const READERS: usize = 4;

/// A reader may read nothing for 10 s. Bytes in kernel buffers count as read. If the reader's buffer gets room after
/// the first 10 s, that makes 21 s; a busy machine may take longer to notice.
const SENT_AWAY_AFTER: Duration = Duration::from_secs(45);

/// Each dump has 64 bytes for each task, and a quarter more while its table grows. The rest is for names that are
/// resolved for the first time, and malloc's arenas: 15 MiB in all on a quiet machine, 21 MiB on a loaded one.
const MOST_KIB: usize = READERS * TASKS * 80 / 1024 + (12 << 10);

const DUMP: &str = "/debug/pprof/goroutine?debug=2";

#[test]
fn readers_of_a_byte_a_second_are_bounded() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..TASKS {
        runtime.spawn(std::future::pending::<()>());
    }
    let latest_us = Arc::new(AtomicU64::new(0));
    runtime.spawn(tick(Arc::clone(&latest_us)));
    // The delay of a thread that has nothing to do with the dumps, on this machine.
    let machine_us = Arc::new(AtomicU64::new(0));
    let machine = Arc::clone(&machine_us);
    thread::spawn(move || {
        loop {
            let due = Instant::now() + REST;
            thread::sleep(REST);
            machine.fetch_max(due.elapsed().as_micros() as u64, Relaxed);
        }
    });
    let serving = pprof::serve("127.0.0.1:0").unwrap();
    let server = serving.local_addr().unwrap();
    // Names are resolved and caches filled once for the process.
    assert!(client::get(server, DUMP).body.len() > 8 << 20);
    let resident_kib = memory::resident_kib();
    latest_us.store(0, Relaxed);

    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let mut stream = client::connect(server).unwrap();
            let request = format!("GET {DUMP} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Relaxed) && stream.read(&mut [0]).is_ok_and(|read| read > 0) {
                    thread::sleep(Duration::from_secs(1));
                }
            })
        })
        .collect();
    // All readers are being answered.
    while server_threads() < 1 + READERS {
        assert!(began.elapsed() < client::PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_secs(1));

    let asked = Instant::now();
    assert_eq!(client::get(server, "/debug/pprof/").status, 200);
    assert_eq!(client::get(server, "/debug/pprof/block").status, 200);
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    // A dump too many is refused; it does not wait for the slow readers.
    let refused = client::get(server, DUMP);
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("too many dumps at once"));
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "{:?}",
        asked.elapsed()
    );
    let grown_kib = memory::resident_kib().saturating_sub(resident_kib);
    assert!(grown_kib < MOST_KIB, "{grown_kib} KiB more");

    while server_threads() > 1 {
        assert!(
            began.elapsed() < SENT_AWAY_AFTER,
            "the slow readers are still served"
        );
        thread::sleep(Duration::from_millis(50));
    }
    println!(
        "sent away after {:?}, {grown_kib} KiB more",
        began.elapsed()
    );
    assert_eq!(client::get(server, DUMP).status, 200);

    // Readers that go on reading slowly are served, and one of them is cut off for a further client.
    let served = Arc::new(AtomicU64::new(0));
    let readers_of_kilobytes: Vec<_> = (0..READERS)
        .map(|_| {
            let mut stream = client::connect(server).unwrap();
            let request = format!("GET {DUMP} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let (over, served) = (Arc::clone(&over), Arc::clone(&served));
            thread::spawn(move || {
                assert_eq!(stream.read(&mut [0]).unwrap(), 1);
                served.fetch_add(1, Relaxed);
                while !over.load(Relaxed) && stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0)
                {
                    thread::sleep(Duration::from_millis(50));
                }
                served.fetch_sub(1, Relaxed);
            })
        })
        .collect();
    let began = Instant::now();
    while served.load(Relaxed) < READERS as u64 {
        assert!(began.elapsed() < client::PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    let began = Instant::now();
    while client::get(server, DUMP).status != 200 {
        assert!(began.elapsed() < SENT_AWAY_AFTER);
    }
    // The first reader had been served for a moment.
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    while served.load(Relaxed) == READERS as u64 {
        assert!(began.elapsed() < SENT_AWAY_AFTER);
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(served.load(Relaxed), READERS as u64 - 1);
    let latest = Duration::from_micros(latest_us.load(Relaxed));
    let machine = Duration::from_micros(machine_us.load(Relaxed));
    assert!(
        latest < Duration::from_secs(1) + machine * 2,
        "a tick was late by {latest:?}, others by {machine:?}"
    );
    over.store(true, Relaxed);
    for reader in readers.into_iter().chain(readers_of_kilobytes) {
        reader.join().unwrap();
    }
}

const REST: Duration = Duration::from_millis(1);

async fn tick(latest_us: Arc<AtomicU64>) {
    loop {
        let due = Instant::now() + REST;
        time::sleep(REST).await;
        latest_us.fetch_max(due.elapsed().as_micros() as u64, Relaxed);
    }
}

/// Linux shows 15 bytes of a thread's name. A thread that ends while it is counted is ignored.
fn server_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let names =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name == "runtime-probe-h\n").count()
}
