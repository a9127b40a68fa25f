//! The states of tasks, threads and procs as Go's reader keeps them, and the events that change these states.
//!
//! Go's reader accepts an event only in a state that allows it, and otherwise refuses the whole file. So:
//!
//! 1. Events MUST be written in one order, with times that only grow. Otherwise the reader takes them in another order
//!    than this module did.
//! 2. Each row MUST first bring about the state that it needs: an unknown task is created, a waiting task is woken, a
//!    thread without a proc gets one. Otherwise one lost row makes the file unreadable.
//! 3. The sequence numbers of tasks and procs begin again in each generation. Each sequenced event MUST take the next
//!    number. Otherwise the reader refuses the file.
//!
//! A task is Go's goroutine, a thread its M, a proc its P. A worker keeps its proc while it is not parked. Another
//! thread has a proc during polls, and during single events that need one. A closure of the blocking pool is a system
//! call, which holds no proc.

mod user;

use super::generation::{Code, Generation, NO_THREAD};
use super::row::{Event, Outcome, Row};
use super::tables::{LabelsNumber, StackNumber, Tables, TextNumber};
use crate::stack::Frame;
use std::collections::{BTreeMap, BTreeSet};
use user::User;

/// The wait reason of a task during a poll that is nested in its own.
const POLLS_ANOTHER: &str = "polls another task";
/// The reason of a task that was woken during its poll, in Go's words.
const YIELDS: &str = "runtime.Gosched";

/// The stack of a wake without a recorded stack.
const UNKNOWN_WAKER: &str = "unknown waker";

/// The states of goroutines and procs, with Go's numbers.
const RUNNABLE: u64 = 1;
const RUNNING: u64 = 2;
const SYSCALL: u64 = 3;
const WAITING: u64 = 4;
const PROC_RUNNING: u64 = 1;
const PROC_IDLE: u64 = 2;
/// A thread without a proc.
const NO_PROC: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Runnable,
    Running,
    /// A closure of the blocking pool.
    Syscall,
    /// The task's poll is suspended while its thread polls another task inside it.
    Around,
    Waiting,
}

#[derive(Debug)]
struct Task {
    status: Status,
    /// The thread that polls the task; none while the task is runnable or waits.
    thread: u64,
    /// The number of sequenced events of this task in this generation.
    sequence: u64,
    /// Whether the task was woken during its current poll.
    woken: bool,
    is_closure: bool,
    /// The number of calls of `block_in_place` that its current poll is in.
    in_place: u32,
    /// Whether the task was alive when the trace began.
    is_older: bool,
    name: StackNumber,
    /// The stack of the current or last wait.
    stack: StackNumber,
    labels: LabelsNumber,
    /// The labels that Go's reader has.
    shown: LabelsNumber,
}

#[derive(Debug, Default)]
struct Thread {
    /// The tasks that the thread polls, the innermost last.
    polls: Vec<u64>,
    /// The proc that the thread holds.
    proc: Option<u32>,
    /// The proc that belongs to this worker.
    own: Option<u32>,
}

#[derive(Debug, Default)]
struct Proc {
    sequence: u64,
    /// Whether this generation has the proc's status.
    told: bool,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    tasks: BTreeMap<u64, Task>,
    threads: BTreeMap<u64, Thread>,
    procs: Vec<Proc>,
    unused: BTreeSet<u32>,
    user: User,
}

/// The destination of events.
struct Emit<'a> {
    at: u64,
    generation: &'a mut Generation,
    tables: &'a mut Tables,
}

impl Emit<'_> {
    fn event(&mut self, thread: u64, code: Code, arguments: &[u64]) {
        self.generation.event(self.at, thread, code, arguments);
    }

    fn text(&mut self, text: &str) -> u64 {
        let number = self.tables.text(text);
        self.tables.used_text(number)
    }

    /// The number of a waker's stack. Go's readers before 1.26 ignore a wake without a stack.
    fn waker(&mut self, stack: StackNumber) -> u64 {
        let stack = match stack == StackNumber::default() {
            true => self.tables.stack(&[Frame {
                function: UNKNOWN_WAKER.into(),
                file: "".into(),
                line: 0,
            }]),
            false => stack,
        };
        self.tables.used_stack(stack)
    }
}

impl Task {
    fn new(status: Status, name: StackNumber) -> Self {
        Task {
            status,
            thread: NO_THREAD,
            sequence: 0,
            woken: false,
            is_closure: false,
            in_place: 0,
            is_older: false,
            name,
            stack: name,
            labels: LabelsNumber::default(),
            shown: LabelsNumber::default(),
        }
    }

