//! Waits of threads, with the feature `interpose`: which waits are seen, and that nothing else changes.
#![cfg(all(feature = "full", feature = "interpose", target_os = "linux"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::Error;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use runtime_probe::pprof;
use support::contention::{profile, runtime, samples};
use support::rate::Rate;

mod support {
    #[allow(dead_code, reason = "nothing is sent byte for byte here")]
    pub mod client;
    #[allow(dead_code, reason = "Go has nothing to say of threads")]
    pub mod contention;
    #[allow(dead_code, reason = "of one of two profiles")]
    pub mod rate;
}

const WHILE: Duration = Duration::from_millis(100);

/// An allocator behind a lock of std: a thread that allocates while it notes a wait may have to wait again.
struct Locked(Mutex<()>);

#[global_allocator]
static ALLOCATOR: Locked = Locked(Mutex::new(()));

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: passes every call to the system's allocator.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _lock = self.0.lock();
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        let _lock = self.0.lock();
        // SAFETY: passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

/// The probe starts with its first runtime.
fn at_rate(ns: i64) -> Rate {
    drop(runtime());
    Rate::of_waits(ns)
}

/// The waits whose stack has a function of this file by that name: by reason, how many and how long.
fn waits_in(function: &str) -> BTreeMap<String, (i64, Duration)> {
    samples(&profile("block"), &format!("interpose::{function}"))
}

/// Reports the thread that is about to wait.
struct Waiter(std::sync::mpsc::Sender<libc::pid_t>);

impl Waiter {
    #[expect(unsafe_code, reason = "asks the kernel")]
    fn here_i_am(&self) {
        // SAFETY: takes nothing and cannot fail.
        self.0.send(unsafe { libc::gettid() }).unwrap();
    }
}

/// Starts a closure that reports before it waits, and ends its wait some time after it has fallen asleep.
fn let_wait<T>(start: impl FnOnce(Waiter) -> T, end: impl FnOnce()) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let started = start(Waiter(sender));
    let thread = receiver.recv().unwrap();
    let asleep = || {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('S')
    };
    // Asleep twice in a row: once it may have slept for another reason.
    let mut times = 0;
    while times < 2 {
        times = if asleep() { times + 1 } else { 0 };
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(WHILE);
    end();
    started
}

/// Runs one of the functions below on a thread of its own.
fn waits(function: impl FnOnce() + Send + 'static, end: impl FnOnce()) {
    let start = |waiter: Waiter| {
        thread::spawn(move || {
            waiter.here_i_am();
            function();
        })
    };
    let_wait(start, end).join().unwrap();
}

#[inline(never)]
fn locks(mutex: &Mutex<()>) {
    drop(mutex.lock());
}

#[inline(never)]
fn reads(lock: &RwLock<()>) {
    drop(lock.read());
}

#[inline(never)]
fn waits_for_a_condition(mutex: &Mutex<bool>, condition: &Condvar) {
    drop(condition.wait_while(mutex.lock().unwrap(), |done| !*done));
}

#[inline(never)]
fn parks(done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        thread::park();
    }
}

#[inline(never)]
fn receives(receiver: std::sync::mpsc::Receiver<()>) {
    receiver.recv().unwrap();
}

#[test]
fn the_locks_of_std() {
    let _rate = at_rate(1);
    let mutex = Arc::new(Mutex::new(()));
    let held = mutex.lock().unwrap();
    waits(
        {
            let mutex = mutex.clone();
            move || locks(&mutex)
        },
        || drop(held),
    );

    let lock = Arc::new(RwLock::new(()));
    let held = lock.write().unwrap();
    waits(
        {
            let lock = lock.clone();
            move || reads(&lock)
        },
        || drop(held),
    );

    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    waits(
        move || waits_for_a_condition(&other.0, &other.1),
        || {
            *pair.0.lock().unwrap() = true;
            pair.1.notify_one();
        },
    );

    let done = Arc::new(AtomicBool::new(false));
    let parked = Arc::new(Mutex::new(None));
    let (other, own) = (done.clone(), parked.clone());
    waits(
        move || {
            *own.lock().unwrap() = Some(thread::current());
            parks(&other);
        },
        || {
            done.store(true, Ordering::Release);
            parked.lock().unwrap().as_ref().unwrap().unpark();
        },
    );

    let (sender, receiver) = std::sync::mpsc::channel();
    waits(move || receives(receiver), || sender.send(()).unwrap());

    for (function, reason) in [
        ("locks", "sync.Mutex.Lock"),
        ("reads", "sync.RWMutex.RLock"),
        ("waits_for_a_condition", "sync.Cond.Wait"),
        ("parks", "park"),
        ("receives", "chan receive"),
    ] {
        let found = waits_in(function);
        assert_eq!(found.keys().collect::<Vec<_>>(), [reason], "{function}");
        let (count, delay) = found[reason];
        assert!((1..5).contains(&count), "{function}: {count}");
        assert!(delay > WHILE && delay < WHILE * 20, "{function}: {delay:?}");
    }
}

