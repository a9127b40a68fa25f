//! Tasks by their activity between two dumps.

use super::{Order, View, json};
use crate::own_frame::{own_frame, place};
use crate::refusal::Refusal;
use crate::show::block::duration;
use crate::show::style::printable;
use crate::show::table::Table;
use crate::source::Source;
use runtime_dump::stack::Frame;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A dump and its time.
pub(super) struct Look {
    at: Instant,
    /// The CPU time of the process so far; `None` where the server does not report it.
    cpu_seconds: Option<f64>,
    tasks: HashMap<u64, Task>,
}

struct Task {
    state: String,
    reason: String,
    wait_ns: u64,
    polls: u64,
    busy_ns: u64,
    name: String,
    place: String,
}

pub(super) fn look(source: &Source) -> Result<Look, Refusal> {
    let document = json(source, "goroutine?format=json", Duration::ZERO)?;
    let at = Instant::now();
    let cpu_seconds = source
        .bytes("/metrics", Duration::ZERO)
        .ok()
        .and_then(|metrics| cpu_seconds(&String::from_utf8_lossy(&metrics)));
    let tasks = document["goroutines"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    Ok(Look {
        at,
        cpu_seconds,
        tasks: tasks
            .iter()
            .filter_map(|task| Some((task["id"].as_u64()?, read(task))))
            .collect(),
    })
}

/// The CPU time of the process, from OpenMetrics.
fn cpu_seconds(metrics: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix("process_cpu_seconds_total "))?;
    // A timestamp may follow.
    value.split(' ').next()?.parse().ok()
}

