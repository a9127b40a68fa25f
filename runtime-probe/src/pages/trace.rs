//! `/debug/pprof/trace`: what happens on each thread while the client waits, `seconds=1` if it does not say, for `go tool trace`.
//!
//! It is sent while it is taken, a part each second. One at a time: events are recorded once.

use super::page::Page;
use super::routes::only;
use super::seconds::{Place, Span};
use crate::ask::trace_session::Recording;
use crate::profile::trace::{MOST_EVENTS, Trace};
use runtime_probe_http::client::Client;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::{Body, Reply};
use runtime_probe_http::request::Request;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

/// As in Go.
const SECONDS: Duration = Duration::from_secs(1);

/// How often the threads' buffers are emptied. At 3 M events a second they have room for three times as long.
const EVERY: Duration = Duration::from_millis(20);

/// How often a part is sent: what is lost where a file is cut off.
const PART: Duration = Duration::from_secs(1);

/// The page.
pub(super) const PAGE: Page = Page {
    name: "trace",
    link: "?seconds=1",
    about: "What tasks and threads do from now on, for seconds=1 if nothing else is said, as an execution trace for go tool trace.",
    count: Page::no_entries,
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["seconds"])?;
    let span = Span::of_a_fraction(request)?.map_or(SECONDS, Span::length);
    let place = Place::take()?;
    let recording = Recording::start()
        .map_err(|_| Refusal::new(500, "Could not enable tracing: tracing is already enabled"))?;
    let client = request.client().clone();
    let body = Body::stream(move |out| {
        let _place = place;
        stream(recording, span, &client, out)
    });
    Ok(Reply::octets("trace", body))
}

fn stream(
    recording: Recording,
    span: Duration,
    client: &Client,
    out: &mut dyn Write,
) -> io::Result<()> {
    let began = Instant::now();
    let mut trace = Trace::new(recording, out)?;
    let mut part = began;
    loop {
        let left = span.saturating_sub(began.elapsed());
        thread::sleep(left.min(EVERY));
        let events = trace.collect();
        let is_over = began.elapsed() >= span;
        if is_over || part.elapsed() >= PART || events >= MOST_EVENTS {
            part = Instant::now();
            if is_over {
                trace.settle();
            }
            trace.write_generation()?;
        }
        if is_over {
            return Ok(());
        }
        if client.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}
