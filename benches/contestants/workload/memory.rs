//! Resident memory of a live task that waits in a oneshot, including the oneshot and the sender's entry in a `Vec`:
//! these are the same for every contestant and cancel out in the difference.
//!
//! tokio rounds a task up to 128 bytes, so eight bytes more cost either nothing or 128, depending on the future's
//! size. The tasks therefore have futures of all sizes between two such steps, equally often.

use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::report::Line;
use crate::runtimes;

/// Tasks that wait before the first reading, so that one-time allocations do not count for the measured tasks.
const WARM_UP: u64 = 2_000;

/// Tasks between two pauses of the spawner: the run queue stays short, so that its memory does not count.
const BURST: u64 = 500;

/// An attached console reads the tasks every second: by now it has.
const LOOKED_AT: Duration = Duration::from_secs(4);

/// Resident bytes for each waiting task.
pub fn waiting_tasks(tasks: u64) -> Line {
    let runtime = runtimes::current_thread();
    let (before, after) = runtime.block_on(async {
        let mut senders = Vec::with_capacity((WARM_UP + tasks) as usize);
        spawn_waiting(WARM_UP, &mut senders).await;
        let before = resident_bytes();
        spawn_waiting(tasks, &mut senders).await;
        if std::env::var_os("CONTESTANT_CONSOLE_CLIENT").is_some() {
            thread::sleep(LOOKED_AT);
        }
        let after = resident_bytes();
        drop(senders);
        (before, after)
    });
    Line::memory(after.saturating_sub(before), tasks)
}

/// Spawns the tasks and lets each of them reach its wait.
async fn spawn_waiting(tasks: u64, senders: &mut Vec<oneshot::Sender<()>>) {
    for number in 1..=tasks {
        let (sender, receiver) = oneshot::channel();
        senders.push(sender);
        spawn_of_size(number, receiver);
        if number % BURST == 0 || number == tasks {
            tokio::spawn(async {}).await.expect("the last of its burst");
        }
    }
}

/// Spawns a task whose future is `number % 16` words larger than necessary.
fn spawn_of_size(number: u64, receiver: oneshot::Receiver<()>) {
    fn spawn<const WORDS: usize>(receiver: oneshot::Receiver<()>) {
        tokio::spawn(async move {
            let padding = [0_u64; WORDS];
            let received = receiver.await.ok();
            // It is used after the wait, so it is a part of the future.
            black_box(&padding);
            received
        });
    }
    const SIZES: [fn(oneshot::Receiver<()>); 16] = [
        spawn::<0>,
        spawn::<1>,
        spawn::<2>,
        spawn::<3>,
        spawn::<4>,
        spawn::<5>,
        spawn::<6>,
        spawn::<7>,
        spawn::<8>,
        spawn::<9>,
        spawn::<10>,
        spawn::<11>,
        spawn::<12>,
        spawn::<13>,
        spawn::<14>,
        spawn::<15>,
    ];
    SIZES[(number % SIZES.len() as u64) as usize](receiver);
}

/// The `Rss` of `/proc/self/smaps_rollup`, which walks the page tables. `statm` reads counters that the kernel
/// updates in batches, in pages of unknown size.
fn resident_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("/proc/self/smaps_rollup");
    let kib = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok())
        .expect("the Rss line")
        * 1024
}
