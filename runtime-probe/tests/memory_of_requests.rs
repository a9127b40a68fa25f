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

/// The memory is read each time after so many requests. By the first time every form has been requested 40 times: names are
/// cached, and malloc has its arenas.
const PART: usize = 600;

/// A leak in each request shows in every part: a thread's stack of 4 KiB is 2.4 MiB in each. All other growth happens once, so
/// not in all parts: a dump may catch running tasks anywhere in std and tokio, and the names of each of their files are read
/// once, which takes 5 MiB in 15,000 requests, and 7 MiB in the first 3,600 on a busy machine. So the part with the least growth
/// counts.
const TOLERANCE_KIB: i64 = 1 << 10;

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
    let resident: Vec<i64> = (0..REQUESTS / PART)
        .map(|part| {
            (part * PART..(part + 1) * PART).for_each(ask);
            memory::resident_kib() as i64
        })
        .collect();
    println!("KiB after each {PART} requests: {resident:?}");
    let growth = resident.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(growth.min().unwrap() <= TOLERANCE_KIB, "{resident:?}");
}
