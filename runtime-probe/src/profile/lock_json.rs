//! The locks with waiters, as JSON.
//!
//! Times are nanoseconds. Unknown values are `null`.

use super::conditions::Condition;
use super::lock_table::LockTable;
use super::sites::quoted;
use crate::registry::locks::Who;
use crate::snapshot::locks::{self, Lock, Permits};
use crate::snapshot::tasks::Row;
use runtime_dump::source_path::shortened;
use std::collections::HashMap;
use std::fmt::Write;

impl LockTable {
    /// The content of [`LockTable::write`].
    pub(crate) fn json(&self) -> String {
        let rows: HashMap<u64, &Row> = self.0.tasks.rows.iter().map(|row| (row.id, row)).collect();
        let deadlocks = self
            .0
            .conditions
            .iter()
            .filter_map(|condition| match condition {
                Condition::Deadlock { .. } => Some(quoted(&condition.text())),
                _ => None,
            });
        let deadlocks: Vec<String> = deadlocks.collect();
        let locks = self.0.locks.all().iter();
        let locks: Vec<String> = locks.map(|lock| self.lock(lock, &rows)).collect();
        format!(
            "{{\n  \"deadlocks\": [{}],\n  \"waits_missed\": {},\n  \"locks\": [{}]\n}}\n",
            deadlocks.join(", "),
            locks::missed(),
            locks.join(",")
        )
    }

    fn lock(&self, lock: &Lock, rows: &HashMap<u64, &Row>) -> String {
        let created = lock
            .created()
            .map(|at| quoted(&format!("{}:{}", shortened(at.file()), at.line())));
        let taken_at = Some(self.0.locks.place_of(lock)).filter(|place| !place.is_empty());
        let mut json = format!("\n    {{\"type\": {}", quoted(&lock.type_name()));
        let mut field = |name, value: Option<String>| {
            let value = value.unwrap_or_else(|| "null".to_owned());
            let _ = write!(json, ", \"{name}\": {value}");
        };
        field("created_at", created);
        field("holder", self.who(lock.holder, rows));
        field("is_shared", Some(lock.is_shared.to_string()));
        field("may_have_moved", Some(lock.may_have_moved.to_string()));
        field(
            "permits",
            lock.permits
                .as_ref()
                .map(|permits| self.permits(permits, rows)),
        );
        field("since_ns", lock.since_ns.map(|ns| ns.to_string()));
        field("taken_at", taken_at.map(quoted));
        // The task that owns the lock through a future that it does not poll any more.
        let given_to = self.0.locks.culprit(lock).map(Who::Task);
        field("given_to", given_to.and_then(|task| self.who(task, rows)));
        field("waits", Some(lock.waits.to_string()));
        field("waited_ns", Some(lock.waited_ns.to_string()));
        let waiters = lock.waiters.iter().map(|waiter| {
            let who = self.who_at(waiter.who, rows, |row| self.place_of(waiter, row));
            let who = who.unwrap_or_else(|| "null".to_owned());
            format!(
                "\n      {{\"since_ns\": {}, \"who\": {who}}}",
                waiter.since_ns
            )
        });
        let waiters: Vec<String> = waiters.collect();
        field("waiters", Some(format!("[{}]", waiters.join(","))));
        json.push('}');
        json
    }

    fn permits(&self, permits: &Permits, rows: &HashMap<u64, &Row>) -> String {
        let null = || "null".to_owned();
        let holders = permits.holders.iter().map(|holder| {
            format!(
                "{{\"permits\": {}, \"since_ns\": {}, \"may_have_moved\": {}, \"who\": {}}}",
                holder.count,
                holder.since_ns,
                holder.may_have_moved,
                self.who(holder.who, rows).unwrap_or_else(null)
            )
        });
        let holders: Vec<String> = holders.collect();
        format!(
            "{{\"all\": {}, \"free\": {}, \"forgotten\": {}, \"forgotten_by\": {}, \"holders\": [{}]}}",
            permits.all,
            permits.free(),
            permits.forgotten,
            self.who(permits.forgetter, rows).unwrap_or_else(null),
            holders.join(", ")
        )
    }

    /// A task with its place, or a thread.
    fn who(&self, who: Who, rows: &HashMap<u64, &Row>) -> Option<String> {
        self.who_at(who, rows, |row| self.place(row))
    }

    fn who_at(
        &self,
        who: Who,
        rows: &HashMap<u64, &Row>,
        place: impl Fn(&Row) -> String,
    ) -> Option<String> {
        Some(match who {
            Who::Task(id) => {
                let at = rows.get(&id).map(|row| quoted(&place(row)));
                let at = at.unwrap_or_else(|| "null".to_owned());
                format!("{{\"task\": {id}, \"at\": {at}}}")
            }
            Who::Thread(tid) => format!(
                "{{\"thread\": {tid}, \"name\": {}}}",
                quoted(&self.0.thread_of(tid))
            ),
            Who::Unknown => return None,
        })
    }
}
