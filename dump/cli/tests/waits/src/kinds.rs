use futures::stream::{FuturesOrdered, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{
    Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, mpsc, oneshot, watch,
};

const LONG: Duration = Duration::from_secs(3600);

pub async fn spawn_all() {
    tokio::spawn(sleeps());
    tokio::spawn(ticks());
    tokio::spawn(times_out());
    let mutex = Arc::new(Mutex::new(0));
    tokio::spawn(holds_mutex(mutex.clone()));
    tokio::spawn(waits_for_mutex(mutex.clone()));
    let lock = Arc::new(RwLock::new(0));
    tokio::spawn(holds_rwlock(lock.clone()));
    tokio::spawn(waits_to_read(lock.clone()));
    tokio::spawn(waits_to_write(lock));
    let (left, right) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    tokio::spawn(locks_both(left.clone(), right.clone()));
    tokio::spawn(locks_both_reversed(left, right));
    let semaphore = Arc::new(Semaphore::new(1));
    tokio::spawn(acquires_many(semaphore.clone()));
    tokio::spawn(acquires_owned(Arc::new(Semaphore::new(0))));
    tokio::spawn(is_notified(Arc::new(Notify::new())));
    tokio::spawn(sends());
    tokio::spawn(keeps_room());
    tokio::spawn(receives());
    tokio::spawn(receives_unbounded());
    tokio::spawn(receives_once());
    tokio::spawn(receives_broadcast());
    tokio::spawn(watches());
    tokio::spawn(meets(Arc::new(Barrier::new(2))));
    let cell = Arc::new(OnceCell::new());
    tokio::spawn(initializes(cell.clone()));
    tokio::spawn(initializes(cell));
    tokio::spawn(joins());
    tokio::spawn(joins_set());
    tokio::spawn(runs_closure());
    tokio::spawn(signals());
    tokio::spawn(accepts());
    tokio::spawn(receives_datagram());
    tokio::spawn(reads_stream());
    tokio::spawn(reads_lines());
    tokio::spawn(waits_for_child());
    tokio::spawn(selects());
    tokio::spawn(selects_pinned());
    tokio::spawn(joins_all());
    tokio::spawn(tries_to_join());
    tokio::spawn(joins_with_futures());
    tokio::spawn(boxes());
    tokio::spawn(recurses(3));
    tokio::spawn(dispatches(Arc::new(Service)));
    tokio::spawn(calls_async_closure());
    tokio::spawn(collects_unordered());
    tokio::spawn(collects_ordered());
    tokio::spawn(buffers());
    tokio::spawn(join_all_of_few());
    tokio::spawn(maps());
    tokio::spawn(Handwritten {
        inner: Box::pin(sleeps()),
    });
    tokio::spawn(polls_fn());
    tokio::spawn(never());
    tokio::spawn(copies());
    let shared = sleeps().shared();
    tokio::spawn(shares(shared.clone()));
    tokio::spawn(shares(shared));
    let large = [0u8; 20_000];
    tokio::spawn(async move {
        tokio::time::sleep(LONG).await;
        std::hint::black_box(&large);
    });
    std::thread::spawn(|| futures::executor::block_on(std::future::pending::<()>()));
}

async fn sleeps() {
    tokio::time::sleep(LONG).await;
}

async fn ticks() {
    let mut interval = tokio::time::interval(LONG);
    interval.tick().await;
    interval.tick().await;
}

async fn times_out() {
    let (_sender, receiver) = oneshot::channel::<()>();
    let _ = tokio::time::timeout(LONG, receiver).await;
}

async fn holds_mutex(mutex: Arc<Mutex<u32>>) {
    let guard = mutex.lock().await;
    tokio::time::sleep(LONG).await;
    drop(guard);
}

async fn waits_for_mutex(mutex: Arc<Mutex<u32>>) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    *mutex.lock().await += 1;
}

async fn holds_rwlock(lock: Arc<RwLock<u32>>) {
    let guard = lock.write().await;
    tokio::time::sleep(LONG).await;
    drop(guard);
}

async fn waits_to_read(lock: Arc<RwLock<u32>>) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _ = *lock.read().await;
}

async fn waits_to_write(lock: Arc<RwLock<u32>>) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    *lock.write().await += 1;
}

async fn locks_both(left: Arc<Mutex<u32>>, right: Arc<Mutex<u32>>) {
    let mut first = left.lock().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = right.lock().await;
    *first += *second;
}

async fn locks_both_reversed(left: Arc<Mutex<u32>>, right: Arc<Mutex<u32>>) {
    let mut first = right.lock().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = left.lock().await;
    *first += *second;
}

async fn acquires_many(semaphore: Arc<Semaphore>) {
    let _permits = semaphore.acquire_many(3).await;
}

async fn acquires_owned(semaphore: Arc<Semaphore>) {
    let _permit = semaphore.acquire_owned().await;
}

async fn is_notified(notify: Arc<Notify>) {
    notify.notified().await;
}

async fn sends() {
    let (sender, _receiver) = mpsc::channel(1);
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
}

/// The capacity that the first message frees goes to the second send, which is polled no more.
async fn keeps_room() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send(1).await.unwrap();
    let mut claim = std::pin::pin!(sender.send(2));
    tokio::select! {
        biased;
        _ = &mut claim => {}
        () = std::future::ready(()) => {}
    }
    receiver.recv().await;
    sender.send(3).await.unwrap();
}

async fn receives() {
    let (_sender, mut receiver) = mpsc::channel::<u32>(1);
    receiver.recv().await;
}

async fn receives_unbounded() {
    let (_sender, mut receiver) = mpsc::unbounded_channel::<u32>();
    receiver.recv().await;
}

