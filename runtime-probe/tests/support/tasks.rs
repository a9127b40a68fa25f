//! Tasks of each kind, which wait for ever, and the server that shows them. `go/kinds.go` has the same kinds.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use runtime_probe::net::TcpListener;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, mpsc};
use runtime_probe::time::{interval, sleep};
use runtime_probe::{pprof, spawn};

/// How many tasks there are of each kind, by the text in the brackets.
pub const KINDS: [(&str, usize); 6] = [
    ("IO wait", 1),
    ("chan receive", 3),
    ("chan send", 1),
    ("select", 1),
    ("sleep", 1),
    ("sync.Mutex.Lock", 1),
];

/// The application, for all tests of a process.
pub struct Application {
    pub server: SocketAddr,
    ticks: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Application {
    /// Waits until its ticker, which sleeps a millisecond at a time, has ticked some times more.
    pub fn wait_for_ticks(&self, more: u64) {
        let goal = self.ticks.load(Relaxed) + more;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.ticks.load(Relaxed) < goal {
            assert!(Instant::now() < deadline, "the application stands still");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts the application once.
pub fn application() -> &'static Application {
    static APPLICATION: OnceLock<Application> = OnceLock::new();
    APPLICATION.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(3)
            .enable_all()
            .build()
            .unwrap();
        let ticks = Arc::new(AtomicU64::new(0));
        runtime.block_on(start_all(Arc::clone(&ticks)));
        let server = pprof::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.detach();
        let application = Application {
            server: address,
            ticks,
            _runtime: runtime,
        };
        application.wait_for_ticks(20);
        application
    })
}

async fn start_all(ticks: Arc<AtomicU64>) {
    // Keeps the other end for ever, so that the task waits for ever.
    fn keep<T>(end: T) {
        std::mem::forget(end);
    }
    for _ in 0..3 {
        let (sender, receiver) = mpsc::channel::<u64>(1);
        keep(sender);
        spawn(kind_chan_receive(receiver));
    }
    let (sender, receiver) = mpsc::channel::<u64>(1);
    sender.send(1).await.unwrap();
    keep(receiver);
    spawn(kind_chan_send(sender));
    let (sender, receiver) = mpsc::channel::<u64>(1);
    keep(sender);
    spawn(kind_select(receiver));
    spawn(kind_sleep());
    let mutex = Arc::new(Mutex::new(()));
    keep(Arc::clone(&mutex).lock_owned().await);
    spawn(kind_mutex_lock(mutex));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    spawn(kind_io_wait(listener));
    spawn(never_woken());
    spawn(tick(ticks));
    let (busy, idle) = std::sync::mpsc::channel();
    keep(busy);
    spawn(hold_a_worker(idle));
}

async fn kind_chan_receive(mut receiver: mpsc::Receiver<u64>) {
    receiver.recv().await;
}

async fn kind_chan_send(sender: mpsc::Sender<u64>) {
    let _ = sender.send(2).await;
}

async fn kind_select(mut receiver: mpsc::Receiver<u64>) {
    runtime_probe::select! {
        _ = receiver.recv() => {}
        () = sleep(Duration::from_secs(3600)) => {}
    }
}

async fn kind_sleep() {
    sleep(Duration::from_secs(3600)).await;
}

async fn kind_mutex_lock(mutex: Arc<Mutex<()>>) {
    let _guard = mutex.lock().await;
}

async fn kind_io_wait(listener: TcpListener) {
    let _ = listener.accept().await;
}

async fn never_woken() {
    std::future::pending::<()>().await;
}

async fn tick(ticks: Arc<AtomicU64>) {
    let mut millisecond = interval(Duration::from_millis(1));
    loop {
        millisecond.tick().await;
        ticks.fetch_add(1, Relaxed);
    }
}

/// Blocks inside its poll.
async fn hold_a_worker(idle: std::sync::mpsc::Receiver<()>) {
    let _ = idle.recv();
}
