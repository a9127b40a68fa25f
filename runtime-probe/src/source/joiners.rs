//! Who is woken at the end of a task: read from where tokio keeps that waker, beside the task.
//!
//! A `JoinHandle` is tokio's own type, which other crates take, so it cannot be one of ours that says who awaits it. tokio puts the
//! waker of what awaits a task into the task's own memory, and that of what awaits a `JoinSet` into memory that its tasks lead to.
//! Where exactly is learned from tasks made to be looked at ([`TaskLayout::learn`]): nothing is written down here but that such words
//! are there. A tokio in which they are not found is one of which nothing is told.
//!
//! The kernel copies what is read, so a task that ends meanwhile faults nothing. What was read is believed where it has the id of the
//! task that was asked for.
//!
//! Rejected: a `JoinHandle` of ours, under the patch only, as `Semaphore` is. With the rename no join would be told, and each
//! handle would be asked in each poll.

use super::{foreign, waker};
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
/// How much of a specimen is looked at: the largest of them is shorter.
const SPECIMEN_WORDS: usize = 128;
/// Words of the head of a task, of its table, of an entry of a set, and of what its entries share.
const HEAD_WORDS: usize = 8;
const TABLE_WORDS: usize = 16;
const ENTRY_WORDS: usize = 8;
const SET_WORDS: usize = 16;

/// As many tasks are read at once: a megabyte, where they lie near each other.
const BATCH: usize = 1024;

/// Where the words are that lead to a task's joiner.
#[derive(Debug)]
pub(crate) struct TaskLayout {
    waker: WakerLayout,
    /// The table of a waker of a task of tokio's.
    task_waker: usize,
    /// In the head of a task: the word that points to the table of its type.
    table: usize,
    /// In that table: the offset of the end part, and that of the id.
    tail_offset: usize,
    id_offset: usize,
    /// In the end part: the offset of the waker.
    join_waker: usize,
    set: Option<SetLayout>,
}

/// The same for tasks of a `JoinSet`: their waker is an entry of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SetLayout {
    /// In an entry: the word that points to what all entries share, and the one that is the handle of the task.
    shared: usize,
    handle: usize,
    /// In what they share: the waker. Its first word counts the entries and the set.
    join_waker: usize,
}

/// Of a type of tasks: the offsets of the end part and of the id.
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

    /// Where it is in `words`, and in which order.
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

/// Which record's waker it is, by the record's address, and of which generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joiner {
    pub(crate) record: usize,
    pub(crate) generation: usize,
}

/// What the end of a task wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    By(Joiner),
    /// The set that has this address.
    InSet(usize),
}

/// A `JoinSet`: how many tasks and results it has, and what waits for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) members: usize,
    pub(crate) joiner: Option<Joiner>,
}

impl TaskLayout {
    /// As far as it can be learned in this process: once.
    pub(crate) fn known() -> Option<&'static TaskLayout> {
        static KNOWN: OnceLock<Option<TaskLayout>> = OnceLock::new();
        let known = KNOWN.get_or_init(|| {
            // A set can be neither polled nor dropped everywhere.
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
            // The waker is so far behind an offset that differs between the tasks.
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

    /// Learns from two tasks of a set of two.
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

    /// tokio's tasks, by where their wakers are; 0 for what is none.
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

    /// What the end of tokio's tasks wakes, these with their addresses and their ids: a task of these for each.
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
        // After the waker: what has this id now had it then.
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

    /// Sets of tasks, by their addresses; `None` for what is none.
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

/// Of a waker of ours.
fn joiner(waker: WakerWords) -> Option<Joiner> {
    let (record, generation) = waker::record_and_generation(waker.data, waker.table)?;
    Some(Joiner { record, generation })
}

/// As far as there are so many, and zeros.
fn words<const N: usize>(address: usize) -> Option<[usize; N]> {
    let mut words = [0; N];
    (own_memory::read(address, &mut words) > 0).then_some(words)
}

/// The address of the task that a handle is of, of a `JoinHandle` or an `AbortHandle`; 0 if that is not all that it has.
#[inline(always)]
#[expect(unsafe_code, reason = "reads the word of a handle")]
pub(crate) fn task_of<H>(handle: &H) -> usize {
    if size_of::<H>() != WORD || align_of::<H>() != WORD {
        return 0;
    }
    // SAFETY: as large as a word and aligned as one. These handles have one field with a size, which is no smaller.
    unsafe { from_ref(handle).cast::<usize>().read() }
}

/// A waker that is found again by its words.
struct Known;

impl Wake for Known {
    fn wake(self: Arc<Self>) {}
}

/// A task that is awaited.
struct Specimen {
    handle: JoinHandle<()>,
    /// Its own waker.
    own: Rc<Cell<Option<WakerWords>>>,
}

impl Specimen {
    /// As large as `kept` makes it.
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
