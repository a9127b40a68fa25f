//! User tasks, regions and logs: the open ones, and the events that Go's reader needs.
//!
//! Go's reader accepts these events from a running goroutine only. The end of a region must be that of the innermost
//! region of the goroutine. A user task must begin only once.

use super::{Emit, Schedule, Status, is_an_id};
use crate::trace::generation::{Code, NO_THREAD};
use crate::trace::row::{Outcome, UserEvent, UserWhat};
use crate::trace::tables::{StackNumber, TextNumber};
use std::collections::{BTreeMap, BTreeSet};

/// The wait reason of a thread's own goroutine.
const OUTSIDE_OF_TASKS: &str = "outside of any task";
/// The base of the ids of these goroutines. The thread's id is in the lower bits.
const OUTSIDE: u64 = 1 << 62;

/// The open user tasks and regions.
#[derive(Debug, Default)]
pub(super) struct User {
    tasks: BTreeSet<u64>,
    /// The open regions by polled task, the innermost last.
    regions: BTreeMap<u64, Vec<Region>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    user_task: u64,
    name: TextNumber,
}

impl User {
    fn has_open(&self, task: u64) -> bool {
        self.regions.get(&task).is_some_and(|open| !open.is_empty())
    }
}

/// The goroutine that an event of a thread belongs to.
enum Speaker {
    /// The task that the thread polls.
    Polled(u64),
    /// The closure that the thread runs, or the task that blocks the thread.
    Blocking(u64),
    /// The thread's own goroutine.
    Own(u64),
}

impl Speaker {
    fn task(&self) -> u64 {
        let (Speaker::Polled(task) | Speaker::Blocking(task) | Speaker::Own(task)) = self;
        *task
    }
}

impl Schedule {
    pub(super) fn user(&mut self, thread: u64, event: UserEvent, emit: &mut Emit<'_>) {
        let UserEvent {
            user_task, stack, ..
        } = event;
        match event.what {
            UserWhat::TaskBegin { parent, name } => {
                if user_task != 0 && self.user.tasks.insert(user_task) {
                    let speaker = self.speaker(thread, stack, emit);
                    let name = emit.tables.used_text(name);
                    let arguments = [user_task, parent, name, emit.tables.used_stack(stack)];
                    emit.event(thread, Code::UserTaskBegin, &arguments);
                    self.spoken(thread, &speaker, stack, emit);
                }
            }
            UserWhat::TaskEnd => {
                if self.user.tasks.remove(&user_task) {
                    let speaker = self.speaker(thread, stack, emit);
                    let arguments = [user_task, emit.tables.used_stack(stack)];
                    emit.event(thread, Code::UserTaskEnd, &arguments);
                    self.spoken(thread, &speaker, stack, emit);
                }
            }
            UserWhat::RegionBegin { name } => {
                let region = Region { user_task, name };
                let speaker = self.region_begin(thread, region, stack, stack, emit);
                self.spoken(thread, &speaker, stack, emit);
            }
            UserWhat::Blocks { name, reason, at } => {
                let region = Region { user_task, name };
                match self.region_begin(thread, region, stack, at, emit) {
                    Speaker::Own(own) => {
                        let stack = at;
                        self.poll_end(thread, own, Outcome::Waits { reason, stack }, emit);
                    }
                    speaker => self.spoken(thread, &speaker, stack, emit),
                }
            }
            UserWhat::RegionEnd { name } => {
                self.region_end(thread, Region { user_task, name }, stack, emit);
            }
            UserWhat::Log { category, message } => {
                let speaker = self.speaker(thread, stack, emit);
                let texts = [category, message].map(|text| emit.tables.used_text(text));
                let stack_number = emit.tables.used_stack(stack);
                let arguments = [user_task, texts[0], texts[1], stack_number];
                emit.event(thread, Code::UserLog, &arguments);
                self.spoken(thread, &speaker, stack, emit);
            }
        }
    }

