#!/usr/bin/env bash
# tokio 1.54.1, the memory of a task that has finished while an `AbortHandle` or `JoinHandle` of it is kept.
#
# Guess: when a task ends its future is dropped and its memory is free; a handle keeps the result, here `()`, and a few words.
# Reality: the future is dropped, the memory is not free: future and result share one block with the task's header, which lives as
# long as any handle or waker of the task. A future of more than 2048 bytes (16384 in a release build) is in a box of its own, which
# does go, so a larger task keeps less. Bytes a task; `num_alive_tasks()` is 0 for those that have finished:
#
#                       debug build                       release build
#     the future is     alive   finished, handle kept     alive   finished, handle kept
#      1000 bytes        1159                    1160      1159                    1160
#      4000 bytes        4152                     128      4224                    4224
#     15000 bytes       15152                     128     15232                   15232
#     20000 bytes       20152                     128     20152                     128
#
# Without the handle all of them are 0.
#
# Why it matters: a list of abort handles that is never cleared, or a `JoinSet` that nothing joins, holds whole futures: 10,000
# requests with 15 KB of state each are 150 MB. No metric counts these tasks, no dump lists them, and a heap profile has them as alive
# at the spawn, as if they still ran. A debug build hides it for futures of more than 2 KiB.
set -euo pipefail
command -v cargo > /dev/null || { echo "tokio_finished_task_kept.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p kept/src
cat > kept/Cargo.toml <<'TOML'
[package]
name = "kept"
version = "0.0.0"
edition = "2024"
[dependencies]
tokio = { version = "=1.54.1", features = ["rt"] }
[workspace]
TOML
cat > kept/src/main.rs <<'RS'
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;

const TASKS: usize = 1000;

struct Counting;
static ALIVE: AtomicUsize = AtomicUsize::new(0);
#[global_allocator]
static COUNTING: Counting = Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALIVE.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

async fn request<const STATE: usize>() {
    let state = [1_u8; STATE];
    yield_now().await;
    black_box(&state);
}

async fn look<const STATE: usize>() {
    let mut handles = Vec::with_capacity(TASKS);
    let before = ALIVE.load(Relaxed);
    let each = || ALIVE.load(Relaxed).saturating_sub(before) / TASKS;
    for _ in 0..TASKS {
        handles.push(tokio::spawn(request::<STATE>()).abort_handle());
    }
    let alive = each();
    while handles.iter().any(|handle| !handle.is_finished()) {
        yield_now().await;
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    let finished = each();
    drop(handles.drain(..));
    println!("{STATE} alive {alive} finished {finished} dropped {}", each());
}

fn main() {
    Builder::new_current_thread().build().unwrap().block_on(async {
        look::<1000>().await;
        look::<2000>().await;
        look::<4000>().await;
        look::<15_000>().await;
        look::<20_000>().await;
    });
}
RS
for profile in dev release; do
    cargo run --quiet --profile "$profile" --manifest-path kept/Cargo.toml --target-dir target > "$profile"
    sed "s/^/$profile: /" "$profile"
done
# A task that has ended keeps all of it, or a header, as the future's size tells.
kept='function kept(limit) { return $1 < limit ? $5 >= $1 : $5 < 512 } $3 < $1 || $7 > 64 || !kept(limit) { exit 1 }'
awk -v limit=2048 "$kept" dev && awk -v limit=16384 "$kept" release \
    || { echo "changed: a finished task keeps something else" >&2; exit 1; }
