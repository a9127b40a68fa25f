//! Permits of connections, eviction when they run out, and the threads.
//!
//! Each connection has a thread. Threads are started on demand, and there are never more of them than permits. If all
//! permits are taken, the connection that has waited longest for a request is closed for the newest one, so half-open
//! and forgotten connections do not lock a person out. If none waits for a request, the connection whose reply has
//! waited longest for its client is closed, if that is longer than a stall. So slow readers lock no client out
//! either, and are served as long as there are permits. No other reply is cut off: if all are under way, the newest
//! connection is refused.
//! A pool of threads was rejected: an idle debugging port should have one thread.
//! Before a new thread starts, threads that have given up their permits are joined, so there are never more threads
//! than permits.
//!
//! Under the lock, in this order:
//! 1. a permit is taken and its thread started,
//! 2. the thread changes the state between `Waiting` and `Answering`,
//! 3. an eviction sets `Leaving` and wakes the thread by shutting the socket down,
//! 4. the thread gives the permit up.
//!
//! A thread that finds its permit `Leaving` MUST NOT answer. Otherwise a reply could be cut off.

use std::cmp::Reverse;
use std::mem;
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::limits::{EVICTION_TIME, STACK_BYTES};
use super::socket::Stream;
use super::sys::lower_priority;

/// The name of every thread of the server. Linux shows its first 15 bytes.
pub(super) const THREAD_NAME: &str = "runtime-probe-http";

/// Counts of connections, since the server was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Connections that got a permit.
    pub admitted: u64,
    /// Admitted connections that were closed for another one.
    pub evicted: u64,
    /// Connections that found every permit busy.
    pub refused: u64,
    /// Connections for which no thread could be started.
    pub without_thread: u64,
    /// Failures to accept, mostly because file descriptors ran out.
    pub accept_errors: u64,
    /// Panics of handlers and of streams.
    pub panics: u64,
}

/// All connections of one server.
#[derive(Debug)]
pub(super) struct Permits {
    capacity: usize,
    /// How long a reply may wait for its client before its connection may be closed for another one.
    stall: Duration,
    room: Mutex<Room>,
    /// A client left, or the server closes.
    changed: Condvar,
}

/// One connection's permit, held by its thread; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    number: u64,
}

/// Why a connection got no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    Full,
    WithoutThread,
    Closed,
}

#[derive(Debug)]
struct Room {
    open: bool,
    next_number: u64,
    occupants: Vec<Occupant>,
    /// Threads that have given up their permit and are about to end.
    ended: Vec<JoinHandle<()>>,
    tally: Tally,
}

#[derive(Debug)]
struct Occupant {
    number: u64,
    state: State,
    stream: Arc<Stream>,
    thread: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for a request, or for the rest of one, since then.
    Waiting(Instant),
    /// Answers a request, and its reply has waited for the client for so long.
    Answering(Duration),
    Leaving,
}

impl Permits {
    pub fn new(capacity: usize, stall: Duration) -> Arc<Self> {
        let room = Room {
            open: true,
            next_number: 0,
            occupants: Vec::new(),
            ended: Vec::new(),
            tally: Tally::default(),
        };
        Arc::new(Permits {
            capacity,
            stall,
            room: Mutex::new(room),
            changed: Condvar::new(),
        })
    }

