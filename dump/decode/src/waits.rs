//! The waits of tasks for other tasks: for a lock, for the other end of a channel, for the end of a task.
//!
//! "May" in these texts: a guard or an end of a channel can still be listed among an async body's locals after a move.

use crate::model::{
    Chain, Channel, ChannelEnd, Collected, CollectionId, Detail, End, Frame, Stored, Timer,
    Unreceived,
};
use crate::numbers::{NumberMap, NumberSet, Sorted};
use crate::tokens::MOST_PARENTS;
use std::borrow::Cow;
use std::num::NonZeroU64;
use std::ops::Range;

/// The most tasks that are named.
const NAMED: usize = 5;

/// The most tasks of a collection that count as owners of an end in it. One more than are named, so that a note says that there are more.
const MOST_SHARING: usize = NAMED + 1;

/// The most tasks of a collection that are looked at for those that do not wait for a `Notify` in it.
const MOST_LOOKED_AT: usize = 1_000;

/// The most steps of a search for a cycle.
const MOST_STEPS: usize = 64;

/// The waits of all tasks.
#[derive(Debug, Default)]
pub struct Waits {
    tasks: Sorted<Task>,
    /// The waits of all tasks.
    waits: Vec<Wait>,
    /// The tasks that may hold a lock, by its semaphore.
    holders: NumberMap<u64, Vec<u64>>,
    /// The tasks that have an end of a channel, sorted by channel and end; each once.
    ends: Vec<Owned>,
    /// The number of senders among these, which come first.
    senders: usize,
    /// The ends in messages, sorted; each once.
    unreceived: Vec<Unreceived>,
    /// The tasks that have a `Notify` and do not wait for it themselves, sorted by `Notify`; each once.
    notifiers: Vec<(u64, u64)>,
    /// The `Notify` of the parent of a cancellation token, by the token's one.
    parents: NumberMap<u64, u64>,
    /// Each `Notify` that a task waits for, with those of its parents.
    notified: NumberSet<u64>,
    /// The tasks that were given permits and do not take them, by semaphore.
    given: NumberMap<u64, Vec<u64>>,
    /// The number of tasks that wait for permits, by semaphore.
    waiting: NumberMap<u64, usize>,
}

#[derive(Debug, Default)]
struct Task {
    /// The indices of its waits.
    waits: Range<u32>,
    /// Whether the task has one wait only, without a time limit.
    is_only: bool,
}

/// A wait of a task.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// A wait for permits of this semaphore.
    Permits(u64),
    Channel(ChannelEnd),
    /// A wait for the end of this task.
    Join(u64),
}

/// A task that has an end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    task: u64,
    /// Whether an async block has only captured the end. The block may have moved it since.
    is_captured: bool,
    /// Whether the program has ends of this type where the decoder does not look. The end may have been moved there.
    is_elsewhere: bool,
}

/// The end and the address of a channel, and a task that has it. Sorted by the end first: many waits are for senders that
/// no task has, and the searches for these are in one place.
type Owned = (End, u64, Owner);

fn tasks_of(owned: &[Owned]) -> impl ExactSizeIterator<Item = u64> + Clone {
    owned.iter().map(|(.., owner)| owner.task)
}

/// The tasks that have collections.
#[derive(Debug, Default)]
struct Sharing(Vec<(CollectionId, u64)>);

impl Sharing {
    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// The tasks that have a collection, the lowest id first.
    fn tasks(&self, collection: CollectionId) -> impl Iterator<Item = u64> {
        let tasks = group(&self.0, collection, |(of, _)| *of);
        tasks.iter().map(|(_, task)| *task)
    }
}

/// Whether the end is a `Notify`.
fn is_notifier(one: &Collected) -> bool {
    one.is_notify && one.end == End::Sender
}

/// Whether a task is among these owners of one end.
fn has(owned: &[Owned], task: u64) -> bool {
    owned
        .binary_search_by_key(&task, |(.., owner)| owner.task)
        .is_ok()
}

