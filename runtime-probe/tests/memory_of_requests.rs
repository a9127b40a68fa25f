//! The requests of an hour, one a second, but without the waiting: the memory of the process does not grow. In a
//! process of its own, because its memory is measured.
#![cfg(all(feature = "full", target_os = "linux"))]

use std::time::Duration;

use runtime_probe::runtime::Builder;
use runtime_probe::sync::mpsc;
use runtime_probe::{pprof, time};
use support::{client, memory};

mod support {
    #[allow(dead_code, reason = "this test asks in one way only")]
    pub mod client;
    pub mod memory;
}

const REQUESTS: usize = 3600;

/// By then every form has been requested 40 times: names are cached, and malloc has its arenas.
const WARM_UP: usize = 600;

/// A thread's stack begins and ends with each connection, and may use any arena: 64 KiB of either are noise. A dump
/// may catch running tasks anywhere in std and tokio. The names of each of their files are read once, which takes 5
/// MiB in 15,000 requests, half of it in the first 3,600. A leak in each request exceeds this: a dump of these tasks
/// takes 60 KiB, a thread's stack 4 KiB, so 12 MiB.
const TOLERANCE_KIB: usize = 6 << 10;

const PAGES: [&str; 15] = [
    "goroutine?debug=2",
    "goroutine?debug=1",
    "goroutine",
    "goroutine?debug=3",
    "goroutine?debug=2&group=1&limit=3",
    "goroutine?format=folded&names=full",
    "goroutine?debug=2&match=memory_of_requests::%5Ba-z%5D%2B&minwait=1ms&state=waiting,sleep",
    "goroutine?debug=2&fresh=1",
    "block?debug=1&include=sleep,io&ongoing=1",
    "block",
    "mutex?debug=1",
    "mutex",
    "symbol?0x401000",
    "threads?debug=2",
    "",
];

#[test]
fn an_hour_of_requests_leaves_nothing_behind() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    pprof::set_block_profile_rate(1);
    pprof::set_mutex_profile_fraction(1);
    for number in 0..100 {
        let (sender, mut receiver) = mpsc::channel(1);
        runtime.spawn(async move { while receiver.recv().await.is_some() {} });
        runtime.spawn(async move {
            while sender.send(number).await.is_ok() {
                time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let serving = pprof::serve("127.0.0.1:0").unwrap();
    let server = serving.local_addr().unwrap();
    let ask = |number: usize| {
        let page = PAGES[number % PAGES.len()];
        let answer = client::get(server, &format!("/debug/pprof/{page}"));
        assert_eq!(answer.status, 200, "{page}");
        assert!(!answer.body.is_empty(), "{page}");
    };
    (0..WARM_UP).for_each(ask);
    let before = memory::resident_kib();
    (WARM_UP..REQUESTS).for_each(ask);
    let after = memory::resident_kib();
    println!("{before} KiB after {WARM_UP} requests, {after} KiB after {REQUESTS}");
    assert!(
        after <= before + TOLERANCE_KIB,
        "{before} KiB before, {after} KiB after"
    );
}
