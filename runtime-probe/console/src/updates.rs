//! The updates for one client: the changes of each look since the last one, in messages of bounded size.
//!
//! A round begins when there was a look after that of the last round, and walks over the tasks by their ids. It keeps
//! no copy: there may be looks between two messages, and the walk goes on in the newer state. That is correct by
//! three rules:
//!
//! 1. A task is announced once: `told` has the tasks that were announced and whose end was not. MUST hold; otherwise
//!    the client lists a task twice.
//! 2. An end that was found after the round began waits for the next round, which finds it by its number. Otherwise
//!    the end would be sent twice, the second time as that of a new task.
//! 3. A task that was forgotten before its end was sent (the client was slow, or paused) is ended because it is
//!    missing in the model.
//!
//! So a slow client costs no memory but `told`, and gets fewer rounds.

use std::collections::{HashMap, HashSet};

use console_api::instrument::Update;
use console_api::tasks::{Stats, Task, TaskUpdate};
use prost::Message as _;

use crate::model::{Known, Model};
use crate::wire;

/// A message is sent when it is as large as this, in bytes. The client takes up to 4 MiB, and a task with a name and
/// a path takes at most 10 KiB of that. Messages are few, as the client draws its whole list after each.
const LARGE: usize = (4 << 20) - (64 << 10);

/// The size of the first message: a thousand tasks, so that the client has a screen at once.
const FIRST: usize = 256 << 10;

/// The bytes around a task and its numbers in a message: two tags, two lengths, and the id once more.
const ENVELOPE: usize = 32;

/// The state of a client.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    /// Tasks that were announced and whose end was not sent.
    told: HashSet<u64>,
    /// The client has all changes up to this look.
    seen: u64,
    /// How many tasks had been forgotten by then.
    forgotten: u64,
    greeted: bool,
}

/// One round.
#[derive(Debug)]
pub(crate) struct Round {
    look: u64,
    forgotten: u64,
    /// The next id; `None` if all have been visited.
    next: Option<u64>,
    begun: bool,
}

impl Updates {
    /// The client has all changes up to this look.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Begins a round of the new changes.
    pub(crate) fn round(&self, model: &Model) -> Round {
        Round {
            look: model.look,
            forgotten: model.forgotten,
            next: Some(0),
            begun: false,
        }
    }

    /// The next message of a round; `None` at its end. A round has at least one message, which has the time.
    pub(crate) fn message(&mut self, round: &mut Round, model: &Model) -> Option<Update> {
        let mut message = Message::default();
        let large = if self.greeted { LARGE } else { FIRST };
        if let Some(from) = round.next {
            round.next = None;
            for (id, known) in model.tasks.range(from..) {
                if message.bytes >= large {
                    round.next = Some(*id);
                    break;
                }
                self.tell(*id, known, round.look, &mut message);
            }
        } else if round.begun {
            self.seen = round.look;
            self.forgotten = round.forgotten;
            return None;
        }
        if round.next.is_none() && model.forgotten != self.forgotten {
            let all = self.end_forgotten(model, &mut message);
            // If more were forgotten, the next message begins at an id without tasks.
            round.next = (!all).then_some(u64::MAX);
        }
        round.begun = true;
        let greeting = (!self.greeted).then(wire::metadata);
        self.greeted = true;
        Some(Update {
            now: Some(model.at.into()),
            new_metadata: greeting,
            task_update: Some(TaskUpdate {
                new_tasks: message.tasks,
                stats_update: message.stats,
                dropped_events: 0,
            }),
            ..Update::default()
        })
    }

    fn tell(&mut self, id: u64, known: &Known, look: u64, message: &mut Message) {
        let ended = known.dropped_at.is_some();
        if ended && known.changed > look {
            return;
        }
        let told = self.told.contains(&id);
        // `known.changed <= self.seen`: nothing has changed since the last round. An ended task that is not in `told`
        // then had its end sent.
        if (told || ended) && known.changed <= self.seen {
            return;
        }
        if !told {
            let task = wire::task(&known.facts);
            message.bytes += task.encoded_len();
            message.tasks.push(task);
        }
        match ended {
            true => self.told.remove(&id),
            false => self.told.insert(id),
        };
        let stats = wire::stats(known);
        message.bytes += stats.encoded_len() + ENVELOPE;
        message.stats.insert(id, stats);
    }

    /// Ends forgotten tasks, as many as there is room for. Returns whether these were all.
    fn end_forgotten(&mut self, model: &Model, message: &mut Message) -> bool {
        let gone = wire::gone(model.at);
        let room = LARGE.saturating_sub(message.bytes) / (gone.encoded_len() + ENVELOPE);
        let forgotten = |id: &&u64| !model.tasks.contains_key(id);
        let ids = self.told.iter().filter(forgotten).take(room);
        let ids: Vec<u64> = ids.copied().collect();
        for id in &ids {
            self.told.remove(id);
            message.stats.insert(*id, gone);
        }
        ids.len() < room
    }
}

/// A message that is being filled.
#[derive(Debug, Default)]
struct Message {
    tasks: Vec<Task>,
    stats: HashMap<u64, Stats>,
    /// Its size so far.
    bytes: usize,
}