/// The tasks that may have an end.
#[derive(Debug)]
struct Owners<'w> {
    /// The tasks with the end in a variable.
    with_locals: &'w [Owned],
    /// The tasks whose unreceived messages have the end.
    with_messages: Cow<'w, [Owned]>,
}

/// Tasks that each wait for the next one, the last one for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Each task, and the text that names its wait before the next task: `room in a channel whose Receiver may be
    /// with`.
    steps: Vec<(u64, &'static str)>,
    is_of_locks: bool,
}

impl Cycle {
    /// The tasks of the cycle.
    pub fn tasks(&self) -> impl Iterator<Item = u64> + Clone {
        self.steps.iter().map(|(task, _)| *task)
    }

    /// Whether all of its waits are for locks.
    pub fn is_of_locks(&self) -> bool {
        self.is_of_locks
    }

    /// The cycle as text: `goroutine 7 waits for the end of goroutine 9; goroutine 9 waits for a message of a channel
    /// whose only Sender may be with goroutine 7`. `name` returns the names of tasks.
    pub fn text(&self, name: &dyn Fn(u64) -> String) -> String {
        let steps = self.with_next().map(|(task, what, next)| {
            let other = match next == task {
                true => "that very task".to_owned(),
                false => name(next),
            };
            format!("{} waits for {what} {other}", name(task))
        });
        steps.collect::<Vec<_>>().join("; ")
    }

    /// The cycle as text without the waits: `7 waits for 9, 9 waits for 7`.
    fn numbers(&self) -> String {
        let steps = self
            .with_next()
            .map(|(task, _, next)| format!("{task} waits for {next}"));
        steps.collect::<Vec<_>>().join(", ")
    }

    /// Each step with the next task.
    fn with_next(&self) -> impl Iterator<Item = (u64, &'static str, u64)> {
        let next = self.tasks().cycle().skip(1);
        let steps = self.steps.iter().zip(next);
        steps.map(|((task, what), next)| (*task, *what, next))
    }
}

impl Waits {
    /// Collects the waits of tasks, given as id, `is_waiting` and chain. A task that does not wait has only ends and
    /// guards. Roots of `block_on` have ends as the task 0. Their waits are in no cycle, but notes ask for the other ends.
    pub fn of<'c>(
        tasks: impl Iterator<Item = (u64, bool, &'c Chain)>,
        roots: impl Iterator<Item = &'c Chain>,
        stored: Stored,
    ) -> Self {
        let mut waits = Self {
            unreceived: stored.unreceived,
            ..Self::default()
        };
        let parents = stored.parents.iter();
        waits.parents = parents.map(|one| (one.notify, one.parent)).collect();
        let mut sharing = Sharing::default();
        // The channels that tasks wait for room in.
        let mut filled = Vec::new();
        let mut waiting = Vec::with_capacity(tasks.size_hint().0);
        for (id, is_waiting, chain) in tasks {
            let first = waits.waits.len();
            waits.add(id, chain, &mut sharing, &mut filled);
            for kept in &chain.kept {
                waits.given.entry(kept.semaphore).or_default().push(id);
            }
            let after = waits.waits.len();
            if first < after
                && let (Ok(start), Ok(end)) = (u32::try_from(first), u32::try_from(after))
            {
                let task = Task {
                    waits: start..end,
                    is_only: is_waiting && after - first == 1 && is_single(chain),
                };
                waiting.push((id, task));
            }
        }
        waits.tasks = Sorted::of(waiting);
        let mut asked: NumberSet<(u64, End)> = NumberSet::default();
        for chain in roots {
            waits.add(0, &chain.only_ends(), &mut sharing, &mut filled);
            add_other_ends(chain, &mut asked);
        }
        asked.extend(filled.into_iter().map(|channel| (channel, End::Receiver)));
        waits.unreceived.sort_unstable();
        waits.unreceived.dedup();
        waits.add_parents();
        sharing.sort();
        let mut collected = stored.collected;
        if !collected.is_empty() {
            let awaited = waits.awaited();
            collected.retain(|one| awaited.contains(&one.channel));
        }
        collected.sort_unstable();
        collected.dedup();
        waits.add_collected(&collected, &sharing);
        waits.keep_other_ends(asked, &collected);
        waits.ends.sort_unstable();
        // An end that is not captured stands before one that is.
        waits
            .ends
            .dedup_by(|(end, channel, other), (which, of, owner)| {
                let is_same = (*end, *channel, other.task) == (*which, *of, owner.task);
                if is_same {
                    owner.is_elsewhere |= other.is_elsewhere;
                }
                is_same
            });
        waits.senders = waits.ends.partition_point(|(end, ..)| *end == End::Sender);
        waits.add_notifiers_by(&collected, &sharing);
        waits.notifiers.sort_unstable();
        waits.notifiers.dedup();
        let mut notifiers = std::mem::take(&mut waits.notifiers);
        notifiers.retain(|(notify, task)| {
            let waiting = waits.with((*notify, End::Receiver));
            !has(waiting, *task)
        });
        waits.notifiers = notifiers;
        let mut waiting: NumberMap<u64, usize> = NumberMap::default();
        for semaphore in waits.all().filter_map(Wait::semaphore) {
            *waiting.entry(semaphore).or_default() += 1;
        }
        waits.waiting = waiting;
        waits
    }

