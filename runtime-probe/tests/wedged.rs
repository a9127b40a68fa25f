//! Every worker is stuck and ten thousand tasks wait: the dump answers, and shows which lines the workers are stuck at.
#![cfg(target_os = "linux")]

mod support {
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub mod client;
}

use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use std::future::pending;
use std::sync::{Arc, Barrier, RwLock};
use std::time::{Duration, Instant};
use support::client::get;

const WAITING: usize = 10_000;

/// The most that a dump may take, on a machine that runs ten other programs. It waits a second in all for the threads
/// that it asks. In a build without optimization writing takes a fifth of a second of CPU. A client waits for 30 s.
const DEADLINE: Duration = Duration::from_secs(25);

#[inline(never)]
fn stuck_in_a_lock(lock: &RwLock<()>) {
    drop(lock.write());
}

async fn gets_stuck(reached: Arc<Barrier>, lock: Arc<RwLock<()>>) {
    reached.wait();
    stuck_in_a_lock(&lock);
}

fn is_stuck(block: &str) -> bool {
    block.contains(" [running]:\n") && block.contains("wedged::stuck_in_a_lock(...)\n")
}

#[test]
fn a_dump_shows_where_every_worker_is_stuck() {
    for workers in [3, 1] {
        let mut builder = match workers {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = builder
            .worker_threads(workers)
            .enable_all()
            .build()
            .unwrap();
        let serving = pprof::serve("127.0.0.1:0").unwrap();
        let server = serving.local_addr().unwrap();
        for _ in 0..WAITING {
            runtime.spawn(pending::<()>());
        }
        let lock = Arc::new(RwLock::new(()));
        let held = lock.write().unwrap();
        let reached = Arc::new(Barrier::new(workers + 1));
        let stuck: Vec<_> = (0..workers)
            .map(|_| runtime.spawn(gets_stuck(Arc::clone(&reached), Arc::clone(&lock))))
            .collect();
        let driver = std::thread::spawn(move || {
            runtime.block_on(async {
                for task in stuck {
                    task.await.unwrap();
                }
            });
            runtime
        });
        reached.wait();

        // They have passed the barrier, but not all of them are in the lock yet.
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            let asked = Instant::now();
            let answer = get(server, "/debug/pprof/goroutine?debug=2");
            let took = asked.elapsed();
            assert_eq!(answer.status, 200);
            assert!(took < DEADLINE, "{took:?}");
            let blocks: Vec<&str> = answer.text().split("\n\n").collect();
            let waiting = blocks.iter().filter(|block| block.contains("goroutine "));
            assert!(waiting.count() >= WAITING + workers);
            if blocks.iter().filter(|block| is_stuck(block)).count() == workers {
                println!("{workers} workers: {took:?}");
                break;
            }
            let first = blocks[..workers + 1].join("\n\n");
            assert!(Instant::now() < patience, "{first}");
        }

        drop(held);
        drop(driver.join().unwrap());
    }
}

#[test]
fn a_thread_that_sleeps_answers_at_once() {
    let (ready, told) = std::sync::mpsc::channel();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let sleeping = std::thread::spawn(move || {
        // SAFETY: no arguments, and it cannot fail.
        #[expect(unsafe_code, reason = "gettid")]
        ready.send(unsafe { libc::gettid() } as u32).unwrap();
        let _ = wait.recv();
    });
    let id = told.recv().unwrap();
    let mut took: Vec<Duration> = (0..300)
        .map(|_| {
            let asked = Instant::now();
            pprof::testing::thread_stack(id).unwrap();
            asked.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!(
        "fastest {:?}, median {:?}, slowest {:?}",
        took[0], took[150], took[299]
    );
    // Without the eventfd an answer would be noticed only after five milliseconds.
    assert!(took[0] < Duration::from_millis(3), "{:?}", took[0]);
    drop(done);
    sleeping.join().unwrap();
}
