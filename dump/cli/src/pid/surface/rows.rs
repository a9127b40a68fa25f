//! Tasks as rows of runtime-dump's model.

use super::{Options, Source, Thread};
use runtime_dump::goroutine::notes::Notes;
use runtime_dump::goroutine::{State, Tables};
use runtime_dump::naming::role;
use runtime_dump::stack::{Location, Site, Stack};
use runtime_dump_decode::detail_text::Words;
use runtime_dump_decode::model::{Body, Chain, Detail, Dump, Frame, State as TaskState, Task};
use runtime_dump_decode::stacks::{ChainStack, Shape, Stacks};
use runtime_dump_decode::waits::Waits;
use std::collections::HashMap;
use std::sync::Arc;

/// The selected tasks as rows, with the tables that they point into.
pub(super) struct Rows {
    /// The number of all tasks, those not selected included.
    pub(super) total: usize,
    /// The troubles of the whole process: futurelocks and cycles of waits.
    pub(super) troubles: Vec<String>,
    pub(super) tables: Tables,
    pub(super) rows: Vec<Row>,
}

/// A task as a row.
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) state: State,
    pub(super) reason: String,
    pub(super) notes: Vec<String>,
    pub(super) stack: u32,
    pub(super) site: Option<u32>,
}

/// A stack and its properties, made from a chain once.
#[derive(Clone)]
struct Made {
    stack: u32,
    reason: &'static str,
    matches: bool,
}