    /// The channels whose ends notes and cycles ask for: tasks wait at them, or they have messages with ends.
    fn awaited(&self) -> NumberSet<u64> {
        let channels = self.all().filter_map(|wait| match wait {
            Wait::Channel(end) => Some(end.channel),
            Wait::Permits(_) | Wait::Join(_) => None,
        });
        let inboxes = self.unreceived.iter().map(|one| one.inbox);
        let notifies = self.notified.iter().copied();
        channels.chain(inboxes).chain(notifies).collect()
    }

    /// Removes the ends that no note and no cycle asks for: most waits are at receivers, and ask for senders only. `asked` has
    /// the ends that notes of roots ask for, and the receivers of channels that tasks wait for room in.
    fn keep_other_ends(&mut self, mut asked: NumberSet<(u64, End)>, collected: &[Collected]) {
        let asks = |wait: &Wait| match wait {
            Wait::Channel(end) => Some((end.channel, end.end.other())),
            Wait::Permits(_) | Wait::Join(_) => None,
        };
        asked.extend(self.waits.iter().filter_map(asks));
        let inboxes = self.unreceived.iter().map(|one| one.inbox);
        let notifies = self.notifiers.iter().map(|(notify, _)| *notify);
        let collected = collected.iter().map(|one| one.channel);
        let others = inboxes.chain(notifies).chain(collected);
        asked.extend(others.map(|channel| (channel, End::Receiver)));
        let notified = self.notified.iter().copied();
        asked.extend(notified.map(|notify| (notify, End::Receiver)));
        self.ends
            .retain(|(end, channel, _)| asked.contains(&(*channel, *end)));
    }

    /// Adds the parents of each `Notify` that a task waits for.
    fn add_parents(&mut self) {
        let mut next: Vec<u64> = self.notified.iter().copied().collect();
        while let Some(notify) = next.pop() {
            if let Some(parent) = self.parents.get(&notify)
                && self.notified.insert(*parent)
            {
                next.push(*parent);
            }
        }
    }

    /// Adds the tasks that have ends in collections. No cycle goes through these: an end in a collection may be in another one since.
    fn add_collected(&mut self, collected: &[Collected], sharing: &Sharing) {
        for one in collected.iter().filter(|one| !is_notifier(one)) {
            let tasks = sharing.tasks(one.collection).take(MOST_SHARING);
            let owners = tasks.map(|task| Owner {
                task,
                is_captured: false,
                is_elsewhere: true,
            });
            let owned = owners.map(|owner| (one.end, one.channel, owner));
            self.ends.extend(owned);
        }
    }

