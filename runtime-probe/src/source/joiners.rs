//! Finds the tasks that await a task, by the waker that tokio keeps in the awaited task's memory.
//!
//! A `JoinHandle` is tokio's own type, which other crates use, so it cannot be a type of ours that records its waiter.
//! tokio stores the waker of a `JoinHandle`'s waiter in the task's memory, and that of a `JoinSet`'s waiter in memory
//! that its tasks point to. The offsets are learned from specimen tasks ([`TaskLayout::learn`]); no offset is written
//! down here. If they are not found in some tokio, no joins are shown.
//!
//! The kernel copies the memory, so reading a task that ends meanwhile causes no fault. The copy is used only if it has
//! the id of the right task.
//!
//! Rejected: a `JoinHandle` of ours under the patch only, as with `Semaphore`. With the rename no joins would be shown,
//! and each poll of a handle would cost time.

use super::{foreign, waker};
use crate::registry::task::Generation;
use crate::sys::near_memory::{NearMemory, now};
use crate::sys::{own_memory, own_thread};
use std::cell::Cell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::ptr::from_ref;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use tokio::task::{JoinHandle, JoinSet, LocalSet};

const WORD: usize = size_of::<usize>();
/// How many words of a specimen are read: the largest is smaller.
const SPECIMEN_WORDS: usize = 128;
/// How many words are read of the head of a task, of its table, of an entry of a set, and of the shared part of the
/// entries.
const HEAD_WORDS: usize = 8;
const TABLE_WORDS: usize = 16;
const ENTRY_WORDS: usize = 8;
const SET_WORDS: usize = 16;

/// How many tasks are read at once: a megabyte, if they lie near each other.
const BATCH: usize = 1024;

/// The offsets of the words that lead to the waiter for a task.
#[derive(Debug)]
pub(crate) struct TaskLayout {
    waker: WakerLayout,
    /// The vtable of the wakers of tokio's tasks.
    task_waker: usize,
    /// In the head of a task: the offset of the pointer to the table of its type.
    table: usize,
    /// In that table: the word with the offset of the trailer. `id_offset`: the word with the offset of the id.
    tail_offset: usize,
    id_offset: usize,
    /// In the trailer: the offset of the waker.
    join_waker: usize,
    set: Option<SetLayout>,
}

/// The same for tasks of a `JoinSet`: their waker is an entry of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetLayout {
    /// In an entry: the index of the pointer to the shared part. `handle`: the index of the handle of the task.
    shared: usize,
    handle: usize,
    /// In the shared part: the index of the waker. The first word there counts the entries and the set.
    join_waker: usize,
}

/// The offsets of the trailer and of the id, for a type of tasks.
#[derive(Clone, Copy, Debug)]
struct Table {
    tail: usize,
    id: usize,
}

/// The two words of a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WakerWords {
    data: usize,
    table: usize,
}

/// Their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WakerLayout {
    DataFirst,
    TableFirst,
}

impl WakerLayout {
    fn read(self, [first, second]: [usize; 2]) -> WakerWords {
        let (data, table) = match self {
            WakerLayout::DataFirst => (first, second),
            WakerLayout::TableFirst => (second, first),
        };
        WakerWords { data, table }
    }
}

impl WakerWords {
    fn of(waker: &Waker) -> Self {
        WakerWords {
            data: waker.data().addr(),
            table: from_ref(waker.vtable()).addr(),
        }
    }

    /// The index of the waker in `words`, and the order of its words.
    fn find_in(self, words: &[usize]) -> Option<(usize, WakerLayout)> {
        let at = |[first, second]: [usize; 2]| {
            words
                .windows(2)
                .position(|pair| pair == [first, second].as_slice())
        };
        let data_first = at([self.data, self.table]).map(|at| (at, WakerLayout::DataFirst));
        data_first.or_else(|| at([self.table, self.data]).map(|at| (at, WakerLayout::TableFirst)))
    }
}

/// The record (by its address) and the generation of a waker of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joiner {
    pub(crate) record: usize,
    pub(crate) generation: Generation,
}