#[inline(never)]
fn locks_inside_a_task(mutex: &Mutex<()>) {
    // Other code than that of `locks`, so that the optimizer does not merge the two functions.
    std::hint::black_box(mutex);
    drop(mutex.lock());
}

#[inline(never)]
fn locks_of_parking_lot(mutex: &parking_lot::Mutex<()>) {
    drop(mutex.lock());
}

#[inline(never)]
fn reads_of_parking_lot(lock: &parking_lot::RwLock<()>) {
    drop(lock.read());
}

#[test]
fn the_locks_of_parking_lot() {
    let _rate = at_rate(1);
    let mutex = Arc::new(parking_lot::Mutex::new(()));
    let held = mutex.lock();
    waits(
        {
            let mutex = mutex.clone();
            move || locks_of_parking_lot(&mutex)
        },
        || drop(held),
    );
    let lock = Arc::new(parking_lot::RwLock::new(()));
    let held = lock.write();
    waits(
        {
            let lock = lock.clone();
            move || reads_of_parking_lot(&lock)
        },
        || drop(held),
    );
    for (function, reason) in [
        ("locks_of_parking_lot", "sync.Mutex.Lock"),
        // In an optimized build readers and writers wait in the same function.
        ("reads_of_parking_lot", "sync.RWMutex"),
    ] {
        let found = waits_in(function);
        assert_eq!(found.len(), 1, "{function}: {found:?}");
        let (found, (_, delay)) = found.into_iter().next().unwrap();
        assert!(found.starts_with(reason), "{function}: {found}");
        assert!(delay > WHILE, "{function}: {delay:?}");
    }
}

/// The classic fault: a lock of std in an async task. All other tasks of that worker wait, too, and the profile says
/// so.
#[test]
fn a_lock_that_blocks_a_worker() {
    async fn holds_up_its_worker(mutex: Arc<Mutex<()>>, waiter: Waiter) {
        waiter.here_i_am();
        locks_inside_a_task(&mutex);
    }
    let _rate = at_rate(1);
    let runtime = runtime();
    let mutex = Arc::new(Mutex::new(()));
    let held = mutex.lock().unwrap();
    let task = let_wait(
        |waiter| runtime.spawn(holds_up_its_worker(mutex.clone(), waiter)),
        || drop(held),
    );
    runtime.block_on(task).unwrap();
    let found = waits_in("locks_inside_a_task");
    let reason = "sync.Mutex.Lock, blocks a worker";
    let (count, delay) = found[reason];
    // Noting the wait allocates, and may wait for the allocator's lock: there may be more than one wait, but of this
    // task only.
    assert!(found.len() == 1 && count >= 1, "{found:?}");
    assert!(delay > WHILE, "{delay:?}");
    // The stack is the task's and ends at its root. In an optimized build the async fn is a part of it, under a name
    // that depends on the line tables.
    #[cfg(debug_assertions)]
    {
        let around = waits_in("a_lock_that_blocks_a_worker::holds_up_its_worker");
        let (all, in_all) = around[reason];
        assert!(
            around.len() == 1 && all >= count && in_all >= delay,
            "{around:?}"
        );
    }
}

/// An idle worker, an idle thread of the blocking pool and an idle thread in `block_on` do not contend. They may wait
/// for a lock of the allocator or of tokio at any time, and such waits count.
#[test]
fn idle_threads_do_not_count() {
    let _rate = at_rate(1);
    let runtime = runtime();
    runtime.block_on(async {
        runtime_probe::task::spawn_blocking(|| ()).await.unwrap();
        for _ in 0..5 {
            runtime_probe::time::sleep(WHILE / 5).await;
            runtime_probe::spawn(async {}).await.unwrap();
        }
    });
    let mut bytes = Vec::new();
    pprof::lookup("block")
        .unwrap()
        .write_to(&mut bytes, 1)
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let of_runtime = [
        "tokio::runtime::park",
        "blocking::pool",
        "scheduler::multi_thread",
    ];
    let idle = text.split("\n\n").find(|block| {
        let waits_for_a_lock = block.contains(r#"{"reason":"sync.Mutex.Lock"}"#);
        !waits_for_a_lock && of_runtime.iter().any(|path| block.contains(path))
    });
    assert_eq!(idle, None);
}

#[expect(unsafe_code, reason = "asks the kernel")]
fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> (i64, Option<i32>) {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: a futex wait on a word and with a timeout that both live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timeout,
        )
    };
    (result, Error::last_os_error().raw_os_error())
}

