//! Tasks that wait for the end of other tasks, by a `JoinHandle` or a `JoinSet`.
//!
//! The waiters are found by the wakers that tokio keeps in the awaited tasks. A waker may stay there after its task
//! went on. So a reader compares the number of a task's wakers with the number of known ones ([`Joining::wakers`]), or
//! with the registrations of its last poll.

#[cfg(feature = "rt")]
use super::tasks::known;
#[cfg(feature = "rt")]
use crate::registry::{
    slab,
    task::{Generation, Kind, TokioTask, View},
};
#[cfg(feature = "rt")]
use crate::source::joiners::{Joined, Joiner, Set, TaskLayout};
use std::collections::HashMap;

/// By the id of the waiting task.
#[derive(Debug, Default)]
pub(crate) struct Joins(pub(crate) HashMap<u64, Joining>);

/// A task that the end of other tasks wakes.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "there are no tasks to wait for")
)]
pub(crate) struct Joining {
    /// Its last poll.
    pub(crate) poll: u64,
    /// The number of its wakers.
    pub(crate) wakers: usize,
    /// The number of registrations of that poll, as far as they are kept.
    pub(crate) registered: usize,
    pub(crate) awaited: Vec<Awaited>,
}

/// An awaited end.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "there are no tasks to wait for")
)]
pub(crate) struct Awaited {
    pub(crate) end: End,
    /// Whether the waker is of the last poll (or of one a multiple of 32,768 polls before).
    is_of_last_poll: bool,
}

/// The end that is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "there are no tasks to wait for")
)]
pub(crate) enum End {
    Of(u64),
    /// Of any task of a `JoinSet`.
    OfAny {
        /// The address of the set.
        address: usize,
        /// The number of its tasks and results.
        members: usize,
        /// Its listed tasks.
        tasks: Vec<u64>,
    },
}

impl Joins {
    /// None: there is no runtime.
    #[cfg(not(feature = "rt"))]
    pub(crate) fn take() -> Joins {
        Joins::default()
    }

    /// As of now.
    #[cfg(feature = "rt")]
    pub(crate) fn take() -> Joins {
        let Some(layout) = TaskLayout::known() else {
            return Joins::default();
        };
        let (mut tasks, mut wakers, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        slab::for_each(|record| {
            if let Some(view) = known(record) {
                match view.tokio_task {
                    TokioTask::At(task) => tasks.push((task, view.id)),
                    TokioTask::WokenBy(waker) => {
                        wakers.push(waker);
                        ids.push(view.id);
                    }
                    TokioTask::Unknown => {}
                }
            }
        });
        let woken = layout.tasks(&wakers).into_iter().zip(ids);
        tasks.extend(woken.filter(|(task, _)| *task != 0));
        let mut found: HashMap<usize, Vec<(End, Generation)>> = HashMap::new();
        let mut sets: HashMap<usize, Vec<u64>> = HashMap::new();
        for (id, joined) in layout.joined(&mut tasks) {
            match joined {
                Joined::By(Joiner { record, generation }) => {
                    found
                        .entry(record)
                        .or_default()
                        .push((End::Of(id), generation));
                }
                Joined::InSet(set) => sets.entry(set).or_default().push(id),
            }
        }
        let (addresses, members): (Vec<usize>, Vec<Vec<u64>>) = sets.into_iter().unzip();
        let sets = layout.sets(&addresses).into_iter().zip(addresses);
        for ((set, address), mut tasks) in sets.zip(members) {
            let Some(Set {
                members,
                joiner: Some(Joiner { record, generation }),
            }) = set
            else {
                continue;
            };
            tasks.sort_unstable();
            let end = End::OfAny {
                address,
                members,
                tasks,
            };
            found.entry(record).or_default().push((end, generation));
        }
        Joins::of(found)
    }

    /// Keeps the records of waiting tasks.
    #[cfg(feature = "rt")]
    fn of(mut found: HashMap<usize, Vec<(End, Generation)>>) -> Joins {
        let mut joins = HashMap::new();
        if found.is_empty() {
            return Joins::default();
        }
        slab::for_each(|record| {
            let Some(ends) = found.remove(&std::ptr::from_ref(record).addr()) else {
                return;
            };
            let waiting = known(record).filter(|view| !view.polling && view.woken.is_none());
            if let Some(view) = waiting.filter(|view| view.kind != Kind::Blocking) {
                joins.insert(view.id, joining(&view, ends));
            }
        });
        Joins(joins)
    }
}

#[cfg(feature = "rt")]
fn joining(view: &View, ends: Vec<(End, Generation)>) -> Joining {
    let generation = Generation::of_poll(view.polls);
    let awaited = ends.into_iter().map(|(end, of)| Awaited {
        end,
        is_of_last_poll: of == generation && !view.frozen,
    });
    let waits = view.waits.filter(|_| view.waits_are_new);
    Joining {
        poll: view.polls,
        wakers: view.wakers,
        registered: waits.map_or(0, |waits| usize::from(waits.len)),
        awaited: awaited.collect(),
    }
}

impl Joining {
    /// The ends that the task registered for in its last poll. None if that is uncertain because wakers of earlier
    /// polls may be left.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &End> {
        let is_certain = self.wakers <= self.registered;
        let new = self.awaited.iter();
        let new = new.filter(move |awaited| is_certain && awaited.is_of_last_poll);
        new.map(|awaited| &awaited.end)
    }
}
