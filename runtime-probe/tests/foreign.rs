//! Tasks that a dependency spawns with plain tokio, on a runtime of our builder, and the hooks that show them. The
//! user's own hooks run as well.
//!
//! Not shown, as tokio has no hooks there: tasks that are spawned on a `LocalSet` of tokio's (dumps say so), and
//! closures of the blocking pool.
#![cfg(tokio_unstable)]

mod dump_text;
mod support {
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub mod client;
}

use dump_text::{Dump, Task};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::{pprof, spawn};
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

const WHY_NO_STACK: &str = "foreign task: a dependency spawned it with plain tokio";

#[test]
fn a_dump_with_a_local_set_says_what_is_not_in_it() {
    let [mut builder, _] = builders();
    let runtime = builder.build().unwrap();
    let local = runtime_probe::task::LocalSet::new();
    local.block_on(&runtime, async {
        let ours = runtime_probe::task::spawn_local(pending::<()>());
        let plain = tokio::task::spawn_local(pending::<()>());
        tokio::task::yield_now().await;
        let dump = page_of_goroutines();
        let is_in_it = |id: tokio::task::Id| dump.contains(&format!("\ngoroutine {id} ["));
        assert!(is_in_it(ours.id()) && !is_in_it(plain.id()), "{dump}");
        let told =
            "# tasks that dependencies spawn on a LocalSet through plain tokio are in no dump";
        assert!(dump.contains(told), "{dump}");
    });
    // Other tests have no `LocalSet`.
    drop(local);
    assert!(!page_of_goroutines().contains("LocalSet"));
}