async fn receives_once() {
    let (_sender, receiver) = oneshot::channel::<u32>();
    let _ = receiver.await;
}

async fn receives_broadcast() {
    let (_sender, mut receiver) = broadcast::channel::<u32>(4);
    let _ = receiver.recv().await;
}

async fn watches() {
    let (_sender, mut receiver) = watch::channel(0);
    let _ = receiver.changed().await;
}

async fn meets(barrier: Arc<Barrier>) {
    barrier.wait().await;
}

async fn initializes(cell: Arc<OnceCell<u32>>) {
    cell.get_or_init(|| async {
        tokio::time::sleep(LONG).await;
        1
    })
    .await;
}

async fn joins() {
    let task = tokio::spawn(never());
    let _ = task.await;
}

async fn joins_set() {
    let mut set = tokio::task::JoinSet::new();
    set.spawn(in_a_set());
    set.spawn(in_a_set());
    set.join_next().await;
}

async fn in_a_set() {
    tokio::time::sleep(LONG).await;
}

async fn runs_closure() {
    let _ = tokio::task::spawn_blocking(blocks).await;
}

fn blocks() {
    std::thread::sleep(LONG);
}

async fn signals() {
    let kind = tokio::signal::unix::SignalKind::user_defined1();
    let mut signal = tokio::signal::unix::signal(kind).unwrap();
    signal.recv().await;
}

async fn accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _ = listener.accept().await;
}

async fn receives_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 16];
    let _ = socket.recv_from(&mut buffer).await;
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

async fn reads_stream() {
    let (mut client, server) = pair().await;
    let mut buffer = [0; 16];
    let _ = client.read(&mut buffer).await;
    drop(server);
}

async fn reads_lines() {
    let (client, mut server) = pair().await;
    server.write_all(b"half a line").await.unwrap();
    let mut lines = tokio::io::BufReader::new(client).lines();
    let _ = lines.next_line().await;
    drop(server);
}

async fn copies() {
    let (mut client, server) = pair().await;
    let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
    drop(server);
}

async fn waits_for_child() {
    // The child ends with this process, which has the other end of its pipe.
    let mut child = tokio::process::Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let input = child.stdin.take();
    let _ = child.wait().await;
    drop(input);
}

async fn selects() {
    tokio::select! {
        () = sleeps() => {}
        () = is_notified(Arc::new(Notify::new())) => {}
    }
}

async fn selects_pinned() {
    let sleep = tokio::time::sleep(LONG);
    tokio::pin!(sleep);
    tokio::select! {
        biased;
        () = &mut sleep => {}
        () = never() => {}
    }
}

async fn ends() {}

async fn joins_all() {
    tokio::join!(sleeps(), ends(), never());
}

async fn tries_to_join() {
    let _ = tokio::try_join!(
        async {
            sleeps().await;
            Ok::<(), ()>(())
        },
        async {
            never().await;
            Err::<(), ()>(())
        }
    );
}

async fn joins_with_futures() {
    futures::join!(sleeps(), never());
}

async fn boxes() {
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(sleeps());
    future.await;
}

async fn recurses(depth: u32) {
    if depth == 0 {
        tokio::time::sleep(LONG).await;
    } else {
        Box::pin(recurses(depth - 1)).await;
    }
}

trait Serve: Send + Sync {
    fn serve(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

struct Service;

impl Service {
    async fn answer(&self) {
        tokio::time::sleep(LONG).await;
    }
}

impl Serve for Service {
    fn serve(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.answer())
    }
}

async fn dispatches(service: Arc<dyn Serve>) {
    service.serve().await;
}

async fn calls_async_closure() {
    let closure = async |length: Duration| tokio::time::sleep(length).await;
    closure(LONG).await;
}

async fn collects_unordered() {
    let mut children = FuturesUnordered::new();
    children.push(sleeps().boxed());
    children.push(never().boxed());
    children.next().await;
}

async fn collects_ordered() {
    let mut children = FuturesOrdered::new();
    children.push_back(sleeps());
    children.push_back(sleeps());
    children.next().await;
}

async fn buffers() {
    let mut stream = futures::stream::iter([1, 2, 3])
        .map(|_| sleeps())
        .buffer_unordered(2);
    stream.next().await;
}

async fn join_all_of_few() {
    futures::future::join_all([sleeps(), sleeps()]).await;
}

async fn maps() {
    sleeps().map(|()| 1).await;
}

struct Handwritten {
    inner: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Handwritten {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<()> {
        self.inner.as_mut().poll(context)
    }
}

async fn shares(future: impl Future<Output = ()>) {
    future.await;
}

async fn polls_fn() {
    poll_fn(|_| Poll::<()>::Pending).await;
}

async fn never() {
    std::future::pending::<()>().await;
}

/// Spawns tasks that come and go: half of them wait, the other half end and begin again all the time.
pub fn spawn_more(number: u32) {
    for _ in 0..number / 2 {
        tokio::spawn(waits_for_long());
        tokio::spawn(comes_and_goes());
    }
}

/// Spawns tasks that wait: half of them in a future of their own, the other half in a box behind two calls.
pub fn spawn_still(number: u32) {
    for _ in 0..number / 2 {
        tokio::spawn(waits_for_long());
        tokio::spawn(calls());
    }
}

async fn calls() {
    let inner: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(waits_for_long());
    inner.await;
}

async fn waits_for_long() {
    tokio::time::sleep(LONG).await;
}

async fn comes_and_goes() {
    loop {
        let task = tokio::spawn(comes());
        let _ = task.await;
    }
}

async fn comes() {
    let inner: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(tokio::task::yield_now());
    inner.await;
    tokio::time::sleep(Duration::from_millis(1)).await;
}