    /// Whether the task, while it is polled, is shown in a system call.
    fn is_in_syscall(&self) -> bool {
        self.is_closure || self.in_place > 0
    }

    /// Returns the next sequence number.
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

impl Schedule {
    /// Adds a task that is alive when the trace begins.
    pub(super) fn alive(
        &mut self,
        task: u64,
        name: StackNumber,
        waits: Option<StackNumber>,
        labels: LabelsNumber,
    ) {
        let status = match waits {
            Some(_) => Status::Waiting,
            None => Status::Runnable,
        };
        let mut known = Task::new(status, name);
        known.is_older = true;
        known.labels = labels;
        known.stack = waits
            .filter(|waits| *waits != StackNumber::default())
            .unwrap_or(name);
        if is_an_id(task) {
            self.tasks.entry(task).or_insert(known);
        }
    }

    /// Adds a worker: a thread that keeps its proc between polls.
    pub(super) fn worker(&mut self, thread: u64) {
        let thread = self.threads.entry(thread).or_default();
        if thread.own.is_none() {
            thread.own = Some(
                thread
                    .proc
                    .unwrap_or_else(|| unused_proc(&mut self.unused, &mut self.procs)),
            );
        }
    }

    pub(super) fn thread_ended(
        &mut self,
        at: u64,
        thread: u64,
        generation: &mut Generation,
        tables: &mut Tables,
    ) {
        let mut emit = Emit {
            at,
            generation,
            tables,
        };
        self.end_inner(thread, 0, &mut emit);
        if let Some(mut known) = self.threads.remove(&thread) {
            let own = known.own.take();
            if let Some(proc) = known.proc {
                emit.event(thread, Code::ProcStop, &[]);
                self.unused.insert(proc);
            }
            self.unused.extend(own);
        }
    }

    /// Writes the states of all procs and tasks to a new generation.
    pub(super) fn begin(&mut self, generation: &mut Generation, tables: &mut Tables) {
        for proc in &mut self.procs {
            *proc = Proc::default();
        }
        for (id, thread) in &self.threads {
            if let Some(proc) = thread.proc {
                self.procs[proc as usize].told = true;
                generation.status(*id, Code::ProcStatus, &[proc.into(), PROC_RUNNING]);
            }
        }
        // Go's validator demands the status of each proc in the first generation. A thread that is no worker, and does
        // nothing until later, takes the spare one.
        if self.unused.is_empty() {
            let spare = unused_proc(&mut self.unused, &mut self.procs);
            self.unused.insert(spare);
        }
        for (proc, state) in self.procs.iter_mut().enumerate() {
            if !std::mem::replace(&mut state.told, true) {
                generation.status(NO_THREAD, Code::ProcStatus, &[proc as u64, PROC_IDLE]);
            }
        }
        for (id, task) in &mut self.tasks {
            task.sequence = 0;
            // A generation can be read without the earlier ones. A removal of labels that is still to be written is
            // written later.
            if task.shown == task.labels {
                task.shown = LabelsNumber::default();
            }
            let (on, status) = match task.status {
                Status::Runnable => (NO_THREAD, RUNNABLE),
                Status::Waiting | Status::Around => (NO_THREAD, WAITING),
                Status::Running => (task.thread, RUNNING),
                Status::Syscall => (task.thread, SYSCALL),
            };
            let stack = tables.used_stack(task.name);
            generation.status(on, Code::GoStatusStack, &[*id, on, status, stack]);
        }
    }

