//! Threads are asked for their stacks all the time, under every kind of load: nothing crashes, nothing hangs, no
//! result differs, and the handler allocates nothing.
//!
//! `STORM_SIGNALS=3600000` is an hour with a thousand signals a second; without it the storm takes some seconds.
#![cfg(all(target_os = "linux", feature = "full"))]
#![expect(
    unsafe_code,
    reason = "an allocator, dlopen, and a look at this thread's mask"
)]

mod support {
    pub mod forbidding;
}

use runtime_probe::runtime::Builder;
use runtime_probe::{net, pprof, spawn, sync, time};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::forbidding::Forbidding;

/// The signal for asking threads; this test uses it to find out whether it runs in a handler.
const SIGNAL: i32 = 41;

/// In a handler its signal is masked.
fn is_in_handler() -> bool {
    // SAFETY: a mask on this stack, filled by the call.
    unsafe {
        let mut mask = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        libc::sigismember(&mask, SIGNAL) == 1
    }
}

#[global_allocator]
static ALLOCATOR: Forbidding = Forbidding {
    is_forbidden: is_in_handler,
    told: "the handler allocates\n",
};

static OVER: AtomicBool = AtomicBool::new(false);

/// A load repeats until the storm is over, and counts its rounds; each round checks its own result.
struct Load {
    name: &'static str,
    rounds: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

fn load(name: &'static str, mut round: impl FnMut() + Send + 'static) -> Load {
    let rounds = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&rounds);
    let thread = thread::Builder::new().name(name.into());
    let thread = thread.spawn(move || {
        while !OVER.load(Ordering::Relaxed) {
            round();
            counted.fetch_add(1, Ordering::Relaxed);
            // The asker waits for a thread that waits for a CPU. Without this pause of the loads it would ask ten
            // times less.
            thread::sleep(Duration::from_micros(300));
        }
    });
    Load {
        name,
        rounds,
        thread: thread.unwrap(),
    }
}

#[test]
fn a_storm_of_signals_changes_nothing() {
    let signals = std::env::var("STORM_SIGNALS").ok();
    let signals = signals.map(|number| number.parse::<u64>().expect("STORM_SIGNALS is a number"));
    pprof::testing::set_capture_verification(true);
    pprof::set_stack_signal(SIGNAL).unwrap();
    // Panics are one of the loads; a failure of the test shows in its join.
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<Expected>().is_none() {
            default(info);
        }
    }));
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut loads = vec![
        load("allocates", allocates),
        load("panics", panics),
        load("churns", churns),
        load("loads", loads_libraries()),
        load("naps", naps),
        load("waits", waits),
        load("talks", talks()),
        load("runs tasks", runs_tasks(address)),
    ];
    let shared = Arc::new((Mutex::new(0), parking_lot::Mutex::new(0)));
    for name in ["locks", "locks too"] {
        let shared = Arc::clone(&shared);
        loads.push(load(name, move || locks(&shared)));
    }

    let mut storm = Storm::default();
    let deadline = Instant::now() + Duration::from_secs(5);
    while signals.map_or(Instant::now() < deadline, |most| storm.captured < most) {
        let before = storm.captured / 100_000;
        storm.ask_all();
        if storm.captured / 100_000 > before {
            eprintln!("{storm:?}");
        }
    }
    // A slow machine gets more time for the loads.
    let patience = Instant::now() + Duration::from_secs(8);
    let idle = |loads: &[Load]| {
        let mut loads = loads.iter();
        loads
            .find(|load| load.rounds.load(Ordering::Relaxed) == 0)
            .map(|load| load.name)
    };
    while let Some(name) = idle(&loads) {
        assert!(Instant::now() < patience, "{name} does not get round");
        storm.ask_all();
    }
    OVER.store(true, Ordering::Relaxed);
    println!("{storm:?}");
    for load in loads {
        let rounds = load.rounds.load(Ordering::Relaxed);
        println!("{}: {rounds} rounds", load.name);
        load.thread
            .join()
            .unwrap_or_else(|_| panic!("{} failed", load.name));
    }
    let (mutex, other) = (shared.0.lock().unwrap(), shared.1.lock());
    assert_eq!(*mutex, *other, "a lock let two in");
    assert!(storm.captured > 100, "{storm:?}");
    assert_eq!(storm.other, 0, "{storm:?}");
    let counters = pprof::capture_counters();
    assert!(counters.verified > 0 && counters.wrong == 0, "{counters:?}");
}

