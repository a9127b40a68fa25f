//! A runtime of the probe, and its pages, read through a plain connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A runtime of the probe's with so many workers.
pub fn runtime(workers: usize) -> runtime_probe::runtime::Runtime {
    runtime_probe::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

/// A dump contains the tasks of all running tests, so the tests run one after the other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The response of a page, with its head.
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /debug/pprof/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// Asks again until the index of types is ready and every line is there.
pub fn page_with(address: SocketAddr, path: &str, lines: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        let page = get(address, path);
        if lines.iter().all(|line| page.contains(line)) {
            return page;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{lines:?}\n{page}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