    /// `name` is the stack for the thread's own goroutine.
    fn region_begin(
        &mut self,
        thread: u64,
        region: Region,
        name: StackNumber,
        at: StackNumber,
        emit: &mut Emit<'_>,
    ) -> Speaker {
        let speaker = self.speaker(thread, name, emit);
        let open = self.user.regions.entry(speaker.task()).or_default();
        open.push(region);
        region.emit(thread, Code::UserRegionBegin, at, emit);
        speaker
    }

    fn region_end(&mut self, thread: u64, region: Region, stack: StackNumber, emit: &mut Emit<'_>) {
        // A thread's own goroutine is polled while it has an open region, unless the thread has parked inside of that.
        let own = OUTSIDE | thread;
        let own = self.user.has_open(own).then_some(own);
        let Some(task) = self.innermost(thread).or(own) else {
            return;
        };
        let is_older = self.tasks.get(&task).is_some_and(|known| known.is_older);
        let open = self.user.regions.entry(task).or_default();
        let is_it = |other: &Region| *other == region;
        let inner = match open.iter().rposition(is_it) {
            Some(at) => {
                let inner = open.split_off(at + 1);
                open.pop();
                inner
            }
            // The region began before the trace. Go's reader accepts its end alone.
            None if is_older && open.is_empty() => Vec::new(),
            None => return,
        };
        let speaker = self.speaker(thread, stack, emit);
        for inner in inner.iter().rev() {
            inner.emit(thread, Code::UserRegionEnd, stack, emit);
        }
        region.emit(thread, Code::UserRegionEnd, stack, emit);
        for inner in &inner {
            inner.emit(thread, Code::UserRegionBegin, stack, emit);
        }
        self.user.regions.entry(task).or_default().extend(inner);
        self.spoken(thread, &speaker, stack, emit);
    }

    /// Ends the regions of a task that runs on the thread and ends.
    pub(super) fn end_regions(
        &mut self,
        thread: u64,
        task: u64,
        stack: StackNumber,
        emit: &mut Emit<'_>,
    ) {
        let open = self.user.regions.remove(&task).unwrap_or_default();
        for region in open.iter().rev() {
            region.emit(thread, Code::UserRegionEnd, stack, emit);
        }
    }

    /// Makes the thread's polled task run, or else its own goroutine.
    fn speaker(&mut self, thread: u64, name: StackNumber, emit: &mut Emit<'_>) -> Speaker {
        if let Some(task) = self.innermost(thread) {
            if self.tasks[&task].status == Status::Syscall {
                self.leave_syscall(thread, task, emit);
                return Speaker::Blocking(task);
            }
            return match task == OUTSIDE | thread {
                true => Speaker::Own(task),
                false => Speaker::Polled(task),
            };
        }
        let own = OUTSIDE | thread;
        if !self.tasks.contains_key(&own) {
            self.spawn(thread, own, name, name, emit);
        }
        self.poll_begin(thread, own, emit);
        Speaker::Own(own)
    }

    /// Undoes the effect of [`Schedule::speaker`].
    fn spoken(&mut self, thread: u64, speaker: &Speaker, stack: StackNumber, emit: &mut Emit<'_>) {
        match *speaker {
            Speaker::Polled(_) => {}
            Speaker::Blocking(task) => self.enter_syscall(thread, task, emit),
            Speaker::Own(own) if self.user.has_open(own) => {}
            Speaker::Own(own) => {
                let reason = emit.tables.text(OUTSIDE_OF_TASKS);
                self.poll_end(thread, own, Outcome::Waits { reason, stack }, emit);
            }
        }
    }
}

impl Region {
    fn emit(self, thread: u64, code: Code, stack: StackNumber, emit: &mut Emit<'_>) {
        let name = emit.tables.used_text(self.name);
        let arguments = [self.user_task, name, emit.tables.used_stack(stack)];
        emit.event(thread, code, &arguments);
    }
}

/// Whether a thread can have a goroutine of its own.
pub(super) fn can_speak(thread: u64) -> bool {
    thread != NO_THREAD && thread < OUTSIDE && is_an_id(OUTSIDE | thread)
}
