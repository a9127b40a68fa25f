//! `/debug/pprof/trace`: an execution trace of the time that the client waits, by default `seconds=1`, for `go tool
//! trace`.
//!
//! The trace is sent while it is taken, a part each second. One at a time, as in Go. `last=1` sends the content of the
//! flight recorder; `format=perfetto` is for Perfetto; `labels=0` leaves out the labels of tasks.

use super::page::Page;
use super::seconds::{Place, Span};
use crate::ask::flight;
use crate::profile::trace::{Format, Labels, MOST_EVENTS, Stream, write_past};
use runtime_probe_http::client::Client;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::{Body, Reply};
use runtime_probe_http::request::Request;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// As in Go.
const SECONDS: Duration = Duration::from_secs(1);

/// How often the threads' buffers are emptied. At 3 M events a second they are full after three times as long.
const EVERY: Duration = Duration::from_millis(20);

/// How often a part is sent. A file that is cut off loses at most one part.
const PART: Duration = Duration::from_secs(1);

/// The page.
pub(super) const PAGE: Page = Page {
    name: "trace",
    link: "?seconds=1",
    parameters: Some(&["format", "labels", "last", "seconds"]),
    about: "What tasks and threads do from now on, for seconds=1 if nothing else is said, as an execution trace for go tool trace; last=1 is what \
            the flight recorder has.",
    count: Page::no_entries,
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let (format, labels) = (format(request)?, labels(request)?);
    if request.number("last")?.unwrap_or(0) > 0 {
        return last(request, format, labels);
    }
    let span = Span::of_a_fraction(request)?.map_or(SECONDS, Span::length);
    let place = Place::take()?;
    let permit = TracePermit::take()?;
    let client = request.client().clone();
    let body = Body::stream(move |out| {
        let (_place, _permit) = (place, permit);
        stream(span, format, labels, &client, out)
    });
    Ok(Reply::octets(file_name(format), body))
}

fn format(request: &Request) -> Result<Format, Refusal> {
    match request.param("format")? {
        None => Ok(Format::Go),
        Some("perfetto") => Ok(Format::Perfetto),
        Some(_) => Err(Refusal::bad_request(
            "invalid value for \"format\" - must be perfetto",
        )),
    }
}

fn labels(request: &Request) -> Result<Labels, Refusal> {
    match request.param("labels")? {
        None | Some("1") => Ok(Labels::Shown),
        Some("0") => Ok(Labels::LeftOut),
        Some(_) => Err(Refusal::bad_request(
            "invalid value for \"labels\" - must be 0 or 1",
        )),
    }
}

/// The file name for a browser.
fn file_name(format: Format) -> &'static str {
    match format {
        Format::Go => "trace",
        Format::Perfetto => "trace.pftrace",
    }
}

/// Answers with the content of the flight recorder.
fn last(request: &Request, format: Format, labels: Labels) -> Result<Reply, Refusal> {
    if request.param("seconds")?.is_some() {
        return Err(Refusal::bad_request(
            "last and seconds cannot be given together",
        ));
    }
    let Some(past) = flight::past() else {
        return Err(Refusal::new(
            404,
            "no flight recorder: RUNTIME_PROBE_FLIGHT_RECORDER=10s, or pprof::trace::FlightRecorder, keeps the last seconds",
        ));
    };
    let body = Body::stream(move |out| write_past(&past, format, labels, out));
    Ok(Reply::octets(file_name(format), body))
}

/// The permit of the one trace.
struct TracePermit(());

static UNDER_WAY: AtomicBool = AtomicBool::new(false);

impl TracePermit {
    fn take() -> Result<TracePermit, Refusal> {
        match UNDER_WAY.swap(true, Ordering::Relaxed) {
            false => Ok(TracePermit(())),
            true => Err(Refusal::new(
                500,
                "Could not enable tracing: tracing is already enabled",
            )),
        }
    }
}

impl Drop for TracePermit {
    fn drop(&mut self) {
        UNDER_WAY.store(false, Ordering::Relaxed);
    }
}

fn stream(
    span: Duration,
    format: Format,
    labels: Labels,
    client: &Client,
    out: &mut dyn Write,
) -> io::Result<()> {
    let began = Instant::now();
    let mut trace = Stream::begin(format, labels, out)?;
    let mut part = began;
    loop {
        if client.is_gone() {
            return Err(io::Error::other("the client went away"));
        }
        let left = span.saturating_sub(began.elapsed());
        thread::sleep(left.min(EVERY));
        let events = trace.collect();
        let is_over = began.elapsed() >= span;
        if is_over || part.elapsed() >= PART || events >= MOST_EVENTS {
            part = Instant::now();
            trace.write(is_over)?;
        }
        if is_over {
            return Ok(());
        }
    }
}
