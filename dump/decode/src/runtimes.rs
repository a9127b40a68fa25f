//! Runtimes and their tasks.
//!
//! A runtime is found through the threads that are inside it, by tokio's context, a thread-local variable. Only its
//! lists of tasks are trusted. Other memory that looks like a task may be freed or a copy.

use super::layout::Layout;
use super::list::{ListWalk, Step};
use super::memory::Reader;
use super::model::{Body, Chain, Dump, Kind, Runtime, State, Task};
use super::{Budget, Decoder, Look, Process};
use crate::debug::index::{Die, Poll};
use crate::debug::types::{Enum, Member, Shape, Types};
use std::collections::HashSet;
use std::rc::Rc;

/// Bits of a task's state word, from tokio's `runtime/task/state.rs`. Constants are not in the debug information.
const RUNNING: u64 = 1;
const COMPLETE: u64 = 1 << 1;
const NOTIFIED: u64 = 1 << 2;
const JOIN_INTEREST: u64 = 1 << 3;
const CANCELLED: u64 = 1 << 5;
const REFERENCES_SHIFT: u32 = 6;

/// The most lists of a runtime. It has one for each part of its lock; tokio makes up to 4 for each worker.
const MOST_LISTS: u64 = 1 << 16;

/// The most nested enums between a context and its scheduler.
const MOST_LEVELS: usize = 12;

/// The runtime and task that a thread is inside of.
struct Inside {
    thread: u32,
    /// The address and type of the scheduler.
    scheduler: Option<(u64, Die)>,
    task: Option<u64>,
}

/// Whether a task with this state word waits to be woken.
pub fn is_waiting(word: u64) -> bool {
    word & (RUNNING | COMPLETE | NOTIFIED) == 0
}

