//! Clients that do not read, and clients that leave. In a process of its own, because it counts the dumps under way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use client::PATIENCE;

#[allow(dead_code, reason = "other tests ask in other ways")]
#[path = "../../tests/support/client.rs"]
mod client;

/// A dump of so many tasks is some 20 MB: more than the system's buffers between a server and a client that does not
/// read.
const TASKS: usize = 100_000;

/// Replies under way are counted for the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Four dumps are made at once. Four unread dumps therefore block a fifth one for as long as they are under way: that
/// shows when they end.
#[test]
fn a_client_that_leaves_ends_its_dump() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = runtime_probe::runtime::Runtime::new().unwrap();
    for _ in 0..TASKS {
        runtime.spawn(std::future::pending::<()>());
    }
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let server = listener.local_addr().unwrap();
    let app = runtime_probe_axum::router().into_make_service_with_connect_info::<SocketAddr>();
    runtime.spawn(async { axum::serve(listener, app).await });

    let mut unread: Vec<TcpStream> = (0..4).map(|_| ask_for_a_dump(server, "200")).collect();
    let begin = Instant::now();
    drop(ask_for_a_dump(server, "503"));
    assert!(begin.elapsed() < Duration::from_secs(5), "too slow to tell");
    // The service itself goes on, and so do its blocking threads.
    assert_eq!(client::get(server, "/debug/pprof/cmdline").status, 200);
    assert_eq!(client::get(server, "/debug/vars").status, 200);

    drop(unread.pop());
    let begin = Instant::now();
    let status = || client::get(server, "/debug/pprof/goroutine?debug=1").status;
    while status() != 200 {
        assert!(begin.elapsed() < PATIENCE, "it goes on without its client");
        thread::sleep(Duration::from_millis(20));
    }
    // A client that reads nothing for ten seconds is dropped.
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "it was waited for, not ended"
    );
    drop(unread);
}

/// At most sixteen profiles of a time span may be under way at once. Each of these would last ten minutes.
#[test]
fn a_client_that_leaves_ends_a_long_profile() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // If the test fails, the drop of the runtime would wait for the profiles.
    let runtime = std::mem::ManuallyDrop::new(tokio::runtime::Runtime::new().unwrap());
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let server = listener.local_addr().unwrap();
    let app = runtime_probe_axum::router().into_make_service_with_connect_info::<SocketAddr>();
    runtime.spawn(async { axum::serve(listener, app).await });

    let long = "GET /debug/pprof/goroutine?seconds=600 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let ask_for_long = || {
        let mut stream = client::connect(server).unwrap();
        stream.write_all(long.as_bytes()).unwrap();
        stream
    };
    let mut waiting: Vec<TcpStream> = (0..32).map(|_| ask_for_long()).collect();
    let wait_for = |wanted: u16, meanwhile: &mut dyn FnMut()| {
        let begin = Instant::now();
        while client::get(server, "/debug/pprof/goroutine?seconds=1").status != wanted {
            assert!(begin.elapsed() < PATIENCE, "no {wanted}");
            thread::sleep(Duration::from_millis(20));
            meanwhile();
        }
    };
    // Requests during too many dumps have been refused. One request of this test may be among the sixteen.
    wait_for(503, &mut || waiting.push(ask_for_long()));
    drop(waiting);
    wait_for(200, &mut || {});
}

/// Sends the request and reads only the status.
fn ask_for_a_dump(server: SocketAddr, status: &str) -> TcpStream {
    let dump = "GET /debug/pprof/goroutine?debug=2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = client::connect(server).unwrap();
    stream.write_all(dump.as_bytes()).unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(String::from_utf8_lossy(&line), format!("HTTP/1.1 {status}"));
    stream
}
