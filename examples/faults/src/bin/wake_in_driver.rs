//! A thread outside of the runtime waits for a timer of tokio, with a waker that blocks until the thread takes the message. A
//! worker runs that waker while it drives the timers: all timers and all I/O stand still.

use faults::repaired;
use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time;

struct Bell(SyncSender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        match repaired() {
            true => drop(self.0.try_send(())),
            false => self.0.send(()).unwrap(), // Blocks until the thread takes the message: the fault.
        }
    }
}

fn act(runtime: &Handle, rings: &Receiver<()>, waker: &Waker) {
    let _entered = runtime.enter();
    loop {
        let mut timer = pin!(time::sleep(Duration::from_millis(50)));
        let is_due = timer.as_mut().poll(&mut Context::from_waker(waker));
        assert!(is_due.is_pending());
        // The thread is busy with other work.
        thread::sleep(Duration::from_secs(6));
        rings.recv().unwrap();
    }
}

async fn beat() {
    loop {
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::main(worker_threads = 1)]
async fn main() {
    let (bell, rings) = sync_channel(usize::from(repaired()));
    let (runtime, waker) = (Handle::current(), Waker::from(Arc::new(Bell(bell))));
    thread::spawn(move || act(&runtime, &rings, &waker));
    tokio::spawn(beat());
    future::pending::<()>().await;
}
