//! A program with tasks in every kind of wait, on plain tokio. It prints `ready` when all of them wait, and stays.
//!
//! Arguments: `none` for no runtime, or two numbers of further tasks: those that come and go or wait, and waiting ones. `starts`
//! after the numbers adds a thread that starts a program, `leaves` ends the first thread and does the rest on another one,
//! `roots` adds roots that wait at channels.
//!
//! Each async fn of `kinds` is one kind. The dump of this process is compared with a golden text.

mod collections;
mod kinds;
mod roots;

use std::time::Duration;

fn main() {
    if is_argument("none") {
        println!("ready");
        std::thread::sleep(Duration::from_secs(600));
    }
    if is_argument("leaves") && std::thread::current().name() == Some("main") {
        std::thread::spawn(main);
        leaves();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    std::thread::Builder::new()
        .name("local".into())
        .spawn(local_set)
        .unwrap();
    if is_argument("starts") {
        std::thread::spawn(starts_a_program);
    }
    std::thread::Builder::new()
        .name("current".into())
        .spawn(current_thread)
        .unwrap();
    if is_argument("roots") {
        roots::start();
    }
    runtime.block_on(root());
}

fn is_argument(wanted: &str) -> bool {
    std::env::args().any(|argument| argument == wanted)
}

async fn root() {
    kinds::spawn_all().await;
    let lines = collections::spawn();
    let number = |at| {
        std::env::args()
            .nth(at)
            .map_or(0, |number| number.parse().unwrap())
    };
    kinds::spawn_more(number(1));
    kinds::spawn_still(number(2));
    // By another thread: the root waits by then.
    std::thread::spawn(tells);
    std::future::pending::<()>().await;
    drop(lines);
}

fn local_set() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let set = tokio::task::LocalSet::new();
    set.block_on(&runtime, local_root());
}

async fn local_root() {
    tokio::task::spawn_local(local_task());
    std::future::pending::<()>().await;
}

async fn local_task() {
    let kept = std::rc::Rc::new(1);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drop(kept);
}

fn current_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(current_root());
}

async fn current_root() {
    tokio::spawn(current_task());
    // The second closure waits for the only thread.
    tokio::task::spawn_blocking(blocks);
    tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_secs(7200)).await;
}

fn blocks() {
    std::thread::sleep(Duration::from_secs(1800));
}

async fn current_task() {
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

/// Waits as `Command::spawn` does for a program on a slow disk. No signal and no debugger stops the thread in this wait.
fn starts_a_program() {
    unsafe extern "C" {
        fn vfork() -> i32;
        fn sleep(seconds: u32) -> u32;
        fn _exit(status: i32) -> !;
    }
    // SAFETY: the child touches no memory but its stack, on which this thread needs nothing afterwards, and does not return.
    unsafe {
        if vfork() == 0 {
            sleep(30);
            _exit(0)
        }
    }
}

/// Ends the calling thread, as `pthread_exit` in C's `main` does. The kernel keeps the first thread of a process as a zombie.
fn leaves() -> ! {
    unsafe extern "C" {
        fn syscall(number: i64, status: i64) -> i64;
    }
    const EXIT: i64 = if cfg!(target_arch = "x86_64") { 60 } else { 93 };
    // SAFETY: no other thread has a reference into the stack of this one.
    unsafe { syscall(EXIT, 0) };
    unreachable!("the thread has ended")
}

fn tells() {
    std::thread::sleep(Duration::from_secs(2));
    println!("ready");
}