impl Rows {
    pub(super) fn of(dump: &Dump, source: &Source, options: &Options) -> Self {
        let mut rows = Self {
            total: 0,
            troubles: Vec::new(),
            tables: Tables::default(),
            rows: Vec::new(),
        };
        let mut stacks = Stacks::new(&dump.frames);
        let mut chains: HashMap<Shape, Made> = HashMap::new();
        let mut missing: HashMap<&'static str, u32> = HashMap::new();
        let mut sites: HashMap<(Arc<str>, u32, u32), u32> = HashMap::new();
        let waiting = chains_of(dump).map(|(task, chain)| {
            let is_waiting = task.state == TaskState::Waiting;
            (task.id, is_waiting, chain)
        });
        let polled = dump.tasks.iter();
        let polled =
            polled.filter_map(|task| task.ends.as_deref().map(|ends| (task.id, false, ends)));
        // Roots of `block_on` have no id of their own.
        let roots = dump.tasks.iter().filter_map(chain_of_root);
        let waits = Waits::of(waiting.chain(polled), roots, dump.stored.clone());
        let cycles = waits.cycles();
        let cycles = cycles.iter().map(|cycle| {
            format!(
                "may be a deadlock: {}",
                cycle.text(&|id| format!("goroutine {id}"))
            )
        });
        rows.troubles.extend(cycles);
        let ids = chains_of(dump).map(|(task, chain)| (task.id, chain));
        rows.troubles.extend(waits.futurelocks(ids, &dump.frames));
        let closures: Vec<Task> = dump
            .unlisted
            .iter()
            .filter_map(|(thread, id)| closure(*thread, *id, source))
            .collect();
        let polled: Vec<Task> = dump
            .tasks
            .iter()
            .filter_map(|task| polled_root(task, source))
            .collect();
        let others = dump.tasks.iter().filter(|task| {
            let is_polled = |root: &Task| root.root_of == task.root_of;
            task.root_of.is_none() || !polled.iter().any(is_polled)
        });
        for task in others.chain(&polled).chain(&closures) {
            rows.total += 1;
            let thread = task.thread.and_then(|tid| source.thread(tid));
            let (made, mut notes) = match &task.body {
                Body::Missing(_) if task.state == TaskState::Running && thread.is_some() => {
                    let stack = task_stack(thread.expect("checked"), options.verbose);
                    let matches = options.matches.as_ref().is_none_or(|text| {
                        let mut frames = stack.trunk.iter().flat_map(|location| &location.frames);
                        frames.any(|frame| frame.function.contains(text))
                    });
                    rows.tables.stacks.push(stack);
                    let made = Made {
                        stack: rows.tables.stacks.len() as u32 - 1,
                        reason: "running",
                        matches,
                    };
                    (made, Vec::new())
                }
                Body::Chain(chain) => {
                    let made = chains.entry(Shape(chain)).or_insert_with(|| {
                        let ChainStack { stack, reason, .. } = stacks.stack(chain, options.verbose);
                        rows.tables.stacks.push(stack);
                        Made {
                            stack: rows.tables.stacks.len() as u32 - 1,
                            reason: reason.text(),
                            matches: options
                                .matches
                                .as_ref()
                                .is_none_or(|text| has(chain, &dump.frames, text)),
                        }
                    });
                    let others = |detail: &Detail| waits.others(detail, task.id);
                    let mut noted = Notes::default();
                    let words = Words {
                        now: source.now,
                        others: &others,
                        numbers_branches: true,
                        tells: &|_| true,
                    };
                    chain.add_notes(&mut noted, &words);
                    let mut notes: Vec<String> = noted.iter().map(str::to_owned).collect();
                    notes.extend(waits.cycle(task.id));
                    let kept = chain.kept.iter();
                    notes.extend(kept.map(|kept| kept.text(&dump.frames)));
                    (made.clone(), notes)
                }
                Body::Missing(why) => {
                    let stack = *missing.entry(why).or_insert_with(|| {
                        rows.tables.stacks.push(Stack {
                            missing: Some((*why).into()),
                            ..Stack::default()
                        });
                        rows.tables.stacks.len() as u32 - 1
                    });
                    let made = Made {
                        stack,
                        reason: "waiting",
                        matches: options.matches.is_none(),
                    };
                    (made, Vec::new())
                }
            };
            let (state, reason) = match task.state {
                TaskState::Running => (State::Running, "running"),
                TaskState::Runnable => (State::Runnable, "runnable"),
                TaskState::Waiting => (State::Waiting, made.reason),
                TaskState::Complete => (State::Waiting, "ended"),
            };
            let is_asked_for = options
                .state
                .as_deref()
                .is_none_or(|wanted| wanted == state.word() || wanted == reason);
            if !made.matches || !is_asked_for {
                continue;
            }
            push_facts(&mut notes, task, dump.runtimes.len());
            let site = task.spawned_at.clone().map(|place| {
                *sites.entry(place.clone()).or_insert_with(|| {
                    let (file, line, column) = place;
                    rows.tables.sites.push(Site {
                        function: None,
                        file,
                        line,
                        column,
                        function_offset: None,
                    });
                    rows.tables.sites.len() as u32 - 1
                })
            });
            rows.rows.push(Row {
                id: task.id,
                state,
                reason: reason.to_owned(),
                notes,
                stack: made.stack,
                site,
            });
        }
        rows.rows.sort_by_key(|row| row.id);
        rows
    }
}

/// The chain of a root of `block_on`.
fn chain_of_root(task: &Task) -> Option<&Chain> {
    match &task.body {
        Body::Chain(chain) if task.id == 0 => Some(chain),
        _ => None,
    }
}

/// The tasks with known futures, and their chains.
fn chains_of(dump: &Dump) -> impl Iterator<Item = (&Task, &Chain)> {
    let tasks = dump.tasks.iter().filter(|task| task.id != 0);
    tasks.filter_map(|task| match &task.body {
        Body::Chain(chain) => Some((task, chain)),
        Body::Missing(_) => None,
    })
}