    pub(super) fn row(&mut self, row: &Row, generation: &mut Generation, tables: &mut Tables) {
        let mut emit = Emit {
            at: row.at_ns,
            generation,
            tables,
        };
        let thread = row.thread;
        // `NO_THREAD` stands for no thread.
        if thread == NO_THREAD {
            return;
        }
        match row.event {
            Event::Spawn {
                task,
                name,
                by,
                labels,
            } => {
                if self.spawn(thread, task, name, by, &mut emit)
                    && let Some(known) = self.tasks.get_mut(&task)
                {
                    known.labels = labels;
                }
            }
            Event::Labels { task, labels } => self.set_labels(task, labels, &mut emit),
            Event::PollBegin { task } => self.poll_begin(thread, task, &mut emit),
            Event::ClosureBegin { task, stack } => {
                self.closure_begin(thread, task, stack, &mut emit);
            }
            Event::PollEnd { task, outcome } => self.poll_end(thread, task, outcome, &mut emit),
            Event::Wake { task, stack } => self.wake(thread, task, stack, &mut emit),
            Event::Drop { task } => self.drop_task(thread, task, &mut emit),
            Event::Park => {
                self.worker(thread);
                self.end_inner(thread, 0, &mut emit);
                self.stop_proc(thread, &mut emit);
            }
            Event::Unpark => {
                self.worker(thread);
                self.start_proc(thread, &mut emit);
            }
            Event::InPlaceBegin => self.in_place_begin(thread, &mut emit),
            Event::InPlaceEnd => self.in_place_end(thread, &mut emit),
            Event::CpuSample { task, stack } => {
                let proc = self.threads.get(&thread).and_then(|thread| thread.proc);
                let arguments = [
                    thread,
                    proc.map_or(NO_PROC, u64::from),
                    task,
                    emit.tables.used_stack(stack),
                ];
                emit.generation.cpu_sample(emit.at, &arguments);
            }
            Event::HeapInUse { bytes } => {
                let held = self.hold_proc(thread, &mut emit);
                emit.event(thread, Code::HeapAlloc, &[bytes]);
                self.release_proc(thread, held, &mut emit);
            }
            Event::Counter { .. } => {}
            Event::User(event) => {
                if user::can_speak(thread) {
                    self.user(thread, event, &mut emit);
                }
            }
        }
    }

    /// Adds a task. Returns whether it is new.
    fn spawn(
        &mut self,
        thread: u64,
        task: u64,
        name: StackNumber,
        by: StackNumber,
        emit: &mut Emit<'_>,
    ) -> bool {
        if !is_an_id(task) || self.tasks.contains_key(&task) {
            return false;
        }
        let had_proc = self.hold_proc(thread, emit);
        let stacks = [name, by].map(|stack| emit.tables.used_stack(stack));
        emit.event(thread, Code::GoCreate, &[task, stacks[0], stacks[1]]);
        self.tasks.insert(task, Task::new(Status::Runnable, name));
        self.release_proc(thread, had_proc, emit);
        true
    }

    /// Sets the labels of a task. Go's viewer names a whole poll by the labels at its end. A change that only removes
    /// labels, such as the end of a labelled future, is therefore written at the next poll.
    fn set_labels(&mut self, task: u64, labels: LabelsNumber, emit: &mut Emit<'_>) {
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        known.labels = labels;
        if known.status == Status::Running && !emit.tables.has_all(known.shown, labels) {
            let thread = known.thread;
            self.show_labels(thread, task, emit);
        }
    }

    /// Writes the labels of a task that runs on a thread.
    fn show_labels(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        if known.labels == known.shown {
            return;
        }
        known.shown = known.labels;
        let text = emit.tables.text_of_labels(known.labels);
        let text = emit.tables.used_text(text);
        emit.event(thread, Code::GoLabel, &[text]);
    }

    /// Makes a task runnable, so that this thread can begin to poll it.
    fn make_runnable(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        match self.tasks.get(&task).map(|task| (task.status, task.thread)) {
            None => {
                let unknown = StackNumber::default();
                self.spawn(thread, task, unknown, unknown, emit);
            }
            Some((Status::Runnable, _)) => {}
            Some((Status::Waiting, _)) => self.wake(thread, task, StackNumber::default(), emit),
            // The end of the earlier poll was lost, or the task is polled inside its own poll.
            Some((_, other)) => {
                self.end_from(other, task, emit);
            }
        }
    }

    fn poll_begin(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        if !is_an_id(task) {
            return;
        }
        self.make_runnable(thread, task, emit);
        self.suspend_outer(thread, emit);
        self.start_proc(thread, emit);
        self.start_task(thread, task, emit);
        self.threads.entry(thread).or_default().polls.push(task);
    }

    fn closure_begin(&mut self, thread: u64, task: u64, stack: StackNumber, emit: &mut Emit<'_>) {
        self.poll_begin(thread, task, emit);
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        known.is_closure = true;
        known.stack = stack;
        self.enter_syscall(thread, task, emit);
    }

    fn in_place_begin(&mut self, thread: u64, emit: &mut Emit<'_>) {
        let Some(task) = self.innermost(thread) else {
            return;
        };
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        known.in_place += 1;
        if known.status == Status::Running {
            known.stack = known.name;
            self.enter_syscall(thread, task, emit);
        }
    }

    fn in_place_end(&mut self, thread: u64, emit: &mut Emit<'_>) {
        let Some(task) = self.innermost(thread) else {
            return;
        };
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        known.in_place = known.in_place.saturating_sub(1);
        if known.status == Status::Syscall && !known.is_in_syscall() {
            self.leave_syscall(thread, task, emit);
        }
    }

