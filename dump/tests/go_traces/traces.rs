//! `go tool trace` and Go's validator of traces read ours, and so do Perfetto's messages.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use runtime_dump::stack::Frame;
use runtime_dump::trace::{
    Event, LabelsNumber, OldWait, Outcome, PerfettoWriter, Row, StackNumber, TraceFormat,
    TraceWriter, UserEvent, UserWhat,
};
use runtime_dump_testing::go::Go;
use runtime_dump_testing::perfetto::Perfetto;
use std::path::Path;

fn old(stack: StackNumber) -> OldWait {
    OldWait {
        reason: None,
        stack,
    }
}

fn frame(function: &str) -> Frame {
    Frame {
        function: function.into(),
        file: "src/main.rs".into(),
        line: 7,
    }
}

/// One thing that happens, as small numbers.
#[derive(Clone, Debug)]
enum Step {
    /// A kind of event, a thread, a task, nanoseconds since the last one.
    Event(u8, u64, u64, u64),
    Generation,
    ThreadEnds(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0_u8..25, 1_u64..4, 0_u64..6, 0_u64..1000)
            .prop_map(|(kind, thread, task, after)| Step::Event(kind, thread, task, after)),
        1 => Just(Step::Generation),
        1 => (1_u64..4).prop_map(Step::ThreadEnds),
    ]
}

fn written(steps: &[Step]) -> Vec<u8> {
    let mut trace = TraceWriter::new(Vec::new()).unwrap();
    write(steps, &mut trace);
    trace.into_inner()
}

fn write(steps: &[Step], trace: &mut dyn TraceFormat) {
    let name = trace.stack(&[frame("app::task")]);
    let stack = trace.stack(&[frame("app::wait"), frame("app::task")]);
    let reason = trace.text("sleep");
    let names = ["parse", "answer"].map(|name| trace.text(name));
    let none = LabelsNumber::default();
    let labels = [
        none,
        trace.labels(&[("route", "/order")]),
        trace.labels(&[("route", "/order"), ("tenant", "a b")]),
    ];
    trace.alive(1, name, None, labels[2]);
    trace.alive(2, name, Some(old(stack)), none);
    trace.worker(1);
    trace.begin_generation(1).unwrap();
    let mut at_ns = 1;
    for step in steps {
        match *step {
            Step::Generation => trace.begin_generation(at_ns).unwrap(),
            Step::ThreadEnds(thread) => trace.thread_ended(thread),
            Step::Event(kind, thread, task, after) => {
                at_ns += after;
                let end = |outcome| Event::PollEnd { task, outcome };
                let event = match kind {
                    0 => Event::Spawn {
                        task,
                        name,
                        by: stack,
                        labels: labels[after as usize % 3],
                    },
                    1 | 2 => Event::PollBegin { task },
                    3 => end(Outcome::Waits { reason, stack }),
                    4 => end(Outcome::Yields { stack }),
                    5 => end(Outcome::Ends),
                    6 => Event::Wake {
                        task,
                        stack: StackNumber::default(),
                    },
                    7 => Event::Drop { task },
                    8 => Event::ClosureBegin { task, stack },
                    9..14 => {
                        let name = names[task as usize % 2];
                        let parent = task / 2;
                        Event::User(UserEvent {
                            user_task: task / 3,
                            what: match kind {
                                9 => UserWhat::TaskBegin { parent, name },
                                10 => UserWhat::TaskEnd,
                                11 if after.is_multiple_of(2) => UserWhat::Blocks {
                                    name,
                                    reason,
                                    at: stack,
                                },
                                11 => UserWhat::RegionBegin { name },
                                12 => UserWhat::RegionEnd { name },
                                _ => UserWhat::Log {
                                    category: name,
                                    message: trace.message(&"é".repeat(300 * task as usize)),
                                },
                            },
                            stack,
                        })
                    }
                    14 => Event::InPlaceBegin,
                    15 => Event::InPlaceEnd,
                    16 => Event::CpuSample { task, stack },
                    17 if task == 0 => Event::HeapInUse { bytes: after },
                    17 => Event::Counter {
                        name: reason,
                        value: task,
                    },
                    18..21 => Event::Labels {
                        task,
                        labels: labels[after as usize % 3],
                    },
                    _ if task.is_multiple_of(2) => Event::Park,
                    _ => Event::Unpark,
                };
                trace.row(&Row {
                    at_ns,
                    thread,
                    event,
                });
            }
        }
    }
    trace.end_generation().unwrap();
}

