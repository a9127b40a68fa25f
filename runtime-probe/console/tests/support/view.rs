//! A client like tokio-console: it keeps the contents of its messages, and accepts no message that tokio-console
//! would drop.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::tasks::{Stats, Task};
use tonic::Streaming;
use tonic::transport::Channel;

/// Longer than any step takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn connect(server: SocketAddr) -> InstrumentClient<Channel> {
    let connected = InstrumentClient::connect(format!("http://{server}"));
    let connected = tokio::time::timeout(PATIENCE, connected).await;
    connected.expect("in time").expect("a connection")
}

/// The contents of all messages so far.
pub struct View {
    updates: Streaming<Update>,
    field_names: Vec<String>,
    pub tasks: HashMap<u64, Task>,
    pub stats: HashMap<u64, Stats>,
    /// Messages so far.
    pub messages: usize,
}

impl View {
    pub async fn attach(client: &mut InstrumentClient<Channel>) -> View {
        let updates = client.watch_updates(InstrumentRequest {}).await;
        View::of(updates.expect("a stream").into_inner())
    }

    pub fn of(updates: Streaming<Update>) -> View {
        View {
            updates,
            field_names: Vec::new(),
            tasks: HashMap::new(),
            stats: HashMap::new(),
            messages: 0,
        }
    }

    /// Takes the next message.
    pub async fn next(&mut self) {
        let next = tokio::time::timeout(PATIENCE, self.updates.message()).await;
        let update = next.expect("in time").expect("a message").expect("no end");
        assert!(update.now.is_some(), "no time");
        self.messages += 1;
        for new in update.new_metadata.into_iter().flat_map(|new| new.metadata) {
            self.field_names = new.metadata.expect("metadata").field_names;
        }
        let told = update.task_update.expect("tasks");
        for task in told.new_tasks {
            let id = task.id.expect("an id").id;
            assert!(told.stats_update.contains_key(&id), "{id} has no stats");
            let before = self.tasks.insert(id, task);
            assert!(before.is_none(), "{id} was announced before");
        }
        for (id, stats) in told.stats_update {
            assert!(self.tasks.contains_key(&id), "{id} was never announced");
            assert!(stats.created_at.is_some() && stats.poll_stats.is_some());
            let before = self.stats.insert(id, stats);
            let ended = before.is_some_and(|before| before.dropped_at.is_some());
            assert!(!ended, "{id} goes on after its end");
        }
    }

    /// Takes messages until `wanted` is there.
    pub async fn until<R>(&mut self, wanted: impl Fn(&View) -> Option<R>) -> R {
        let search = async {
            loop {
                if let Some(found) = wanted(self) {
                    return found;
                }
                self.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("in time")
    }

    /// The value of a field, as text.
    pub fn field(&self, id: u64, name: &str) -> Option<String> {
        let named = |field: &&console_api::Field| match &field.name {
            Some(Name::NameIdx(index)) => self.field_names[*index as usize] == name,
            _ => false,
        };
        let value = self.tasks[&id].fields.iter().find(named)?.value.clone();
        Some(match value? {
            Value::StrVal(text) | Value::DebugVal(text) => text,
            Value::U64Val(number) => number.to_string(),
            Value::I64Val(number) => number.to_string(),
            Value::BoolVal(truth) => truth.to_string(),
        })
    }

    /// The tasks that spawned it.
    pub fn parents(&self, id: u64) -> Vec<u64> {
        let parents = self.tasks[&id].parents.iter();
        parents.map(|parent| parent.id).collect()
    }

    /// The tasks of that name.
    pub fn named(&self, name: &str) -> Vec<u64> {
        let ids = self.tasks.keys().copied();
        ids.filter(|id| self.field(*id, "task.name").as_deref() == Some(name))
            .collect()
    }

    /// The only task of that name.
    pub fn one(&self, name: &str) -> Option<u64> {
        let ids = self.named(name);
        assert!(ids.len() < 2, "{} tasks are called {name}", ids.len());
        ids.first().copied()
    }
}
