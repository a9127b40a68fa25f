//! Polls, spawns or rounds through a channel, with tokio-console served and no client attached, or not served.
//! callgrind counts the instructions of `unattended poll|spawn|round COUNT [served]`. The cost of an operation is the
//! difference of two runs with different counts.

use std::future::poll_fn;
use std::task::Poll;

use runtime_probe::runtime::Builder;
use runtime_probe::spawn;
use runtime_probe::sync::mpsc;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [operation, count, served @ ..] = &arguments[..] else {
        return Err("usage: unattended poll|spawn|round COUNT [served]".into());
    };
    let count: u64 = count.parse()?;
    let _console = match served {
        [] => None,
        _ => Some(runtime_probe_console::serve("127.0.0.1:0")?),
    };
    let runtime = Builder::new_current_thread().build()?;
    match operation.as_str() {
        "poll" => runtime.block_on(spawn_polls(count))?,
        "spawn" => {
            for _ in 0..count {
                runtime.block_on(async { spawn(async {}).await })?;
            }
        }
        "round" => runtime.block_on(rounds(count))?,
        other => return Err(format!("no operation {other}").into()),
    }
    Ok(())
}

/// A task that wakes itself so often, by a waker that it keeps in between.
async fn spawn_polls(count: u64) -> Result<(), Error> {
    let mut left = count;
    let polls = poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().clone().wake();
        Poll::Pending
    });
    Ok(spawn(polls).await?)
}

/// Two tasks that send a number back and forth.
async fn rounds(count: u64) -> Result<(), Error> {
    let (ping, mut pinged) = mpsc::channel(1);
    let (pong, mut ponged) = mpsc::channel(1);
    let other = spawn(async move {
        while let Some(round) = pinged.recv().await {
            if pong.send(round).await.is_err() {
                return;
            }
        }
    });
    for round in 0..count {
        ping.send(round).await?;
        ponged.recv().await.ok_or("the other task ended")?;
    }
    drop(ping);
    Ok(other.await?)
}