/// A task in no list is a blocking closure, unless a worker of tokio runs in it. Returns the closure as a task.
fn closure(thread: u32, id: u64, source: &Source) -> Option<Task> {
    const WORKER: &str = "tokio::runtime::scheduler::multi_thread::worker::";
    let frames = task_part(source.thread(thread)?);
    let mut functions = frames.iter().flat_map(|location| &location.frames);
    let is_worker = functions.any(|frame| frame.function.starts_with(WORKER));
    (!is_worker && !frames.is_empty()).then_some(Task {
        id,
        address: 0,
        runtime: 0,
        state: TaskState::Running,
        is_cancelled: false,
        has_no_waker: false,
        thread: Some(thread),
        root_of: None,
        trace: None,
        unchanged_for: None,
        ends: None,
        spawned_at: None,
        body: Body::Missing("it is a blocking closure"),
    })
}

/// The frames of the innermost task that a thread runs; empty if it runs none. The function that polls the task may be
/// inlined into the same physical frame as the task's code, or the task's code into it. Functions of the same modules
/// that the task calls, to spawn or wake another task, belong to the task.
fn task_part(thread: &Thread) -> Vec<Arc<Location>> {
    let frames = thread.stack.iter().enumerate().flat_map(|(at, location)| {
        let frames = location.frames.iter().enumerate();
        frames.map(move |(inlined, frame)| ((at, inlined), &frame.function))
    });
    let mut end = None;
    for (place, function) in frames {
        end = match role::is_harness(function) {
            true => end.or(Some(place)),
            // The function is called by the harness itself.
            false if role::is_scaffolding(function) || function.starts_with("tokio::loom::") => end,
            false => None,
        };
        if polls_task(function) {
            let Some((at, inlined)) = end else { break };
            let mut part = thread.stack[..at].to_vec();
            if inlined > 0 {
                let location = &thread.stack[at];
                part.push(Arc::new(Location {
                    frames: location.frames[..inlined].to_vec(),
                    ..(**location).clone()
                }));
            }
            return part;
        }
    }
    Vec::new()
}

/// Whether the function polls tasks. The outermost such function may be missing, because it can jump to the next one.
fn polls_task(function: &str) -> bool {
    const HARNESS: [&str; 2] = [
        "tokio::runtime::task::harness::",
        "tokio::runtime::task::raw::",
    ];
    HARNESS.iter().any(|prefix| function.starts_with(prefix)) && function.contains("::poll")
}

/// A root future that its thread is polling. Its memory still has the await of the last wait, so the thread's stack is
/// shown.
fn polled_root(task: &Task, source: &Source) -> Option<Task> {
    let tid = task.root_of?;
    let thread = source.thread(tid)?;
    is_in_root(thread).then(|| Task {
        state: TaskState::Running,
        thread: Some(tid),
        body: Body::Missing("its thread polls it"),
        ..task.clone()
    })
}

/// Whether a thread in `block_on` polls its root future: the thread neither parks nor polls another task. The tasks of
/// a `LocalSet` are polled by the root future itself.
fn is_in_root(thread: &Thread) -> bool {
    let has = |part: &str| {
        let mut frames = thread.stack.iter().flat_map(|location| &location.frames);
        frames.any(|frame| frame.function.contains(part))
    };
    let parks = [
        "tokio::runtime::park::",
        "tokio::runtime::driver::",
        "tokio::runtime::io::driver::",
        "tokio::runtime::time::Driver",
        "current_thread::Context::park",
    ];
    let mut frames = thread.stack.iter().flat_map(|location| &location.frames);
    let polls_task = frames.any(|frame| polls_task(&frame.function));
    let polls_local = has("tokio::task::local::");
    !thread.stack.is_empty() && !parks.iter().any(|part| has(part)) && (!polls_task || polls_local)
}

fn task_stack(thread: &Thread, verbose: bool) -> Stack {
    let part = task_part(thread);
    match part.is_empty() {
        true => thread_stack(thread, verbose),
        false => stack_of(&part, verbose),
    }
}

/// All frames of a thread.
pub(super) fn thread_stack(thread: &Thread, verbose: bool) -> Stack {
    stack_of(&thread.stack, verbose)
}

