//! Specimens of tokio's waits: the return addresses with which the stack of each kind of wait begins. In a stripped
//! binary nothing else tells what a task waits for.
//!
//! Each kind of wait is polled from two callers. The common part of the two stacks, at the leaf, is tokio's code that
//! exists once in the program. If all of it was inlined, there is no common part, and the kind stays unknown.
//!
//! Only tokio's primitives are recognized, not the types built of them: a sender that waits for room is in the
//! channel's semaphore, a `watch` in its `Notify`. Locks are recognized by this crate's gates.

use super::instrumented::Instrumented;
#[cfg(feature = "sync")]
use super::locks::Guarded;
use super::own_id;
use crate::registry::task::Kind;
use crate::stack::unwind;
use crate::sys::own_thread;
use runtime_dump::naming::reason::Reason;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Waker};

/// The return addresses with which the stacks of one kind of wait begin, leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Specimen {
    /// `Unknown` for a future of no library: a stack that shares no more than this with a specimen has an unknown
    /// reason.
    pub(crate) reason: Reason,
    pub(crate) pcs: Vec<usize>,
}

/// Makes all specimens, on a thread of its own: a runtime cannot be entered or dropped in every context.
pub(crate) fn take() -> Vec<Specimen> {
    unwind::refresh();
    let taken = own_thread::spawn("probe-specimens", look);
    let taken = taken.map(|thread| thread.join().unwrap_or_default());
    taken.unwrap_or_default()
}

/// A future in each of two places, so that the stacks differ in their callers.
macro_rules! specimen {
    ($taken:ident, $reason:expr, $wait:expr) => {
        $taken.extend(common(
            $reason,
            async {
                let _ = $wait.await;
                std::hint::black_box(1)
            },
            async {
                let _ = $wait.await;
                std::hint::black_box([2u8; 3])
            },
        ))
    };
}

fn look() -> Vec<Specimen> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let _entered = runtime.enter();
    let mut taken = Vec::new();
    let kept = |context: &mut Context<'_>| {
        let waker = context.waker().clone();
        drop(std::hint::black_box(waker));
        std::task::Poll::<()>::Pending
    };
    specimen!(taken, Reason::Unknown, poll_fn(kept));
    #[cfg(feature = "time")]
    {
        let far = std::time::Duration::from_secs(3600);
        specimen!(taken, Reason::Sleep, tokio::time::sleep(far));
    }
    #[cfg(feature = "sync")]
    {
        use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
        // Two types for each kind: futures of one type may be compiled into the crate that polls them.
        let (permit, locked) = (Semaphore::new(0), tokio::sync::Mutex::new(()));
        let _guard = locked.try_lock();
        let (acquire, lock) = (permit.acquire(), locked.lock());
        taken.extend(common(Reason::Semaphore, acquire, lock));
        let (notify, (_sender, mut value)) = (Notify::new(), watch::channel(0u8));
        let (notified, changed) = (notify.notified(), value.changed());
        taken.extend(common(Reason::Condition, notified, changed));
        let (_sender, mut a) = mpsc::channel::<u8>(1);
        let (_other, mut b) = mpsc::channel::<[u64; 3]>(1);
        let (a, b) = (a.recv(), b.recv());
        taken.extend(common(Reason::ChanReceive, a, b));
        let (_sender, a) = oneshot::channel::<u8>();
        let (_other, b) = oneshot::channel::<[u64; 3]>();
        taken.extend(common(Reason::ChanReceive, a, b));
        let (a, b) = (gate::<u8>(), gate::<[u64; 3]>());
        let _held = (a.0.try_lock(), b.0.try_lock());
        let _written = (a.1.try_write(), b.1.try_write());
        let (lock, other) = (lock_of(&a.0), lock_of(&b.0));
        taken.extend(common(Reason::Mutex, lock, other));
        let (read, other) = (read_of(&a.1), read_of(&b.1));
        taken.extend(common(Reason::RwLockRead, read, other));
        let (write, other) = (write_of(&a.1), write_of(&b.1));
        taken.extend(common(Reason::RwLockWrite, write, other));
        let (_sender, mut a) = broadcast::channel::<u8>(1);
        let (_other, mut b) = broadcast::channel::<[u64; 3]>(1);
        taken.extend(common(Reason::ChanReceive, a.recv(), b.recv()));
    }
    #[cfg(feature = "net")]
    use tokio::io::AsyncRead;
    #[cfg(feature = "net")]
    if let (Ok((stream, _one)), Ok((datagram, _other))) = (
        tokio::net::UnixStream::pair(),
        tokio::net::UnixDatagram::pair(),
    ) {
        let stream = std::cell::RefCell::new(stream);
        // Two different calls: the compiler merges equal ones to one function, whose address is in no other stack.
        let read = poll_fn(|context| {
            let (mut stream, mut bytes) = (stream.borrow_mut(), [0; 8]);
            let stream = std::pin::Pin::new(&mut *stream);
            let read = stream.poll_read(context, &mut tokio::io::ReadBuf::new(&mut bytes));
            read.map(drop)
        });
        let receive = poll_fn(|context| datagram.poll_recv_ready(context));
        taken.extend(common(Reason::Io, read, receive));
        let stream = stream.into_inner();
        let (read, receive) = (stream.readable(), datagram.readable());
        taken.extend(common(Reason::Io, read, receive));
    }
    taken
}

/// Locks of this crate, without their public types.
#[cfg(feature = "sync")]
fn gate<T: Default>() -> (
    Guarded<tokio::sync::Mutex<()>, T>,
    Guarded<tokio::sync::RwLock<()>, T>,
) {
    (
        Guarded::new(tokio::sync::Mutex::new(()), T::default()),
        Guarded::new(tokio::sync::RwLock::new(()), T::default()),
    )
}

#[cfg(feature = "sync")]
fn lock_of<T>(lock: &Guarded<tokio::sync::Mutex<()>, T>) -> impl Future {
    Guarded::lock(lock, |lock| lock, |held, _| drop(held))
}

#[cfg(feature = "sync")]
fn read_of<T>(lock: &Guarded<tokio::sync::RwLock<()>, T>) -> impl Future {
    Guarded::read(lock, |lock| lock, |held, _| drop(held))
}

#[cfg(feature = "sync")]
fn write_of<T>(lock: &Guarded<tokio::sync::RwLock<()>, T>) -> impl Future {
    Guarded::write(lock, |lock| lock, |held, _| drop(held))
}

/// The common begin of the stacks of two futures.
fn common(reason: Reason, one: impl Future, other: impl Future) -> Option<Specimen> {
    let (one, other) = (stack_of(one)?, stack_of(other)?);
    let pairs = one.iter().zip(&other);
    let pcs: Vec<usize> = pairs.take_while(|(a, b)| a == b).map(|(a, _)| *a).collect();
    (!pcs.is_empty()).then_some(Specimen { reason, pcs })
}

/// The stack of a future's wait after its first poll.
fn stack_of(future: impl Future) -> Option<Vec<usize>> {
    let mut future = pin!(Instrumented::new(Kind::Nested, own_id(), None, future));
    let polled = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    let waits = future.waits().filter(|_| polled.is_pending())?;
    Some(waits.last.pcs.to_vec())
}
