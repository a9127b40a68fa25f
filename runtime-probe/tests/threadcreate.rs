//! The creators of threads, with the feature `interpose`: the answers, and that creating a thread works as before.
#![cfg(all(feature = "full", feature = "interpose", target_os = "linux"))]
#![expect(unsafe_code, reason = "an allocator, and threads by libc's own call")]

mod support {
    #[allow(dead_code, reason = "each test needs a part of it")]
    pub mod client;
    pub mod forbidding;
}

use runtime_probe::pprof;
use runtime_probe::runtime::Builder;
use std::cell::Cell;
use std::ffi::c_void;
use std::net::SocketAddr;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::client::get;
use support::forbidding::Forbidding;

thread_local! {
    /// Whether this thread must not allocate.
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Forbidding = Forbidding {
    is_forbidden: || FORBIDDEN.with(Cell::get),
    told: "creating a thread allocates\n",
};

/// The probe's server. One thread is created before it.
fn server() -> SocketAddr {
    static SERVER: OnceLock<SocketAddr> = OnceLock::new();
    *SERVER.get_or_init(|| {
        let (started, starts) = mpsc::channel();
        let early = thread::Builder::new().name("early".into());
        let early = early.spawn(move || {
            started.send(()).unwrap();
            loop {
                thread::park();
            }
        });
        drop(early.unwrap());
        starts.recv().unwrap();
        let server = pprof::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.detach();
        address
    })
}

fn ask(page: &str) -> String {
    let answer = get(server(), &format!("/debug/pprof/{page}"));
    assert_eq!(answer.status, 200, "{page}: {}", answer.text());
    answer.text().to_owned()
}

/// The block of the thread with that name.
fn block(text: &str, name: &str) -> String {
    let start = format!("# {name}, CPU ");
    let mut blocks = text.split("\n\n");
    let block = blocks.find(|block| block.starts_with(&start));
    block.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
}

/// A thread that runs until the channel is closed; it has its name when this returns.
#[inline(never)]
fn starts_a_thread(name: &str, over: Receiver<()>) -> JoinHandle<()> {
    let (started, starts) = mpsc::channel();
    let thread = thread::Builder::new().name(name.into());
    let thread = thread.spawn(move || waits(started, over)).unwrap();
    starts.recv().unwrap();
    thread
}

#[inline(never)]
fn waits(started: Sender<()>, over: Receiver<()>) {
    started.send(()).unwrap();
    let _ = over.recv();
}

fn own_id() -> u32 {
    // SAFETY: no arguments, and it cannot fail.
    (unsafe { libc::gettid() }) as u32
}

#[test]
fn a_thread_tells_who_created_it() {
    server();
    let (end, over) = mpsc::channel();
    let thread = starts_a_thread("told", over);
    let now = block(&ask("threads?debug=2"), "told");
    assert!(now.contains("threadcreate::waits(...)\n"), "{now}");
    let by = format!(
        "created by threadcreate::starts_a_thread in thread {}\n\t",
        own_id()
    );
    let at = now.split(&by).nth(1).unwrap_or_else(|| panic!("{by}{now}"));
    assert!(at.contains("tests/threadcreate.rs:"), "{now}");

    let then = block(&ask("threadcreate?debug=2"), "told");
    assert!(
        then.contains(&format!(", created in thread {}", own_id())),
        "{then}"
    );
    let asks = "threadcreate::starts_a_thread(...)\n";
    let called = then.find(asks).unwrap_or_else(|| panic!("{then}"));
    assert!(
        then.find("threadcreate::a_thread_tells_who").unwrap() > called,
        "{then}"
    );
    assert!(then[..called].contains("std::thread::"), "{then}");
    assert!(!then.contains("threadcreate::waits"), "{then}");
    assert!(!then.contains("runtime_probe::"), "{then}");
    drop(end);
    thread.join().unwrap();
}

#[inline(never)]
fn starts_five() -> (Vec<Sender<()>>, Vec<JoinHandle<()>>) {
    let one = |_| {
        let (end, over) = mpsc::channel();
        (end, starts_a_thread("one-of-five", over))
    };
    (0..5).map(one).unzip()
}

/// As Go's `threadcreate`: how many threads alive each stack created.
#[test]
fn threads_are_counted_by_who_created_them() {
    server();
    let five = || {
        let text = ask("threadcreate?debug=1");
        assert!(text.starts_with("threadcreate profile: total "), "{text}");
        let mut groups = text.split("\n\n").map(str::to_owned);
        groups.find(|group| group.contains("threadcreate::starts_five"))
    };
    let (ends, threads) = starts_five();
    let group = five().unwrap_or_else(|| panic!("{}", ask("threadcreate?debug=1")));
    assert!(
        group.lines().any(|line| line.starts_with("5 @ ")),
        "{group}"
    );
    assert!(
        ask("threadcreate?format=folded")
            .contains("threadcreate::starts_five;threadcreate::starts_a_thread")
    );
    drop(ends);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    // A thread may be joined before its last destructor has run.
    let patience = Instant::now() + Duration::from_secs(10);
    while let Some(group) = five() {
        assert!(Instant::now() < patience, "{group}");
    }
}

#[inline(never)]
async fn starts_from_a_task(over: Receiver<()>) -> JoinHandle<()> {
    starts_a_thread("of-a-task", over)
}

#[test]
fn a_thread_tells_which_task_created_it() {
    server();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (end, over) = mpsc::channel();
    let (hold, held) = runtime_probe::sync::oneshot::channel::<()>();
    let (told, tell) = mpsc::channel();
    let task = async move {
        told.send(starts_from_a_task(over).await).unwrap();
        held.await.unwrap();
    };
    let line = line!() + 2;
    let builder = runtime_probe::task::Builder::new().name("starter");
    let task = builder.spawn_on(task, runtime.handle()).unwrap();
    let thread = tell.recv().unwrap();
    let id = task.id();
    let note = format!(
        ", created by goroutine {id} \"starter\" (spawned at runtime-probe/tests/threadcreate.rs:{line}:"
    );
    for page in ["threads", "threadcreate"] {
        let block = block(&ask(&format!("{page}?debug=2")), "of-a-task");
        assert!(block.contains(&note), "{note}: {block}");
    }
    let then = block(&ask("threadcreate?debug=2"), "of-a-task");
    assert!(then.contains("threadcreate::starts_from_a_task"), "{then}");
    assert!(
        !then.contains("tokio::runtime"),
        "it ends at the task's root: {then}"
    );
    hold.send(()).unwrap();
    runtime.block_on(task).unwrap();
    drop(end);
    thread.join().unwrap();
}

#[test]
fn what_is_not_known_is_said() {
    let text = ask("threadcreate?debug=2");
    let early = block(&text, "early");
    assert!(
        early.contains("no stack: creator unknown: the probe was not there yet"),
        "{early}"
    );
    let first = format!("thread {} [", std::process::id());
    let first = text
        .split("\n\n")
        .find(|block| block.contains(&first))
        .unwrap();
    assert!(
        first.contains("no stack: creator unknown: the process began with this thread"),
        "{first}"
    );
}

unsafe extern "C-unwind" {
    // The crate libc declares them with functions through which `pthread_exit` may not unwind.
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        function: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> i32;
    fn pthread_exit(result: *mut c_void) -> !;
}

extern "C-unwind" fn returns(argument: *mut c_void) -> *mut c_void {
    without_provenance_mut(argument.addr() + 1)
}

extern "C-unwind" fn exits(argument: *mut c_void) -> *mut c_void {
    // SAFETY: no frame of the thread has anything to drop.
    unsafe { pthread_exit(without_provenance_mut(argument.addr() + 2)) }
}

fn create(
    attributes: *const libc::pthread_attr_t,
    function: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
) -> Result<libc::pthread_t, i32> {
    let mut thread = 0;
    FORBIDDEN.with(|forbidden| forbidden.set(true));
    // SAFETY: functions of this file, which take a number for a pointer.
    let result = unsafe {
        pthread_create(
            &mut thread,
            attributes,
            function,
            without_provenance_mut(40),
        )
    };
    FORBIDDEN.with(|forbidden| forbidden.set(false));
    match result {
        0 => Ok(thread),
        error => Err(error),
    }
}

fn result_of(thread: libc::pthread_t) -> usize {
    let mut result = null_mut();
    // SAFETY: joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, &mut result) }, 0);
    result.addr()
}

/// More threads than the table can hold, one after the other: each gives its entry back, however it ends, and so does
/// a thread that could not be created. Creating a thread allocates only what libc allocates.
#[test]
fn results_are_libcs_and_places_come_back() {
    server();
    // SAFETY: attributes on this stack, with more for a stack than there are addresses.
    let impossible = unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstacksize(&mut attributes, 1 << 50), 0);
        attributes
    };
    for _ in 0..1500 {
        assert_eq!(create(null(), returns).map(result_of), Ok(41));
        assert_eq!(create(null(), exits).map(result_of), Ok(42));
        // SAFETY: the thread's own errno.
        unsafe { *libc::__errno_location() = 77 };
        assert_eq!(create(&impossible, returns), Err(libc::EAGAIN));
        // The error that libc leaves there: it did not get the memory.
        assert_eq!(
            std::io::Error::last_os_error().raw_os_error(),
            Some(libc::ENOMEM)
        );
    }
    let (end, over) = mpsc::channel();
    let thread = starts_a_thread("afterwards", over);
    let now = block(&ask("threads?debug=2"), "afterwards");
    assert!(
        now.contains("created by threadcreate::starts_a_thread"),
        "{now}"
    );
    drop(end);
    thread.join().unwrap();
}