/// The waiter that the end of a task wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    By(Joiner),
    /// The set with this address.
    InSet(usize),
}

/// A `JoinSet`: its number of tasks and results, and its waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) members: usize,
    pub(crate) joiner: Option<Joiner>,
}

impl TaskLayout {
    /// The layout, which is learned once in a process; `None` if it cannot be learned.
    pub(crate) fn known() -> Option<&'static TaskLayout> {
        static KNOWN: OnceLock<Option<TaskLayout>> = OnceLock::new();
        let known = KNOWN.get_or_init(|| {
            // On a thread of its own: a set cannot be polled or dropped in every context.
            let learned = own_thread::spawn("probe-specimens", TaskLayout::learn).ok()?;
            learned.join().ok()?
        });
        known.as_ref()
    }

    fn learn() -> Option<TaskLayout> {
        let tasks = LocalSet::new();
        let mut specimens = [
            Specimen::new(&tasks, [0u8; 3]),
            Specimen::new(&tasks, [0u64; 9]),
            Specimen::new(&tasks, [0u64; 40]),
        ];
        let mut set = JoinSet::new();
        let entries: [_; 2] = std::array::from_fn(|_| {
            let own = Rc::new(Cell::new(None));
            set.spawn_local_on(looked_at(own.clone(), ()), &tasks);
            own
        });
        let mut tasks = pin!(tasks);
        let polled = tasks.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let known = Waker::from(Arc::new(Known));
        let mut context = Context::from_waker(&known);
        let pending = polled.is_pending()
            && specimens.iter_mut().all(|specimen| {
                let handle = Pin::new(&mut specimen.handle);
                handle.poll(&mut context).is_pending()
            })
            && set.poll_join_next(&mut context).is_pending();
        let known = WakerWords::of(&known);
        let mut layout = pending
            .then(|| TaskLayout::of(&specimens, known))
            .flatten()?;
        let entries = entries.map(|own| own.get());
        if let [Some(one), Some(other)] = entries {
            layout.set = layout.set_of([one.data, other.data], known);
        }
        Some(layout)
    }

    fn of(specimens: &[Specimen; 3], known: WakerWords) -> Option<TaskLayout> {
        let own = specimens.each_ref().map(|specimen| specimen.own.get());
        let [Some(first), ..] = own else { return None };
        let mut seen = Vec::new();
        for (own, specimen) in own.into_iter().zip(specimens) {
            let words = words::<SPECIMEN_WORDS>(own?.data)?;
            let (at, order) = known.find_in(&words)?;
            let id = foreign::number(specimen.handle.id());
            seen.push((words, at * WORD, order, id));
        }
        let (_, _, waker, _) = seen[0];
        let heads = 0..HEAD_WORDS;
        let mut found = heads.filter_map(|table| {
            let tables: Option<Vec<_>> = seen
                .iter()
                .map(|(task, ..)| words::<TABLE_WORDS>(task[table]))
                .collect();
            let tables = tables?;
            // The distance of the waker behind the offset at `at`, if it is the same in all tasks.
            let behind = |at: usize| {
                let mut behind = tables.iter().zip(&seen).map(|(table, (_, waker, ..))| {
                    waker
                        .checked_sub(table[at])
                        .filter(|rest| *rest < 32 * WORD)
                });
                let first = behind.next()??;
                behind.all(|other| other == Some(first)).then_some(first)
            };
            let has_id = |at: usize| {
                tables.iter().zip(&seen).all(|(table, (task, _, _, id))| {
                    table[at].is_multiple_of(WORD)
                        && task.get(table[at] / WORD) == Some(&(*id as usize))
                })
            };
            let (tail_offset, join_waker) =
                (0..TABLE_WORDS).find_map(|at| Some((at, behind(at)?)))?;
            let id_offset = (0..TABLE_WORDS).find(|at| has_id(*at))?;
            Some((table, tail_offset, join_waker, id_offset))
        });
        let (table, tail_offset, join_waker, id_offset) = found.next()?;
        Some(TaskLayout {
            waker,
            task_waker: first.table,
            table,
            tail_offset,
            id_offset,
            join_waker,
            set: None,
        })
    }

    /// Learns the layout of sets from a set of two tasks.
    fn set_of(&self, tasks: [usize; 2], known: WakerWords) -> Option<SetLayout> {
        let [one, other] = tasks.map(|task| {
            let head = words::<HEAD_WORDS>(task)?;
            let table = words::<TABLE_WORDS>(head[self.table])?;
            let tail = task.checked_add(table[self.tail_offset])?;
            let waker = words(tail.checked_add(self.join_waker)?)?;
            words::<ENTRY_WORDS>(self.waker.read(waker).data)
        });
        let (one, other) = (one?, other?);
        let handle = (0..ENTRY_WORDS).find(|at| [one[*at], other[*at]] == tasks)?;
        let mut both = (0..ENTRY_WORDS).filter(|at| one[*at] == other[*at]);
        both.find_map(|shared| {
            let set = words::<SET_WORDS>(one[shared])?;
            let (join_waker, order) = known.find_in(&set)?;
            (set[0] == tasks.len() + 1 && order == self.waker).then_some(SetLayout {
                shared,
                handle,
                join_waker,
            })
        })
    }

    /// The addresses of tokio's tasks, given the addresses of their wakers; 0 for a waker of another kind.
    pub(crate) fn tasks(&self, wakers: &[usize]) -> Vec<usize> {
        let mut tasks = Vec::with_capacity(wakers.len());
        for wakers in wakers.chunks(BATCH) {
            let words = NearMemory::copy(wakers).each(wakers).into_iter();
            tasks.extend(words.map(|words| {
                let waker = words.map(|words| self.waker.read(words));
                let waker = waker.filter(|waker| waker.table == self.task_waker);
                waker.map_or(0, |waker| waker.data)
            }));
        }
        tasks
    }

    /// The waiters for tokio's tasks, which are given as (address, id). Returns (id, waiter).
    pub(crate) fn joined(&self, tasks: &mut [(usize, u64)]) -> Vec<(u64, Joined)> {
        tasks.sort_unstable();
        // A program has few types of tasks.
        let mut tables = HashMap::new();
        let batches = tasks.chunks(BATCH);
        batches
            .flat_map(|batch| self.joined_of(batch, &mut tables))
            .collect()
    }

    fn joined_of(
        &self,
        tasks: &[(usize, u64)],
        tables: &mut HashMap<usize, Option<Table>>,
    ) -> Vec<(u64, Joined)> {
        let heads: Vec<usize> = tasks
            .iter()
            .map(|(task, _)| task.wrapping_add(self.table * WORD))
            .collect();
        let near = NearMemory::copy(&heads);
        let heads = tasks.iter().zip(near.each::<1>(&heads));
        let parts: Vec<_> = heads
            .filter_map(|((task, id), head)| {
                let [head] = head?;
                let table = tables.entry(head).or_insert_with(|| self.table(head));
                let Table { tail, id: place } = (*table)?;
                let waker = task.wrapping_add(tail).wrapping_add(self.join_waker);
                Some((*task, *id, waker, task.wrapping_add(place)))
            })
            .collect();
        let wakers: Vec<usize> = parts.iter().map(|(_, _, waker, _)| *waker).collect();
        let wakers = parts.iter().zip(near.each(&wakers));
        let awaited: Vec<_> = wakers
            .filter_map(|((task, id, _, place), words)| {
                let waker = self.waker.read(words?);
                (waker.table != 0).then_some((*task, *id, *place, waker))
            })
            .collect();
        // Ids are read after the wakers: a task that has the right id now had it before.
        let places: Vec<usize> = awaited.iter().map(|(_, _, place, _)| *place).collect();
        let ids = awaited.into_iter().zip(now::<1>(&places));
        let known = ids.filter(|((_, id, ..), found)| *found == Some([*id as usize]));
        let (mut joined, mut others) = (Vec::new(), Vec::new());
        for ((task, id, _, waker), _) in known {
            match joiner(waker) {
                Some(by) => joined.push((id, Joined::By(by))),
                None => others.push((task, id, waker.data)),
            }
        }
        let Some(set) = self.set else { return joined };
        let word = |at: usize| {
            let words = others
                .iter()
                .map(|(_, _, entry)| entry.wrapping_add(at * WORD));
            now::<1>(&words.collect::<Vec<usize>>())
        };
        let words = word(set.handle).into_iter().zip(word(set.shared));
        joined.extend(
            others
                .iter()
                .zip(words)
                .filter_map(|((task, id, _), (handle, shared))| {
                    let [shared] = shared.filter(|_| handle == Some([*task]))?;
                    Some((*id, Joined::InSet(shared)))
                }),
        );
        joined
    }

    fn table(&self, address: usize) -> Option<Table> {
        let table = words::<TABLE_WORDS>(address)?;
        Some(Table {
            tail: table[self.tail_offset],
            id: table[self.id_offset],
        })
    }

    /// The sets at these addresses; `None` for an address that is no set any more.
    pub(crate) fn sets(&self, sets: &[usize]) -> Vec<Option<Set>> {
        let Some(layout) = self.set else {
            return vec![None; sets.len()];
        };
        let wakers: Vec<usize> = sets
            .iter()
            .map(|set| set.wrapping_add(layout.join_waker * WORD))
            .collect();
        let sets = now::<1>(sets).into_iter().zip(now(&wakers));
        let sets = sets.map(|(count, waker)| {
            let [count] = count?;
            Some(Set {
                members: count.checked_sub(1)?,
                joiner: joiner(self.waker.read(waker?)),
            })
        });
        sets.collect()
    }
}

