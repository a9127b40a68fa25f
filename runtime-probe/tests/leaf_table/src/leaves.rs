//! Every wait of tokio, alone and several at once, and tasks that are spawned in other ways.

use crate::row::{Row, rows};
use futures::future::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::{
    Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch,
};
use tokio::task::JoinSet;

/// The text of this file, to find its lines.
const SOURCE: &str = include_str!("leaves.rs");
/// Longer than any run.
const LONG: Duration = Duration::from_secs(100_000);

rows! {
    // tokio::sync
    mpsc_recv: "chan receive", ["tokio::sync::mpsc::bounded::Receiver::recv"] {
        let (_tx, mut rx) = mpsc::channel::<u32>(1);
        rx.recv().await;
    }
    mpsc_send: "chan send", ["tokio::sync::mpsc::bounded::Sender::send"] {
        let (tx, _rx) = mpsc::channel::<u32>(1);
        tx.try_send(1).unwrap();
        _ = tx.send(2).await;
    }
    mpsc_reserve: "chan send", ["tokio::sync::mpsc::bounded::Sender::reserve"] {
        let (tx, _rx) = mpsc::channel::<u32>(1);
        tx.try_send(1).unwrap();
        _ = tx.reserve().await;
    }
    mpsc_recv_many: "chan receive", ["tokio::sync::mpsc::bounded::Receiver::recv_many"] {
        let (_tx, mut rx) = mpsc::channel::<u32>(1);
        rx.recv_many(&mut Vec::new(), 3).await;
    }
    mpsc_closed: "chan send", ["tokio::sync::mpsc::bounded::Sender::closed"] {
        let (tx, _rx) = mpsc::channel::<u32>(1);
        tx.closed().await;
    }
    mpsc_unbounded_recv: "chan receive", ["tokio::sync::mpsc::unbounded::UnboundedReceiver::recv"] {
        let (_tx, mut rx) = mpsc::unbounded_channel::<u32>();
        rx.recv().await;
    }
    mpsc_unbounded_closed: "chan send", ["tokio::sync::mpsc::unbounded::UnboundedSender::closed"] {
        let (tx, _rx) = mpsc::unbounded_channel::<u32>();
        tx.closed().await;
    }
    oneshot_recv: "chan receive", ["<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll"] {
        let (_tx, rx) = oneshot::channel::<u32>();
        _ = rx.await;
    }
    oneshot_closed: "chan send", ["tokio::sync::oneshot::Sender::closed"] {
        let (mut tx, _rx) = oneshot::channel::<u32>();
        tx.closed().await;
    }
    mutex_lock: "sync.Mutex.Lock", ["tokio::sync::mutex::Mutex::lock"] {
        let mutex = Mutex::new(());
        let _held = mutex.try_lock().unwrap();
        let _never = mutex.lock().await;
    }
    mutex_lock_owned: "sync.Mutex.Lock", ["tokio::sync::mutex::Mutex::lock"] {
        let mutex = Arc::new(Mutex::new(()));
        let _held = mutex.try_lock().unwrap();
        let _never = mutex.clone().lock_owned().await;
    }
    rwlock_read: "sync.RWMutex.RLock", ["tokio::sync::rwlock::RwLock::read"] {
        let lock = RwLock::new(());
        let _held = lock.try_write().unwrap();
        let _never = lock.read().await;
    }
    rwlock_write: "sync.RWMutex.Lock", ["tokio::sync::rwlock::RwLock::write"] {
        let lock = RwLock::new(());
        let _held = lock.try_read().unwrap();
        let _never = lock.write().await;
    }
    rwlock_read_owned: "sync.RWMutex.RLock", ["tokio::sync::rwlock::RwLock::read"] {
        let lock = Arc::new(RwLock::new(()));
        let _held = lock.try_write().unwrap();
        let _never = lock.clone().read_owned().await;
    }
    rwlock_write_owned: "sync.RWMutex.Lock", ["tokio::sync::rwlock::RwLock::write"] {
        let lock = Arc::new(RwLock::new(()));
        let _held = lock.try_read().unwrap();
        let _never = lock.clone().write_owned().await;
    }
    semaphore_acquire: "semacquire", ["tokio::sync::semaphore::Semaphore::acquire"] {
        let semaphore = Semaphore::new(0);
        _ = semaphore.acquire().await;
    }
    semaphore_acquire_many_owned: "semacquire", ["tokio::sync::semaphore::Semaphore::acquire_many_owned"] {
        let semaphore = Arc::new(Semaphore::new(1));
        _ = semaphore.acquire_many_owned(2).await;
    }
    notify: "sync.Cond.Wait", ["<tokio::sync::notify::Notified as core::future::future::Future>::poll"] {
        let notify = Notify::new();
        notify.notified().await;
    }
    barrier: "sync.WaitGroup.Wait", ["tokio::sync::barrier::Barrier::wait"] {
        let barrier = Barrier::new(2);
        barrier.wait().await;
    }
    watch_changed: "chan receive", ["tokio::sync::watch::Receiver::changed"] {
        let (_tx, mut rx) = watch::channel(0);
        _ = rx.changed().await;
    }
    watch_wait_for: "chan receive", ["tokio::sync::watch::Receiver::wait_for"] {
        let (_tx, mut rx) = watch::channel(0);
        _ = rx.wait_for(|value| *value == 1).await;
    }
    watch_closed: "chan send", ["tokio::sync::watch::Sender::closed"] {
        let (tx, _rx) = watch::channel(0);
        tx.closed().await;
    }
    broadcast_closed: "chan send", ["tokio::sync::broadcast::Sender::closed"] {
        let (tx, _rx) = broadcast::channel::<u32>(1);
        tx.closed().await;
    }
    broadcast_recv: "chan receive", ["tokio::sync::broadcast::Receiver::recv"] {
        let (_tx, mut rx) = broadcast::channel::<u32>(1);
        _ = rx.recv().await;
    }
    once_cell: "sync.Mutex.Lock", ["tokio::sync::once_cell::OnceCell::get_or_init"] {
        let cell = Arc::new(OnceCell::<u32>::new());
        let first = cell.clone();
        tokio::spawn(async move { *first.get_or_init(std::future::pending).await });
        tokio::time::sleep(Duration::from_millis(50)).map(drop).await;
        cell.get_or_init(|| async { 1 }).await;
    }

    set_once: "sync.Cond.Wait", ["tokio::sync::set_once::SetOnce::wait"] {
        let cell = tokio::sync::SetOnce::<u32>::new();
        cell.wait().await;
    }

    // tokio::time
    sleep: "sleep", ["<tokio::time::sleep::Sleep as core::future::future::Future>::poll"] {
        tokio::time::sleep(LONG).await;
    }
    sleep_until: "sleep", ["<tokio::time::sleep::Sleep as core::future::future::Future>::poll"] {
        tokio::time::sleep_until(tokio::time::Instant::now() + LONG).await;
    }
    interval: "sleep", ["tokio::time::interval::Interval::tick"] {
        let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + LONG, LONG);
        interval.tick().await;
    }
    timeout_recv: "chan receive", [
        "tokio::sync::mpsc::bounded::Receiver::recv",
        "<tokio::time::timeout::Timeout as core::future::future::Future>::poll",
    ] {
        let (_tx, mut rx) = mpsc::channel::<u32>(1);
        _ = tokio::time::timeout(LONG, rx.recv()).await;
    }

    // tokio::net, tokio::io
    tcp_accept: "IO wait", ["tokio::net::tcp::listener::TcpListener::accept"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        _ = listener.accept().await;
    }
    tcp_read: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (mut here, _there) = tcp_pair().await;
        _ = here.read(&mut [0; 9]).await;
    }
    tcp_read_exact: "IO wait", ["<tokio::io::util::read_exact::ReadExact as core::future::future::Future>::poll"] {
        let (mut here, _there) = tcp_pair().await;
        _ = here.read_exact(&mut [0; 9]).await;
    }
    tcp_write: "IO wait", ["<tokio::io::util::write_all::WriteAll as core::future::future::Future>::poll"] {
        let (mut here, _there) = tcp_pair().await;
        let much = vec![0; 64 << 20];
        _ = here.write_all(&much).await;
    }
    tcp_readable: "IO wait", ["tokio::net::tcp::stream::TcpStream::readable"] {
        let (here, _there) = tcp_pair().await;
        _ = here.readable().await;
    }
    tcp_split_read: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (here, _there) = tcp_pair().await;
        let (mut reader, _writer) = here.into_split();
        _ = reader.read(&mut [0; 9]).await;
    }
    tcp_peek: "IO wait", ["tokio::net::tcp::stream::TcpStream::peek"] {
        let (here, _there) = tcp_pair().await;
        _ = here.peek(&mut [0; 9]).await;
    }
    tcp_connect: "IO wait", ["tokio::net::tcp::stream::TcpStream::connect"] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(0).unwrap();
        let address = full.local_addr().unwrap();
        let _first = std::net::TcpStream::connect(address).unwrap();
        _ = TcpStream::connect(address).await;
    }
    udp_recv: "IO wait", ["tokio::net::udp::UdpSocket::recv"] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        _ = socket.recv(&mut [0; 9]).await;
    }
    udp_recv_from: "IO wait", ["tokio::net::udp::UdpSocket::recv_from"] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        _ = socket.recv_from(&mut [0; 9]).await;
    }
    unix_datagram_recv: "IO wait", ["tokio::net::unix::datagram::socket::UnixDatagram::recv"] {
        let (here, _there) = tokio::net::UnixDatagram::pair().unwrap();
        _ = here.recv(&mut [0; 9]).await;
    }
    unix_accept: "IO wait", ["tokio::net::unix::listener::UnixListener::accept"] {
        let path = std::env::temp_dir().join(format!("leaf-table-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        _ = listener.accept().await;
    }
    unix_read: "IO wait", ["<tokio::io::util::read::Read as core::future::future::Future>::poll"] {
        let (mut here, _there) = UnixStream::pair().unwrap();
        _ = here.read(&mut [0; 9]).await;
    }

    // tokio::task
    join_handle: "join", ["<tokio::runtime::task::join::JoinHandle as core::future::future::Future>::poll"] {
        let task = tokio::spawn(std::future::pending::<()>());
        _ = task.await;
    }
    join_set: "join", ["tokio::task::join_set::JoinSet::join_next"] {
        let mut set = JoinSet::new();
        set.spawn(std::future::pending::<()>());
        _ = set.join_next().await;
    }
    spawn_blocking: "join", ["<tokio::runtime::task::join::JoinHandle as core::future::future::Future>::poll"] {
        let task = tokio::task::spawn_blocking(|| loop {
            std::thread::park();
        });
        task.await.unwrap()
    }
    yield_now: "runnable", ["tokio::task::yield_now::yield_now"] {
        loop {
            tokio::task::yield_now().await;
        }
    }
    pending: "waiting", [] {
        std::future::pending::<()>().await;
    }

    // Several at once
    select_of_three: "select", [
        "select.branch",
        "tokio::sync::mpsc::bounded::Receiver::recv",
        "select.branch",
        "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
        "select.branch",
        "<tokio::sync::notify::Notified as core::future::future::Future>::poll",
    ] {
        let (_tx, mut rx) = mpsc::channel::<u32>(1);
        let notify = Notify::new();
        tokio::select! {
            biased;
            _ = rx.recv() => {}
            _ = tokio::time::sleep(LONG) => {}
            _ = notify.notified() => {}
        }
    }
    join_of_two: "select", [
        "select.branch",
        "tokio::sync::mpsc::bounded::Receiver::recv",
        "select.branch",
        "<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll",
    ] {
        let (_tx, mut rx) = mpsc::channel::<u32>(1);
        let (_sender, receiver) = oneshot::channel::<u32>();
        _ = tokio::join!(rx.recv(), receiver);
    }
    try_join: "select", [
        "select.branch",
        "<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll",
        "select.branch",
        "<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll",
    ] {
        let (_sender, first) = oneshot::channel::<u32>();
        let (_other, second) = oneshot::channel::<u32>();
        _ = tokio::try_join!(first, second);
    }
    select_then_lock: "sync.Mutex.Lock", ["tokio::sync::mutex::Mutex::lock"] {
        let (tx, mut rx) = mpsc::channel::<u32>(1);
        let notify = Notify::new();
        let mutex = Mutex::new(());
        let _held = mutex.try_lock().unwrap();
        tx.try_send(1).unwrap();
        loop {
            tokio::select! {
                biased;
                _ = notify.notified() => {}
                _ = rx.recv() => {
                    let _never = mutex.lock().await;
                }
            }
        }
    }
}

/// Connected sockets. No row waits here for long.
pub async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (there, here) = futures::join!(listener.accept(), TcpStream::connect(address));
    (here.unwrap(), there.unwrap().0)
}

