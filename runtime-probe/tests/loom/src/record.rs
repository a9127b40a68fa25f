//! A task's record: references, wakes against polls, and readers against all others.
//!
//! A view reads some twenty words, each before or after each write that races with it. If a whole record is written
//! meanwhile, there are too many executions to explore. Those scenarios stop after [`ENOUGH`].

use crate::counting_waker::{Counting, alive, counting};
use crate::registry::task::{Dropped, Kind, Record, Spawn, Waking};
use crate::registry::threads::ThreadNumber;
use crate::registry::{drop_behind, end, free, leave, open, retain_for};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use std::panic::Location;
use std::task::{Wake, Waker};
use std::time::Duration;

fn task() -> Arc<Record> {
    let record = Arc::new(free());
    open(&record, Kind::Task, 1, None, 0);
    record
}

/// The steps of a wrapper before its first poll, and a poll that begins and ends at `stamp`.
fn first_poll(record: &Record, waker: &Waker) {
    record.prepare(waker);
    poll(record, 1);
}

fn poll(record: &Record, stamp: u32) {
    let poll = record.next_poll();
    record.begin_poll(poll, ThreadNumber(stamp), u64::from(stamp));
    record.end_poll(u64::from(stamp), u64::from(stamp));
}

/// The steps of a waker's `wake`, except for the drop of the reference.
fn wake_by_ref(record: &Record) {
    record.note_wake(false, || 5, || Waking::Unknown);
    // SAFETY: the caller's reference came from a poll.
    unsafe { record.wake() };
}

#[test]
fn the_last_reference_and_no_other_empties_the_slot() {
    loom::model(|| {
        let record = task();
        let (counting, waker) = counting();
        first_poll(&record, &waker);
        drop(waker);
        // Two wakers of the record exist.
        record.retain();
        record.retain();
        let waking = thread::spawn({
            let record = record.clone();
            move || {
                wake_by_ref(&record);
                leave(&record)
            }
        });
        let dropping = thread::spawn({
            let record = record.clone();
            move || leave(&record)
        });
        record.close();
        let own = end(&record);
        let last = [
            own,
            waking.join().unwrap(),
            dropping.join().unwrap(),
            drop_behind(&record),
        ];
        assert_eq!(last.iter().filter(|last| **last).count(), 1);
        assert_eq!((counting.wakes(), alive(&counting)), (1, 0));
        assert!(record.view().is_none());
    });
}

#[test]
fn a_reader_holds_the_task_it_saw_or_none() {
    let mut model = loom::model::Builder::new();
    model.max_duration = Some(ENOUGH);
    model.check(|| {
        let record = task();
        let (first, waker) = counting();
        first_poll(&record, &waker);
        drop(waker);
        let reading = thread::spawn({
            let record = record.clone();
            move || {
                let Some(view) = record.view() else {
                    return false;
                };
                if view.id != 1 || !retain_for(&record, &view) {
                    return false;
                }
                wake_by_ref(&record);
                leave(&record)
            }
        });
        record.close();
        let own = end(&record);
        let mut second = None;
        if own {
            // The record belongs to another task now. Its spawner counts without atomics as long as no other thread
            // can know the record.
            open(&record, Kind::Task, 2, None, 0);
            record.retain_unshared();
            let (counting, waker) = counting();
            first_poll(&record, &waker);
            second = Some(counting);
        }
        let last = reading.join().unwrap();
        assert!(
            own != last,
            "given back once, by the owner or by the reader"
        );
        assert_eq!(alive(&first), 0);
        assert!(first.wakes() <= 1);
        if let Some(second) = second {
            assert_eq!((second.wakes(), alive(&second)), (0, 1));
            assert!(!leave(&record));
            assert!(end(&record), "the count is what the owner counted");
            assert_eq!(alive(&second), 0);
        }
    });
}

#[test]
fn a_reader_reads_the_waker_after_it_was_written() {
    loom::model(|| {
        let record = task();
        let (counting, waker) = counting();
        let reading = thread::spawn({
            let record = record.clone();
            move || {
                let view = record.view().unwrap();
                if retain_for(&record, &view) {
                    wake_by_ref(&record);
                    assert!(!leave(&record));
                }
            }
        });
        first_poll(&record, &waker);
        reading.join().unwrap();
        assert!(counting.wakes() <= 1);
    });
}

/// An executor's queue of one task.
struct Queue(AtomicBool);

impl Wake for Queue {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.swap(true, Ordering::AcqRel);
    }
}

