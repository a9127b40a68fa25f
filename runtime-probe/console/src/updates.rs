//! What one client is told: of each look what changed since the last one, in messages of bounded size.
//!
//! A round begins when there was a look after that of the last round, and walks over the tasks by their ids. It keeps no
//! copy: between two messages there may be other looks, and the walk goes on in the newer state. What makes that right:
//!
//! 1. A task is announced once: `told` has those that were announced and whose end was not. MUST be so; the client lists a
//!    task twice otherwise.
//! 2. An end that was found after the round began waits for the next round, which finds it by its number. Otherwise it would
//!    be told of twice, the second time as of a new task.
//! 3. A task that was forgotten before its end was told (the client was slow, or paused) is ended by its absence.
//!
//! So a slow client costs no memory but `told`, and gets fewer rounds.

use std::collections::{HashMap, HashSet};

use console_api::instrument::Update;
use console_api::tasks::{Stats, Task, TaskUpdate};
use prost::Message as _;

use crate::model::{Known, Model};
use crate::wire;

/// A message is sent when it is as large as this, in bytes: the client takes up to 4 MiB, of which a task with a name and a
/// path takes 10 KiB at the most. Few messages, as the client draws all of its list after each.
const LARGE: usize = (4 << 20) - (64 << 10);

/// The first one: a thousand tasks, so that there is something to see.
const FIRST: usize = 256 << 10;

/// What surrounds a task and its numbers in a message: two tags, two lengths, and the id once more.
const ENVELOPE: usize = 32;

/// What a client knows.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    /// Announced, and not ended.
    told: HashSet<u64>,
    /// The look up to which it has been told of everything.
    seen: u64,
    /// How many had been forgotten by then.
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
    /// The look up to which the client has been told of everything.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Begins to tell of what is new.
    pub(crate) fn round(&self, model: &Model) -> Round {
        Round {
            look: model.look,
            forgotten: model.forgotten,
            next: Some(0),
            begun: false,
        }
    }

    /// The next message of a round; `None` at its end. There is one at least, which tells the time.
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
            // If there are more, the walk goes on where there are no tasks.
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
        // One that ended and is not in `told` was told of already, unless this is news.
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

    /// Ends as many as there is room for; whether these were all.
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

/// A message in the making.
#[derive(Debug, Default)]
struct Message {
    tasks: Vec<Task>,
    stats: HashMap<u64, Stats>,
    /// How large it is.
    bytes: usize,
}
