//! Tasks that wait for the end of others, by a `JoinHandle` or a `JoinSet`, and for which.
//!
//! It is read where tokio keeps their wakers. A waker may be left there after its task went on, so a reader compares how many wakers
//! of the task there are with how many are known ([`Joining::wakers`]), or how many of its last poll.

#[cfg(feature = "rt")]
use super::tasks::known;
#[cfg(feature = "rt")]
use crate::registry::{
    slab,
    task::{GENERATIONS, Kind, TokioTask, View},
};
#[cfg(feature = "rt")]
use crate::source::joiners::{Joined, Joiner, Set, TaskLayout};
use std::collections::HashMap;

/// By the id of the task that waits.
#[derive(Debug, Default)]
pub(crate) struct Joins(pub(crate) HashMap<u64, Joining>);

/// A task whose waker is woken at the end of others.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "there are no tasks to wait for")
)]
pub(crate) struct Joining {
    /// Its last poll.
    pub(crate) poll: u64,
    /// How many wakers of it there are.
    pub(crate) wakers: usize,
    /// How many places registered in that poll, as far as that is kept.
    pub(crate) registered: usize,
    pub(crate) awaited: Vec<Awaited>,
}

/// What wakes it.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "there are no tasks to wait for")
)]
pub(crate) struct Awaited {
    pub(crate) end: End,
    /// The waker is of the last poll, or of one 64 polls before, or before that.
    is_of_last_poll: bool,
}

/// The end of what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "rt"),
    allow(dead_code, reason = "there are no tasks to wait for")
)]
pub(crate) enum End {
    Of(u64),
    /// Of any task of a `JoinSet`.
    OfAny {
        /// The set.
        address: usize,
        /// How many tasks and results it has.
        members: usize,
        /// Its tasks that are listed.
        tasks: Vec<u64>,
    },
}

impl Joins {
    /// As of now: none, of a program without a runtime.
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
        let mut found: HashMap<usize, Vec<(End, usize)>> = HashMap::new();
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

    /// Those of these records that wait.
    #[cfg(feature = "rt")]
    fn of(mut found: HashMap<usize, Vec<(End, usize)>>) -> Joins {
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
fn joining(view: &View, ends: Vec<(End, usize)>) -> Joining {
    let generation = view.polls as usize & (GENERATIONS - 1);
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
    /// The ends for which the task registered in its last poll, as far as that is certain: none where wakers of earlier polls may be
    /// left.
    pub(crate) fn ends(&self) -> impl Iterator<Item = &End> {
        let is_certain = self.wakers <= self.registered;
        let new = self.awaited.iter();
        let new = new.filter(move |awaited| is_certain && awaited.is_of_last_poll);
        new.map(|awaited| &awaited.end)
    }
}
