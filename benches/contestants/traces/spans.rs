//! The price of spans: with a layer that does nothing, with `SpanLayer`, and with a flight recorder.

use std::hint::black_box;
use std::time::{Duration, Instant};

use runtime_probe::pprof::trace::{FlightRecorder, SpanLayer};
use runtime_probe::runtime::Builder;
use tracing::{Instrument, Subscriber, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use crate::Polls;

/// Enables spans, as any layer does.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

const WARM_UP: u64 = 10_000;

/// What runs: `layer`, `recorder`, or nothing.
const SETTING: &str = "CONTESTANT_SPANS";

/// `span`: polls of an instrumented future. `scope`: a span that is entered and exited.
pub fn run(name: &str, ops: u64) -> String {
    let setting = std::env::var(SETTING).unwrap_or_default();
    let registry = tracing_subscriber::registry();
    match &*setting {
        "" => registry.with(Nothing.with_filter(LevelFilter::INFO)).init(),
        _ => registry
            .with(SpanLayer::new().with_filter(LevelFilter::INFO))
            .init(),
    }
    let recorder = FlightRecorder::new().min_age(Duration::from_secs(10));
    let _recorder = (setting == "recorder").then(|| recorder.start().expect("the only recorder"));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let elapsed = match name {
        "span" => runtime.block_on(async {
            let polls = |left| Polls { left }.instrument(info_span!("span"));
            runtime_probe::spawn(polls(WARM_UP)).await.expect("polls");
            let began = Instant::now();
            runtime_probe::spawn(polls(ops)).await.expect("polls");
            began.elapsed()
        }),
        _ => runtime.block_on(async {
            let scopes = |count| async move {
                let span = info_span!("scope");
                for number in 0..count {
                    span.in_scope(|| black_box(number));
                }
            };
            runtime_probe::spawn(scopes(WARM_UP)).await.expect("scopes");
            let began = Instant::now();
            runtime_probe::spawn(scopes(ops)).await.expect("scopes");
            began.elapsed()
        }),
    };
    format!(
        "ns_per_op={:.3} ops={ops}",
        elapsed.as_nanos() as f64 / ops as f64
    )
}
