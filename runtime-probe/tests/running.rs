//! Running tasks have the stacks of their threads, asked by a signal, from the innermost function to the task's root.
#![cfg(target_os = "linux")]

mod dump_text;

use dump_text::{Dump, Task};
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::{pprof, spawn, task};
use std::io::{PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keeps threads busy, in one way or another, until it is opened.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    mutex: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        *self.mutex.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }
}

/// Opens the gate even if the test fails: the runtime's drop waits for its threads.
struct OpenAtLast(Arc<Gate>);

impl Drop for OpenAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[inline(never)]
fn burn(gate: &Gate) {
    while !gate.open.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
}

#[inline(never)]
fn nap(gate: &Gate) {
    while !gate.open.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[inline(never)]
fn wait_for(gate: &Gate) {
    let mut open = gate.mutex.lock().unwrap();
    while !*open {
        open = gate.opened.wait(open).unwrap();
    }
}

async fn burning(gate: Arc<Gate>) {
    burn(&gate);
}

async fn napping(gate: Arc<Gate>) {
    nap(&gate);
}

async fn waiting(gate: Arc<Gate>) {
    wait_for(&gate);
}

fn runtimes() -> [Runtime; 2] {
    [Builder::new_multi_thread(), Builder::new_current_thread()]
        .map(|mut builder| builder.worker_threads(2).enable_all().build().unwrap())
}

/// A gate, and workers that it keeps busy. The gate is opened before the runtime is dropped.
fn workers(count: usize) -> (Arc<Gate>, Runtime, OpenAtLast) {
    let gate = Arc::new(Gate::default());
    let runtime = Builder::new_multi_thread()
        .worker_threads(count)
        .build()
        .unwrap();
    let last = OpenAtLast(Arc::clone(&gate));
    (gate, runtime, last)
}

/// The block of a task, as soon as its text is as expected.
fn block(id: impl ToString, says: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let dump = Dump::take();
        let text = &dump.task(&id.to_string()).text;
        if says(text) {
            return text.clone();
        }
        assert!(Instant::now() < deadline, "{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The functions of a block, innermost first.
fn functions(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_suffix("(...)"));
    lines.collect()
}

fn has(text: &str, function: &str) -> bool {
    functions(text)
        .iter()
        .any(|known| known.ends_with(function))
}

fn is_whole(text: &str, root: &str) -> bool {
    functions(text)
        .last()
        .is_some_and(|last| last.ends_with(root))
}

#[test]
fn a_task_that_keeps_a_worker_shows_where_though_all_workers_are_kept() {
    for runtime in [0, 1] {
        let gate = Arc::new(Gate::default());
        let runtime = runtimes().into_iter().nth(runtime).unwrap();
        let _last = OpenAtLast(Arc::clone(&gate));
        let ids = [
            runtime.spawn(burning(Arc::clone(&gate))).id(),
            runtime.spawn(napping(Arc::clone(&gate))).id(),
            runtime.spawn(waiting(Arc::clone(&gate))).id(),
        ];
        // Drives a current-thread runtime; for the other kind it is one more thread.
        let driver = std::thread::spawn({
            let gate = Arc::clone(&gate);
            move || {
                runtime.block_on(async {
                    while !gate.open.load(Ordering::Acquire) {
                        task::yield_now().await;
                    }
                });
            }
        });
        // Tasks that are being polled have stacks; the others wait for a worker.
        let expected = [
            ("burn", "burning"),
            ("nap", "napping"),
            ("wait_for", "waiting"),
        ];
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = 0;
        while seen == 0 {
            let dump = Dump::take();
            for (id, (function, root)) in ids.iter().zip(expected) {
                let text = &dump.task(&id.to_string()).text;
                if text.contains("[running]") && has(text, &format!("::{function}")) {
                    assert!(is_whole(text, &format!("::{root}")), "{text}");
                    seen += 1;
                }
            }
            assert!(Instant::now() < deadline, "no task runs");
        }
        gate.open();
        driver.join().unwrap();
    }
}

#[test]
fn a_long_poll_says_what_its_thread_does() {
    let (gate, runtime, _last) = workers(3);
    let burning = runtime.spawn(burning(Arc::clone(&gate))).id();
    let napping = runtime.spawn(napping(Arc::clone(&gate))).id();
    let waiting = runtime.spawn(waiting(Arc::clone(&gate))).id();

    let text = block(burning, |text| {
        text.contains("a long poll: its thread is burning CPU")
    });
    assert!(has(&text, "::burn"), "{text}");
    let text = block(napping, |text| {
        text.contains("a long poll: its thread is asleep in the kernel") && has(text, "::nap")
    });
    assert!(text.contains("on thread "), "{text}");
    assert!(has(&text, "::sleep"), "the call into std is shown: {text}");
    let text = block(waiting, |text| {
        text.contains("a long poll: its thread is asleep in the kernel") && has(text, "::wait_for")
    });
    assert!(
        text.contains("Condvar") || text.contains("condvar"),
        "{text}"
    );
    assert!(!text.contains("no stack"), "{text}");
}

#[test]
fn a_blocking_closure_shows_the_stack_of_its_thread() {
    let (gate, runtime, _last) = workers(1);
    let inside = Arc::clone(&gate);
    let id = runtime.spawn_blocking(move || wait_for(&inside)).id();
    let text = block(id, |text| has(text, "::wait_for"));
    assert!(text.contains(" [blocking]:\n"), "{text}");
    let first = functions(&text)[0];
    assert!(!first.starts_with("tokio::"), "{text}");
    assert!(
        !text.contains("tokio::runtime::blocking::pool"),
        "cut at its root: {text}"
    );
}

#[test]
fn nested_polls_are_cut_each_at_its_own_root() {
    let (gate, runtime, _last) = workers(1);
    let inside = Arc::clone(&gate);
    let outer = runtime.spawn(outermost(inside)).id();
    let text = block(outer, |text| has(text, "::burn"));
    assert!(is_whole(&text, "::outermost"), "{text}");
    for function in ["::innermost", "::driven", "::outermost"] {
        assert!(has(&text, function), "{function}: {text}");
    }
    let dump = Dump::take();
    let block_on = dump
        .0
        .iter()
        .find(|task| has(&task.text, "::driven") && !has(&task.text, "::outermost"));
    let text = &block_on.expect("the root of a block_on").text;
    assert!(
        text.contains("root of a block_on") && is_whole(text, "::driven"),
        "{text}"
    );
    let wrapped = dump
        .0
        .iter()
        .find(|task| has(&task.text, "::innermost") && !has(&task.text, "::driven"));
    let text = &wrapped.expect("the wrapped future").text;
    assert!(
        text.contains("wrapped future") && is_whole(text, "::innermost"),
        "{text}"
    );
}

async fn outermost(gate: Arc<Gate>) {
    task::block_in_place(|| {
        runtime_probe::runtime::Handle::current().block_on(driven(gate));
    });
}

async fn driven(gate: Arc<Gate>) {
    pprof::instrument(innermost(gate)).await;
}

async fn innermost(gate: Arc<Gate>) {
    burn(&gate);
}

#[test]
fn a_task_may_ask_for_its_own_dump() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let (id, text) = runtime.block_on(async {
        let asking = spawn(asking());
        (asking.id(), asking.await.unwrap())
    });
    assert!(text.contains(" [running]:\n"), "{text}");
    let task = Task {
        id: 0,
        spawned_at: None,
        text,
    };
    assert!(has(&task.text, "::asking"), "{id}: {}", task.text);
}

async fn asking() -> String {
    let own = task::id().to_string();
    Dump::take().task(&own).text.clone()
}

#[cfg(tokio_unstable)]
#[test]
fn a_running_task_that_others_spawned_has_a_stack() {
    let (gate, runtime, _last) = workers(1);
    let inside = Arc::clone(&gate);
    let id = {
        // Plain tokio's spawn.
        let _entered = runtime.enter();
        tokio::spawn(burning(inside)).id()
    };
    let text = block(id, |text| has(text, "::burn"));
    assert!(text.contains(" [running]:\n"), "{text}");
    assert!(is_whole(&text, "::burning"), "{text}");
}

#[test]
fn a_thread_that_blocks_the_signal_says_so() {
    let (gate, runtime, _last) = workers(1);
    let inside = Arc::clone(&gate);
    let id = runtime
        .spawn_blocking(move || {
            block_all_signals();
            wait_for(&inside);
        })
        .id();
    let text = block(id, |text| text.contains("no stack: "));
    assert!(
        text.contains("no stack: its thread blocks SIGRTM"),
        "{text}"
    );
}

#[test]
fn a_thread_that_no_signal_wakes_says_so_and_delays_no_other() {
    let (reader, writer) = std::io::pipe().unwrap();
    let (gate, runtime, _last) = workers(2);
    let other = runtime.spawn(waiting(Arc::clone(&gate))).id();
    // A worker that takes both tasks from the shared queue at once would keep the second one.
    block(other, |text| text.contains("::wait_for"));
    let end = EndOfVfork(writer);
    let task = runtime.spawn(async move { vforks(&reader) });
    let text = block(task.id(), |text| text.contains("in uninterruptible sleep"));
    assert!(text.contains("no stack: "), "{text}");
    // The same dump has the other tasks; so has the next one, although the first signal is still pending.
    let text = block(other, |text| text.contains("::wait_for"));
    assert!(is_whole(&text, "::waiting"), "{text}");
    let text = block(task.id(), |text| text.contains("no stack: "));
    assert!(text.contains("in uninterruptible sleep"), "{text}");
    // Then its handler runs, without an asker.
    drop(end);
    runtime.block_on(task).unwrap();
}

/// Lets the child end.
struct EndOfVfork(PipeWriter);

impl Drop for EndOfVfork {
    fn drop(&mut self) {
        let _ = self.0.write_all(&[0]);
    }
}

/// Waits for a child, uninterruptible as a wait for a disk: only the end of the child, or of this process, ends it.
#[expect(unsafe_code, reason = "std has no vfork")]
fn vforks(end: &PipeReader) {
    let (end, mut byte) = (end.as_raw_fd(), 0u8);
    // SAFETY: the child has a copy of all memory, and makes system calls only. The parent waits for it.
    unsafe {
        let none = 0usize;
        let flags = libc::CLONE_VFORK | libc::SIGCHLD;
        let child = libc::syscall(libc::SYS_clone, flags, none, none, none, none);
        if child == 0 {
            libc::read(end, (&raw mut byte).cast(), 1);
            libc::_exit(0);
        }
        assert!(child > 0, "{}", std::io::Error::last_os_error());
        let child = child as libc::pid_t;
        assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
    }
}

#[expect(unsafe_code, reason = "blocks signals")]
fn block_all_signals() {
    // SAFETY: a set on this stack, and the mask of this thread only, which ends with the test.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
    }
}