    /// Takes a permit for a connection and runs it on a thread of its own. Waits for a moment if another connection
    /// must leave first.
    pub fn admit(
        self: &Arc<Self>,
        stream: &Arc<Stream>,
        run: impl FnOnce(&Permit) + Send + 'static,
    ) -> Result<(), NotAdmitted> {
        let deadline = Instant::now() + EVICTION_TIME;
        let mut room = self.lock();
        // Threads that gave up a permit must end before a new one starts. Otherwise many short connections would have
        // far more threads than there are permits.
        let ended = mem::take(&mut room.ended);
        drop(room);
        join(ended);
        room = self.lock();
        let full = room.occupants.len() >= self.capacity;
        if full && !room.is_someone_leaving() && !room.evict() && !room.evict_slow(self.stall) {
            room.tally.refused += 1;
            return Err(NotAdmitted::Full);
        }
        while room.open && room.occupants.len() >= self.capacity {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                room.tally.refused += 1;
                return Err(NotAdmitted::Full);
            }
            room = self.wait(room, left);
        }
        if !room.open {
            return Err(NotAdmitted::Closed);
        }
        let number = room.next_number;
        room.next_number += 1;
        let permits = Arc::clone(self);
        // The thread makes the permit: if no thread starts, no permit is dropped under this lock.
        let body = move || {
            // A dump of a hundred thousand tasks keeps a CPU busy that the service may need.
            lower_priority();
            run(&Permit { permits, number });
        };
        let builder = thread::Builder::new()
            .name(THREAD_NAME.into())
            .stack_size(STACK_BYTES);
        match builder.spawn(body) {
            Ok(thread) => {
                let state = State::Waiting(Instant::now());
                let stream = Arc::clone(stream);
                room.occupants.push(Occupant {
                    number,
                    state,
                    stream,
                    thread,
                });
                room.tally.admitted += 1;
                Ok(())
            }
            Err(_) => {
                room.tally.without_thread += 1;
                Err(NotAdmitted::WithoutThread)
            }
        }
    }

    pub fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// Counts a failure to accept. No client is evicted for it: at the limit of file descriptors `accept` fails even
    /// if no client connects, and an admitted client may be searching for the leak.
    pub fn accept_failed(&self) {
        self.lock().tally.accept_errors += 1;
    }

    /// Waits, or until the server closes. Returns whether it is still open.
    pub fn pause(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut room = self.lock();
        while room.open {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            room = self.wait(room, left);
        }
        room.open
    }

    pub fn is_open(&self) -> bool {
        self.lock().open
    }

    /// Closes the server: waiting connections leave now, answering ones after their reply.
    pub fn close(&self) {
        let mut room = self.lock();
        room.open = false;
        while room.evict() {}
        self.changed.notify_all();
    }

    /// Waits until all connections have left, and joins their threads. Those that are answering get `grace`, then
    /// their sockets are shut down. A handler that notices neither is left behind: its thread ends when it returns.
    pub fn clear(&self, grace: Duration) {
        let mut room = self.wait_until_empty(self.lock(), grace);
        for occupant in &mut room.occupants {
            occupant.dismiss();
        }
        room = self.wait_until_empty(room, EVICTION_TIME);
        let ended = mem::take(&mut room.ended);
        drop(room);
        join(ended);
    }

    fn wait_until_empty<'a>(
        &self,
        mut room: MutexGuard<'a, Room>,
        time: Duration,
    ) -> MutexGuard<'a, Room> {
        let deadline = Instant::now() + time;
        while !room.occupants.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            room = self.wait(room, left);
        }
        room
    }

    fn wait<'a>(&self, room: MutexGuard<'a, Room>, time: Duration) -> MutexGuard<'a, Room> {
        self.changed
            .wait_timeout(room, time)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// A request is complete. Returns whether it may be answered.
    #[must_use]
    pub fn begin_answer(&self) -> bool {
        self.change(|state, _| match state {
            State::Waiting(_) => Some(State::Answering(Duration::ZERO)),
            State::Answering(_) | State::Leaving => None,
        })
    }

    /// The reply had to wait for its client.
    pub fn count_wait(&self, time: Duration) {
        let _ = self.change(|state, _| match state {
            State::Answering(waited) => Some(State::Answering(waited.saturating_add(time))),
            State::Waiting(_) | State::Leaving => None,
        });
    }

    /// The reply is sent. Returns whether the connection may wait for another request.
    #[must_use]
    pub fn end_answer(&self) -> bool {
        self.change(|state, open| match (state, open) {
            (State::Answering(_), true) => Some(State::Waiting(Instant::now())),
            _ => None,
        })
    }

    /// Whether replies may still announce that the connection is kept.
    pub fn is_open(&self) -> bool {
        self.permits.is_open()
    }

    pub fn count_panic(&self) {
        self.permits.lock().tally.panics += 1;
    }

    fn change(&self, transition: impl FnOnce(State, bool) -> Option<State>) -> bool {
        let mut room = self.permits.lock();
        let open = room.open;
        let own = room
            .occupants
            .iter_mut()
            .find(|occupant| occupant.number == self.number);
        let Some(own) = own else { return false };
        let next = transition(own.state, open);
        own.state = next.unwrap_or(own.state);
        next.is_some()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut room = self.permits.lock();
        let own = room
            .occupants
            .iter()
            .position(|occupant| occupant.number == self.number);
        let own = own.map(|index| room.occupants.swap_remove(index));
        // Threads that have not ended yet are joined by the next connection: this thread must not wait for them.
        let ended = room
            .ended
            .extract_if(.., |thread| thread.is_finished())
            .collect();
        if let Some(Occupant { stream, thread, .. }) = own {
            room.ended.push(thread);
            // The last holder closes the socket. That must happen before a waiter learns that there is a permit.
            drop(stream);
        }
        self.permits.changed.notify_all();
        drop(room);
        join(ended);
    }
}

impl Room {
    fn is_someone_leaving(&self) -> bool {
        self.occupants
            .iter()
            .any(|occupant| occupant.state == State::Leaving)
    }

    /// Evicts the connection that has waited longest for a request. Returns whether there was one.
    fn evict(&mut self) -> bool {
        self.dismiss_first(|state| match state {
            State::Waiting(since) => Some(since),
            State::Answering(_) | State::Leaving => None,
        })
    }

    /// Evicts the connection whose reply has waited longest for its client, if that is at least `stall`. Returns
    /// whether there was one.
    fn evict_slow(&mut self, stall: Duration) -> bool {
        self.dismiss_first(|state| match state {
            State::Answering(waited) if waited >= stall => Some(Reverse(waited)),
            _ => None,
        })
    }

    /// Dismisses the connection whose state has the least key. Returns whether any has a key. A connection that is
    /// shutting down is not evicted.
    fn dismiss_first<K: Ord>(&mut self, key: impl Fn(State) -> Option<K>) -> bool {
        let mut first: Option<(K, &mut Occupant)> = None;
        for occupant in &mut self.occupants {
            let Some(key) = key(occupant.state) else {
                continue;
            };
            if first.as_ref().is_none_or(|(least, _)| key < *least) {
                first = Some((key, occupant));
            }
        }
        let Some((_, occupant)) = first else {
            return false;
        };
        occupant.dismiss();
        self.tally.evicted += u64::from(self.open);
        true
    }
}

impl Occupant {
    /// Wakes its thread with the end of its connection.
    fn dismiss(&mut self) {
        self.state = State::Leaving;
        // Fails if the client closed the connection first.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Each of these threads has released the lock and is about to end, or has ended.
fn join(ended: Vec<JoinHandle<()>>) {
    for thread in ended {
        // A panic was counted when it happened.
        let _ = thread.join();
    }
}