/// Sequences of steps, the same in each run.
fn sequences(number: usize) -> impl Iterator<Item = Vec<Step>> {
    let mut runner = TestRunner::deterministic();
    let steps = vec(step(), 0..200);
    (0..number).map(move |_| steps.new_tree(&mut runner).unwrap().current())
}

#[test]
fn whatever_happens_is_a_trace_for_perfetto() {
    let Some(perfetto) = Perfetto::find("perfetto_arbitrary") else {
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("perfetto_arbitrary");
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let traces: Vec<_> = sequences(200)
        .enumerate()
        .map(|(number, steps)| {
            let mut trace = PerfettoWriter::new(Vec::new(), 7, "app");
            write(&steps, &mut trace);
            file(&format!("{number}.pftrace"), &trace.into_inner())
        })
        .collect();
    perfetto.read(&traces).unwrap();
    // It can fail.
    let mut trace = PerfettoWriter::new(Vec::new(), 7, "app");
    write(&[Step::Event(1, 1, 1, 1)], &mut trace);
    let broken = trace.into_inner();
    // Without the first packet.
    let broken = file("broken.pftrace", &broken[2 + usize::from(broken[1])..]);
    assert!(perfetto.read(&[broken]).is_err());
}

#[test]
fn many_tasks_are_a_number_for_perfetto() {
    let Some(perfetto) = Perfetto::find("perfetto_many") else {
        return;
    };
    let mut trace = PerfettoWriter::new(Vec::new(), 7, "app");
    let name = trace.stack(&[frame("app::task")]);
    trace.begin_generation(1).unwrap();
    for task in 1..=1500 {
        let event = Event::Spawn {
            task,
            name,
            by: name,
            labels: LabelsNumber::default(),
        };
        trace.row(&Row {
            at_ns: task,
            thread: 1,
            event,
        });
    }
    trace.row(&Row {
        at_ns: 2000,
        thread: 1,
        event: Event::Drop { task: 1400 },
    });
    trace.end_generation().unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("many.pftrace");
    std::fs::write(&path, trace.into_inner()).unwrap();
    let read = perfetto.read(&[path]).unwrap();
    assert_eq!(read.matches("\"name\": \"ready\"").count(), 1000);
    assert!(
        read.ends_with("\"value\": 499}]}"),
        "{}",
        &read[read.len() - 200..]
    );
}

/// What is told between two generations, by both writers: a message belongs to the next one, and a row is ignored.
#[test]
fn between_generations_there_are_messages_and_no_rows() {
    fn write(trace: &mut dyn TraceFormat) {
        let name = trace.stack(&[frame("app::task")]);
        let category = trace.text("category");
        trace.begin_generation(1).unwrap();
        trace.end_generation().unwrap();
        let between = trace.message("told between generations");
        let row = |task, at_ns, event| Row {
            at_ns,
            thread: task,
            event,
        };
        let spawn = |task| Event::Spawn {
            task,
            name,
            by: name,
            labels: LabelsNumber::default(),
        };
        let unseen = trace.stack(&[frame("app::unseen")]);
        let event = Event::Spawn {
            task: 9,
            name: unseen,
            by: unseen,
            labels: LabelsNumber::default(),
        };
        trace.row(&row(1, 5, event));
        trace.thread_ended(1);
        trace.begin_generation(10).unwrap();
        trace.row(&row(1, 11, spawn(1)));
        trace.row(&row(1, 12, Event::PollBegin { task: 1 }));
        let what = UserWhat::Log {
            category,
            message: between,
        };
        let event = Event::User(UserEvent {
            user_task: 0,
            stack: name,
            what,
        });
        trace.row(&row(1, 13, event));
        trace.end_generation().unwrap();
    }
    let mut perfetto = PerfettoWriter::new(Vec::new(), 7, "app");
    write(&mut perfetto);
    let mut go = TraceWriter::new(Vec::new()).unwrap();
    write(&mut go);
    let perfetto = perfetto.into_inner();
    // A task would have its track.
    assert!(!String::from_utf8_lossy(&perfetto).contains("app::unseen"));
    for trace in [perfetto, go.into_inner()] {
        let text = String::from_utf8_lossy(&trace);
        assert!(text.contains("told between generations"));
        assert!(text.contains("app::task"));
    }
}

#[test]
fn whatever_happens_is_a_trace() {
    let Some(go) = Go::find("traces_arbitrary") else {
        return;
    };
    // One process of Go reads many.
    let traces: Vec<_> = sequences(500)
        .enumerate()
        .map(|(number, steps)| go.file(&format!("{number}.trace"), &written(&steps)))
        .collect();
    go.validate_traces(&traces).unwrap();
    // It can fail.
    let mut broken = written(&[Step::Event(1, 1, 1, 1)]);
    broken.truncate(broken.len() - 1);
    let broken = go.file("broken.trace", &broken);
    assert!(go.validate_traces(&[broken]).is_err());
}

#[test]
fn a_task_is_shown_with_its_waits() {
    let Some(go) = Go::find("traces_task") else {
        return;
    };
    let mut trace = TraceWriter::new(Vec::new()).unwrap();
    let name = trace.stack(&[frame("app::task")]);
    let main = trace.stack(&[frame("app::main")]);
    let stack = trace.stack(&[
        frame("tokio::sync::mpsc::Receiver::recv"),
        frame("app::task"),
    ]);
    let reason = trace.text("chan receive");
    // Longer than a reader takes.
    let long = trace.stack(&vec![frame(&"x".repeat(5000)); 500]);
    let labels = trace.labels(&[("GC key", "a\nb"), ("route", "/order")]);
    let long_labels = trace.labels(&[("k", &"é".repeat(2000))]);
    let none = LabelsNumber::default();
    trace.alive(10, main, None, long_labels);
    trace.begin_generation(1_000_000).unwrap();
    let ms = 1_000_000;
    for (at_ms, thread, event) in [
        (2, 100, Event::PollBegin { task: 10 }),
        (
            3,
            100,
            Event::Spawn {
                task: 11,
                name,
                by: main,
                labels,
            },
        ),
        (4, 101, Event::PollBegin { task: 11 }),
        (
            5,
            101,
            Event::PollEnd {
                task: 11,
                outcome: Outcome::Waits { reason, stack },
            },
        ),
        (
            25,
            100,
            Event::Wake {
                task: 11,
                stack: main,
            },
        ),
        (30, 101, Event::PollBegin { task: 11 }),
        // What is only taken away is told at the next poll, and there is none.
        (
            30,
            101,
            Event::Labels {
                task: 11,
                labels: none,
            },
        ),
        (
            30,
            100,
            Event::Labels {
                task: 10,
                labels: none,
            },
        ),
        (30, 100, Event::Labels { task: 10, labels }),
        (
            31,
            101,
            Event::PollEnd {
                task: 11,
                outcome: Outcome::Ends,
            },
        ),
        (
            32,
            100,
            Event::PollEnd {
                task: 10,
                outcome: Outcome::Yields { stack: long },
            },
        ),
        (
            33,
            100,
            Event::Labels {
                task: 10,
                labels: none,
            },
        ),
        (34, 100, Event::PollBegin { task: 10 }),
    ] {
        trace.row(&Row {
            at_ns: at_ms * ms,
            thread,
            event,
        });
    }
    trace.end_generation().unwrap();
    let file = go.file("task.trace", &trace.into_inner());
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    go.trace(&["-d=wire"], &file);
    let parsed = go.trace(&["-d=parsed"], &file);
    for line in [
        "GoID=11 Running->Waiting Reason=\"chan receive\"",
        "GoID=11 Waiting->Runnable",
        "GoID=11 Running->NotExist",
    ] {
        assert!(parsed.contains(line), "{line} is not in\n{parsed}");
    }
    let labels: Vec<&str> = parsed
        .lines()
        .filter(|line| line.contains(" Label "))
        .map(|line| line.split_once("Label=").unwrap().1)
        .collect();
    // A text that began with "GC " would make a task a part of Go's garbage collector.
    let told = r#""\"GC key\": \"a\\nb\", route: /order""#;
    assert_eq!(labels.len(), 4, "{parsed}");
    assert!(labels[0].starts_with("\"k: \\\"é"), "{labels:?}");
    assert!(labels[3].contains("\"no labels\""), "{labels:?}");
    for line in &labels[1..3] {
        assert!(line.contains(told), "{labels:?}");
    }
    let sync = go.trace(&["-pprof=sync"], &file);
    assert!(!sync.is_empty());
}

#[test]
fn regions_end_with_their_task_and_outlive_a_park() {
    let Some(go) = Go::find("traces_regions") else {
        return;
    };
    let mut trace = TraceWriter::new(Vec::new()).unwrap();
    let stack = trace.stack(&[frame("app::task")]);
    let [outer, inner, around] = ["outer", "inner", "around"].map(|name| trace.text(name));
    let user = |what| {
        Event::User(UserEvent {
            user_task: 0,
            what,
            stack,
        })
    };
    let begin = |name| user(UserWhat::RegionBegin { name });
    let end = |name| user(UserWhat::RegionEnd { name });
    trace.alive(10, stack, None, LabelsNumber::default());
    trace.alive(11, stack, Some(old(stack)), LabelsNumber::default());
    trace.begin_generation(1).unwrap();
    let waits = Outcome::Waits {
        reason: trace.text("sleep"),
        stack,
    };
    let blocks = user(UserWhat::Blocks {
        name: inner,
        reason: trace.text("sync.Mutex.Lock"),
        at: stack,
    });
    for (at_ns, thread, event) in [
        // One that finishes, and one that is dropped while it waits.
        (2, 100, Event::PollBegin { task: 10 }),
        (3, 100, begin(outer)),
        (4, 100, begin(inner)),
        (
            5,
            100,
            Event::PollEnd {
                task: 10,
                outcome: Outcome::Ends,
            },
        ),
        (6, 100, Event::PollBegin { task: 11 }),
        (7, 100, begin(outer)),
        (
            8,
            100,
            Event::PollEnd {
                task: 11,
                outcome: waits,
            },
        ),
        (9, 101, Event::Drop { task: 11 }),
        // A thread outside of any task, which runs a runtime inside of its region.
        (10, 102, begin(around)),
        (11, 102, Event::Park),
        (12, 102, Event::Unpark),
        (13, 102, end(around)),
        // One that waits for another thread, inside of a region.
        (13, 103, begin(outer)),
        (13, 103, blocks),
        (14, 103, end(inner)),
        (14, 103, end(outer)),
        // Nothing is left that could end.
        (14, 102, end(around)),
        (15, 100, end(outer)),
    ] {
        trace.row(&Row {
            at_ns,
            thread,
            event,
        });
    }
    trace.end_generation().unwrap();
    let file = go.file("regions.trace", &trace.into_inner());
    go.validate_traces(std::slice::from_ref(&file)).unwrap();
    let parsed = go.trace(&["-d=parsed"], &file);
    let regions: Vec<String> = parsed
        .lines()
        .filter(|line| line.contains(" Region"))
        .map(|line| {
            let word = |key| line.split(' ').find_map(|word| word.strip_prefix(key));
            let name = line.split('"').nth(1).unwrap();
            let goroutine: u64 = word("G=").unwrap().parse().unwrap();
            let kind = word("Region").unwrap();
            format!("{kind} {name} of {}", goroutine % (1 << 62))
        })
        .collect();
    let expected = [
        "Begin outer of 10",
        "Begin inner of 10",
        "End inner of 10",
        "End outer of 10",
        "Begin outer of 11",
        "End outer of 11",
        "Begin around of 102",
        "End around of 102",
        "Begin outer of 103",
        "Begin inner of 103",
        "End inner of 103",
        "End outer of 103",
    ];
    assert_eq!(regions, expected);
    let waits = parsed.lines().filter(|line| {
        line.contains("Running->Waiting") && line.contains("Reason=\"sync.Mutex.Lock\"")
    });
    assert_eq!(waits.count(), 1, "{parsed}");
}