    fn poll_end(&mut self, thread: u64, task: u64, outcome: Outcome, emit: &mut Emit<'_>) {
        let polls = |known: &Thread| known.polls.iter().rposition(|polled| *polled == task);
        let Some(at) = self.threads.get(&thread).and_then(polls) else {
            return;
        };
        self.end_inner(thread, at + 1, emit);
        self.end_innermost(thread, outcome, emit);
    }

    fn wake(&mut self, thread: u64, task: u64, stack: StackNumber, emit: &mut Emit<'_>) {
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        match known.status {
            Status::Waiting => {
                known.status = Status::Runnable;
                let arguments = [task, known.next(), emit.waker(stack)];
                emit.event(thread, Code::GoUnblock, &arguments);
            }
            Status::Runnable => {}
            Status::Running | Status::Around | Status::Syscall => known.woken = true,
        }
    }

    fn drop_task(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        match self.tasks.get(&task).map(|task| task.status) {
            None => {}
            // Only a running goroutine can end.
            Some(Status::Waiting | Status::Runnable) => {
                self.poll_begin(thread, task, emit);
                self.poll_end(thread, task, Outcome::Ends, emit);
            }
            Some(_) => {
                let on = self.tasks[&task].thread;
                self.poll_end(on, task, Outcome::Ends, emit);
            }
        }
    }

    /// Ends the poll of `task` on a thread, and all polls inside it. The task is runnable afterwards.
    fn end_from(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        let stack = StackNumber::default();
        self.poll_end(thread, task, Outcome::Yields { stack }, emit);
    }

    /// Ends the polls inside the first `outer` ones. The rows of their ends were lost.
    fn end_inner(&mut self, thread: u64, outer: usize, emit: &mut Emit<'_>) {
        let polls = |schedule: &Schedule| {
            let known = schedule.threads.get(&thread);
            known.map_or(0, |thread| thread.polls.len())
        };
        while polls(self) > outer {
            let stack = StackNumber::default();
            self.end_innermost(thread, Outcome::Yields { stack }, emit);
        }
    }

    /// Ends the innermost poll of a thread, and resumes the poll around it.
    fn end_innermost(&mut self, thread: u64, outcome: Outcome, emit: &mut Emit<'_>) {
        let polls = self
            .threads
            .get_mut(&thread)
            .map(|thread| &mut thread.polls);
        let Some(task) = polls.and_then(Vec::pop) else {
            return;
        };
        let Some(known) = self.tasks.get(&task) else {
            return;
        };
        if known.status == Status::Syscall {
            self.leave_syscall(thread, task, emit);
        }
        let Some(known) = self.tasks.get_mut(&task) else {
            return;
        };
        known.thread = NO_THREAD;
        known.in_place = 0;
        let (woken, name) = (std::mem::take(&mut known.woken), known.name);
        match outcome {
            Outcome::Ends => {
                self.tasks.remove(&task);
                self.end_regions(thread, task, name, emit);
                emit.event(thread, Code::GoDestroy, &[]);
            }
            Outcome::Waits { reason, stack } if !woken => {
                known.status = Status::Waiting;
                known.stack = stack;
                block(thread, reason, stack, emit);
            }
            Outcome::Waits { stack, .. } | Outcome::Yields { stack } => {
                known.status = Status::Runnable;
                let arguments = [emit.text(YIELDS), emit.tables.used_stack(stack)];
                emit.event(thread, Code::GoStop, &arguments);
            }
        }
        let known = self.threads.entry(thread).or_default();
        match (known.polls.last().copied(), known.own) {
            (Some(outer), _) => self.resume_outer(thread, outer, emit),
            (None, Some(_)) => {}
            (None, None) => self.stop_proc(thread, emit),
        }
    }

    /// Suspends the innermost poll of a thread, because another one begins inside it.
    fn suspend_outer(&mut self, thread: u64, emit: &mut Emit<'_>) {
        let Some(outer) = self.innermost(thread) else {
            return;
        };
        if self.tasks[&outer].status == Status::Syscall {
            self.leave_syscall(thread, outer, emit);
        }
        if let Some(known) = self.tasks.get_mut(&outer) {
            known.status = Status::Around;
            let reason = emit.tables.text(POLLS_ANOTHER);
            block(thread, reason, known.name, emit);
        }
    }