fn page_of_goroutines() -> String {
    let mut text = Vec::new();
    let goroutines = pprof::lookup("goroutine").unwrap();
    goroutines.write_to(&mut text, 2).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_users_hooks_run_for_every_task() {
    for mut builder in builders() {
        let counts = Counts::default();
        counts.hook(&mut builder);
        // A builder may build more than once.
        for runtime in [builder.build().unwrap(), builder.build().unwrap()] {
            let ids = runtime.block_on(async {
                let ours = spawn(tokio::task::yield_now());
                let foreign = tokio::spawn(tokio::task::yield_now());
                let ids = [ours.id(), foreign.id()];
                ours.await.unwrap();
                foreign.await.unwrap();
                ids
            });
            drop(runtime);
            for id in ids {
                let expected = Count {
                    spawned: 1,
                    begun: 2,
                    ended: 2,
                    gone: 1,
                };
                assert_eq!(counts.of(id), expected);
            }
        }
    }
}

#[test]
fn the_last_hook_of_a_kind_counts() {
    let (first, second) = (Counts::default(), Counts::default());
    let mut builder = Builder::new_current_thread();
    first.hook(&mut builder);
    second.hook(&mut builder);
    let id = builder.build().unwrap().block_on(async {
        let handle = spawn(async {});
        let id = handle.id();
        handle.await.unwrap();
        id
    });
    assert_eq!((first.of(id).spawned, second.of(id).spawned), (0, 1));
}

#[test]
fn hooks_survive_the_way_to_a_builder_of_tokio() {
    let counts = Counts::default();
    let mut builder = Builder::new_current_thread();
    counts.hook(&mut builder);
    let mut plain: tokio::runtime::Builder = builder.into();
    let runtime = plain.build().unwrap();
    let handle = runtime.spawn(pending::<()>());
    runtime.block_on(tokio::task::yield_now());
    assert_eq!(counts.of(handle.id()).begun, 1);
    assert!(foreign(handle.id()).text.contains(WHY_NO_STACK));
}

#[test]
fn a_hook_that_replaces_ours_is_reported_and_nothing_wrong_is_shown() {
    type Replace = fn(&mut tokio::runtime::Builder);
    let cases: [(&str, Replace, &str); 5] = [
        (
            "on_task_spawn",
            |builder| {
                builder.on_task_spawn(|_| ());
            },
            "tasks that dependencies spawn there are not listed",
        ),
        (
            "on_before_task_poll",
            |builder| {
                builder.on_before_task_poll(|_| ());
            },
            "tasks that dependencies spawn there are not listed",
        ),
        (
            "on_task_terminate",
            |builder| {
                builder.on_task_terminate(|_| ());
            },
            "tasks that dependencies spawn there are not listed",
        ),
        (
            "on_thread_park",
            |builder| {
                builder.on_thread_park(|| ());
            },
            "polls there may seem longer than they are",
        ),
        (
            "on_thread_unpark",
            |builder| {
                builder.on_thread_unpark(|| ());
            },
            "polls there may seem longer than they are",
        ),
    ];
    for (hook, replace, so) in cases {
        let name = format!("without {hook}");
        let mut builder = Builder::new_current_thread();
        builder.name(name.clone());
        let mut plain: tokio::runtime::Builder = builder.into();
        let untouched = plain.build().unwrap();
        let page = diagnosis();
        assert!(!page.contains(&name), "{hook}: {page}");
        replace(&mut plain);
        drop(untouched);
        let runtime = plain.build().unwrap();
        let expected = format!(
            "<li>runtime {name}: another hook replaced our {hook}, so {so}. Set such hooks on \
             runtime-probe&#39;s Builder or on pprof::Hooks, which run them beside ours</li>"
        );
        let page = diagnosis();
        assert!(page.contains(&expected), "{expected}\n{page}");
        let handle = runtime.spawn(pending::<()>());
        runtime.block_on(tokio::task::yield_now());
        let id = handle.id().to_string();
        let listed = Dump::take().0.iter().any(|task| task.id.to_string() == id);
        assert_eq!(listed, hook.starts_with("on_thread"), "{hook}");
        drop((handle, plain, runtime));
        assert!(!diagnosis().contains(&name), "{hook}");
    }
}

/// tokio keeps one of the hooks in the handle of a closure (with `test-util` it keeps all).
#[test]
fn a_runtime_that_is_gone_is_not_one_whose_hooks_were_replaced() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .name("gone but for a closure")
        .build()
        .unwrap();
    let over = runtime.spawn_blocking(|| ());
    while !over.is_finished() {
        std::thread::yield_now();
    }
    drop(runtime);
    let page = diagnosis();
    assert!(!page.contains("gone but for a closure"), "{page}");
    drop(over);
}

#[test]
fn a_runtime_without_our_hooks_is_reported() {
    let plain = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    plain.block_on(async {
        spawn(pending::<()>());
        tokio::task::yield_now().await;
        let page = diagnosis();
        assert!(
            page.contains("run on a runtime that has no hooks of ours"),
            "{page}"
        );
        assert!(page.contains("pprof::Hooks::install"), "{page}");
    });
}

#[test]
fn hooks_make_a_builder_of_tokios_ours() {
    let counts = Counts::default();
    let started = Arc::new(Mutex::new(Vec::new()));
    let mut hooks = pprof::Hooks::new();
    counts.on(&mut hooks);
    macro_rules! note {
        ($($hook:ident)*) => {
            $(
                let noted = started.clone();
                hooks.$hook(move || noted.lock().unwrap().push(stringify!($hook)));
            )*
        };
    }
    note!(on_thread_start on_thread_stop on_thread_park on_thread_unpark);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    hooks.install(builder.worker_threads(1));
    let runtime = builder.build().unwrap();
    let id = runtime.block_on(async {
        let gate = Arc::new(Notify::new());
        let opened = gate.clone();
        let handle = tokio::spawn(async move { opened.notified().await });
        // Until then the task may be running, and has a stack.
        become_state(handle.id(), "waiting");
        assert!(foreign(handle.id()).text.contains(WHY_NO_STACK));
        gate.notify_one();
        let id = handle.id();
        handle.await.unwrap();
        id
    });
    become_gone(id);
    drop(runtime);
    let count = counts.of(id);
    assert_eq!(
        (count.spawned, count.begun, count.ended, count.gone),
        (1, 2, 2, 1)
    );
    let started = started.lock().unwrap();
    for hook in [
        "on_thread_start",
        "on_thread_stop",
        "on_thread_park",
        "on_thread_unpark",
    ] {
        assert!(started.contains(&hook), "{hook}: {started:?}");
    }
}