    /// Adds the tasks that have a `Notify` in a collection and do not wait for it.
    fn add_notifiers_by(&mut self, collected: &[Collected], sharing: &Sharing) {
        for one in collected.iter().filter(|one| is_notifier(one)) {
            let waiting = self.with((one.channel, End::Receiver));
            let tasks = sharing.tasks(one.collection).take(MOST_LOOKED_AT);
            let tasks = tasks.filter(|task| !has(waiting, *task));
            let notifiers = tasks.take(MOST_SHARING).map(|task| (one.channel, task));
            let notifiers = notifiers.collect::<Vec<_>>();
            self.notifiers.extend(notifiers);
        }
    }

    fn add(&mut self, id: u64, chain: &Chain, sharing: &mut Sharing, filled: &mut Vec<u64>) {
        let channel_of = |semaphore: u64| {
            chain.details.iter().find_map(|detail| match detail {
                Detail::End(end) if is_of(*end, semaphore) => Some(*end),
                _ => None,
            })
        };
        for detail in &chain.details {
            match *detail {
                Detail::MayHold(semaphore) => {
                    let holders = self.holders.entry(semaphore).or_default();
                    if !holders.contains(&id) {
                        holders.push(id);
                    }
                }
                Detail::Acquires { semaphore, .. } => {
                    let channel = channel_of(semaphore);
                    let wait = channel.map_or(Wait::Permits(semaphore), Wait::Channel);
                    self.waits.push(wait);
                }
                Detail::End(end) => {
                    // A wait for a `Notify` leads nowhere, and may be a part of a wait for a channel.
                    if end.waits && end.end == End::Receiver {
                        match end.kind {
                            Channel::Notify => _ = self.notified.insert(end.channel),
                            _ => self.waits.push(Wait::Channel(end)),
                        }
                    }
                    if end.waits && end.end == End::Sender {
                        filled.push(end.channel);
                    }
                    let owner = Owner {
                        task: id,
                        is_captured: end.is_captured,
                        is_elsewhere: end.is_elsewhere,
                    };
                    match (end.kind, end.end) {
                        (Channel::Notify, End::Sender) => self.notifiers.push((end.channel, id)),
                        _ => self.ends.push((end.end, end.channel, owner)),
                    }
                }
                Detail::Collection(collection) => sharing.0.push((collection, id)),
                Detail::Joins(other) if other != 0 => self.waits.push(Wait::Join(other)),
                _ => {}
            }
        }
        for branch in &chain.branches {
            self.add(id, branch, sharing, filled);
        }
    }

    /// The number of tasks that wait for permits of a semaphore.
    pub fn waiting_for(&self, semaphore: u64) -> usize {
        self.waiting.get(&semaphore).copied().unwrap_or(0)
    }

    /// The tasks that may end the wait `detail` of the task `id`: `given to goroutine 7, which has not taken it`, `may
    /// be held by goroutine 7, 9`, `its Receiver may be with goroutine 7`,
    /// `goroutine 7 may notify it`.
    pub fn others(&self, detail: &Detail, id: u64) -> Option<String> {
        match detail {
            Detail::Acquires { semaphore, .. } => match self.given.get(semaphore) {
                Some(given) if given.contains(&id) => Some("given to this very task".into()),
                Some(given) => Some(format!(
                    "given to goroutine {}, which has not taken it",
                    named(given.iter().copied(), None)
                )),
                None => {
                    let holders = self.holders.get(semaphore)?;
                    Some(format!(
                        "may be held by goroutine {}",
                        named(holders.iter().copied(), None)
                    ))
                }
            },
            Detail::End(end) if end.waits && end.kind == Channel::Notify => {
                let tasks = self.all_notifiers(end.channel);
                (!tasks.is_empty())
                    .then(|| format!("goroutine {} may notify it", named(tasks.into_iter(), None)))
            }
            Detail::End(end) if end.waits => self.owners(end).text(end, id),
            _ => None,
        }
    }

