//! A task in every state, and one for every warning of tokio-console:
//! `cargo run --release -p runtime-probe-console --example states`, then `tokio-console`. Arguments are addresses
//! other than tokio-console's default and, for dumps, 127.0.0.1:6060.
//!
//! A line on standard input makes the only worker stall until the next line: `stalls` runs, `ready` is scheduled and
//! all other tasks are idle.

use std::future::poll_fn;
use std::hint::black_box;
use std::io::{self, BufRead};
use std::sync::{Arc, mpsc as blocking};
use std::task::Poll;
use std::time::Duration;

use runtime_probe::sync::{Notify, mpsc};
use runtime_probe::task::Builder;
use runtime_probe::{pprof, runtime, time};

fn main() -> io::Result<()> {
    let mut addresses = std::env::args().skip(1);
    let console = addresses.next().unwrap_or("127.0.0.1:6669".to_owned());
    let dumps = addresses.next().unwrap_or("127.0.0.1:6060".to_owned());
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _handle = runtime.enter();
    let (stall, stalling) = mpsc::channel(1);
    let (ready, readying) = mpsc::channel(1);
    let never = Arc::new(Notify::new());
    spawn("idle", holds::<0>(never.clone()))?;
    spawn("ticks", ticks())?;
    spawn("stalls", stalls(stalling))?;
    spawn("ready", is_woken(readying))?;
    // Warnings: a large future, a future that tokio boxes, a task without a waker, a task that wakes itself.
    spawn("large", holds::<1500>(never.clone()))?;
    spawn("boxed", holds::<20_000>(never.clone()))?;
    spawn("lost", poll_fn(|_| Poll::<()>::Pending))?;
    spawn("selfish", wakes_itself())?;

    let console = runtime_probe_console::serve(console.as_str())?;
    let dumps = pprof::serve(dumps.as_str())?;
    println!("tokio-console http://{}", console.local_addr());
    println!("{}goroutine?debug=2", dumps.url());

    let mut lines = io::stdin().lock().lines();
    while let Some(Ok(_)) = lines.next() {
        let (release, released) = blocking::channel::<()>();
        let (stalled, has_stalled) = blocking::channel();
        let _ = stall.blocking_send((stalled, released));
        let _ = has_stalled.recv();
        let _ = ready.blocking_send(());
        println!("stalled");
        let goes_on = matches!(lines.next(), Some(Ok(_)));
        drop(release);
        println!("released");
        if !goes_on {
            break;
        }
    }
    Ok(())
}

#[track_caller]
fn spawn(name: &str, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    Builder::new().name(name).spawn(future)?;
    Ok(())
}

async fn ticks() {
    loop {
        time::sleep(Duration::from_millis(50)).await;
    }
}

/// Blocks the thread that polls it, which a task should not do.
async fn stalls(mut stalling: mpsc::Receiver<(blocking::Sender<()>, blocking::Receiver<()>)>) {
    while let Some((stalled, released)) = stalling.recv().await {
        let _ = stalled.send(());
        // An error is the release, too.
        let _ = released.recv();
    }
}

async fn is_woken(mut readying: mpsc::Receiver<()>) {
    while readying.recv().await.is_some() {}
}

async fn holds<const BYTES: usize>(until: Arc<Notify>) {
    let held = [0u8; BYTES];
    until.notified().await;
    black_box(held);
}

/// Wakes itself in three of four polls.
async fn wakes_itself() {
    loop {
        let mut left = 3;
        let again = poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        });
        again.await;
        time::sleep(Duration::from_millis(50)).await;
    }
}