#[test]
fn hooks_start_the_server_that_the_environment_asks_for() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["hooks_are_installed", "--exact", "--ignored", "--nocapture"])
        .env("RUNTIME_PROBE_LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("listening on http://127.0.0.1:"),
        "{errors}"
    );
}

#[test]
#[ignore = "wants a process of its own"]
fn hooks_are_installed() {
    pprof::Hooks::new().install(&mut tokio::runtime::Builder::new_current_thread());
}

#[test]
fn the_users_hooks_on_threads_run() {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let mut builder = Builder::new_multi_thread();
    macro_rules! note {
        ($($hook:ident)*) => {
            $(
                let noted = ran.clone();
                builder.$hook(move || noted.lock().unwrap().push(stringify!($hook)));
            )*
        };
    }
    note!(on_thread_start on_thread_stop on_thread_park on_thread_unpark);
    let runtime = builder.worker_threads(1).build().unwrap();
    runtime.block_on(async { spawn(tokio::task::yield_now()).await.unwrap() });
    drop(runtime);
    let ran = ran.lock().unwrap();
    for hook in [
        "on_thread_start",
        "on_thread_stop",
        "on_thread_park",
        "on_thread_unpark",
    ] {
        assert!(ran.contains(&hook), "{hook}: {ran:?}");
    }
}

/// tokio lets the panic out of `block_on`, and does not poll the task.
#[test]
fn a_task_whose_poll_a_hook_of_the_user_has_prevented_is_not_in_a_poll() {
    let mut builder = Builder::new_current_thread();
    let prevented = Arc::new(Mutex::new(None));
    let asked = prevented.clone();
    builder.on_before_task_poll(move |task| {
        let is_this = *asked.lock().unwrap() == Some(task.id());
        assert!(!is_this, "the user's panic");
    });
    let runtime = builder.build().unwrap();
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    runtime.block_on(async {
        // The hook notes the polls of foreign tasks from the first one on.
        tokio::spawn(async move { begins.notify_one() });
        begun.notified().await;
    });
    let id = runtime.block_on(async { tokio::spawn(pending::<()>()).id() });
    *prevented.lock().unwrap() = Some(id);
    let polled = std::panic::AssertUnwindSafe(|| runtime.block_on(tokio::task::yield_now()));
    assert!(std::panic::catch_unwind(polled).is_err());
    let task = foreign(id);
    assert!(
        task.text.contains(&format!("\ngoroutine {id} [runnable]")),
        "{}",
        task.text
    );
    // The next poll on this thread, or its park, ends the poll before.
    runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
    let task = foreign(id);
    assert!(
        task.text.contains(&format!("\ngoroutine {id} [runnable]")),
        "{}",
        task.text
    );
}

/// The index page.
fn diagnosis() -> String {
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let answer = support::client::get(server.local_addr().unwrap(), "/debug/pprof/");
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

#[test]
fn a_foreign_task_shows_its_state_and_its_spawn_site() {
    // A runtime with one worker: the worker parks after the poll, so the end of the poll is known.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    waits_where_it_was_spawned(&runtime);
}

#[test]
fn foreign_tasks_of_two_places_are_told_apart_in_every_form() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (handles, lines) = runtime.block_on(async {
        let line = line!();
        let one = tokio::spawn(pending::<()>());
        let two = tokio::spawn(pending::<()>());
        let three = tokio::spawn(pending::<()>());
        tokio::task::yield_now().await;
        ([one, two, three], [line + 1, line + 2, line + 3])
    });
    let server = pprof::serve("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    for form in ["debug=1", "debug=2", "debug=2&group=1", "format=folded"] {
        let path = format!("/debug/pprof/goroutine?match=tests/foreign.rs&{form}");
        let page = support::client::get(address, &path).text().to_owned();
        for line in lines {
            let place = format!("task spawned at runtime-probe/tests/foreign.rs:{line}");
            assert!(page.contains(&place), "{form}: {place} in\n{page}");
        }
    }
    drop(handles);
}

