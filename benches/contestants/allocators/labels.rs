//! The cost of putting labels in force: a future that is polled again and again, with labels and without.

use runtime_probe::pprof;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Instant;

/// With `CONTESTANT_LABELS` each poll puts two labels in force and removes them at its end.
pub fn polls(ops: u64) -> f64 {
    match std::env::var_os("CONTESTANT_LABELS") {
        None => run(ops, |yields| yields),
        Some(_) => run(ops, |yields| {
            pprof::labels(["route", "/order", "tenant", "acme"], yields)
        }),
    }
}

fn run<F: Future<Output = ()> + Send + 'static>(
    ops: u64,
    wrap: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
) -> f64 {
    let runtime = runtime_probe::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut left = ops;
    let yields = poll_fn(move |context| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    let future = wrap(Box::pin(yields));
    let began = Instant::now();
    runtime.block_on(async {
        let task = runtime_probe::spawn(future);
        task.await.expect("it ends");
    });
    began.elapsed().as_nanos() as f64 / ops.max(1) as f64
}
