//! Foreign tasks: a dependency spawned them through plain `tokio::spawn`. tokio's task hooks report spawns, polls and
//! ends, but no stacks.
//!
//! The hooks run for our own tasks, too, so they must cost nearly nothing for those. After the first foreign spawn, the
//! hook before a poll stamps the thread's slot. The wrapper of an own task clears the stamp, so only a foreign poll
//! needs a look-up.

use super::{timing, trace};
use crate::clock;
use crate::demand::{self, Demand};
use crate::primitive::{self, Ordering};
use crate::registry::runtimes::Runtime;
use crate::registry::slab::RecordOwner;
use crate::registry::task::{Kind, Record, Spawn};
use crate::registry::threads;
use crate::tally::waits::{BLOCK, WaitSite};
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(tokio_unstable)]
use tokio::runtime::TaskMeta;

/// The number of shards of the table, by id: successive tasks are in different ones.
const SHARDS: usize = 16;

static FOREIGN: [Mutex<Option<HashMap<u64, RecordOwner>>>; SHARDS] =
    [const { Mutex::new(None) }; SHARDS];
/// The number of entries of the table. Most programs have none, and then the end of a task costs one load.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Whether there ever was a foreign spawn. Before the first one a poll costs one load.
static SEEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether an instrumented spawn is under way on this thread, which the hook ignores.
    static OURS: Cell<bool> = const { Cell::new(false) };
    /// The task whose end was reported last.
    static ENDED: Cell<u64> = const { Cell::new(0) };
}

/// The number of a tokio id, of a task or a runtime. tokio shows it through `Hash` and `Display` only.
#[inline(always)]
pub(crate) fn number(id: impl Hash) -> u64 {
    struct Catch(u64);
    impl Hasher for Catch {
        #[inline(always)]
        fn write_u64(&mut self, word: u64) {
            self.0 = word;
        }
        fn write(&mut self, bytes: &[u8]) {
            // tokio does not call this today. If it hashes the bytes of the number, this still works.
            let mut word = [0u8; 8];
            word.iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
            self.0 = u64::from_ne_bytes(word);
        }
        fn finish(&self) -> u64 {
            self.0
        }
    }
    let mut catch = Catch(0);
    id.hash(&mut catch);
    catch.finish()
}

/// Spawns of this thread are instrumented, for as long as this lives.
pub(crate) struct OurSpawn(bool);

impl OurSpawn {
    #[inline(always)]
    pub(crate) fn begin() -> Self {
        OurSpawn(OURS.with(|ours| ours.replace(true)))
    }
}

impl Drop for OurSpawn {
    #[inline(always)]
    fn drop(&mut self) {
        OURS.with(|ours| ours.set(self.0));
    }
}

/// The wrapper of a task runs on the thread of `slot`: clears the stamp if it is of this task. It may be of another
/// task that runs a runtime inside its poll.
#[inline(always)]
pub(super) fn claim(slot: &threads::Slot, record: &Record) {
    if cfg!(tokio_unstable) {
        let stamped = slot.foreign.load(Ordering::Relaxed);
        if stamped != 0 && stamped == record.id() {
            slot.foreign.store(0, Ordering::Relaxed);
        }
    }
}

/// Whether the reported spawn is an instrumented one.
#[inline(always)]
#[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "hooks are unstable"))]
pub(super) fn is_our_spawn() -> bool {
    OURS.with(Cell::get)
}