    /// The tasks that have this end of a channel in a variable.
    fn with(&self, (channel, end): (u64, End)) -> &[Owned] {
        // In many programs no task has a sender.
        let (senders, receivers) = self.ends.split_at(self.senders);
        let ends = match end {
            End::Sender => senders,
            End::Receiver => receivers,
        };
        group(ends, channel, |(_, channel, _)| *channel)
    }

    /// The tasks with a `Notify` that do not wait for it themselves, each behind the address of the `Notify`.
    fn notifiers(&self, notify: u64) -> &[(u64, u64)] {
        group(&self.notifiers, notify, |(notify, _)| *notify)
    }

    /// The tasks that may notify a `Notify`. For a cancellation token these are also the tasks that have a parent of it, and wait for none
    /// of both.
    fn all_notifiers(&self, notify: u64) -> Vec<u64> {
        let mut tasks: Vec<u64> = Vec::new();
        let waiting = self.with((notify, End::Receiver));
        let mut of = Some(notify);
        for _ in 0..=MOST_PARENTS {
            let Some(one) = of else { break };
            let others = self.notifiers(one).iter().map(|(_, task)| *task);
            tasks.extend(
                others
                    .filter(|task| !has(waiting, *task))
                    .take(MOST_SHARING),
            );
            of = self.parents.get(&one).copied();
        }
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }

