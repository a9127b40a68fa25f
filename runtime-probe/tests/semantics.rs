//! The probe changes no behaviour: `semantics/behaviour.rs` holds for tokio and for the probe, and a dump agrees with
//! the handles of the tasks.
#![allow(
    clippy::duplicate_mod,
    reason = "the same source, once for each of two libraries"
)]
#![allow(
    clippy::let_underscore_future,
    reason = "what is dropped is beside the point"
)]

/// tokio, by its own name.
#[path = "semantics"]
mod plain {
    pub use ::tokio;
    mod behaviour;
    pub use behaviour::{ALL, shown};
}

/// The probe, by tokio's name.
#[path = "semantics"]
mod probe {
    pub use ::runtime_probe as tokio;
    mod behaviour;
    pub use behaviour::{ALL, shown};
}

mod dump_text;

use dump_text::{Dump, Task};
use runtime_probe::runtime::{Builder, Handle, LocalRuntime, Runtime};
use runtime_probe::task::{JoinSet, LocalSet};
use runtime_probe::{pprof, spawn, task};
use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;

/// The first id of a root.
const FIRST_ROOT: u64 = 9_000_000_000_000_001;

#[test]
fn it_shows_itself_as_tokio_does() {
    assert_eq!(plain::shown(), probe::shown());
}

#[test]
fn every_behaviour_is_listed() {
    let tests = include_str!("semantics/behaviour.rs")
        .matches("\n#[test]\n")
        .count();
    assert_eq!((plain::ALL.len(), probe::ALL.len()), (tests, tests));
}

#[test]
fn a_task_has_its_own_id_and_spawn_site_in_the_dump() {
    for runtime in flavours() {
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let mut expected = Vec::new();
            macro_rules! note {
                ($handle:expr) => {{
                    let line = line!();
                    let handle = $handle;
                    expected.push((handle.id().to_string(), line));
                    handle
                }};
            }
            let gate = gate();
            let handle = Handle::current();
            let kept = [
                note!(spawn(pending::<()>())).abort_handle(),
                note!(task::spawn(pending::<()>())).abort_handle(),
                note!(handle.spawn(pending::<()>())).abort_handle(),
                note!(runtime.spawn(pending::<()>())).abort_handle(),
                note!(set.spawn(pending::<()>())),
                note!(set.spawn_on(pending::<()>(), &handle)),
            ];
            let (closed, closed_too, closed_again) = (gate.wait(), gate.wait(), gate.wait());
            note!(task::spawn_blocking(closed));
            note!(handle.spawn_blocking(closed_too));
            note!(set.spawn_blocking(closed_again));
            let dump = Dump::take();
            for (id, line) in &expected {
                let task = dump.task(id);
                assert_eq!(
                    task.spawned_at,
                    Some((file!().to_owned(), *line)),
                    "{}",
                    task.text
                );
            }
            kept.iter().for_each(|task| task.abort());
            gate.open();
        });
    }
}

#[test]
fn local_tasks_have_their_ids_in_the_dump() {
    let runtime = current_thread();
    let set = LocalSet::new();
    let first = set.spawn_local(pending::<()>());
    set.block_on(&runtime, async {
        let second = task::spawn_local(pending::<()>());
        task::yield_now().await;
        let dump = Dump::take();
        for handle in [&first, &second] {
            let task = dump.task(&handle.id().to_string());
            assert_eq!(task.spawned_at.as_ref().unwrap().0, file!());
        }
    });
}

#[test]
fn whatever_a_local_set_or_runtime_hands_out_is_instrumented() {
    let mut expected = Vec::new();
    macro_rules! note {
        ($handle:expr) => {{
            let line = line!();
            let handle = $handle;
            expected.push((handle.id().to_string(), line));
        }};
    }
    let set = LocalSet::new();
    {
        let _entered = set.enter();
        note!(task::spawn_local(pending::<()>()));
    }
    let mut joined = JoinSet::new();
    note!(joined.spawn_local_on(pending::<()>(), &set));
    let runtime = current_thread();
    runtime.block_on(set.run_until(async {
        note!(task::spawn_local(pending::<()>()));
        note!(joined.spawn_local(pending::<()>()));
        // Not local, but spawned from inside.
        note!(spawn(pending::<()>()));
        note!(Handle::current().spawn(pending::<()>()));
    }));

    let local = LocalRuntime::new().unwrap();
    note!(local.spawn_local(pending::<()>()));
    note!(local.handle().spawn(pending::<()>()));
    {
        let _entered = local.enter();
        note!(spawn(pending::<()>()));
    }
    let gate = gate();
    note!(local.spawn_blocking(gate.wait()));
    local.block_on(async {
        note!(task::spawn_local(pending::<()>()));
        note!(joined.spawn_local(pending::<()>()));
        note!(Handle::current().spawn_blocking(gate.wait()));
    });
    let dump = Dump::take();
    for (id, line) in expected {
        let task = dump.task(&id);
        assert_eq!(
            task.spawned_at,
            Some((file!().to_owned(), line)),
            "{}",
            task.text
        );
        assert!(!task.text.contains("foreign task"), "{}", task.text);
    }
    gate.open();
}