#[test]
fn a_wake_is_followed_by_a_poll_and_a_runnable_task_is_queued() {
    loom::model(|| {
        let record = task();
        let queue = std::sync::Arc::new(Queue(AtomicBool::new(false)));
        record.prepare(&Waker::from(queue.clone()));
        let ready = Arc::new(AtomicBool::new(false));
        record.retain();
        let waking = thread::spawn({
            let (record, ready) = (record.clone(), ready.clone());
            move || {
                ready.store(true, Ordering::Relaxed);
                wake_by_ref(&record);
            }
        });
        // The first poll, and another one if the first poll was woken.
        let mut seen = false;
        for stamp in 1..=2 {
            queue.0.swap(false, Ordering::AcqRel);
            let poll = record.next_poll();
            record.begin_poll(poll, ThreadNumber(stamp), 0);
            seen |= ready.load(Ordering::Relaxed);
            record.end_poll(0, 0);
            if !queue.0.load(Ordering::Relaxed) {
                break;
            }
        }
        waking.join().unwrap();
        let queued = queue.0.load(Ordering::Acquire);
        assert!(seen || queued, "a lost wake-up");
        let view = record.view().unwrap();
        // The stamp may be that of an earlier poll (the next poll then corrects it), never of a later one.
        assert!(view.woken.is_none() || queued);
    });
}

#[test]
fn wakes_in_a_row_without_a_poll_between_are_runnable() {
    loom::model(|| {
        let record = task();
        let (counting, waker) = counting();
        first_poll(&record, &waker);
        let waking: Vec<_> = (0..2)
            .map(|_| {
                record.retain();
                let record = record.clone();
                thread::spawn(move || {
                    wake_by_ref(&record);
                    // A task that has been woken is shown as woken.
                    assert!(record.view().unwrap().woken.is_some());
                })
            })
            .collect();
        for thread in waking {
            thread.join().unwrap();
        }
        assert_eq!(counting.wakes(), 2);
    });
}

#[test]
fn a_view_between_polls_is_of_one_poll() {
    loom::model(|| {
        let record = task();
        let (_counting, waker) = counting();
        first_poll(&record, &waker);
        let polling = thread::spawn({
            let record = record.clone();
            move || poll(&record, 2)
        });
        let view = record.view().unwrap();
        if !view.polling {
            assert_eq!((view.since, view.worker.0), (view.polls, view.polls as u32));
        }
        polling.join().unwrap();
    });
}

fn spawn_of(number: u64) -> Option<Spawn> {
    Some(Spawn {
        location: Location::caller(),
        pc: number as usize,
        parent: number,
    })
}

fn assert_of_one_owner(record: &Record) {
    if let Some(view) = record.view() {
        assert_eq!(
            (view.parent, view.pc as u64, view.spawned),
            (view.id, view.id, view.id)
        );
    }
}

/// Without the reader's fence loom finds the fault in the first tenth of a second.
const ENOUGH: Duration = Duration::from_secs(12);

fn for_a_while(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_duration = Some(ENOUGH);
    builder.check(f);
}

#[test]
fn a_view_of_a_record_being_opened_is_whole_or_nothing() {
    for_a_while(|| {
        let record = Arc::new(free());
        let opening = thread::spawn({
            let record = record.clone();
            move || open(&record, Kind::Foreign, 1, spawn_of(1), 1)
        });
        assert_of_one_owner(&record);
        opening.join().unwrap();
    });
}

#[test]
fn a_view_is_of_one_owner_when_a_thread_reuses_the_record() {
    for_a_while(|| {
        let record = Arc::new(free());
        open(&record, Kind::Foreign, 1, spawn_of(1), 1);
        let reusing = thread::spawn({
            let record = record.clone();
            move || {
                assert!(end(&record));
                open(&record, Kind::Foreign, 2, spawn_of(2), 2);
            }
        });
        assert_of_one_owner(&record);
        reusing.join().unwrap();
    });
}

#[test]
fn a_view_is_of_one_owner_when_another_thread_takes_the_record() {
    for_a_while(|| {
        let record = Arc::new(free());
        open(&record, Kind::Foreign, 1, spawn_of(1), 1);
        // The free list.
        let list = Arc::new(Mutex::new(false));
        let giving = thread::spawn({
            let (record, list) = (record.clone(), list.clone());
            move || {
                assert!(end(&record));
                *list.lock().unwrap() = true;
            }
        });
        let taking = thread::spawn({
            let record = record.clone();
            move || {
                if *list.lock().unwrap() {
                    open(&record, Kind::Foreign, 2, spawn_of(2), 2);
                }
            }
        });
        assert_of_one_owner(&record);
        giving.join().unwrap();
        taking.join().unwrap();
    });
}

#[test]
fn a_task_that_is_being_woken_is_never_without_a_waker() {
    loom::model(|| {
        let record = task();
        let (_counting, waker) = counting();
        first_poll(&record, &waker);
        record.retain();
        let waking = thread::spawn({
            let record = record.clone();
            move || {
                wake_by_ref(&record);
                assert!(!leave(&record));
            }
        });
        let view = record.view().unwrap();
        assert!(view.woken.is_some() || view.wakers > 0, "it looks lost");
        waking.join().unwrap();
    });
}

/// A task that was polled once, and registered nowhere.
fn polled_once() -> (Arc<Record>, std::sync::Arc<Counting>) {
    let record = task();
    let (counting, waker) = counting();
    first_poll(&record, &waker);
    (record, counting)
}

/// Wakes a task by a waker that the wake consumes. `true` if the record ended with it.
fn wakes(record: &Arc<Record>) -> thread::JoinHandle<bool> {
    let record = record.clone();
    thread::spawn(move || {
        wake_by_ref(&record);
        leave(&record)
    })
}