    /// The tasks that have the other end. If the other end is in a message and there is no second one, these are the tasks
    /// with the message only: a variable with the same end was moved into it.
    fn owners(&self, end: &ChannelEnd) -> Owners<'_> {
        let other = end.end.other();
        let key = (end.channel, other);
        let unreceived = group(&self.unreceived, key, |one| (one.channel, one.end));
        let with_messages = match unreceived {
            [] => Cow::default(),
            [only] => self.with((only.inbox, End::Receiver)).into(),
            several => {
                let all = several
                    .iter()
                    .flat_map(|one| self.with((one.inbox, End::Receiver)));
                let mut all = all.copied().collect::<Vec<_>>();
                all.sort_unstable_by_key(|(.., owner)| *owner);
                all.dedup_by_key(|(.., owner)| owner.task);
                all.into()
            }
        };
        let is_unique = other == End::Receiver || end.senders.unwrap_or(1) == 1;
        Owners {
            with_locals: match is_unique && !with_messages.is_empty() {
                true => &[],
                false => self.with(key),
            },
            with_messages,
        }
    }

    /// All waits.
    fn all(&self) -> impl Iterator<Item = &Wait> {
        let tasks = self.tasks.iter();
        tasks.flat_map(|(_, task)| self.waits_of(task))
    }

    fn waits_of(&self, task: &Task) -> &[Wait] {
        &self.waits[task.waits.start as usize..task.waits.end as usize]
    }

    /// The tasks that may end a wait of the task `id`, with the text that names the wait.
    fn next(&self, id: u64) -> Vec<(u64, &'static str, Wait)> {
        let mut next = Vec::new();
        let waits = self
            .tasks
            .get(id)
            .map_or(&[][..], |task| self.waits_of(task));
        for wait in waits {
            match wait {
                Wait::Permits(semaphore) => {
                    let holders = self.holders.get(semaphore).into_iter().flatten();
                    next.extend(holders.map(|to| (*to, "a lock that may be held by", *wait)));
                }
                Wait::Join(to) if self.tasks.contains(*to) => {
                    next.push((*to, "the end of", *wait));
                }
                Wait::Join(_) => {}
                Wait::Channel(end) => {
                    // Any sender may send, also a sender that was not found.
                    let has_more = end.has_weak_senders || end.senders.unwrap_or(1) != 1;
                    if end.end == End::Receiver && has_more {
                        continue;
                    }
                    // A variable that was borrowed is listed after a move, so a second owner may be the one that has the
                    // end, as may a place that is not read.
                    let owners = self.owners(end);
                    let (owner, is_local) = match (owners.with_locals, &*owners.with_messages) {
                        ([(.., owner)], []) => (owner, true),
                        ([], [(.., owner)]) => (owner, false),
                        _ => continue,
                    };
                    if owner.is_elsewhere {
                        continue;
                    }
                    match (end.end, is_local) {
                        (End::Sender, true) => next.push((owner.task, ROOM, *wait)),
                        (End::Sender, false) => next.push((owner.task, ROOM_UNRECEIVED, *wait)),
                        (End::Receiver, false) => next.push((owner.task, UNRECEIVED, *wait)),
                        // A captured sender was often moved to another task.
                        (End::Receiver, true) if owner.is_captured => {}
                        (End::Receiver, true) => next.push((owner.task, MESSAGE, *wait)),
                    }
                }
            }
        }
        next
    }

    /// The cycle that a task may be in.
    fn cycle_of(&self, id: u64, only: bool) -> Option<Cycle> {
        // Most tasks wait for no other one.
        self.tasks.get(id)?;
        let mut cycle = Cycle {
            steps: Vec::new(),
            is_of_locks: true,
        };
        let mut seen = NumberSet::default();
        self.leads_back(id, id, only, &mut cycle, &mut seen)
            .then_some(cycle)
    }

    fn leads_back(
        &self,
        from: u64,
        to: u64,
        only: bool,
        cycle: &mut Cycle,
        seen: &mut NumberSet<u64>,
    ) -> bool {
        let is_only = self.tasks.get(from).is_some_and(|task| task.is_only);
        if cycle.steps.len() > MOST_STEPS || (only && !is_only) {
            return false;
        }
        let next = self.next(from);
        if only && next.len() != 1 {
            return false;
        }
        for (other, what, wait) in next {
            let was_of_locks = cycle.is_of_locks;
            cycle.steps.push((from, what));
            cycle.is_of_locks &= matches!(wait, Wait::Permits(_));
            // A task that waits for a lock that it holds itself is a cycle, too.
            if other == to || (seen.insert(other) && self.leads_back(other, to, only, cycle, seen))
            {
                return true;
            }
            cycle.steps.pop();
            cycle.is_of_locks = was_of_locks;
        }
        false
    }

    /// The cycle as a note: `may be in a cycle of locks: 7 waits for 9, 9 waits for 7`. A task that waits for something else, too, has a
    /// note on a cycle of locks only.
    pub fn cycle(&self, id: u64) -> Option<String> {
        let of_locks = || self.cycle_of(id, false).filter(|cycle| cycle.is_of_locks);
        let cycle = self.cycle_of(id, true).or_else(of_locks)?;
        let of = match cycle.is_of_locks {
            true => "locks",
            false => "waits",
        };
        Some(format!("may be in a cycle of {of}: {}", cycle.numbers()))
    }

    /// The cycles of tasks that have no other wait and no time limit. Each cycle begins with its lowest id.
    pub fn cycles(&self) -> Vec<Cycle> {
        let mut told: NumberSet<u64> = NumberSet::default();
        let mut cycles = Vec::new();
        let alone = self.tasks.iter().filter(|(_, task)| task.is_only);
        for id in alone.map(|(id, _)| *id) {
            if !told.contains(&id)
                && let Some(cycle) = self.cycle_of(id, true)
            {
                told.extend(cycle.tasks());
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// A sentence for each future that keeps permits from waiting tasks.
    pub fn futurelocks<'c>(
        &self,
        chains: impl Iterator<Item = (u64, &'c Chain)>,
        frames: &[Frame],
    ) -> Vec<String> {
        let told = chains.flat_map(|(id, chain)| {
            chain.kept.iter().filter_map(move |kept| {
                let waiting = self.waiting_for(kept.semaphore);
                let wait = if waiting == 1 { "waits" } else { "wait" };
                (waiting > 0).then(|| {
                    format!(
                        "futurelock: goroutine {id} {}: {waiting} {wait} behind it",
                        kept.text(frames)
                    )
                })
            })
        });
        told.collect()
    }
}

const ROOM: &str = "room in a channel whose Receiver may be with";
const ROOM_UNRECEIVED: &str = "room in a channel whose Receiver may be in a message for";
const UNRECEIVED: &str = "a message of a channel whose only Sender may be in a message for";
const MESSAGE: &str = "a message of a channel whose only Sender may be with";

impl Owners<'_> {
    /// The tasks as text, for the task `id`, which waits at `end`.
    fn text(&self, end: &ChannelEnd, id: u64) -> Option<String> {
        let count = self.with_locals.len() + self.with_messages.len();
        let which = match (end.end, end.senders) {
            (End::Sender, _) => "its Receiver",
            (End::Receiver, Some(1)) => "its only Sender",
            (End::Receiver, None) => "its Sender",
            (End::Receiver, Some(senders)) if senders as usize == count => "its Senders",
            (End::Receiver, Some(_)) => "Senders of it",
        };
        let has = match self.with_messages.len() {
            1 => "has",
            _ => "have",
        };
        let locals = || named(tasks_of(self.with_locals), Some(id));
        let messages = || named(tasks_of(&self.with_messages), Some(id));
        let place = match (self.with_locals, &*self.with_messages) {
            ([], []) => return None,
            (_, []) => format!("with {}", locals()),
            ([], _) => format!("in a message that {} {has} not received", messages()),
            _ => format!(
                "with {} and in a message that {} {has} not received",
                locals(),
                messages()
            ),
        };
        Some(format!("{which} may be {place}"))
    }
}

/// Adds the other ends of the channels that a chain waits at.
fn add_other_ends(chain: &Chain, to: &mut NumberSet<(u64, End)>) {
    for detail in &chain.details {
        if let Detail::End(end) = detail
            && end.waits
        {
            to.insert((end.channel, end.end.other()));
        }
    }
    for branch in &chain.branches {
        add_other_ends(branch, to);
    }
}

/// The rows with this key, of rows that are sorted by it.
fn group<T, K: Ord>(rows: &[T], key: K, key_of: impl Fn(&T) -> K) -> &[T] {
    let first = rows.partition_point(|row| key_of(row) < key);
    let rows = &rows[first..];
    let after = rows.partition_point(|row| key_of(row) <= key);
    &rows[..after]
}

impl Wait {
    fn semaphore(&self) -> Option<u64> {
        match self {
            Wait::Permits(semaphore) => Some(*semaphore),
            Wait::Channel(end) if end.end == End::Sender => end.semaphore.map(NonZeroU64::get),
            Wait::Channel(_) | Wait::Join(_) => None,
        }
    }
}

/// Whether the wait for room at this end is a wait for this semaphore.
pub(crate) fn is_of(end: ChannelEnd, semaphore: u64) -> bool {
    end.waits && end.semaphore.map(NonZeroU64::get) == Some(semaphore)
}

/// Whether the chain has one leaf, and on the way to it neither a time limit nor a future that may poll more.
fn is_single(chain: &Chain) -> bool {
    let is_limit = |detail: &Detail| {
        matches!(
            detail,
            Detail::PollsMore
                | Detail::Fires {
                    what: Timer::Timeout,
                    ..
                }
        )
    };
    chain.branches.is_empty() && chain.cut.is_none() && !chain.details.iter().any(is_limit)
}

/// Formats `7, 9`, or the first of many. With `this` the text is `goroutine 7, 9`, or `this very task`.
fn named(tasks: impl ExactSizeIterator<Item = u64> + Clone, this: Option<u64>) -> String {
    if tasks.len() == 1 && this.is_some() && tasks.clone().next() == this {
        return "this very task".into();
    }
    let count = tasks.len();
    let first = tasks.take(NAMED).map(|task| task.to_string());
    let first = first.collect::<Vec<_>>();
    let more = if count > NAMED { ", ..." } else { "" };
    let before = if this.is_some() { "goroutine " } else { "" };
    format!("{before}{}{more}", first.join(", "))
}