/// Results and `errno` are the kernel's, with a rate and without one.
#[test]
#[expect(unsafe_code, reason = "asks the kernel")]
fn errors_are_the_kernels() {
    for rate in [0, 1] {
        let _rate = at_rate(rate);
        let word = AtomicU32::new(1);
        assert_eq!(futex_wait(&word, 2, None), (-1, Some(libc::EAGAIN)));
        let began = Instant::now();
        let short = Some(Duration::from_millis(20));
        assert_eq!(futex_wait(&word, 1, short), (-1, Some(libc::ETIMEDOUT)));
        assert!(began.elapsed() >= Duration::from_millis(20));
        // SAFETY: calls without pointers, and one with a null pointer, which the kernel checks.
        unsafe {
            assert_eq!(
                libc::syscall(libc::SYS_getpid),
                i64::from(std::process::id())
            );
            assert_eq!(libc::syscall(libc::SYS_close, -1), -1);
            assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::EBADF));
            assert_eq!(libc::syscall(1 << 20), -1);
            assert_eq!(Error::last_os_error().raw_os_error(), Some(libc::ENOSYS));
            // Six arguments; the last one is on the caller's stack.
            let page = libc::syscall(
                libc::SYS_mmap,
                std::ptr::null::<u8>(),
                4096_usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1_isize,
                0_usize,
            );
            assert!(page > 0 && page % 4096 == 0);
            assert_eq!(libc::syscall(libc::SYS_munmap, page, 4096_usize), 0);
        }
    }
}

/// A wait that a signal interrupts.
#[test]
#[expect(unsafe_code, reason = "signals")]
fn an_interrupted_wait_says_so() {
    extern "C" fn nothing(_: libc::c_int) {}
    let _rate = at_rate(1);
    // SAFETY: an empty handler, without SA_RESTART.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        assert_eq!(
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()),
            0
        );
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        // SAFETY: takes nothing.
        sender.send(unsafe { libc::pthread_self() }).unwrap();
        futex_wait(&AtomicU32::new(1), 1, Some(Duration::from_secs(10)))
    });
    let target = receiver.recv().unwrap();
    while !thread.is_finished() {
        thread::sleep(Duration::from_millis(10));
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
    }
    assert_eq!(thread.join().unwrap(), (-1, Some(libc::EINTR)));
}

/// Threads that begin, end and contend, with destructors that wait, and an allocator with a lock: nothing hangs, no
/// result is lost, and every wait is counted, within the bound.
#[test]
fn a_crowd_of_threads() {
    static SHARED: Mutex<u64> = Mutex::new(0);
    struct WaitsInItsEnd;
    impl Drop for WaitsInItsEnd {
        fn drop(&mut self) {
            *SHARED.lock().unwrap() += 1;
        }
    }
    thread_local! {
        static LAST: WaitsInItsEnd = const { WaitsInItsEnd };
    }
    const THREADS: u64 = 16;
    const ROUNDS: u64 = 20;
    let _rate = at_rate(1);
    for _ in 0..ROUNDS {
        let barrier = Arc::new(Barrier::new(THREADS as usize));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let barrier = barrier.clone();
                thread::spawn(move || {
                    LAST.with(|_| ());
                    barrier.wait();
                    let mut kept = Vec::new();
                    for number in 0..100 {
                        kept.push(vec![number; 10]);
                        *SHARED.lock().unwrap() += 1;
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
    // Destructors of thread-locals may run after `join` returns, so this waits for the last ones.
    let end = Instant::now() + Duration::from_secs(10);
    let all = THREADS * ROUNDS * 101;
    while *SHARED.lock().unwrap() != all && Instant::now() < end {
        thread::yield_now();
    }
    assert_eq!(*SHARED.lock().unwrap(), all);
}