/// The waiter, if the waker is ours.
fn joiner(waker: WakerWords) -> Option<Joiner> {
    let (record, generation) = waker::record_and_generation(waker.data, waker.table)?;
    Some(Joiner { record, generation })
}

/// Up to N words at an address; unreadable words are 0.
fn words<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut words = [0; N];
    (own_memory::read(address, &mut words) > 0).then_some(words)
}

/// The address of the task of a `JoinHandle` or an `AbortHandle`; 0 if the handle is not a single word.
#[inline(always)]
#[expect(unsafe_code, reason = "reads the word of a handle")]
pub(crate) fn task_of<H>(handle: &H) -> usize {
    if size_of::<H>() != WORD || align_of::<H>() != WORD {
        return 0;
    }
    // SAFETY: as large as a word and aligned as one. These handles have one field with a size, which is no smaller.
    unsafe { from_ref(handle).cast::<usize>().read() }
}

/// A waker whose words are searched for.
struct Known;

impl Wake for Known {
    fn wake(self: Arc<Self>) {}
}

/// An awaited specimen task.
struct Specimen {
    handle: JoinHandle<()>,
    /// Its own waker.
    own: Rc<Cell<Option<WakerWords>>>,
}

impl Specimen {
    /// A specimen whose size depends on `kept`.
    fn new<T: 'static>(tasks: &LocalSet, kept: T) -> Self {
        let own = Rc::new(Cell::new(None));
        Specimen {
            handle: tasks.spawn_local(looked_at(own.clone(), kept)),
            own,
        }
    }
}

async fn looked_at<T>(own: Rc<Cell<Option<WakerWords>>>, kept: T) {
    poll_fn(|context| {
        own.set(Some(WakerWords::of(context.waker())));
        Poll::<()>::Pending
    })
    .await;
    drop(std::hint::black_box(kept));
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_tokio_has_what_is_looked_for() {
        let known = TaskLayout::known().unwrap();
        assert!(known.set.is_some(), "{known:?}");
        assert_eq!(known.sets(&[8]), [None]);
        assert_eq!(known.joined(&mut [(usize::MAX - 15, 2), (8, 1)]), []);
        assert_eq!(known.tasks(&[from_ref(known).addr()]), [0]);
    }
}
