#!/usr/bin/env bash
# tracing-opentelemetry 0.34.0 with opentelemetry_sdk 0.33.1 (Rust) and tracing 0.1.44: `set_parent` of a span, the caller's trace being in
# a header.
#
# Guess: a span's parent can be set until the span ends, as it is only then that the span is exported. So a handler with `#[instrument]` begins with
# `Span::current().set_parent(context_of(headers))`.
# Reality: only before the span's context was needed for the first time, that is before it was entered, before a child was made, and before its
# trace id was looked at. After that the call returns an error, and the span is the first of a trace of its own:
#
#     `set_parent` is called                               result                trace of the span
#     before the span is entered                           Ok                    the caller's
#     after `span.context()`, to log the trace id          Err(AlreadyStarted)   a new one
#     after a child was made, before either was entered    Err(AlreadyStarted)   a new one
#     in a function with `#[instrument]`                   Err(AlreadyStarted)   a new one
#     in an async function with `#[instrument]`            Err(AlreadyStarted)   a new one
#
# Why it matters: the function of a handler is where the headers are, and most code for it was written when the call returned nothing. `let _ =` is
# what the compiler's warning asks for. All services then export whole traces, each its own, and no error is logged: the search by
# the caller's trace id finds the caller only. A layer or a middleware has to make the span, set the parent, and enter it last.
set -euo pipefail
command -v cargo > /dev/null || { echo "opentelemetry_parent_too_late.sh: needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset RUSTFLAGS

mkdir -p late/src
cat > late/Cargo.toml <<'TOML'
[package]
name = "late"
version = "0.0.0"
edition = "2024"
[dependencies]
opentelemetry = { version = "=0.33.1", default-features = false, features = ["trace"] }
opentelemetry_sdk = { version = "=0.33.1", default-features = false, features = ["testing", "trace"] }
tokio = { version = "=1.54.1", features = ["rt"] }
tracing = "=0.1.44"
tracing-opentelemetry = "=0.34.0"
tracing-subscriber = "=0.3.23"
[workspace]
TOML
cat > late/src/main.rs <<'RS'
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing::{Span, info_span, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;

fn caller() -> Context {
    let (trace, span) = (TraceId::from(7_u128), SpanId::from(8_u64));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE))
}

fn set(span: &Span) -> String {
    format!("{:?}", span.set_parent(caller()))
}

#[instrument(name = "request")]
fn handler() -> String {
    set(&Span::current())
}

#[instrument(name = "request")]
async fn async_handler() -> String {
    set(&Span::current())
}

fn main() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    let look = |name: &str, result: String| {
        let spans = exporter.get_finished_spans().unwrap();
        let request = spans.iter().find(|span| span.name == "request").unwrap();
        let trace = if request.span_context.trace_id() == TraceId::from(7_u128) { "the caller's" } else { "a new one" };
        println!("{name}: {result}, {trace}");
        exporter.reset();
    };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = info_span!("request");
        let result = set(&span);
        drop(span.entered());
        look("before", result);

        let span = info_span!("request");
        let _trace = span.context().span().span_context().trace_id();
        let result = set(&span);
        drop(span.entered());
        look("after the trace id", result);

        let span = info_span!("request");
        let child = info_span!(parent: &span, "query");
        let result = set(&span);
        drop(child);
        drop(span);
        look("after a child", result);

        let result = handler();
        look("in a function", result);

        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(async_handler());
        look("in an async function", result);
    });
}
RS
cargo run --quiet --manifest-path late/Cargo.toml --target-dir target > seen
cat seen
diff seen - <<'TXT' || { echo "changed: until when a parent can be set" >&2; exit 1; }
before: Ok(()), the caller's
after the trace id: Err(AlreadyStarted), a new one
after a child: Err(AlreadyStarted), a new one
in a function: Err(AlreadyStarted), a new one
in an async function: Err(AlreadyStarted), a new one
TXT