/// Asks every thread of the process, one after the other.
#[derive(Debug, Default)]
struct Storm {
    captured: u64,
    frames: u64,
    /// Threads that had ended.
    gone: u64,
    late: u64,
    /// Threads that block all signals, as new threads do at first.
    blocked: u64,
    other: u64,
}

impl Storm {
    fn ask_all(&mut self) {
        let own = own_id();
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let ids = tasks.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let ids: Vec<u32> = ids.filter(|id| *id != own).collect();
        for id in ids {
            match pprof::testing::thread_stack(id) {
                Ok(stack) => {
                    self.captured += 1;
                    self.frames += stack.len() as u64;
                }
                Err(error) => match error.kind() {
                    std::io::ErrorKind::NotFound => self.gone += 1,
                    std::io::ErrorKind::TimedOut => self.late += 1,
                    _ if error.to_string().contains("blocks") => self.blocked += 1,
                    _ => {
                        self.other += 1;
                        eprintln!("{error}");
                    }
                },
            }
        }
    }
}

fn own_id() -> u32 {
    // SAFETY: no arguments, and it cannot fail.
    (unsafe { libc::gettid() }) as u32
}

fn allocates() {
    let mut boxes: Vec<Box<[u64]>> = Vec::new();
    for size in 1..200u64 {
        boxes.push((0..size).collect());
        if size % 3 == 0 {
            boxes.swap_remove(0);
        }
    }
    let sum: u64 = boxes.iter().map(|one| one.iter().sum::<u64>()).sum();
    thread_local!(static FIRST: Cell<Option<u64>> = const { Cell::new(None) });
    assert_eq!(FIRST.get().unwrap_or(sum), sum);
    FIRST.set(Some(sum));
}

fn locks(shared: &(Mutex<u64>, parking_lot::Mutex<u64>)) {
    for _ in 0..1000 {
        let mut mutex = shared.0.lock().unwrap();
        *mutex += 1;
        // Inside of the other lock, so that the two stay equal.
        *shared.1.lock() += 1;
    }
}

/// The payload of the loads' panics.
struct Expected(u32);

fn panics() {
    struct Counts<'a>(&'a Cell<u32>);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    #[inline(never)]
    fn descend(depth: u32, dropped: &Cell<u32>) -> u32 {
        let _counts = Counts(dropped);
        match depth {
            0 => std::panic::panic_any(Expected(dropped.get())),
            depth => 1 + descend(depth - 1, dropped),
        }
    }
    for depth in [1, 10, 40] {
        let dropped = Cell::new(0);
        let panicked = catch_unwind(std::panic::AssertUnwindSafe(|| descend(depth, &dropped)));
        let payload = panicked.unwrap_err();
        assert_eq!(payload.downcast_ref::<Expected>().unwrap().0, 0);
        assert_eq!(dropped.get(), depth + 1, "every frame was unwound");
    }
}

fn churns() {
    let threads: Vec<_> = (0..8u64)
        .map(|number| thread::spawn(move || (0..100 * number).sum::<u64>()))
        .collect();
    let sums = threads.into_iter().map(|thread| thread.join().unwrap());
    let expected = (0..8u64).map(|number| (0..100 * number).sum::<u64>());
    assert!(sums.eq(expected));
}

/// Loads and unloads modules. At times a dump looks for new modules and replaces the tables that handlers walk by.
fn loads_libraries() -> impl FnMut() + Send {
    let mut round = 0;
    move || {
        for library in [c"libanl.so.1", c"libBrokenLocale.so.1", c"libutil.so.1"] {
            // SAFETY: the C library's own, which do nothing when they are loaded.
            unsafe {
                let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
                if !handle.is_null() {
                    if round % 5000 == 0 {
                        let profile = pprof::lookup("goroutine").unwrap();
                        profile.write_to(std::io::sink(), 0).unwrap();
                    }
                    assert_eq!(libc::dlclose(handle), 0);
                }
            }
        }
        round += 1;
        thread::sleep(Duration::from_millis(1));
    }
}