impl Decoder<'_, '_, '_> {
    pub(crate) fn find_tasks(
        &mut self,
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
        look: Look,
        dump: &mut Dump,
    ) {
        let inside: Vec<Inside> = process
            .threads
            .iter()
            .filter_map(|thread| {
                let variables = thread.pointer.checked_sub(process.thread_locals)?;
                self.context(thread.tid, variables, reader)
            })
            .collect();
        let mut schedulers: Vec<(u64, Die)> = Vec::new();
        for (address, of) in inside.iter().filter_map(|inside| inside.scheduler) {
            if schedulers.iter().all(|(known, _)| *known != address) {
                schedulers.push((address, of));
            }
        }
        let certain = schedulers.len();
        for (address, of) in process.seeds {
            if schedulers.iter().all(|(known, _)| known != address) {
                schedulers.push((*address, *of));
            }
        }
        self.schedulers = schedulers.iter().map(|(address, _)| *address).collect();
        let mut left = budget.tasks;
        for (place, (address, of)) in schedulers.into_iter().enumerate() {
            let before = (dump.tasks.len(), left);
            let Some((lists, counted)) = self.lists(address, of, reader) else {
                continue;
            };
            let mut runtime = Runtime {
                address,
                kind: kind_of(&self.types.get(of).path),
                counted,
                listed: 0,
                is_whole: true,
                threads: 0,
                workers: self.workers(address, of, reader),
            };
            runtime.threads = inside
                .iter()
                .filter(|inside| inside.scheduler.is_some_and(|(known, _)| known == address))
                .count() as u32;
            let number = dump.runtimes.len() as u32;
            for head in lists {
                let mut walk = ListWalk::default();
                let mut at = head;
                while at != 0 {
                    if left == 0 {
                        runtime.is_whole = false;
                        break;
                    }
                    left -= 1;
                    let Some((layout, poll)) = self.task_at(at, process.bias, reader) else {
                        runtime.is_whole = false;
                        break;
                    };
                    let prev = reader.word(at.wrapping_add(layout.prev));
                    let links = |other| self.links(other, process.bias, reader);
                    match walk.step(at, prev.unwrap_or(u64::MAX), links) {
                        Step::This => {}
                        Step::First(other) => {
                            at = other;
                            continue;
                        }
                        Step::Broken => {
                            runtime.is_whole = false;
                            break;
                        }
                    }
                    let of = (&*layout, poll);
                    if look == Look::Decode {
                        let mut task = self.task(at, of, process, reader, budget);
                        task.runtime = number;
                        let by = |inside: &&Inside| task.id != 0 && inside.task == Some(task.id);
                        task.thread = inside.iter().find(by).map(|inside| inside.thread);
                        dump.tasks.push(task);
                    } else {
                        self.touch_task(at, of, process, reader, budget, look);
                    }
                    runtime.listed += 1;
                    at = reader.word(at.wrapping_add(layout.next)).unwrap_or(0);
                }
            }
            // A list and its count change one after the other, so threads inside may cause a small difference. A
            // proposed scheduler must match exactly.
            let between = match place < certain {
                true => process.threads.len() as u64,
                false => 0,
            };
            runtime.is_whole &= runtime
                .counted
                .is_none_or(|counted| counted.abs_diff(runtime.listed) <= between);
            if place >= certain && (!runtime.is_whole || runtime.listed == 0) {
                dump.tasks.truncate(before.0);
                left = before.1;
                continue;
            }
            for mut task in self.queued_closures(address, of, process, reader, budget) {
                task.runtime = number;
                if look == Look::Decode {
                    dump.tasks.push(task);
                }
            }
            dump.runtimes.push(runtime);
        }
        let ids: HashSet<u64> = dump.tasks.iter().map(|task| task.id).collect();
        dump.unlisted = inside
            .iter()
            .filter_map(|inside| Some((inside.thread, inside.task?)))
            .filter(|(_, task)| !ids.contains(task))
            .collect();
        for thread in process.threads {
            let Some(mut root) = self.root(thread, process, reader, budget) else {
                continue;
            };
            let of = inside.iter().find(|inside| inside.thread == thread.tid);
            let scheduler = of.and_then(|inside| inside.scheduler);
            let runtime = dump.runtimes.iter().position(|runtime| {
                scheduler.is_some_and(|(address, _)| address == runtime.address)
            });
            root.runtime = runtime.unwrap_or(0) as u32;
            dump.tasks.push(root);
        }
    }

    /// The types of the schedulers of this program's tasks.
    pub fn schedulers(&mut self) -> Vec<Die> {
        let polls: Vec<Poll> = self.types.index.polls.values().flatten().copied().collect();
        let mut all: Vec<Die> = polls
            .into_iter()
            .filter_map(|poll| {
                let (_, of) = self.layout(poll)?.scheduler?;
                Some(self.behind_arc(0, of)?.1)
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The contents of tokio's context of a thread.
    fn context(&self, thread: u32, variables: u64, reader: &Reader<'_>) -> Option<Inside> {
        let index = self.types.index;
        let (offset, of) = index.contexts.iter().find_map(|variable| {
            let of = variable.of;
            let (inner, of) = self
                .types
                .find_type(of, "tokio::runtime::context::Context")?;
            Some((variable.offset + inner, of))
        })?;
        let at = variables.checked_add(offset)?;
        let scheduler = self
            .types
            .find(of, "handle")
            .and_then(|(handle, of)| self.scheduler(at.wrapping_add(handle), of, reader));
        let task = self
            .types
            .find(of, "current_task_id")
            .and_then(|(id, _)| reader.word(at.wrapping_add(id)));
        Some(Inside {
            thread,
            scheduler,
            task: task.filter(|id| *id != 0),
        })
    }

    /// Follows wrappers and active variants down to a type whose path begins with `prefix`.
    pub(crate) fn within(
        &self,
        (at, die): (u64, Die),
        prefix: &str,
        reader: &Reader<'_>,
    ) -> Option<(u64, Die)> {
        let (mut at, mut die) = (at, die);
        for _ in 0..MOST_LEVELS {
            let of = self.types.get(die);
            if of.path.starts_with(prefix) {
                return Some((at, die));
            }
            let (offset, inner) = match &of.shape {
                Shape::Enum(variants) => {
                    let member = active_member(variants, at, reader)?;
                    (member.offset, member.of)
                }
                Shape::Structure(members) => {
                    let mut sized = members
                        .iter()
                        .filter(|member| self.types.get(member.of).size > 0);
                    let only = sized.next()?;
                    (only.offset, only.of)
                }
                _ => return None,
            };
            at = at.checked_add(offset)?;
            die = inner;
        }
        None
    }

    /// Follows an optional handle through its variants, and its `Arc`, to the scheduler.
    pub(crate) fn scheduler(&self, at: u64, of: Die, reader: &Reader<'_>) -> Option<(u64, Die)> {
        let (mut at, mut die) = (at, of);
        for _ in 0..MOST_LEVELS {
            let of = self.types.get(die);
            if of.path.starts_with("alloc::sync::Arc<") {
                return self.arc(at, die, reader);
            }
            let (offset, inner) = match &of.shape {
                Shape::Enum(variants) => {
                    let member = active_member(variants, at, reader)?;
                    (member.offset, member.of)
                }
                Shape::Structure(members) => {
                    // A cell has a borrow flag beside its value.
                    let holds = |die| self.types.find_type(die, "alloc::sync::Arc<").is_some();
                    let value = members.iter().find(|member| {
                        member.name == "value" || member.name == "__0" || holds(member.of)
                    })?;
                    (value.offset, value.of)
                }
                _ => return None,
            };
            at = at.checked_add(offset)?;
            die = inner;
        }
        None
    }

    /// The data of an `Arc`.
    pub(crate) fn arc(&self, at: u64, of: Die, reader: &Reader<'_>) -> Option<(u64, Die)> {
        self.behind_arc(reader.word(at)?, of)
    }

    /// The data after the counts that an `Arc` points to.
    pub(crate) fn behind_arc(&self, pointer: u64, of: Die) -> Option<(u64, Die)> {
        let inner = self.types.pointee(of)?;
        let (offset, data) = self.types.find(inner, "data")?;
        Some((pointer.checked_add(offset)?, data))
    }

    /// The heads of the lists of a scheduler's tasks, and the scheduler's own count of tasks.
    pub(crate) fn lists(
        &self,
        at: u64,
        of: Die,
        reader: &Reader<'_>,
    ) -> Option<(Vec<u64>, Option<u64>)> {
        self.lists_at(at, of, "head", reader)
    }

    /// The ends of the lists, `head` or `tail`, and the scheduler's own count of tasks.
    pub(crate) fn lists_at(
        &self,
        at: u64,
        of: Die,
        end: &'static str,
        reader: &Reader<'_>,
    ) -> Option<(Vec<u64>, Option<u64>)> {
        const SHARDED: &str = "tokio::util::sharded_list::ShardedList<";
        const LIST: &str = "tokio::util::linked_list::LinkedList<";
        if let Some((offset, sharded)) = self.types.find_type(of, SHARDED) {
            let at = at.checked_add(offset)?;
            let (lists, of) = self.types.find(sharded, "lists")?;
            let (pointer, length, each) = self.slice(of)?;
            let first = reader.word(at.wrapping_add(lists + pointer))?;
            let length = reader.word(at.wrapping_add(lists + length))?;
            if length > MOST_LISTS {
                return None;
            }
            let size = self.types.get(each).size;
            let (head, _) = self.types.find(each, end)?;
            let heads = (0..length)
                .map(|number| reader.word(first.wrapping_add(number * size).wrapping_add(head)));
            let counted = self.types.find(sharded, "count").and_then(|(count, of)| {
                let (inner, number) = self.types.peel(of);
                let size = self.types.get(number).size;
                reader.number(at.wrapping_add(count + inner), size)
            });
            let counted = counted.and_then(|counted| u64::try_from(counted).ok());
            return Some((heads.collect::<Option<_>>()?, counted));
        }
        let (offset, list) = self.types.find_type(of, LIST)?;
        let (head, _) = self.types.find(list, end)?;
        let head = reader.word(at.wrapping_add(offset + head))?;
        Some((vec![head], None))
    }

    /// The links back and forward of the task whose header is at `at`.
    fn links(&mut self, at: u64, bias: u64, reader: &Reader<'_>) -> Option<(u64, u64)> {
        let (layout, _) = self.task_at(at, bias, reader)?;
        let word = |offset| reader.word(at.wrapping_add(offset));
        Some((word(layout.prev)?, word(layout.next)?))
    }

    /// The layout and types of the task whose header is at `at`.
    pub(crate) fn task_at(
        &mut self,
        at: u64,
        bias: u64,
        reader: &Reader<'_>,
    ) -> Option<(Rc<Layout>, Poll)> {
        let any = self.any_layout()?;
        let vtable = reader.word(at.wrapping_add(any.vtable))?;
        if let Some(known) = self.vtables.get(&vtable) {
            return known.clone();
        }
        let of = self.task_of(vtable.wrapping_add(any.poll), bias, reader);
        self.vtables.insert(vtable, of.clone());
        of
    }

    /// The layout and types of a task, by the address of the poll function's pointer in its vtable.
    fn task_of(&mut self, at: u64, bias: u64, reader: &Reader<'_>) -> Option<(Rc<Layout>, Poll)> {
        let poll = reader.word(at)?.wrapping_sub(bias);
        let poll = *self.types.index.polls.get(&poll)?.first()?;
        Some((self.layout(poll)?, poll))
    }

    /// The id of the task whose header is at `at`.
    pub(crate) fn id_of_task(&mut self, at: u64, bias: u64, reader: &Reader<'_>) -> Option<u64> {
        let (layout, _) = self.task_at(at, bias, reader)?;
        reader.word(at.wrapping_add(layout.id))
    }

    /// Reads all memory of a task that its decoding would read.
    fn touch_task(
        &mut self,
        at: u64,
        of: (&Layout, Poll),
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
        look: Look,
    ) {
        let size = of.0.size;
        for offset in (0..size).step_by(4096).chain([size.saturating_sub(8)]) {
            reader.word(at.wrapping_add(offset));
        }
        let id = reader.word(at.wrapping_add(of.0.id)).unwrap_or(0);
        if look == Look::New && self.met.get(&at) == Some(&id) {
            return;
        }
        self.task(at, of, process, reader, budget);
        if look == Look::All {
            self.met.insert(at, id);
        }
    }

    /// The state word and the chain of the task at this address. Returns `None` unless the task has this id and a known
    /// type, and has not ended. Of a task that is being polled only the ends of channels before the poll are returned.
    pub fn waiting_chain(
        &mut self,
        process: &Process<'_>,
        address: u64,
        id: u64,
        budget: Budget,
    ) -> Option<(u64, Chain)> {
        let reader = Reader::new(process.memory, budget.bytes);
        let (layout, poll) = self.task_at(address, process.bias, &reader)?;
        let word = |offset| reader.word(address.wrapping_add(offset));
        let (state, known) = (word(layout.state)?, word(layout.id)?);
        if known != id || state & COMPLETE != 0 {
            return None;
        }
        match self.body(address, &layout, poll, process.bias, &reader, budget) {
            Body::Chain(chain) if state & RUNNING != 0 => Some((state, chain.only_ends())),
            Body::Chain(mut chain) => {
                forget_kept(state, &mut chain);
                Some((state, chain))
            }
            Body::Missing(_) => None,
        }
    }

    fn task(
        &mut self,
        at: u64,
        (layout, poll): (&Layout, Poll),
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Task {
        let word = reader.word(at.wrapping_add(layout.state)).unwrap_or(0);
        let state = match word {
            _ if word & RUNNING != 0 => State::Running,
            _ if word & COMPLETE != 0 => State::Complete,
            _ if word & NOTIFIED != 0 => State::Runnable,
            _ => State::Waiting,
        };
        let references = word >> REFERENCES_SHIFT;
        // The list has one reference, a `JoinHandle` has another one, and each waker has one.
        let unwakeable = 1 + u64::from(word & JOIN_INTEREST != 0);
        let body = match state {
            State::Running => Body::Missing("it is being polled"),
            State::Complete => Body::Missing("it has ended"),
            State::Runnable | State::Waiting => {
                let mut body = self.body(at, layout, poll, process.bias, reader, budget);
                if let Body::Chain(chain) = &mut body {
                    forget_kept(word, chain);
                }
                body
            }
        };
        let ends = match state {
            State::Running => match self.body(at, layout, poll, process.bias, reader, budget) {
                Body::Chain(chain) => Some(Box::new(chain.only_ends())),
                Body::Missing(_) => None,
            },
            _ => None,
        };
        let trace = (process.is_traced && matches!(body, Body::Chain(_)))
            .then(|| self.trace(at, layout, poll, process.bias, reader));
        Task {
            id: reader.word(at.wrapping_add(layout.id)).unwrap_or(0),
            address: at,
            runtime: 0,
            state,
            is_cancelled: word & CANCELLED != 0,
            has_no_waker: state == State::Waiting && references == unwakeable,
            thread: None,
            root_of: None,
            trace,
            unchanged_for: None,
            spawned_at: self.spawned_at(at, layout, reader),
            body,
            ends,
        }
    }

    fn body(
        &mut self,
        at: u64,
        layout: &Layout,
        poll: Poll,
        bias: u64,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Body {
        let (offset, stage) = layout.stage;
        let Some(at) = at.checked_add(offset) else {
            return Body::Missing("its memory cannot be read");
        };
        let types = self.types;
        let states = self.stages.entry((stage, poll.future));
        let states = states.or_insert_with(|| Stage::of(types, stage, poll.future));
        match states.future_at(at, reader) {
            Ok(at) => {
                let mut chain = Chain::default();
                self.follow(poll.future, at, bias, reader, budget, &mut chain);
                Body::Chain(chain)
            }
            Err(why) => Body::Missing(why),
        }
    }

    /// The spawn location, which tokio keeps with `tokio_unstable` as a pointer to a `Location`.
    fn spawned_at(
        &self,
        at: u64,
        layout: &Layout,
        reader: &Reader<'_>,
    ) -> Option<(std::sync::Arc<str>, u32, u32)> {
        let (offset, of) = layout.spawned_at?;
        let location = self.types.pointee(of)?;
        let at = reader.word(at.wrapping_add(offset))?;
        let number = |name| {
            let (offset, _) = self.types.find(location, name)?;
            let number = reader.number(at.wrapping_add(offset), 4)?;
            u32::try_from(number).ok()
        };
        let (file, of) = self
            .types
            .find(location, "file")
            .or_else(|| self.types.find(location, "filename"))?;
        let (pointer, length) = (
            self.types.find(of, "data_ptr")?,
            self.types.find(of, "length")?,
        );
        let file = at.wrapping_add(file);
        let length = reader.word(file.wrapping_add(length.0))?;
        let text = reader.text(reader.word(file.wrapping_add(pointer.0))?, length, 4096)?;
        Some((text.into(), number("line")?, number("col")?))
    }
}

/// The states of a task's memory, one of which has the future.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The place and size of the number that tells the state; `None` if there is one state only.
    discriminant: Option<(u64, u64)>,
    states: Result<Vec<StageState>, &'static str>,
}

/// A state by its number, with the offset of the future.
type StageState = (Option<u128>, Option<u64>);

impl Stage {
    fn of(types: &Types<'_, '_>, stage: Die, future: Die) -> Self {
        let of = types.get(stage);
        let Shape::Enum(variants) = &of.shape else {
            return Self {
                discriminant: None,
                states: Err("the debug information does not tell where its future is"),
            };
        };
        let offset = |member: &Member| {
            let inner = types.get(member.of);
            let future = match &inner.shape {
                Shape::Structure(members) => members.iter().find(|member| member.of == future),
                _ => None,
            };
            let is_running = inner.name.starts_with("Running");
            is_running.then(|| {
                member
                    .offset
                    .wrapping_add(future.map_or(0, |member| member.offset))
            })
        };
        let states = variants.variants.iter();
        let states = states.map(|variant| (variant.value, offset(&variant.member)));
        Self {
            discriminant: variants.discriminant,
            states: Ok(states.collect()),
        }
    }

    /// The address of the future of a stage at `at`, or why there is none.
    fn future_at(&self, at: u64, reader: &Reader<'_>) -> Result<u64, &'static str> {
        const UNREADABLE: &str = "its memory cannot be read";
        let states = self.states.as_ref().map_err(|why| *why)?;
        let number = match self.discriminant {
            Some((place, size)) => {
                let place = at.checked_add(place).ok_or(UNREADABLE)?;
                Some(reader.number(place, size).ok_or(UNREADABLE)?)
            }
            None => None,
        };
        let exact = states
            .iter()
            .find(|(value, _)| value.is_some() && *value == number);
        let active = exact.or_else(|| states.iter().find(|(value, _)| value.is_none()));
        let (_, future) = active.ok_or(UNREADABLE)?;
        let offset = future.ok_or("its future has returned")?;
        Ok(at.wrapping_add(offset))
    }
}

/// Removes the kept futures of a task that was woken and not polled since. Its next poll may take their permits.
fn forget_kept(state: u64, chain: &mut Chain) {
    if state & NOTIFIED != 0 {
        chain.kept.clear();
    }
}

fn kind_of(path: &str) -> Kind {
    match path {
        _ if path.starts_with("tokio::runtime::scheduler::multi_thread") => Kind::MultiThread,
        _ if path.starts_with("tokio::runtime::scheduler::current_thread") => Kind::CurrentThread,
        _ if path.starts_with("tokio::task::local") => Kind::LocalSet,
        _ => Kind::Other,
    }
}

/// The contents of the active variant of the value at `at`.
fn active_member<'e>(of: &'e Enum, at: u64, reader: &Reader<'_>) -> Option<&'e Member> {
    let number = match of.discriminant {
        Some((place, size)) => Some(reader.number(at.checked_add(place)?, size)?),
        None => None,
    };
    Some(&of.active(number)?.1.member)
}
