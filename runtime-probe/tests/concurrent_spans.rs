//! Profiles of a time span occupy a thread each: how many there can be, and that they end with their clients. The
//! limit is one for the process, so this is a file of its own.
#![cfg(feature = "full")]

use std::io::Write;
use std::time::{Duration, Instant};

use runtime_probe::pprof;
use support::client::{self, get};

mod support {
    #[allow(dead_code, reason = "nothing is posted here")]
    pub mod client;
}

#[test]
fn a_client_that_leaves_ends_its_span_and_few_run_at_once() {
    // A separate server, as a shutdown waits for the slowest reply.
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let ask = || {
        let mut stream = client::connect(address).unwrap();
        let request =
            format!("GET /debug/pprof/goroutine?seconds=3600 HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut waiting: Vec<_> = (0..16).map(|_| ask()).collect();
    let another = "/debug/pprof/goroutine?seconds=1";
    let deadline = Instant::now() + client::PATIENCE;
    let refused = loop {
        // Time for them to begin; a thread that starts late is replaced.
        std::thread::sleep(Duration::from_millis(300));
        let answer = get(address, another);
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline, "none too many");
        waiting.push(ask());
    };
    assert_eq!(refused.status, 503);
    let sentence = "too many profiles with \"seconds\" at once: 16 are under way, try again\n";
    assert_eq!(refused.text(), sentence);
    drop(waiting);
    while get(address, another).status != 200 {
        assert!(Instant::now() < deadline, "spans outlive their clients");
    }
    let began = Instant::now();
    server.shutdown();
    assert!(began.elapsed() < Duration::from_secs(5));
}
