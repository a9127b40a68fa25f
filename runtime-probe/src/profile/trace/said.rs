//! User tasks, regions and logs, as rows.
//!
//! Regions and logs of a task that was spawned in a user task belong to that user task.

use super::Trace;
use crate::clock::{Scale, Ticks};
use crate::source::regions::{StaticText, UserTask};
use crate::source::trace::{Happened, Said, Text, What};
use runtime_dump::trace::{Event, StackNumber, UserEvent, UserWhat};
use std::collections::{HashMap, HashSet};

/// The end of the name of a user task whose begin was not seen.
const BEFORE: &str = " (began before the trace)";

pub(super) struct User {
    /// User tasks with ids from here on begin in the trace.
    news: u64,
    /// The earlier ones that have a row.
    told: HashSet<u64>,
    /// By thread: the user task of the spawn that follows.
    spawns: HashMap<u64, UserTask>,
    /// By thread: the log whose text is not complete.
    logs: HashMap<u64, Log>,
}

struct Log {
    at: Ticks,
    task: UserTask,
    category: StaticText,
    /// The number of parts so far.
    parts: u8,
    text: Vec<u8>,
}

impl User {
    /// For a trace in which user tasks with ids from `news` on begin.
    pub(super) fn new(news: u64) -> Self {
        User {
            news,
            told: HashSet::new(),
            spawns: HashMap::new(),
            logs: HashMap::new(),
        }
    }

    /// For past events: user tasks whose begin is not among them are older.
    pub(super) fn of_past(happened: &[Happened]) -> Self {
        let begun = happened.iter().filter_map(|happened| match happened.what {
            What::Said(Said::TaskBegin { task, .. }) => Some(task.id),
            _ => None,
        });
        User {
            told: begun.collect(),
            ..User::new(u64::MAX)
        }
    }

    /// The user task of the current spawn of a thread, if it is in the future of one.
    pub(super) fn take_spawning(&mut self, thread: u64) -> Option<u64> {
        self.spawns.remove(&thread).map(|task| task.id)
    }

    /// Whether the user task has a row, or 0 is asked for.
    pub(super) fn is_told(&self, id: u64) -> bool {
        id == 0 || id >= self.news || self.told.contains(&id)
    }

    /// Whether this is the first event of a user task that began before the trace.
    fn is_first_of_older(&mut self, task: UserTask) -> bool {
        task.id != 0 && task.id < self.news && self.told.insert(task.id)
    }
}

impl Trace<'_> {
    pub(super) fn said(&mut self, happened: &Happened, said: Said, scale: &Scale) {
        let thread = happened.thread.into();
        match said {
            Said::Spawns(task) => {
                self.announce(happened, task, scale);
                self.user.spawns.insert(thread, task);
            }
            Said::TaskBegin { task, parent } => {
                // It may have begun before the first moment of the trace.
                self.user.is_first_of_older(task);
                let what = UserWhat::TaskBegin {
                    parent: self.or_inherited(thread, parent),
                    name: self.writer.text(task.name.text()),
                };
                self.say(happened, task.id, what, scale);
            }
            Said::TaskEnd(task) => {
                self.announce(happened, task, scale);
                self.say(happened, task.id, UserWhat::TaskEnd, scale);
            }
            Said::RegionBegin { task, name } => {
                self.announce(happened, task, scale);
                let name = self.writer.text(name.text());
                let user_task = self.or_inherited(thread, task.id);
                self.say(happened, user_task, UserWhat::RegionBegin { name }, scale);
            }
            Said::RegionEnd { task, name } => {
                self.announce(happened, task, scale);
                let name = self.writer.text(name.text());
                let user_task = self.or_inherited(thread, task.id);
                self.say(happened, user_task, UserWhat::RegionEnd { name }, scale);
            }
            Said::Log { task, category } => {
                let log = Log {
                    at: happened.at,
                    task,
                    category,
                    parts: 0,
                    text: Vec::new(),
                };
                self.user.logs.insert(thread, log);
            }
            Said::Text(text) => self.said_text(happened, &text, scale),
            Said::Labels { record, now, .. } => {
                if let Some(known) = self.tasks.get(&record) {
                    let event = Event::Labels {
                        task: known.id,
                        labels: self.names.labels(now, &mut *self.writer),
                    };
                    self.row(happened.at, thread, event, scale);
                }
            }
            Said::Span(step) => self.span(happened, &step, scale),
            // Of the step that follows.
            Said::SpanPlace(_) => {}
            Said::Blocks { .. } => self.blocks(happened, None, scale),
            Said::Unblocks { .. } => self.unblocks(happened, scale),
        }
    }

    /// Adds a part of a log's text. A log with a missing part (a lost event) is not shown.
    fn said_text(&mut self, happened: &Happened, text: &Text, scale: &Scale) {
        let thread = happened.thread.into();
        let Some(mut log) = self.user.logs.remove(&thread) else {
            return;
        };
        if log.parts != text.part {
            return;
        }
        log.parts += 1;
        log.text.extend_from_slice(text.bytes());
        if !text.is_last {
            self.user.logs.insert(thread, log);
            return;
        }
        let happened = &Happened {
            at: log.at,
            ..*happened
        };
        self.announce(happened, log.task, scale);
        let what = UserWhat::Log {
            category: self.writer.text(log.category.text()),
            message: self.writer.message(&String::from_utf8_lossy(&log.text)),
        };
        let user_task = self.or_inherited(thread, log.task.id);
        self.say(happened, user_task, what, scale);
    }

    /// Begins a user task whose begin was not seen, with a name that says so.
    fn announce(&mut self, happened: &Happened, task: UserTask, scale: &Scale) {
        if self.user.is_first_of_older(task) {
            let name = format!("{}{BEFORE}", task.name.text());
            let what = UserWhat::TaskBegin {
                parent: 0,
                name: self.writer.text(&name),
            };
            self.say(happened, task.id, what, scale);
        }
    }

    /// This user task; if it is 0, the one that the thread's task inherited.
    pub(super) fn or_inherited(&self, thread: u64, user_task: u64) -> u64 {
        match user_task {
            0 => self.inherited(thread),
            known => known,
        }
    }

    /// The user task that the thread's task was spawned in; 0 for none.
    pub(super) fn inherited(&self, thread: u64) -> u64 {
        let polls = self.polls.get(&thread);
        polls
            .and_then(|polls| polls.last())
            .map_or(0, |polled| polled.task.user_task)
    }

    pub(super) fn say(
        &mut self,
        happened: &Happened,
        user_task: u64,
        what: UserWhat,
        scale: &Scale,
    ) {
        let event = Event::User(UserEvent {
            user_task,
            what,
            stack: self.place(happened),
        });
        self.row(happened.at, happened.thread.into(), event, scale);
    }

    /// The stack for an event of a thread: the name of the task that it polls, or else of the thread.
    pub(super) fn place(&mut self, happened: &Happened) -> StackNumber {
        let polls = self.polls.get(&happened.thread.into());
        match polls.and_then(|polls| polls.last()) {
            Some(polled) => polled.task.name,
            None => self.names.thread(happened.thread, &mut *self.writer),
        }
    }
}