mod local_task {
    pub async fn outer() {
        inner().await
    }
    async fn inner() {
        let notify = std::rc::Rc::new(tokio::sync::Notify::new());
        notify.notified().await;
    }
}

mod block_on_root {
    pub async fn outer() {
        inner().await
    }
    async fn inner() {
        let (_tx, rx) = tokio::sync::oneshot::channel::<u32>();
        _ = rx.await;
    }
}

/// Tasks without a plain `spawn`: each on a thread with a runtime of its own.
pub fn spawn_special() -> Vec<Row> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let set = tokio::task::LocalSet::new();
        tell.send(set.spawn_local(local_task::outer()).id())
            .unwrap();
        current_thread().block_on(set.run_until(std::future::pending::<()>()));
    });
    std::thread::spawn(|| current_thread().block_on(block_on_root::outer()));
    vec![
        Row {
            name: "local_task",
            reason: "sync.Cond.Wait",
            frames: &["<tokio::sync::notify::Notified as core::future::future::Future>::poll"],
            id: told.recv().unwrap().to_string().parse().ok(),
            table: module_path!(),
            source: SOURCE,
        },
        Row {
            name: "block_on_root",
            reason: "chan receive",
            frames: &["<tokio::sync::oneshot::Receiver as core::future::future::Future>::poll"],
            id: None,
            table: module_path!(),
            source: SOURCE,
        },
    ]
}

fn current_thread() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}