    fn resume_outer(&mut self, thread: u64, outer: u64, emit: &mut Emit<'_>) {
        let Some(known) = self.tasks.get_mut(&outer) else {
            return;
        };
        let (name, is_in_syscall) = (known.name, known.is_in_syscall());
        let arguments = [outer, known.next(), emit.waker(name)];
        emit.event(thread, Code::GoUnblock, &arguments);
        self.start_task(thread, outer, emit);
        if is_in_syscall {
            self.enter_syscall(thread, outer, emit);
        }
    }

    fn innermost(&self, thread: u64) -> Option<u64> {
        self.threads.get(&thread)?.polls.last().copied()
    }

    fn start_task(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        if let Some(known) = self.tasks.get_mut(&task) {
            known.status = Status::Running;
            known.thread = thread;
            let arguments = [task, known.next()];
            emit.event(thread, Code::GoStart, &arguments);
            self.show_labels(thread, task, emit);
        }
    }

    /// Begins a system call of `task` on its thread, and releases the thread's proc.
    fn enter_syscall(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        let (Some(proc), Some(known)) = (
            self.threads.get(&thread).and_then(|thread| thread.proc),
            self.tasks.get_mut(&task),
        ) else {
            return;
        };
        known.status = Status::Syscall;
        let proc = &mut self.procs[proc as usize];
        proc.sequence += 1;
        let arguments = [proc.sequence, emit.tables.used_stack(known.stack)];
        emit.event(thread, Code::GoSyscallBegin, &arguments);
        self.stop_proc(thread, emit);
    }

    fn leave_syscall(&mut self, thread: u64, task: u64, emit: &mut Emit<'_>) {
        self.start_proc(thread, emit);
        emit.event(thread, Code::GoSyscallEndBlocked, &[]);
        self.start_task(thread, task, emit);
    }

    /// Gives the thread a proc, for an event that needs one. The result MUST be passed to [`Schedule::release_proc`].
    /// Otherwise the thread keeps the proc.
    fn hold_proc(&mut self, thread: u64, emit: &mut Emit<'_>) -> Held {
        if let Some(closure) = self.innermost(thread)
            && self.tasks[&closure].status == Status::Syscall
        {
            self.leave_syscall(thread, closure, emit);
            return Held::Syscall(closure);
        }
        let known = self.threads.get(&thread);
        if known.is_some_and(|thread| thread.proc.is_some()) {
            return Held::Proc;
        }
        self.start_proc(thread, emit);
        Held::Nothing
    }

    fn release_proc(&mut self, thread: u64, held: Held, emit: &mut Emit<'_>) {
        match held {
            Held::Proc => {}
            Held::Syscall(closure) => self.enter_syscall(thread, closure, emit),
            Held::Nothing => self.stop_proc(thread, emit),
        }
    }

    fn start_proc(&mut self, thread: u64, emit: &mut Emit<'_>) {
        let known = self.threads.entry(thread).or_default();
        if known.proc.is_some() {
            return;
        }
        let proc = match known.own {
            Some(own) => own,
            None => unused_proc(&mut self.unused, &mut self.procs),
        };
        known.proc = Some(proc);
        let state = &mut self.procs[proc as usize];
        let told = std::mem::replace(&mut state.told, true);
        state.sequence += 1;
        let sequence = state.sequence;
        if !told {
            emit.event(thread, Code::ProcStatus, &[proc.into(), PROC_IDLE]);
        }
        emit.event(thread, Code::ProcStart, &[proc.into(), sequence]);
    }

    fn stop_proc(&mut self, thread: u64, emit: &mut Emit<'_>) {
        let Some(known) = self.threads.get_mut(&thread) else {
            return;
        };
        let Some(proc) = known.proc.take() else {
            return;
        };
        if known.own.is_none() {
            self.unused.insert(proc);
        }
        emit.event(thread, Code::ProcStop, &[]);
    }
}

/// The state of a thread before it got a proc for one event.
enum Held {
    Proc,
    Syscall(u64),
    Nothing,
}

fn block(thread: u64, reason: TextNumber, stack: StackNumber, emit: &mut Emit<'_>) {
    let arguments = [emit.tables.used_text(reason), emit.tables.used_stack(stack)];
    emit.event(thread, Code::GoBlock, &arguments);
}

/// Takes the id of an unused proc. Ids are dense: Go's viewer draws a row for each id up to the highest.
fn unused_proc(unused: &mut BTreeSet<u32>, procs: &mut Vec<Proc>) -> u32 {
    unused.pop_first().unwrap_or_else(|| {
        procs.push(Proc::default());
        procs.len() as u32 - 1
    })
}

/// Whether a number is a valid id. Go reads 0 as none, and numbers from 2^63 on as negative.
fn is_an_id(task: u64) -> bool {
    task != 0 && task < 1 << 63
}