/// tokio is about to spawn a foreign task.
#[cold]
#[inline(never)]
#[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "hooks are unstable"))]
pub(super) fn on_spawn(id: u64, location: &'static Location<'static>, runtime: &Runtime) {
    // Relaxed: the transfer of the task to its first poll orders this store.
    SEEN.store(true, Ordering::Relaxed);
    // Without the other hooks, the task would be shown as waiting for ever.
    if !runtime.sees_tasks() {
        return;
    }
    // For a spawn on a runtime that is shut down, tokio reports the end before the spawn.
    if ENDED.with(Cell::get) == id {
        return;
    }
    let spawn = Spawn {
        location,
        pc: 0,
        parent: super::waker::current_task(),
    };
    let record = RecordOwner::new(
        Kind::Foreign,
        id,
        Some(spawn),
        None,
        clock::ticks,
        super::labels::current,
    );
    let Some(record) = record else { return };
    record.set_runtime(runtime.number);
    trace::spawn(&record, record.since());
    if shard(id)
        .get_or_insert_default()
        .insert(id, record)
        .is_none()
    {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// tokio is about to poll a task on this thread.
#[inline(always)]
#[cfg(tokio_unstable)]
pub(super) fn before_poll(task: &TaskMeta<'_>) {
    if SEEN.load(Ordering::Relaxed) {
        stamp(task);
    }
}

/// The same with the user's hook. If that panics, tokio does not poll the task.
#[cfg(tokio_unstable)]
pub(super) fn before_poll_and(task: &TaskMeta<'_>, hook: impl FnOnce()) {
    struct NoPoll(u64);
    impl Drop for NoPoll {
        fn drop(&mut self) {
            let slot = threads::slot();
            if slot.foreign.load(Ordering::Relaxed) == self.0 {
                slot.foreign.store(0, Ordering::Release);
            }
        }
    }
    if !SEEN.load(Ordering::Relaxed) {
        return hook();
    }
    stamp(task);
    let no_poll = NoPoll(number(task.id()));
    hook();
    std::mem::forget(no_poll);
}

// The id is read here: most programs have no foreign task.
#[inline(never)]
#[cfg(tokio_unstable)]
fn stamp(task: &TaskMeta<'_>) {
    let (id, slot) = (number(task.id()), threads::slot());
    // Threads that are being torn down share one slot, so nothing may be written there.
    if slot.number() == threads::ThreadNumber::default() {
        return;
    }
    if slot.foreign.load(Ordering::Relaxed) != 0 && !settle(slot) {
        return;
    }
    let now = slot.now.load(Ordering::Relaxed);
    slot.foreign_since.store(now, Ordering::Relaxed);
    slot.foreign.store(id, Ordering::Release);
}

/// This thread polls no task now: it parks, or returns to the root of a `block_on`. The poll of a foreign task is known
/// to be over now, or at the thread's next poll: a hook after each poll would cost time in every poll of every task.
#[inline(always)]
pub(super) fn between_polls() {
    let slot = threads::slot();
    // Release: pairs with the Acquire in `threads::finishing`. The tasks that ended here have left tokio's list.
    slot.ended.store(0, Ordering::Release);
    if slot.foreign.load(Ordering::Relaxed) != 0 {
        settle(slot);
    }
}

/// The worker parks.
#[inline(always)]
pub(super) fn on_park() {
    between_polls();
    if demand::any() {
        trace::park(threads::slot());
    }
}

/// The worker goes on after a park.
#[inline(always)]
pub(super) fn on_unpark() {
    let slot = threads::slot();
    slot.now.store(clock::ticks(), Ordering::Relaxed);
    if demand::any() {
        trace::unpark(slot);
    }
}

/// Records the last poll of this thread, which was a foreign task's. Returns whether it is over. It is not if that task
/// runs another runtime inside its poll.
#[cold]
#[inline(never)]
fn settle(slot: &threads::Slot) -> bool {
    let id = slot.foreign.load(Ordering::Relaxed);
    if tokio::task::try_id().is_some_and(|running| number(running) == id) {
        return false;
    }
    let now = clock::ticks();
    slot.now.store(now, Ordering::Relaxed);
    if COUNT.load(Ordering::Relaxed) != 0 {
        let mut began = slot.foreign_since.load(Ordering::Relaxed);
        let mut wait = None;
        let mut start = None;
        if let Some(record) = shard(id).as_ref().and_then(|shard| shard.get(&id)) {
            // The thread's last stamp may be older than the task, or than its last poll.
            began = began.max(record.since());
            wait = wait_before(record);
            start = timing::foreign_start(record, began, now);
            trace::foreign_poll(record, slot, began, now);
            record.note_foreign_poll(slot.number(), now.saturating_sub(began), now);
        }
        // Outside of the shard's lock: this may allocate, and the user's allocator may call this function.
        note_wait(wait, began);
        timing::note_start(start);
    }
    // Release: pairs with the Acquire in `foreign_running`. A reader that does not see the stamp sees the poll in the
    // record.
    slot.foreign.store(0, Ordering::Release);
    true
}

/// The begin and the site of the task's wait before the current poll; `None` while waits are not sampled.
fn wait_before(record: &RecordOwner) -> Option<(clock::Ticks, WaitSite)> {
    if !Demand::Waits.is_on() {
        return None;
    }
    // No hook reports the wake, so the ready time is included.
    let site = WaitSite {
        spawned_at: record.location(),
        labels: record.labels(),
        ..WaitSite::ELSEWHERE
    };
    Some((record.last_poll_ended()?, site))
}

/// Samples that wait.
fn note_wait(wait: Option<(clock::Ticks, WaitSite)>, poll_began: clock::Ticks) {
    if let Some((waited_since, site)) = wait
        && let Some(weight) = demand::sample_wait(waited_since, poll_began)
    {
        BLOCK.add(site, weight);
    }
}

/// The spawn location of a foreign task, if it is alive.
pub(super) fn spawned_at(id: u64) -> Option<&'static Location<'static>> {
    let shard = shard(id);
    shard.as_ref()?.get(&id)?.location()
}

/// A task has ended. tokio also reports tasks without a reported spawn (closures of the blocking pool).
#[inline(always)]
#[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "hooks are unstable"))]
pub(super) fn on_terminate(id: u64) {
    ENDED.with(|ended| ended.set(id));
    if COUNT.load(Ordering::Relaxed) != 0 {
        remove(id);
    }
}

#[cold]
fn remove(id: u64) {
    let removed = shard(id).as_mut().and_then(|shard| shard.remove(&id));
    if let Some(record) = removed {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        // The task ends in its last poll, unless it was aborted while it waited.
        let slot = threads::slot();
        if slot.foreign.load(Ordering::Relaxed) == id {
            let (began, now) = (slot.foreign_since.load(Ordering::Relaxed), clock::ticks());
            let began = began.max(record.since());
            note_wait(wait_before(&record), began);
            timing::note_start(timing::foreign_start(&record, began, now));
            trace::foreign_poll(&record, slot, began, now);
            record.note_foreign_poll(slot.number(), now.saturating_sub(began), now);
        }
        timing::note_foreign_end(&record);
    }
}

fn shard(id: u64) -> std::sync::MutexGuard<'static, Option<HashMap<u64, RecordOwner>>> {
    primitive::lock(&FOREIGN[id as usize % SHARDS])
}
