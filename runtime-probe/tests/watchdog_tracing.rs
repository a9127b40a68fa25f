//! With the feature `tracing` the watchdog's message is a warning of `tracing`, with a target for filters.
#![cfg(all(feature = "full", feature = "tracing", target_os = "linux"))]

use std::fmt::Debug;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use runtime_probe::pprof::Watchdog;
use runtime_probe::runtime::Builder;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Longer than any step takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMIT: Duration = Duration::from_millis(200);

/// Forwards the watchdog's events.
struct Hears(Sender<(Level, String)>);

impl Subscriber for Hears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "runtime_probe::watchdog"
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let _ = self.0.send((*event.metadata().level(), message.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

async fn blocks(stop: std::sync::mpsc::Receiver<()>) {
    let _ = stop.recv();
}

#[test]
fn a_message_is_one_warning() {
    let (heard, hears) = channel();
    tracing::subscriber::set_global_default(Hears(heard)).unwrap();
    let watching = Watchdog::new(LIMIT).start().unwrap();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let (stop, stopped) = channel();
    let task = runtime.spawn(blocks(stopped));
    let (level, message) = hears.recv_timeout(PATIENCE).unwrap();
    assert_eq!(level, Level::WARN);
    assert!(message.starts_with("a poll of goroutine "), "{message}");
    assert!(
        message.contains("watchdog_tracing::blocks(...)"),
        "{message}"
    );
    // The poll goes on, and was reported. The runtime has no timers and no I/O that could stand still meanwhile.
    thread::sleep(3 * LIMIT);
    let more: Vec<String> = hears.try_iter().map(|(_, message)| message).collect();
    assert!(more.is_empty(), "{more:?}");
    drop((stop, watching));
    runtime.block_on(task).unwrap();
}