fn stack_of(locations: &[Arc<Location>], verbose: bool) -> Stack {
    let shown = |location: &Arc<Location>| match verbose && location.hidden {
        true => Arc::new(Location {
            hidden: false,
            ..(**location).clone()
        }),
        false => location.clone(),
    };
    Stack {
        trunk: locations.iter().map(shown).collect(),
        missing: locations
            .is_empty()
            .then(|| "its thread was not stopped".into()),
        ..Stack::default()
    }
}

fn has(chain: &Chain, frames: &[Frame], text: &str) -> bool {
    let mut numbers = chain.frames.iter();
    numbers.any(|number| frames[*number as usize].function.contains(text))
        || chain
            .branches
            .iter()
            .any(|branch| has(branch, frames, text))
}

fn push_facts(notes: &mut Vec<String>, task: &Task, runtimes: usize) {
    if runtimes > 1 {
        notes.push(format!("runtime {}", task.runtime + 1));
    }
    if let Some(thread) = task.thread {
        notes.push(format!("on thread {thread}"));
    }
    if let Some(thread) = task.root_of {
        notes.push(format!("root of block_on in thread {thread}"));
    }
    if task.is_cancelled {
        notes.push("aborted".into());
    }
    if let Some(passed) = task.unchanged_for {
        notes.push(format!("no trace of a poll in {passed:?}"));
    }
    if task.has_no_waker {
        notes.push("nothing can wake it".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_dump::stack;

    fn thread(functions: &[&str]) -> Thread {
        let location = |function: &&str| {
            Arc::new(Location {
                return_address: 0x10,
                function_offset: None,
                frames: vec![stack::Frame {
                    function: (*function).into(),
                    file: "".into(),
                    line: 0,
                }],
                hidden: false,
            })
        };
        Thread {
            tid: 1,
            name: "main".into(),
            no_name: None,
            state: "running",
            cpu_ns: None,
            stack: functions.iter().map(location).collect(),
        }
    }

    #[test]
    fn what_a_task_calls_of_tokio_is_its_own() {
        let stack = [
            "malloc",
            "tokio::runtime::task::core::Cell::new",
            "tokio::task::spawn::spawn",
            "app::work::{async fn}",
            "tokio::runtime::task::core::Core::poll::{closure}",
            "core::panic::unwind_safe::AssertUnwindSafe::call_once",
            "tokio::runtime::task::harness::Harness::poll",
            "tokio::runtime::task::LocalNotified::run",
            "tokio::runtime::scheduler::multi_thread::worker::run",
        ];
        let part = |stack: &[&str]| {
            let part = task_part(&thread(stack));
            let frames = part.iter().flat_map(|location| &location.frames);
            frames.map(|frame| frame.function.to_string()).collect()
        };
        let own: Vec<String> = part(&stack);
        assert_eq!(own, stack[..4]);
        // A worker that spawns a task outside of any poll runs no task.
        assert_eq!(part(&stack[..3]), [""; 0]);
    }

    #[test]
    fn a_root_is_polled_unless_its_thread_parks_or_polls_a_task() {
        let block_on = "tokio::runtime::runtime::Runtime::block_on";
        let cases: [(&[&str], bool); 5] = [
            (
                &["app::compute", "app::main::{async block}", block_on],
                true,
            ),
            (
                &["syscall", "tokio::runtime::park::Inner::park", block_on],
                false,
            ),
            (
                &["app::job", "tokio::runtime::task::raw::poll", block_on],
                false,
            ),
            (
                &[
                    "app::job",
                    "tokio::runtime::task::raw::poll",
                    "tokio::task::local::LocalSet::tick",
                    block_on,
                ],
                true,
            ),
            // The registers of this thread could not be read, so its state is unknown.
            (&[], false),
        ];
        for (functions, polled) in cases {
            assert_eq!(is_in_root(&thread(functions)), polled, "{functions:?}");
        }
    }
}