fn read(task: &Value) -> Task {
    let text = |key: &str| task[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| task[key].as_u64().unwrap_or(0);
    let frames: Vec<Frame> = task["frames"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(frame)
        .collect();
    let own = own_frame(&frames);
    let function = own
        .map(|frame| frame.function.to_string())
        .unwrap_or_default();
    let name = match text("name") {
        name if name.is_empty() => function,
        name => format!("{name} ({function})"),
    };
    Task {
        state: text("state"),
        reason: joined(task).map_or_else(|| text("reason"), |joined| format!("join {joined}")),
        wait_ns: number("wait_ns"),
        polls: number("polls"),
        busy_ns: number("busy_ns"),
        name,
        place: own.map(place).unwrap_or_default(),
    }
}

/// The joined task of a task that only joins: `goroutine 431`, or `one of 7`.
fn joined(task: &Value) -> Option<String> {
    let join = task["joins"].get(0).filter(|_| task["reason"] == "join")?;
    match join["members"].as_u64() {
        Some(members) => Some(format!("one of {members}")),
        None => Some(format!("goroutine {}", join["tasks"][0]["id"].as_u64()?)),
    }
}

fn frame(frame: &Value) -> Frame {
    Frame {
        function: frame["function"].as_str().unwrap_or_default().into(),
        file: frame["file"].as_str().unwrap_or_default().into(),
        line: frame["line"]
            .as_u64()
            .and_then(|line| u32::try_from(line).ok())
            .unwrap_or(0),
    }
}

/// The activity of each task between two looks.
pub(super) fn view(before: &Look, now: &Look, order: Order) -> View {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    let mut busy = 0;
    for (id, task) in &now.tasks {
        *states.entry(&task.state).or_default() += 1;
        let (polls, busy_ns) = before
            .tasks
            .get(id)
            .map_or((0, 0), |before| (before.polls, before.busy_ns));
        busy += task.busy_ns.saturating_sub(busy_ns);
        // A task may have the id of an ended one. Its differences are cut at 0.
        rows.push((
            *id,
            task,
            task.polls.saturating_sub(polls),
            task.busy_ns.saturating_sub(busy_ns),
        ));
    }
    rows.sort_by_key(|(id, task, polls, busy_ns)| {
        let key = match order {
            Order::Busy => *busy_ns,
            Order::Polls => *polls,
            Order::Waits | Order::Alive | Order::Heap => task.wait_ns,
        };
        (std::cmp::Reverse(key), *id)
    });
    let mut table = Table::new(&[
        ">BUSY", ">POLLS/S", "STATE", ">SINCE", ">ID", "TASK", "WHERE",
    ]);
    for (id, task, polls, busy_ns) in rows {
        table.push(vec![
            format!("{:.1}%", busy_ns as f64 / seconds / 1e7),
            format!("{:.1}", polls as f64 / seconds),
            printable(if task.reason.is_empty() {
                &task.state
            } else {
                &task.reason
            }),
            duration(task.wait_ns),
            id.to_string(),
            printable(&task.name),
            printable(&task.place),
        ]);
    }
    let states: Vec<String> = states
        .into_iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let percent = |share: f64| format!("{:.1}%", share / seconds * 100.0);
    let cpu = now.cpu_seconds.zip(before.cpu_seconds);
    let cpu = cpu.map_or(String::new(), |(now, before)| {
        format!(", CPU of the process {}", percent((now - before).max(0.0)))
    });
    View {
        head: format!(
            "{} tasks: {}; {seconds:.1}s, busy in all {}{cpu}",
            now.tasks.len(),
            states.join(", "),
            percent(busy as f64 / 1e9)
        ),
        table,
        has_bytes: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::style::Style;
    use serde_json::json;

    fn look(at: Instant, tasks: &[(u64, u64, u64)]) -> Look {
        let task = |polls: u64, busy: u64| json!({ "name": null, "state": "waiting", "reason": "sleep", "wait_ns": 5, "polls": polls, "busy_ns": busy, "frames": [] });
        Look {
            at,
            cpu_seconds: Some(polls_of_all(tasks) as f64 / 10.0),
            tasks: tasks
                .iter()
                .map(|(id, polls, busy)| (*id, read(&task(*polls, *busy))))
                .collect(),
        }
    }

    fn polls_of_all(tasks: &[(u64, u64, u64)]) -> u64 {
        tasks.iter().map(|(_, polls, _)| polls).sum()
    }

    #[test]
    fn the_time_of_the_process_is_found() {
        let metrics = "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.25\n# EOF\n";
        assert_eq!(cpu_seconds(metrics), Some(1.25));
        assert_eq!(cpu_seconds("# EOF\n"), None);
    }

    #[test]
    fn a_task_that_waits_for_an_end_says_of_which() {
        let task = |reason: &str, joins: Value| {
            let task = json!({ "id": 2, "state": "waiting", "reason": reason, "joins": joins, "frames": [] });
            read(&task).reason
        };
        let of = |members: Value, tasks: &[u64]| {
            let tasks: Value = tasks
                .iter()
                .map(|id| json!({ "id": id, "name": null }))
                .collect();
            json!([{ "members": members, "tasks": tasks }])
        };
        assert_eq!(task("join", of(Value::Null, &[431])), "join goroutine 431");
        assert_eq!(task("join", of(json!(7), &[5, 6])), "join one of 7");
        // The join is one of several waits of a `select!`.
        assert_eq!(task("select", of(Value::Null, &[431])), "select");
        for none in [json!([]), Value::Null, of(Value::Null, &[])] {
            assert_eq!(task("join", none), "join");
        }
    }

    #[test]
    fn rates_are_differences() {
        let start = Instant::now();
        let before = look(start, &[(1, 10, 1_000_000_000), (2, 5, 0)]);
        let now = look(
            start + Duration::from_secs(2),
            &[(1, 12, 1_000_000_000), (2, 9, 500_000_000), (3, 1, 0)],
        );
        let view = view(&before, &now, Order::Busy);
        // The tasks have 22 polls after 15, each of a tenth of a second.
        let head = "3 tasks: 3 waiting; 2.0s, busy in all 25.0%, CPU of the process 35.0%";
        assert_eq!(view.head, head);
        let text = view.table.text(Style::NONE);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[1], ["25.0%", "2.0", "sleep", "5ns", "2"]);
        assert_eq!(rows[2], ["0.0%", "1.0", "sleep", "5ns", "1"]);
    }
}