#[test]
fn a_foreign_task_waits_while_the_root_runs() {
    waits_where_it_was_spawned(&Builder::new_current_thread().build().unwrap());
}

fn waits_where_it_was_spawned(runtime: &Runtime) {
    runtime.block_on(async {
        let gate = Arc::new(Notify::new());
        let (reached, is_reached) = oneshot::channel();
        let opened = gate.clone();
        let handle = tokio::spawn(async move {
            reached.send(()).unwrap();
            opened.notified().await;
        });
        let line = line!() - 4;
        is_reached.await.unwrap();
        let task = become_state(handle.id(), "waiting");
        assert_eq!(
            task.spawned_at,
            Some((file!().to_owned(), line)),
            "{}",
            task.text
        );
        assert!(task.text.contains(WHY_NO_STACK), "{}", task.text);
        gate.notify_one();
        let id = handle.id();
        handle.await.unwrap();
        become_gone(id);
    });
}

#[test]
fn foreign_tasks_of_every_kind_come_and_go() {
    for runtime in runtimes() {
        let ids = runtime.block_on(async {
            let handle = tokio::runtime::Handle::current();
            let mut set = tokio::task::JoinSet::new();
            let spawned = [
                tokio::spawn(pending::<()>()).id(),
                handle.spawn(pending::<()>()).id(),
                set.spawn(pending::<()>()).id(),
                set.spawn_on(pending::<()>(), &handle).id(),
            ];
            let aborted = tokio::spawn(pending::<()>());
            aborted.abort();
            let panicked = tokio::spawn(async { panic!("on purpose") });
            let over = [aborted.id(), panicked.id()];
            let _ = (aborted.await, panicked.await);
            let dump = Dump::take();
            for id in spawned {
                let task = dump.task(&id.to_string());
                assert_eq!(
                    task.spawned_at.as_ref().unwrap().0,
                    file!(),
                    "{}",
                    task.text
                );
                assert!(task.text.contains(WHY_NO_STACK), "{}", task.text);
            }
            over.into_iter().for_each(become_gone);
            // Leaving the scope drops the set; the other tasks end with the runtime.
            spawned
        });
        drop(runtime);
        ids.into_iter().for_each(become_gone);
    }
}

#[test]
fn our_own_tasks_are_not_taken_for_foreign() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let handle = spawn(pending::<()>());
            tokio::task::yield_now().await;
            let dump = Dump::take();
            let text = &dump.task(&handle.id().to_string()).text;
            assert!(!text.contains(WHY_NO_STACK), "{text}");
        });
    }
}

#[test]
fn a_foreign_task_in_a_long_poll_is_running() {
    shown_while_it_runs(|hold| async move { hold() });
}

#[test]
fn a_wrapped_future_inside_does_not_hide_the_foreign_task() {
    shown_while_it_runs(|hold| pprof::instrument(async move { hold() }));
}

#[test]
fn a_foreign_task_is_still_running_after_another_runtime_ran_inside_its_poll() {
    shown_while_it_runs(|hold| async move {
        tokio::task::block_in_place(|| {
            let inner = Builder::new_current_thread().build().unwrap();
            inner.block_on(async { tokio::spawn(async {}).await.unwrap() });
            inner.block_on(async { spawn(async {}).await.unwrap() });
        });
        hold();
    });
}

