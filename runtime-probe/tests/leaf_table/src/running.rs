//! Tasks that do not wait: each occupies a thread, and the dump shows the stack from the innermost function to the
//! task.

use crate::check::Detail;
use crate::dump::{self, Task};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Complaints about these tasks in a dump.
pub fn complaints(detail: Detail) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![format!("no runtime: {error}")],
    };
    let rows = [
        ("sleeps", runtime.spawn(outer_of_sleeps()).id()),
        ("spins", runtime.spawn(outer_of_spins()).id()),
        (
            "closure",
            runtime.spawn_blocking(|| sleeps(black_box(3))).id(),
        ),
    ];
    // The tasks occupy their threads to the end of the process.
    std::mem::forget(runtime);
    let mut complaints = Vec::new();
    for (name, id) in rows {
        let id = id.to_string();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let dump = dump::take();
            let task = dump.tasks.iter().find(|task| task.id.to_string() == id);
            let wrong = task.map_or(Some("not in the dump".to_owned()), |task| {
                wrong(name, task, detail)
            });
            let Some(wrong) = wrong else { break };
            if Instant::now() > deadline {
                complaints.push(format!("running, {name}: {wrong}: {task:#?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    complaints
}

/// The complaint about the block of a task, if there is one.
fn wrong(name: &str, task: &Task, detail: Detail) -> Option<String> {
    let functions: Vec<&str> = task.frames.iter().map(|frame| &*frame.function).collect();
    let at = |function: &str| functions.iter().position(|known| *known == function);
    let function = match name {
        "spins" => "leaf_table::running::spins",
        _ => "leaf_table::running::sleeps",
    };
    let root = format!("leaf_table::running::outer_of_{name}");
    if !matches!(&*task.reason, "running" | "blocking") || task.remark.contains("no stack") {
        return Some("no stack".to_owned());
    }
    if task.remark.contains("the stack goes on") {
        return Some("the walk got lost".to_owned());
    }
    if detail == Detail::Stripped {
        // The functions of this file are not inlined, so each has an address; below the last one is the task's name.
        let addresses = functions
            .iter()
            .filter(|function| function.starts_with("0x"));
        let (found, expected) = (addresses.count(), if name == "closure" { 3 } else { 4 });
        return (found < expected).then(|| format!("{found} frames"));
    }
    // The outermost frame of that name: the function that `deep` calls may have the same name.
    let inner = functions.iter().rposition(|known| *known == function);
    let deep = at("leaf_table::running::deep");
    // The innermost is `deep`, three times, and then its caller.
    if inner.is_none() || deep.is_none() || inner <= deep {
        return Some("not in the function that keeps the thread".to_owned());
    }
    // With line tables alone an async fn that was inlined into its wrapper has no name of its own.
    let last = functions.last().copied().unwrap_or_default();
    let ends = match name {
        "closure" => last.starts_with("leaf_table::running::"),
        _ => last == root || (detail == Detail::Lines && last == "leaf_table::running::{async fn}"),
    };
    (!ends).then(|| format!("ends in {last}"))
}

async fn outer_of_sleeps() {
    sleeps(black_box(3));
}

async fn outer_of_spins() {
    spins(black_box(3));
}

#[inline(never)]
fn sleeps(depth: u32) {
    deep(depth, || std::thread::sleep(Duration::from_secs(3600)));
    black_box(depth);
}

#[inline(never)]
fn spins(depth: u32) {
    deep(depth, || {
        let forever = black_box(true);
        while forever {
            std::hint::spin_loop();
        }
    });
    black_box(depth);
}

/// Frames of several sizes, one inside the other.
#[inline(never)]
fn deep(depth: u32, end: fn()) {
    let large = black_box([depth; 300]);
    match depth {
        0 => end(),
        depth => deep(depth - 1, end),
    }
    black_box(&large);
}
