//! `localset [never|left|blocked] [repaired]`: tasks of a `LocalSet` that is never polled, or not polled any more; or one of its
//! tasks blocks all others.

use faults::repaired;
use std::future::pending;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_blocking, spawn_local, yield_now};
use tokio::time;

async fn draw(widget: u64) -> u64 {
    yield_now().await;
    widget
}

async fn blink() {
    loop {
        time::sleep(Duration::from_millis(100)).await;
    }
}

/// Blocks the only thread.
async fn load_font() {
    time::sleep(Duration::from_millis(200)).await;
    let (_keep, font) = std::sync::mpsc::channel::<()>();
    if repaired() {
        spawn_blocking(move || font.recv()).await.unwrap().ok();
    } else {
        font.recv().ok();
    }
}

async fn notify(notified: tokio::sync::oneshot::Receiver<u64>) -> u64 {
    notified.await.unwrap()
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let window = LocalSet::new();
    match std::env::args().nth(1).as_deref() {
        Some("blocked") => window.block_on(&runtime, async {
            for _ in 0..3 {
                spawn_local(blink());
            }
            spawn_local(load_font());
            pending().await
        }),
        Some("left") => runtime.block_on(async {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let notified = window.spawn_local(notify(receiver));
            window
                .run_until(time::sleep(Duration::from_millis(50)))
                .await;
            sender.send(7).ok();
            if repaired() {
                window.run_until(notified).await.unwrap();
            } else {
                notified.await.unwrap(); // Not in `run_until`: the fault.
            }
            pending().await
        }),
        _ => runtime.block_on(async {
            let drawn = window.spawn_local(draw(1));
            if repaired() {
                window.run_until(drawn).await.unwrap();
            } else {
                drawn.await.unwrap(); // Not in `run_until`: the fault.
            }
            pending().await
        }),
    }
}