#[test]
fn a_named_task_has_its_name_and_its_spawn_site_in_the_dump() {
    let runtime = current_thread();
    let local_set = LocalSet::new();
    let handle = runtime.handle();
    let gate = gate();
    let closures: Vec<_> = (0..4).map(|_| gate.wait()).collect();
    let [one, two, three, four] = closures.try_into().unwrap_or_else(|_| unreachable!());
    let mut set = JoinSet::new();
    let mut expected = Vec::new();
    macro_rules! note {
        ($name:literal, $handle:expr) => {{
            let line = line!();
            let handle = $handle.unwrap();
            expected.push((handle.id().to_string(), $name, line));
            handle
        }};
    }
    local_set.block_on(&runtime, async {
        let forever = pending::<()>;
        let named = |name| task::Builder::new().name(name);
        note!("a", named("a").spawn(forever()));
        note!("b", named("b").spawn_on(forever(), handle));
        note!("c", named("c").spawn_local(forever()));
        note!("d", named("d").spawn_local_on(forever(), &local_set));
        note!("e", named("e").spawn_blocking(one));
        note!("f", named("f").spawn_blocking_on(two, handle));
        note!("g", set.build_task().name("g").spawn(forever()));
        note!("h", set.build_task().name("h").spawn_on(forever(), handle));
        note!("i", set.build_task().name("i").spawn_local(forever()));
        let task = set.build_task().name("j");
        note!("j", task.spawn_local_on(forever(), &local_set));
        note!("k", set.build_task().name("k").spawn_blocking(three));
        let task = set.build_task().name("l");
        note!("l", task.spawn_blocking_on(four, handle));
        let unnamed = task::Builder::new().spawn(forever()).unwrap();
        task::yield_now().await;
        let dump = Dump::take();
        for (id, name, line) in &expected {
            let task = dump.task(id);
            assert!(
                task.text.starts_with(&format!("# {name}, ")),
                "{}",
                task.text
            );
            assert_eq!(
                task.spawned_at,
                Some((file!().to_owned(), *line)),
                "{}",
                task.text
            );
        }
        let unnamed = &dump.task(&unnamed.id().to_string()).text;
        assert!(unnamed.starts_with("# waiting "), "{unnamed}");
        gate.open();
        set.shutdown().await;
    });
}

#[test]
fn a_named_task_is_one_as_any_other() {
    current_thread().block_on(async {
        let named = || task::Builder::new().name("as any other");
        assert_eq!(named().spawn(async { 42 }).unwrap().await.unwrap(), 42);
        let panicked = named().spawn(async { panic!("on purpose") }).unwrap();
        assert!(panicked.await.unwrap_err().is_panic());
        let aborted = named().spawn(pending::<()>()).unwrap();
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        let closure = named().spawn_blocking(|| 43).unwrap();
        assert_eq!(closure.await.unwrap(), 43);
        // The stack is that of its own future; the wrapper with the name is not in it.
        let waiting = named().spawn(pending::<()>()).unwrap();
        task::yield_now().await;
        let dump = Dump::take();
        let text = &dump.task(&waiting.id().to_string()).text;
        assert!(!text.contains("Named"), "{text}");
    });
}

#[test]
fn roots_have_ids_of_their_own() {
    let root = |dump: Dump, line: u32| {
        let site = Some((file!().to_owned(), line));
        let mut roots = dump.0.into_iter().filter(|task| task.spawned_at == site);
        let root = roots
            .next()
            .unwrap_or_else(|| panic!("no root at line {line}"));
        assert!(roots.next().is_none(), "two at line {line}");
        assert!(root.id >= FIRST_ROOT, "{}", root.text);
        assert!(root.text.contains("root of a block_on"), "{}", root.text);
        root.id
    };
    let mut ids = Vec::new();
    for runtime in flavours() {
        let dump = runtime.block_on(async { Dump::take() });
        ids.push(root(dump, line!() - 1));
        let dump = runtime.handle().block_on(async { Dump::take() });
        ids.push(root(dump, line!() - 1));
        let set = LocalSet::new();
        let dump = set.block_on(&runtime, async { Dump::take() });
        ids.push(root(dump, line!() - 1));
    }
    let local = LocalRuntime::new().unwrap();
    let dump = local.block_on(async { Dump::take() });
    ids.push(root(dump, line!() - 1));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 7, "no two alike");
}

