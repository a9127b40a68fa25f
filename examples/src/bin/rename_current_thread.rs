//! A single-threaded program for plain tokio: tasks that are not `Send`, and the channels between them.
//!
//!     cargo run -p examples --bin rename_current_thread
//!
//! A thermostat: a sensor publishes temperatures on a `watch`, a controller announces decisions on a `broadcast`, and
//! listeners in a `JoinSet` write them down. `ci/rename.sh` compares its output with plain tokio's.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, interval, sleep, timeout};

const TEMPERATURES: [i32; 6] = [18, 19, 21, 24, 22, 19];
const TOO_WARM: i32 = 22;

/// The message of the controller to all listeners.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heating {
    On,
    Off,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let local = LocalSet::new();
    local.run_until(thermostat()).await;
    local.run_until(not_send()).await;
    time().await;
    worker_outside_of_the_local_set().await;
}

/// `watch` to the controller, `broadcast` from it, a `JoinSet` of local tasks that listen.
async fn thermostat() {
    let (temperature, readings) = watch::channel(TEMPERATURES[0]);
    let (decisions, _) = broadcast::channel(TEMPERATURES.len());

    let mut listeners = JoinSet::new();
    for name in ["kitchen", "hall"] {
        listeners.spawn_local(listen(name, decisions.subscribe()));
    }
    let controller = spawn_local(control(readings, decisions));
    spawn_local(measure(temperature))
        .await
        .expect("the sensor does not panic");

    let seen = controller.await.expect("the controller does not panic");
    println!("controller: {seen:?}");
    assert_eq!(seen, TEMPERATURES);

    let mut heard = Vec::new();
    while let Some(joined) = listeners.join_next().await {
        heard.push(joined.expect("no listener panics"));
    }
    heard.sort_by_key(|(name, _)| *name);
    for (name, decisions) in &heard {
        println!("{name}: {decisions:?}");
        assert_eq!(decisions, &[Heating::On, Heating::Off, Heating::On]);
    }
    assert_eq!(heard.len(), 2);
}

/// The sensor: publishes each temperature and waits until the controller has read it.
async fn measure(temperature: watch::Sender<i32>) {
    let mut every = interval(Duration::from_millis(5));
    for degrees in TEMPERATURES {
        every.tick().await;
        temperature.send_replace(degrees);
        yield_now().await;
    }
}

/// The controller: announces each new decision; returns the temperatures that it has read.
async fn control(
    mut readings: watch::Receiver<i32>,
    decisions: broadcast::Sender<Heating>,
) -> Vec<i32> {
    let mut seen = Vec::new();
    let mut last = None;
    while readings.changed().await.is_ok() {
        let degrees = *readings.borrow_and_update();
        seen.push(degrees);
        let decision = if degrees < TOO_WARM {
            Heating::On
        } else {
            Heating::Off
        };
        if last.replace(decision) != Some(decision) {
            decisions.send(decision).expect("the listeners are there");
        }
    }
    seen
}

async fn listen(
    name: &'static str,
    mut decisions: broadcast::Receiver<Heating>,
) -> (&'static str, Vec<Heating>) {
    let mut heard = Vec::new();
    while let Ok(decision) = decisions.recv().await {
        heard.push(decision);
    }
    (name, heard)
}

/// Local tasks share an `Rc` and alternate: none begins its second round before all have finished the first.
async fn not_send() {
    let diary = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|task| {
            let diary = Rc::clone(&diary);
            spawn_local(async move {
                for round in 0..2 {
                    diary.borrow_mut().push((round, task));
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    println!("rounds: {:?}", diary.borrow());
    let rounds: Vec<_> = diary.borrow().iter().map(|(round, _)| *round).collect();
    assert_eq!(rounds, [0, 0, 0, 1, 1, 1]);
    assert_eq!(Rc::strong_count(&diary), 1);
}

/// Sleeps last at least as long as they should, and a timeout ends what would never end.
async fn time() {
    let begun = Instant::now();
    sleep(Duration::from_millis(20)).await;
    assert!(begun.elapsed() >= Duration::from_millis(20));

    let (_alive, silent) = oneshot::channel::<()>();
    let elapsed = timeout(Duration::from_millis(10), silent)
        .await
        .expect_err("no task sends");
    println!("timeout: {elapsed}");
}

/// A plain `tokio::spawn` on the single thread, fed by a blocking thread.
async fn worker_outside_of_the_local_set() {
    let (numbers, mut queue) = mpsc::channel(1);
    let sum = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(number) = queue.recv().await {
            sum += number;
        }
        sum
    });
    let sender = tokio::task::spawn_blocking(move || {
        for number in 1..=100 {
            numbers.blocking_send(number).expect("the worker is there");
        }
    });
    sender.await.expect("the sender does not panic");
    let sum: u64 = sum.await.expect("the worker does not panic");
    println!("sum: {sum}");
    assert_eq!(sum, 5_050);
}
