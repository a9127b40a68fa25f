//! The variables of the process and of the program, as JSON in the layout of Go's `expvar`.

#[cfg(feature = "rt")]
use super::figures;
use crate::registry::vars::{self, Value, Var};
use crate::snapshot::sites;
use crate::sys::status_file::StatusFile;
use runtime_dump::json::push_string;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The names of the built-in variables.
pub(crate) const BUILT_IN: [&str; 5] = ["cmdline", "memstats", "probe", "tasks", "tokio"];

/// The document: `{`, a line for each variable ordered by name, `}`.
pub(crate) fn document() -> Vec<u8> {
    let built_in: [(&str, Value); 5] = [
        ("cmdline", cmdline()),
        ("memstats", memstats()),
        ("probe", probe()),
        ("tasks", tasks()),
        ("tokio", tokio()),
    ];
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for (name, value) in built_in {
        all.insert(name.to_owned(), value);
    }
    for (name, var) in vars::published() {
        all.insert(name, read(&var));
    }
    let mut json = b"{\n".to_vec();
    for (index, (name, value)) in all.iter().enumerate() {
        if index > 0 {
            json.extend_from_slice(b",\n");
        }
        push_string(&mut json, name);
        json.extend_from_slice(b": ");
        push(&mut json, value);
    }
    json.extend_from_slice(b"\n}\n");
    json
}

/// Calls the program's code. If it panics, the value is `null`.
fn read(var: &Arc<dyn Var>) -> Value {
    catch_unwind(AssertUnwindSafe(|| var.value())).unwrap_or(Value::Null)
}

fn push(json: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(value) => json.extend_from_slice(value.to_string().as_bytes()),
        Value::Int(number) => json.extend_from_slice(number.to_string().as_bytes()),
        Value::Float(number) if number.is_finite() => {
            json.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Null | Value::Float(_) => json.extend_from_slice(b"null"),
        Value::Text(text) => push_string(json, text),
        Value::List(values) => {
            json.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                push(json, value);
            }
            json.push(b']');
        }
        Value::Map(map) => {
            json.push(b'{');
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    json.extend_from_slice(b", ");
                }
                push_string(json, key);
                json.extend_from_slice(b": ");
                push(json, value);
            }
            json.push(b'}');
        }
    }
}

fn cmdline() -> Value {
    let arguments = std::env::args_os();
    Value::List(
        arguments
            .map(|argument| Value::Text(String::from_utf8_lossy(argument.as_bytes()).into_owned()))
            .collect(),
    )
}

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn optional(number: Option<u64>) -> Value {
    number.map_or(Value::Null, int)
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter();
    Value::Map(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// The entries with Go's meaning. Entries that only an allocator knows are missing.
fn memstats() -> Value {
    // Address space for data: heaps and stacks.
    map([("Sys", optional(StatusFile::read().bytes("VmData:")))])
}

fn tasks() -> Value {
    let sites = sites::take();
    let sum = |of: fn(&sites::SiteRow) -> u64| int(sites.rows.iter().map(of).sum());
    map([
        ("alive", sum(|row| row.alive)),
        ("spawned", sum(|row| row.alive + row.finished)),
        ("finished", sum(|row| row.finished)),
        ("panicked", sum(|row| row.panicked)),
        ("polls", sum(|row| row.polls)),
        ("sites", int(sites.rows.len() as u64)),
        ("unlisted", int(super::diagnosis::count_unlisted_at_once())),
    ])
}

fn probe() -> Value {
    use crate::demand::Demand;
    map([
        ("version", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
        ("on", Value::Bool(crate::source::is_on())),
        ("block_rate_ns", Value::Int(Demand::Waits.rate())),
        ("mutex_fraction", Value::Int(Demand::Releases.rate())),
        ("task_histograms", Value::Bool(Demand::TaskTimes.is_on())),
        ("label_sets", int(crate::labels::count() as u64)),
        (
            "losses",
            map([
                (
                    "stack_overflow",
                    int(crate::stack::wait_set::table_sizes().2),
                ),
                ("cpu_sample", int(crate::source::cpu::lost())),
            ]),
        ),
    ])
}

#[cfg(feature = "rt")]
fn tokio() -> Value {
    let all = crate::source::metrics::all();
    Value::List(all.iter().map(runtime).collect())
}

#[cfg(not(feature = "rt"))]
fn tokio() -> Value {
    Value::List(Vec::new())
}

/// tokio's counts with tokio's names. Those of `--cfg tokio_unstable` are `null` without it.
#[cfg(feature = "rt")]
fn runtime(numbers: &crate::source::metrics::RuntimeNumbers) -> Value {
    let float = |time: std::time::Duration| Value::Float(time.as_secs_f64());
    let workers = numbers.workers.iter();
    let workers = workers.map(|worker| {
        let unstable = worker.unstable.map_or(Value::Null, |of| {
            map([
                ("poll_count", int(of.polls)),
                ("noop_count", int(of.idle_unparks)),
                ("steal_count", int(of.steals)),
                ("local_queue_depth", int(of.local_queue)),
                ("overflow_count", int(of.overflows)),
                ("mean_poll_time_seconds", float(of.mean_poll)),
            ])
        });
        map([
            ("total_busy_duration_seconds", float(worker.busy)),
            ("park_count", int(worker.parks)),
            ("unstable", unstable),
        ])
    });
    let workers = Value::List(workers.collect());
    map([
        ("name", Value::Text(figures::runtime_name(numbers))),
        ("id", int(numbers.id)),
        ("flavor", Value::Text(numbers.flavor.to_owned())),
        ("num_alive_tasks", int(numbers.tasks_alive)),
        ("global_queue_depth", int(numbers.global_queue)),
        ("workers", workers),
        (
            "unstable",
            map([
                ("spawned_tasks_count", optional(numbers.tasks_spawned)),
                ("remote_schedule_count", optional(numbers.remote_schedules)),
                ("budget_forced_yield_count", optional(numbers.forced_yields)),
                ("num_blocking_threads", optional(numbers.blocking_threads)),
                ("num_idle_blocking_threads", optional(numbers.blocking_idle)),
                ("blocking_queue_depth", optional(numbers.blocking_queue)),
            ]),
        ),
    ])
}