#[test]
fn a_reference_that_is_left_while_the_task_ends_is_given_back_once() {
    loom::model(|| {
        let (record, counting) = polled_once();
        record.retain_in_poll();
        let waking = wakes(&record);
        let walking = thread::spawn({
            let record = record.clone();
            move || drop_behind(&record)
        });
        record.close();
        let ended = [
            end(&record),
            waking.join().unwrap(),
            walking.join().unwrap(),
            drop_behind(&record),
        ];
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!((counting.wakes(), alive(&counting)), (1, 0));
        assert!(!drop_behind(&record));
    });
}

#[test]
fn a_registration_takes_a_reference_that_a_wake_leaves() {
    loom::model(|| {
        let (record, counting) = polled_once();
        // A poll's waker. A spurious poll makes another one while this one wakes. Or a poll after the wake, which takes its
        // reference.
        record.retain_in_poll();
        let first = wakes(&record);
        record.retain_in_poll();
        poll(&record, 2);
        let second = wakes(&record);
        assert!(!first.join().unwrap() && !second.join().unwrap());
        assert_eq!(record.view().unwrap().wakers, 0);
        record.retain_in_poll();
        assert_eq!(record.view().unwrap().wakers, 1);
        record.close();
        assert!(!end(&record) && alive(&counting) == 1);
        assert!(leave(&record) && alive(&counting) == 0);
    });
}

#[test]
fn the_end_comes_after_a_wake_whose_reference_was_taken() {
    loom::model(|| {
        let (record, counting) = polled_once();
        record.retain_in_poll();
        let waking = wakes(&record);
        // The task moves to another thread for its end.
        let polling = thread::spawn({
            let record = record.clone();
            move || {
                record.retain_in_poll();
                leave(&record)
            }
        });
        let own = polling.join().unwrap();
        record.close();
        let ended = [
            own,
            end(&record),
            waking.join().unwrap(),
            drop_behind(&record),
        ];
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!((counting.wakes(), alive(&counting)), (1, 0));
    });
}

#[test]
fn a_reference_left_behind_is_not_taken_from_the_next_task() {
    let mut model = loom::model::Builder::new();
    model.max_duration = Some(ENOUGH);
    model.check(|| {
        let (record, first) = polled_once();
        record.retain_in_poll();
        let waking = thread::spawn({
            let record = record.clone();
            move || leave(&record)
        });
        let walking = thread::spawn({
            let record = record.clone();
            move || drop_behind(&record)
        });
        record.close();
        if end(&record) {
            // A waker of the next task leaves its reference, which the end sees. And another one keeps the record.
            open(&record, Kind::Task, 2, None, 0);
            let (second, waker) = counting();
            first_poll(&record, &waker);
            drop(waker);
            record.retain_in_poll();
            assert!(!leave(&record));
            record.retain();
            assert!(!end(&record) && alive(&second) == 1);
            assert!(!walking.join().unwrap() && !waking.join().unwrap());
            assert!(leave(&record) && alive(&second) == 0);
        } else {
            let ended = [
                waking.join().unwrap(),
                walking.join().unwrap(),
                drop_behind(&record),
            ];
            assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        }
        assert_eq!(alive(&first), 0);
    });
}

#[test]
fn a_task_that_waits_again_is_never_without_a_waker() {
    let mut model = loom::model::Builder::new();
    model.max_duration = Some(ENOUGH);
    model.check(|| {
        let (record, _counting) = polled_once();
        record.retain_in_poll();
        // Woken. The waker's reference is left for the next poll.
        wake_by_ref(&record);
        assert!(!leave(&record));
        let polling = thread::spawn({
            let record = record.clone();
            move || {
                let poll = record.next_poll();
                record.begin_poll(poll, ThreadNumber(2), 2);
                record.retain_in_poll();
                record.end_poll(0, 2);
            }
        });
        let view = record.view().unwrap();
        let is_waiting = !view.polling && view.woken.is_none();
        assert!(!is_waiting || view.wakers > 0, "it looks lost");
        polling.join().unwrap();
    });
}

#[test]
fn a_reference_that_the_poller_keeps_is_given_back_once() {
    loom::model(|| {
        let (record, counting) = polled_once();
        // One of two wakers wakes, while a spurious poll replaces the other one.
        record.retain_in_poll();
        record.retain_in_poll();
        let waking = wakes(&record);
        record.retain_in_poll();
        assert_eq!(record.leave_or_keep(|| true), Dropped::Done);
        poll(&record, 2);
        let woken = waking.join().unwrap();
        assert!(!woken);
        assert_eq!(record.view().unwrap().wakers, 1);
        record.retain_in_poll();
        assert_eq!(record.view().unwrap().wakers, 2);
        record.close();
        record.drop_kept();
        let ended = [end(&record), leave(&record), leave(&record)];
        assert_eq!(ended, [false, false, true]);
        assert_eq!((counting.wakes(), alive(&counting)), (1, 0));
    });
}
