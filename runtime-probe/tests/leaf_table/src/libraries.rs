//! Channels, locks, streams and tools of other libraries that need only a task of tokio.

use crate::row::rows;
use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{SinkExt, pin_mut};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::codec::{Framed, LinesCodec};
use tokio_util::sync::{CancellationToken, PollSemaphore, PollSender, ReusableBoxFuture};
use tokio_util::time::DelayQueue;

/// The text of this file, to find its lines.
const SOURCE: &str = include_str!("libraries.rs");
/// Longer than any run.
const LONG: Duration = Duration::from_secs(100_000);

rows! {
    // futures
    futures_mpsc_next: "chan receive", [
        "<futures_channel::mpsc::Receiver as futures_core::stream::Stream>::poll_next",
    ] {
        let (_tx, mut rx) = futures::channel::mpsc::channel::<u32>(1);
        _ = rx.next().await;
    }
    futures_mpsc_send: "chan send", [
        "<futures_channel::mpsc::Sender as futures_sink::Sink>::poll_ready|futures_channel::mpsc::sink_impl::poll_ready",
    ] {
        let (mut tx, _rx) = futures::channel::mpsc::channel::<u32>(0);
        tx.try_send(1).unwrap();
        _ = tx.send(2).await;
    }
    futures_oneshot: "chan receive", [
        "<futures_channel::oneshot::Receiver as core::future::future::Future>::poll",
    ] {
        let (_tx, rx) = futures::channel::oneshot::channel::<u32>();
        _ = rx.await;
    }
    futures_unordered: "waiting", [
        "<futures_util::stream::futures_unordered::FuturesUnordered as futures_core::stream::Stream>::poll_next",
    ] {
        let mut all = FuturesUnordered::new();
        all.push(tokio::time::sleep(LONG));
        all.push(tokio::time::sleep(LONG));
        all.next().await;
    }
    futures_select: "select", [
        "select.branch",
        "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
        "select.branch",
        "<futures_channel::oneshot::Receiver as core::future::future::Future>::poll",
    ] {
        let sleep = tokio::time::sleep(LONG).fuse();
        let (_tx, mut rx) = futures::channel::oneshot::channel::<u32>();
        pin_mut!(sleep);
        futures::select_biased! {
            _ = sleep => {}
            _ = rx => {}
        }
    }
    futures_join: "select", [
        "select.branch",
        "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
        "select.branch",
        "<futures_channel::oneshot::Receiver as core::future::future::Future>::poll",
    ] {
        let (_tx, rx) = futures::channel::oneshot::channel::<u32>();
        _ = futures::join!(tokio::time::sleep(LONG), rx);
    }
    futures_mutex: "sync.Mutex.Lock", [
        "<futures_util::lock::mutex::MutexLockFuture as core::future::future::Future>::poll",
    ] {
        let mutex = futures::lock::Mutex::new(());
        let _held = mutex.try_lock().unwrap();
        let _never = mutex.lock().await;
    }

    // Other libraries
    async_channel_recv: "chan receive", [
        "<async_channel::Recv as core::future::future::Future>::poll|async_channel::poll_with_strategy|<async_channel::RecvInner as event_listener_strategy::EventListenerFuture>::poll_with_strategy",
    ] {
        let (_tx, rx) = async_channel::bounded::<u32>(1);
        _ = rx.recv().await;
    }
    async_channel_send: "chan send", [
        "<async_channel::Send as core::future::future::Future>::poll|async_channel::poll_with_strategy|<async_channel::SendInner as event_listener_strategy::EventListenerFuture>::poll_with_strategy",
    ] {
        let (tx, _rx) = async_channel::bounded::<u32>(1);
        tx.try_send(1).unwrap();
        _ = tx.send(2).await;
    }
    flume_recv: "chan receive", [
        "<flume::async::RecvFut as core::future::future::Future>::poll",
    ] {
        let (_tx, rx) = flume::bounded::<u32>(1);
        _ = rx.recv_async().await;
    }
    flume_send: "chan send", [
        "<flume::async::SendFut as core::future::future::Future>::poll",
    ] {
        let (tx, _rx) = flume::bounded::<u32>(1);
        tx.try_send(1).unwrap();
        _ = tx.send_async(2).await;
    }
    event: "sync.Cond.Wait", ["<event_listener::EventListener as core::future::future::Future>::poll"] {
        let event = event_listener::Event::new();
        event.listen().await;
    }

    // async-lock
    async_mutex_lock: "sync.Mutex.Lock", ["<async_lock::mutex::Lock as core::future::future::Future>::poll|async_lock::mutex::poll_with_strategy"] {
        let mutex = async_lock::Mutex::new(());
        let _held = mutex.try_lock().unwrap();
        let _never = mutex.lock().await;
    }
    async_mutex_lock_arc: "sync.Mutex.Lock", ["<async_lock::mutex::LockArc as core::future::future::Future>::poll|<async_lock::mutex::AcquireSlow as event_listener_strategy::EventListenerFuture>::poll_with_strategy"] {
        let mutex = Arc::new(async_lock::Mutex::new(()));
        let _held = mutex.try_lock().unwrap();
        let _never = mutex.lock_arc().await;
    }
    async_rwlock_read: "sync.RWMutex.RLock", ["<async_lock::rwlock::futures::Read as core::future::future::Future>::poll|async_lock::rwlock::futures::poll_with_strategy"] {
        let lock = async_lock::RwLock::new(());
        let _held = lock.try_write().unwrap();
        let _never = lock.read().await;
    }
    async_rwlock_write: "sync.RWMutex.Lock", ["<async_lock::rwlock::futures::Write as core::future::future::Future>::poll|async_lock::rwlock::futures::poll_with_strategy"] {
        let lock = async_lock::RwLock::new(());
        let _held = lock.try_read().unwrap();
        let _never = lock.write().await;
    }
    async_semaphore: "semacquire", ["<async_lock::semaphore::Acquire as core::future::future::Future>::poll|<async_lock::semaphore::AcquireInner as event_listener_strategy::EventListenerFuture>::poll_with_strategy"] {
        let semaphore = async_lock::Semaphore::new(0);
        semaphore.acquire().await;
    }
    async_barrier: "sync.WaitGroup.Wait", ["<async_lock::barrier::BarrierWait as core::future::future::Future>::poll|<async_lock::barrier::BarrierWaitInner as event_listener_strategy::EventListenerFuture>::poll_with_strategy"] {
        let barrier = async_lock::Barrier::new(2);
        barrier.wait().await;
    }
    async_once_cell: "sync.Mutex.Lock", ["async_lock::once_cell::OnceCell::wait"] {
        let cell = async_lock::OnceCell::<u32>::new();
        cell.wait().await;
    }

    // tokio-util
    cancelled: "sync.Cond.Wait", [
        "<tokio_util::sync::cancellation_token::WaitForCancellationFuture as core::future::future::Future>::poll",
    ] {
        let token = CancellationToken::new();
        token.cancelled().await;
    }
    cancelled_owned: "sync.Cond.Wait", [
        "<tokio_util::sync::cancellation_token::WaitForCancellationFutureOwned as core::future::future::Future>::poll",
    ] {
        let token = CancellationToken::new();
        token.cancelled_owned().await;
    }
    run_until_cancelled: "sleep", ["~",
        "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
        "<tokio_util::sync::cancellation_token::RunUntilCancelledFuture as core::future::future::Future>::poll",
        "tokio_util::sync::cancellation_token::CancellationToken::run_until_cancelled",
    ] {
        let token = CancellationToken::new();
        token.run_until_cancelled(tokio::time::sleep(LONG)).await;
    }
    reusable_box_future: "sleep", ["<tokio::time::sleep::Sleep as core::future::future::Future>::poll"] {
        let boxed = ReusableBoxFuture::new(tokio::time::sleep(LONG));
        boxed.await;
    }
    delay_queue: "sleep", ["<tokio_util::time::delay_queue::DelayQueue as futures_core::stream::Stream>::poll_next"] {
        let mut queue = DelayQueue::new();
        queue.insert(1, LONG);
        queue.next().await;
    }
    poll_sender: "chan send", ["<tokio_util::sync::mpsc::PollSender as futures_sink::Sink>::poll_ready"] {
        let (tx, _rx) = tokio::sync::mpsc::channel::<u32>(1);
        tx.try_send(1).unwrap();
        let mut sender = PollSender::new(tx);
        _ = sender.send(2).await;
    }
    poll_semaphore: "semacquire", ["~", "tokio_util::sync::poll_semaphore::PollSemaphore::poll_acquire/tokio_util::sync::poll_semaphore::PollSemaphore::poll_acquire_many",
        "leaf_table::libraries::poll_semaphore::inner::{closure}",
    ] {
        let mut semaphore = PollSemaphore::new(Arc::new(tokio::sync::Semaphore::new(0)));
        poll_fn(|context| semaphore.poll_acquire(context)).await;
    }
    framed_next: "IO wait", ["<tokio_util::codec::framed::Framed as futures_core::stream::Stream>::poll_next"] {
        let (here, _there) = tokio::net::UnixStream::pair().unwrap();
        let mut lines = Framed::new(here, LinesCodec::new());
        lines.next().await;
    }
    framed_send: "IO wait", ["<tokio_util::codec::framed::Framed as futures_sink::Sink>::poll_flush"] {
        let (here, _there) = tokio::net::UnixStream::pair().unwrap();
        let mut lines = Framed::new(here, LinesCodec::new());
        _ = lines.send("x".repeat(8 << 20)).await;
    }
    task_tracker: "sync.WaitGroup.Wait", ["<tokio_util::task::task_tracker::TaskTrackerWaitFuture as core::future::future::Future>::poll"] {
        let tracker = tokio_util::task::TaskTracker::new();
        tracker.wait().await;
    }
    receiver_stream: "chan receive", ["tokio::sync::mpsc::bounded::Receiver::poll_recv", "<tokio_stream::wrappers::mpsc_bounded::ReceiverStream as futures_core::stream::Stream>::poll_next"] {
        let (_tx, rx) = tokio::sync::mpsc::channel::<u32>(1);
        tokio_stream::wrappers::ReceiverStream::new(rx).next().await;
    }

    // futures: streams, and futures of several
    futures_mpsc_unbounded_next: "chan receive", [
        "<futures_channel::mpsc::UnboundedReceiver as futures_core::stream::Stream>::poll_next",
    ] {
        let (_tx, mut rx) = futures::channel::mpsc::unbounded::<u32>();
        rx.next().await;
    }
    futures_oneshot_cancellation: "chan send", ["~", "<futures_channel::oneshot::Cancellation as core::future::future::Future>::poll",
    ] {
        let (mut tx, _rx) = futures::channel::oneshot::channel::<u32>();
        tx.cancellation().await;
    }
    futures_stream_map: "chan receive", [
        "<futures_channel::mpsc::UnboundedReceiver as futures_core::stream::Stream>::poll_next",
        "<futures_util::stream::stream::map::Map as futures_core::stream::Stream>::poll_next",
    ] {
        let (_tx, rx) = futures::channel::mpsc::unbounded::<u32>();
        rx.map(|number| number + 1).next().await;
    }
    futures_for_each: "chan receive", [
        "<futures_channel::mpsc::UnboundedReceiver as futures_core::stream::Stream>::poll_next",
        "<futures_util::stream::stream::for_each::ForEach as core::future::future::Future>::poll",
    ] {
        let (_tx, rx) = futures::channel::mpsc::unbounded::<u32>();
        rx.for_each(|_| std::future::ready(())).await;
    }
    futures_buffer_unordered: "waiting", [
        "<futures_util::stream::futures_unordered::FuturesUnordered as futures_core::stream::Stream>::poll_next",
        "<futures_util::stream::stream::buffer_unordered::BufferUnordered as futures_core::stream::Stream>::poll_next",
    ] {
        let sleeps = futures::stream::iter(0..2).map(|_| tokio::time::sleep(LONG));
        sleeps.buffer_unordered(2).next().await;
    }
    futures_shared: "waiting", ["~", "<futures_util::future::future::shared::Shared as core::future::future::Future>::poll",
    ] {
        let shared = tokio::time::sleep(LONG).shared();
        shared.await;
    }
    futures_select_all: "select", [
        "select.branch",
        "<tokio::time::sleep::Sleep as core::future::future::Future>::poll",
        "select.branch",
        "<futures_channel::oneshot::Receiver as core::future::future::Future>::poll",
        "..", "<futures_util::future::select_all::SelectAll as core::future::future::Future>::poll",
        "<futures_util::future::select_all::SelectAll as core::future::future::Future>::poll",
    ] {
        let (_tx, rx) = futures::channel::oneshot::channel::<u32>();
        let both = [tokio::time::sleep(LONG).boxed(), rx.map(drop).boxed()];
        futures::future::select_all(both).await;
    }
}