#[test]
fn polls_and_parents_of_foreign_tasks_are_counted() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let parent = spawn(async {
            let child = tokio::spawn(async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                pending::<()>().await;
            });
            (tokio::task::id(), child)
        });
        let (parent, child) = parent.await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let task = loop {
            let task = become_state(child.id(), "waiting");
            if task.text.contains("polls 4,") {
                break task;
            }
            assert!(Instant::now() < deadline, "{}", task.text);
        };
        let parent = format!("in goroutine {parent}\n");
        assert!(task.text.contains(&parent), "{}", task.text);
    });
}

/// Spawns, with plain tokio, a future whose poll lasts until it is released, and returns its task in a dump
/// meanwhile.
fn shown_while_it_runs<F>(future: impl FnOnce(Box<dyn FnOnce() + Send>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (reached, is_reached) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let hold = Box::new(move || {
        reached.send(()).unwrap();
        gate.recv().unwrap();
    });
    let plain: &tokio::runtime::Runtime = &runtime;
    let handle = plain.spawn(future(hold));
    is_reached.recv().unwrap();
    let task = foreign(handle.id());
    go.send(()).unwrap();
    assert_eq!(state(&task), "running", "{}", task.text);
    runtime.block_on(handle).unwrap();
}

fn foreign(id: tokio::task::Id) -> Task {
    let mut dump = Dump::take();
    dump.task(&id.to_string());
    dump.0.retain(|task| task.id.to_string() == id.to_string());
    dump.0.pop().unwrap()
}

/// tokio's hook at the end of a task runs after the joiner is woken.
fn become_gone(id: tokio::task::Id) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Dump::take()
        .0
        .iter()
        .any(|task| task.id.to_string() == id.to_string())
    {
        assert!(Instant::now() < deadline, "{id} is still there");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// tokio's hook for the end of a poll runs after the poll, perhaps on another thread.
fn become_state(id: tokio::task::Id, expected: &str) -> Task {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let task = foreign(id);
        if state(&task) == expected {
            return task;
        }
        assert!(Instant::now() < deadline, "not {expected}: {}", task.text);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The text in the brackets, without the time.
fn state(task: &Task) -> &str {
    let inside = task.text.split('[').nth(1).unwrap_or_default();
    inside.split([']', ',']).next().unwrap_or_default()
}

fn builders() -> [Builder; 2] {
    let mut multi_thread = Builder::new_multi_thread();
    multi_thread.worker_threads(2);
    [Builder::new_current_thread(), multi_thread]
}

fn runtimes() -> [Runtime; 2] {
    builders().map(|mut builder| builder.build().unwrap())
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    spawned: u32,
    begun: u32,
    ended: u32,
    gone: u32,
}

/// The calls of a user's hooks, by task.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, Count>>>);

/// Sets counting hooks, on a builder or on `Hooks`.
macro_rules! set {
    ($counts:expr, $on:expr) => {{
        let counts = || $counts.clone();
        let (spawned, begun, ended, gone) = (counts(), counts(), counts(), counts());
        $on.on_task_spawn(move |meta| spawned.note(meta.id(), |count| count.spawned += 1))
            .on_before_task_poll(move |meta| begun.note(meta.id(), |count| count.begun += 1))
            .on_after_task_poll(move |meta| ended.note(meta.id(), |count| count.ended += 1))
            .on_task_terminate(move |meta| gone.note(meta.id(), |count| count.gone += 1));
    }};
}

impl Counts {
    fn hook(&self, builder: &mut Builder) {
        set!(self, builder);
    }

    fn on(&self, hooks: &mut pprof::Hooks) {
        set!(self, hooks);
    }

    fn note(&self, id: tokio::task::Id, add: impl FnOnce(&mut Count)) {
        add(self.0.lock().unwrap().entry(id.to_string()).or_default());
    }

    fn of(&self, id: tokio::task::Id) -> Count {
        self.0
            .lock()
            .unwrap()
            .get(&id.to_string())
            .copied()
            .unwrap_or_default()
    }
}