/// `nanosleep`, which a signal handler interrupts: std calls it again.
fn naps() {
    let began = Instant::now();
    thread::sleep(Duration::from_millis(20));
    assert!(began.elapsed() >= Duration::from_millis(20));
}

/// A futex with a time-out, which is called again, too.
fn waits() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let began = Instant::now();
    let guard = mutex.lock().unwrap();
    let never = |(): &mut ()| true;
    let (_guard, timeout) = condvar
        .wait_timeout_while(guard, Duration::from_millis(20), never)
        .unwrap();
    assert!(timeout.timed_out() && began.elapsed() >= Duration::from_millis(20));
}

/// Blocking reads and writes, which the kernel restarts.
fn talks() -> impl FnMut() + Send {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut other, _) = listener.accept().unwrap();
    thread::spawn(move || {
        let mut byte = [0];
        // `read`, not `read_exact`, which would call `read` again.
        while other.read(&mut byte).expect("a read goes on") == 1 {
            thread::sleep(Duration::from_millis(1));
            assert_eq!(other.write(&byte).expect("a write goes on"), 1);
        }
    });
    let mut next = 0u8;
    move || {
        next = next.wrapping_add(1);
        assert_eq!(one.write(&[next]).expect("a write goes on"), 1);
        let mut byte = [0];
        assert_eq!(one.read(&mut byte).expect("a read goes on"), 1);
        assert_eq!(byte, [next]);
    }
}

/// tokio: `epoll_wait`, timers, channels and locks, blocking closures; and hyper, against the probe's own server.
fn runs_tasks(server: SocketAddr) -> impl FnMut() + Send {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    move || {
        runtime.block_on(async {
            let began = Instant::now();
            let sleeping = spawn(time::sleep(Duration::from_millis(10)));
            let echoed = spawn(echoes());
            let locked = spawn(shares());
            let asked = spawn(asks_by_hyper(server));
            let blocking = runtime_probe::task::spawn_blocking(|| (0..1000u64).sum::<u64>());
            assert_eq!(echoed.await.unwrap(), 50);
            assert_eq!(locked.await.unwrap(), 400);
            assert_eq!(asked.await.unwrap(), 200);
            assert_eq!(blocking.await.unwrap(), 499_500);
            sleeping.await.unwrap();
            assert!(began.elapsed() >= Duration::from_millis(10));
        });
    }
}

async fn echoes() -> usize {
    use runtime_probe::io::{AsyncReadExt, AsyncWriteExt};
    let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 8];
        while stream.read_exact(&mut bytes).await.is_ok() {
            stream.write_all(&bytes).await.unwrap();
        }
    });
    let mut stream = net::TcpStream::connect(address).await.unwrap();
    let mut echoed = 0;
    for number in 0..50u64 {
        stream.write_all(&number.to_le_bytes()).await.unwrap();
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes).await.unwrap();
        echoed += usize::from(u64::from_le_bytes(bytes) == number);
    }
    drop(stream);
    server.await.unwrap();
    echoed
}

async fn shares() -> u64 {
    let shared = Arc::new(sync::Mutex::new(0));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let shared = Arc::clone(&shared);
            spawn(async move {
                for _ in 0..100 {
                    *shared.lock().await += 1;
                    runtime_probe::task::yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    *shared.lock().await
}

async fn asks_by_hyper(server: SocketAddr) -> u16 {
    let stream = net::TcpStream::connect(server).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let connection = spawn(connection);
    let request = hyper::Request::get("/debug/pprof/cmdline")
        .header("host", server.to_string())
        .body(String::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    drop((answer, sender));
    connection.await.unwrap().unwrap();
    status
}

#[test]
fn the_guard_of_the_storm_knows_a_handler() {
    extern "C" fn looks(_: i32) {
        IN_HANDLER.store(is_in_handler(), Ordering::Relaxed);
    }
    static IN_HANDLER: AtomicBool = AtomicBool::new(false);
    assert!(!is_in_handler());
    // Another signal, during which the probe's signal is masked as in its own handler.
    // SAFETY: an action whose handler makes one system call and one store.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = looks as extern "C" fn(i32) as libc::sighandler_t;
        libc::sigaddset(&mut action.sa_mask, SIGNAL);
        libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut());
        libc::raise(libc::SIGUSR2);
    }
    assert!(IN_HANDLER.load(Ordering::Relaxed));
}
