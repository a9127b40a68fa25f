#!/usr/bin/env bash
# tokio 1.54.1, feature `taskdump`, `Handle::dump()` on a current_thread runtime: what it does to tasks that can run.
#
# Guess: a dump shows, and changes nothing. It polls each task "in a special tracing mode", says the documentation under "Performance", so
# that each says where it waits, and then goes on as without.
# Reality: these polls are the tasks' own. Inside, what is tokio's returns Pending, also when it is ready, and what is not tokio's is as
# ready as ever; the task acts on that, to its end if it comes to it. Tasks that have just been woken:
#
#     the task                                                      without    with a dump first
#     select! { biased; stop, job of flume }, both were sent        stop       job
#     recv().now_or_never() of tokio's mpsc, one message there      message    none
#     select! { biased; semaphore.acquire(), ready(()) }, free      permit     busy
#     timeout(100 ms, oneshot), sent in time, polled after 200 ms   answer     answer
#
# The polls of the dump are in no hook: the first three tasks end after one call of `on_before_task_poll` with it, and two without. On a
# multi_thread runtime it depends on which tasks are in a queue at that moment.
#
# Why it matters: a dump is asked for when something is wrong, and then refuses requests for which there is room, drops its turn in an
# order that was written down with `biased`, and runs the code behind the await, with all workers stopped. What is seen afterwards, an
# error or a job after the stop, is an effect of looking. On a current_thread runtime every runnable task is hit.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_dump_other_branch.sh: needs cargo" >&2; exit 2; }
[ "$(uname -m)" = x86_64 ] || { echo "tokio_dump_other_branch.sh: needs x86-64" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p branch/src
cat > branch/Cargo.toml <<'TOML'
[package]
name = "branch"
version = "0.0.0"
edition = "2024"
[dependencies]
flume = "=0.12.0"
futures = "=0.3.34"
tokio = { version = "=1.54.1", features = ["macros", "rt", "sync", "taskdump", "time"] }
[workspace]
TOML
cat > branch/src/main.rs <<'RS'
use futures::FutureExt;
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

static POLLS: AtomicU64 = AtomicU64::new(0);

/// Spawns the task, lets it wait, wakes it, and returns what it did.
async fn run(dump: bool, task: impl Future<Output = &'static str> + Send + 'static, wake: impl FnOnce()) -> &'static str {
    let task = tokio::spawn(task);
    sleep(Duration::from_millis(20)).await;
    wake();
    if dump {
        Handle::current().dump().await;
    }
    task.await.unwrap()
}

async fn all(dump: bool) -> [&'static str; 4] {
    let (stop, stopped) = oneshot::channel();
    let (jobs, queue) = flume::unbounded();
    let ordered = async move {
        tokio::select! { biased; _ = stopped => "stop", _ = queue.recv_async() => "job" }
    };
    let ordered = run(dump, ordered, || { stop.send(()).unwrap(); jobs.send(()).unwrap() }).await;

    let (messages, mut receiver) = mpsc::channel(1);
    let (go, gone) = futures::channel::oneshot::channel();
    let looks = async move {
        gone.await.unwrap();
        if receiver.recv().now_or_never().is_some() { "message" } else { "none" }
    };
    let looks = run(dump, looks, || { messages.try_send(()).unwrap(); go.send(()).unwrap() }).await;

    let (go, gone) = futures::channel::oneshot::channel();
    let sheds = async move {
        gone.await.unwrap();
        let semaphore = Semaphore::new(1);
        tokio::select! { biased; _ = semaphore.acquire() => "permit", () = ready(()) => "busy" }
    };
    let sheds = run(dump, sheds, || go.send(()).unwrap()).await;

    let (answer, answered) = oneshot::channel();
    let limited = async move { if timeout(Duration::from_millis(100), answered).await.is_ok() { "answer" } else { "elapsed" } };
    let limited = run(dump, limited, || { answer.send(()).unwrap(); std::thread::sleep(Duration::from_millis(200)) }).await;
    [ordered, looks, sheds, limited]
}

fn main() {
    for dump in [false, true] {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().on_before_task_poll(|_| { POLLS.fetch_add(1, Relaxed); }).build().unwrap();
        let done = runtime.block_on(all(dump));
        println!("dump {dump}: {} polls {}", done.join(" "), POLLS.swap(0, Relaxed));
    }
}
RS
RUSTFLAGS='--cfg tokio_unstable' cargo run --quiet --manifest-path branch/Cargo.toml --target-dir target | tee seen
diff seen - <<'TXT' || { echo "changed: what a dump does to tasks that can run" >&2; exit 1; }
dump false: stop message permit answer polls 8
dump true: job none busy answer polls 5
TXT
