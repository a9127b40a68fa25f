//! Spans of the crate `tracing`, for an execution trace: what a subscriber is told of them, as entries.
//!
//! The entries are steps, and the trace makes regions of them. Whether a span that is exited waits is not known here
//! without memory of the entry before, so each step tells how many registrations the poll has made so far.
//!
//! While no trace is taken, a step is one load.

use super::polled_task::PolledTask;
use super::regions::{self, StaticText};
use super::trace::{self, MOST_REGISTRATIONS, SpanStep, Step};
use super::waker;
use crate::clock;
use crate::demand::Demand;
use crate::primitive::Ordering;
use crate::registry::polls::Here;
use crate::registry::threads;
use std::cell::Cell;
use tracing::span::Id;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// A layer of `tracing-subscriber` that shows spans of the crate `tracing` as regions of execution traces, as
/// [`region()`] does. Needs the feature `tracing-subscriber`.
///
/// A region has the name of its span. It begins when its task enters the span, and ends when its task exits the span
/// without waiting inside it. So a future that is instrumented with a span is one region from its first poll to its
/// last, waits included. A task that exits the span while it waits inside of it, and drops the future, ends the region
/// when the span is closed.
///
/// In a task of a dependency that the probe does not poll, a region ends when its span is closed. A future in a
/// `FuturesUnordered` (`buffer_unordered`, `join_all` and so on) is one region, too, as long as the binary has function
/// names; below other executors with wakers of their own, each poll is a region. On a thread outside of any task, the
/// thread is shown as a goroutine. Spans of tokio's own are left out.
///
/// The regions are those of [`trace`](crate::pprof::trace) and of the flight recorder. While neither runs, a span that is entered,
/// exited or closed costs this layer one load.
///
/// A layer without a filter enables all spans and events of the program, also those that no other layer wants. So give
/// it a filter:
///
/// ```
/// use runtime_probe::pprof::trace::SpanLayer;
/// use tracing::Level;
/// use tracing_subscriber::filter::filter_fn;
/// use tracing_subscriber::prelude::*;
///
/// let spans = filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO);
/// let subscriber = tracing_subscriber::registry().with(SpanLayer::new().with_filter(spans));
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info_span!("parse").in_scope(|| {});
/// });
/// ```
///
/// [`region()`]: crate::pprof::trace::region()
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SpanLayer;

impl SpanLayer {
    /// The layer.
    #[must_use]
    pub fn new() -> Self {
        SpanLayer
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    #[inline]
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if Demand::Trace.is_on() {
            step(Step::Enter, id, context.metadata(id));
        }
    }

    #[inline]
    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if Demand::Trace.is_on() {
            step(Step::Exit, id, context.metadata(id));
        }
    }

    #[inline]
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if Demand::Trace.is_on() {
            step(Step::Close, &id, context.metadata(&id));
        }
    }
}

thread_local! {
    /// The registrations of the poll at the last enter of a span on this thread.
    static ENTERED_AT: Cell<u16> = const { Cell::new(0) };
}

/// Whether the trace needs the stack of this step to tell a future that waits from one that is done. It does at an exit
/// without a registration since the last enter: if there is one since then, there is one since the enter of this span,
/// too. And only if the poll has registered somewhere before: a `FuturesUnordered` registers before it polls a child.
fn place_matters(step: Step, registrations: u16) -> bool {
    match step {
        Step::Enter => ENTERED_AT.with(|entered_at| entered_at.set(registrations)),
        Step::Exit if registrations > 0 => {
            return registrations <= ENTERED_AT.with(Cell::get);
        }
        Step::Exit | Step::Close => {}
    }
    false
}

/// The spans that tokio makes around its own tasks and operations, with its feature `tracing`.
const OF_TOKIO: &str = "tokio::";

/// Writes a step.
#[cold]
fn step(step: Step, id: &Id, metadata: Option<&'static Metadata<'static>>) {
    let Some(metadata) = metadata.filter(|metadata| !metadata.target().starts_with(OF_TOKIO))
    else {
        return;
    };
    if !super::start_here() {
        return;
    }
    let (slot, mut now) = (threads::slot(), clock::ticks());
    let is_own = Here::get().is_in_a_poll();
    let (mut is_in_a_poll, mut registrations) = (is_own, waker::registrations());
    if !is_own {
        let (polled, _) = PolledTask::here();
        is_in_a_poll = polled.spawned_at().is_some();
        if is_in_a_poll {
            // A foreign task registers with wakers of tokio's.
            registrations = MOST_REGISTRATIONS;
            // An order by time must have the begin of the poll first.
            now = now.max(slot.foreign_since.load(Ordering::Relaxed) + trace::UNIT);
        } else if slot.runtime.load(Ordering::Relaxed) != 0 {
            // Between polls, a thread of a runtime drops futures that have ended. `Instrumented` enters its span for
            // that, which is no part of any task.
            return;
        }
    }
    if is_own && place_matters(step, registrations) {
        trace::span_place(slot, now, waker::wait_site().waits);
    }
    let step = SpanStep {
        step,
        span: id.into_u64(),
        name: StaticText::new(metadata.name()),
        user_task: regions::current().id,
        registrations,
        is_in_a_poll,
    };
    trace::span(slot, now, &step);
}
