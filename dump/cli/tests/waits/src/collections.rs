//! Tasks with ends of channels in collections.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{self, Receiver, Sender};

pub struct Line;

/// Spawns a task that waits for lines, and one that keeps senders in maps. Returns the senders of further tasks.
pub fn spawn() -> Vec<Sender<Line>> {
    let senders = |listen: fn(Receiver<Line>)| {
        let sender = |_| {
            let (sender, receiver) = mpsc::channel(1);
            listen(receiver);
            sender
        };
        (0..2).map(sender).collect::<Vec<_>>()
    };
    let maps = Maps {
        by_number: (0..)
            .zip(senders(|lines| _ = tokio::spawn(listens_to_a_map(lines))))
            .collect(),
        by_name: [(
            "a".to_owned(),
            senders(|lines| _ = tokio::spawn(listens_to_a_nested_map(lines))).into(),
        )]
        .into(),
    };
    tokio::spawn(keeps_maps(Arc::new(Mutex::new(maps))));
    senders(|lines| _ = tokio::spawn(listens_to_the_root(lines)))
}

struct Maps {
    by_number: HashMap<u32, Sender<Line>>,
    by_name: BTreeMap<String, VecDeque<Sender<Line>>>,
}

async fn keeps_maps(maps: Arc<Mutex<Maps>>) {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut maps = maps.lock().unwrap();
    maps.by_number.clear();
    maps.by_name.clear();
}

// The bodies differ: equal functions of a program may be merged.

async fn listens_to_a_map(mut lines: Receiver<Line>) {
    while let Some(Line) = lines.recv().await {
        std::hint::black_box(0);
    }
}

async fn listens_to_a_nested_map(mut lines: Receiver<Line>) {
    while let Some(Line) = lines.recv().await {
        std::hint::black_box(1);
    }
}

async fn listens_to_the_root(mut lines: Receiver<Line>) {
    while let Some(Line) = lines.recv().await {
        std::hint::black_box(2);
    }
}