#[test]
fn a_child_knows_its_parent() {
    for runtime in flavours() {
        runtime.block_on(async {
            let parent = spawn(async { (task::id(), spawn(pending::<()>())) });
            let (parent, child) = parent.await.unwrap();
            let dump = Dump::take();
            let text = &dump.task(&child.id().to_string()).text;
            assert!(text.contains(&format!("in goroutine {parent}\n")), "{text}");
        });
    }
}

#[test]
fn a_task_is_gone_from_the_dump_when_it_is_gone() {
    for runtime in flavours() {
        let ids: Vec<String> = runtime.block_on(async {
            let ended = spawn(async {});
            let panicked = spawn(async { panic!("on purpose") });
            let aborted = spawn(pending::<()>());
            let unpolled = spawn(pending::<()>());
            aborted.abort();
            let closure = task::spawn_blocking(|| ());
            let ids = [&ended, &panicked, &aborted, &unpolled, &closure]
                .map(|handle| handle.id().to_string());
            unpolled.abort();
            let _ = (
                ended.await,
                panicked.await,
                aborted.await,
                unpolled.await,
                closure.await,
            );
            ids.to_vec()
        });
        let dump = Dump::take();
        let left: Vec<&Task> = dump
            .0
            .iter()
            .filter(|task| ids.contains(&task.id.to_string()))
            .collect();
        assert!(left.is_empty(), "{}", left[0].text);
        // A task that waits when its runtime is dropped.
        let handle = runtime.spawn(pending::<()>());
        Dump::take().task(&handle.id().to_string());
        drop(runtime);
        assert!(
            !Dump::take()
                .0
                .iter()
                .any(|task| task.id.to_string() == handle.id().to_string())
        );
    }
}

#[test]
fn nothing_is_left_in_a_process_in_which_everything_ended() {
    in_a_process_of_its_own("child::everything_runs_and_ends", "on");
}

#[test]
fn switched_off_it_lists_nothing_and_works() {
    in_a_process_of_its_own("child::everything_runs_unseen", "off");
}

/// Tests that run in processes of their own.
mod child {
    use super::*;

    #[test]
    #[ignore = "wants a process of its own"]
    fn everything_runs_and_ends() {
        for behaviour in probe::ALL {
            behaviour();
        }
        // Threads of runtimes that were shut down in the background may still be running.
        for _ in 0..1000 {
            if Dump::take().0.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let dump = Dump::take();
        assert!(
            dump.0.is_empty(),
            "{} left, such as\n{}",
            dump.0.len(),
            dump.0[0].text
        );
        assert_eq!(pprof::lookup("goroutine").unwrap().count(), 0);
    }

    #[test]
    #[ignore = "wants a process of its own"]
    fn everything_runs_unseen() {
        for behaviour in probe::ALL {
            behaviour();
        }
        for runtime in flavours() {
            runtime.block_on(async {
                let gate = gate();
                spawn(pending::<()>());
                #[cfg(tokio_unstable)]
                tokio::spawn(pending::<()>());
                task::spawn_blocking(gate.wait());
                task::yield_now().await;
                assert!(Dump::take().0.is_empty());
                assert_eq!(pprof::lookup("goroutine").unwrap().count(), 0);
                assert_eq!(pprof::instrument(async { 7 }).await, 7);
                gate.open();
            });
        }
        // Rates change no behaviour, whatever sets them.
        pprof::set_block_profile_rate(1);
        assert_eq!(pprof::block_profile_rate(), 0);
        for fraction in [1, 2, -1] {
            assert_eq!(pprof::set_mutex_profile_fraction(fraction), 0);
        }
        let server = pprof::serve("127.0.0.1:0").unwrap();
        for (page, status) in [("block?seconds=1&rate=1", 400), ("mutex?debug=1", 200)] {
            let mut stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
            let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            write!(stream, "GET /debug/pprof/{page} {head}").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{answer}"
            );
            assert!(answer.contains("the probe is switched off"), "{answer}");
        }
    }
}

/// Runs one ignored test of this binary in a new process.
fn in_a_process_of_its_own(test: &str, switch: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("RUNTIME_PROBE", switch)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{errors}"
    );
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn flavours() -> [Runtime; 2] {
    let multi_thread = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    [current_thread(), multi_thread.unwrap()]
}

/// Holds closures of the blocking pool.
struct Gate(std::cell::RefCell<Vec<mpsc::Sender<()>>>);

fn gate() -> Gate {
    Gate(Default::default())
}

impl Gate {
    fn wait(&self) -> impl FnOnce() + Send + use<> {
        let (opens, is_open) = mpsc::channel();
        self.0.borrow_mut().push(opens);
        move || {
            // Dropping the sender opens it.
            let _ = is_open.recv();
        }
    }

    fn open(&self) {
        self.0.borrow_mut().clear();
    }
}
