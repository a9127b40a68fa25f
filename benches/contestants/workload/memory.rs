//! Resident memory of a live task that waits in a oneshot, the oneshot itself and the sender's slot in a `Vec` included:
//! what they take is the same for every contestant and falls out of the difference.

use std::fs;

use tokio::sync::oneshot;

use crate::report::Line;
use crate::runtimes;

/// Tasks that wait before the first reading: whatever is set up once is not charged to the measured tasks.
const WARM_UP: u64 = 2_000;

/// Tasks between two rests of the spawner: the run queue stays short, so that its memory does not count.
const BURST: u64 = 500;

/// Resident bytes a waiting task.
pub fn waiting_tasks(tasks: u64) -> Line {
    let runtime = runtimes::current_thread();
    let (before, after) = runtime.block_on(async {
        let mut senders = Vec::with_capacity((WARM_UP + tasks) as usize);
        spawn_waiting(WARM_UP, &mut senders).await;
        let before = resident_bytes();
        spawn_waiting(tasks, &mut senders).await;
        let after = resident_bytes();
        drop(senders);
        (before, after)
    });
    Line::memory(after.saturating_sub(before), tasks)
}

/// Spawns the tasks and lets each of them run into its wait.
async fn spawn_waiting(tasks: u64, senders: &mut Vec<oneshot::Sender<()>>) {
    for number in 1..=tasks {
        let (sender, receiver) = oneshot::channel();
        senders.push(sender);
        tokio::spawn(async move { receiver.await.ok() });
        if number % BURST == 0 || number == tasks {
            tokio::spawn(async {}).await.expect("the last of its burst");
        }
    }
}

/// The `Rss` of `/proc/self/smaps_rollup`: it walks the page tables. `statm` reads counters which the kernel updates in
/// batches, and in pages whose size it does not tell.
fn resident_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("/proc/self/smaps_rollup");
    let kib = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .expect("the Rss line")
        * 1024
}
