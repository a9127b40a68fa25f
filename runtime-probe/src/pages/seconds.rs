//! `seconds=N`: a profile of a span of time, and the wait for its end on behalf of a client.
//!
//! As in Go since 1.24, no write time-out ends a long span: the time-out of a reply begins when it is written. So the
//! span is bounded. The number of spans is bounded too, since each holds a connection and its thread.

use runtime_probe_http::client::Client;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::request::Request;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest span. A scraper asks for its interval, a user for some minutes.
const LONGEST: Duration = Duration::from_secs(3600);

/// The most spans under way at once: a quarter of all connections, so that the others are free for short requests.
const MOST_AT_ONCE: usize = 16;

/// How often a wait checks whether its client is still connected.
const LOOK_EVERY: Duration = Duration::from_millis(100);

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A span that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(Duration);

impl Span {
    /// Reads the parameter. The error has Go's text.
    pub(super) fn of(request: &Request) -> Result<Option<Span>, Refusal> {
        let Some(text) = request.param("seconds")? else {
            return Ok(None);
        };
        let seconds = Some(text)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|seconds: &u64| *seconds > 0)
            .ok_or_else(|| {
                let sentence = "invalid value for \"seconds\" - must be a positive integer";
                Refusal::bad_request(sentence)
            })?;
        if seconds > LONGEST.as_secs() {
            return Err(Refusal::bad_request(format!(
                "invalid value for \"seconds\" - must not be more than {}",
                LONGEST.as_secs()
            )));
        }
        Ok(Some(Span(Duration::from_secs(seconds))))
    }

    /// Reads the parameter as a decimal number with a fraction or an exponent, as Go does for a trace. Less than a nanosecond is 0,
    /// as there. Values that Go replaces by its default are refused here.
    pub(super) fn of_a_fraction(request: &Request) -> Result<Option<Span>, Refusal> {
        let Some(text) = request.param("seconds")? else {
            return Ok(None);
        };
        let seconds = text.parse().ok();
        let seconds =
            seconds.filter(|seconds: &f64| *seconds > 0.0 && *seconds <= LONGEST.as_secs_f64());
        match seconds {
            Some(seconds) => Ok(Some(Span(Duration::from_secs_f64(seconds)))),
            None => Err(Refusal::bad_request(format!(
                "invalid value for \"seconds\" - must be a positive number, not more than {}",
                LONGEST.as_secs()
            ))),
        }
    }

    /// The length.
    pub(super) fn length(self) -> Duration {
        self.0
    }

    /// A span of a fixed length, as a default.
    pub(super) const fn of_seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// Waits for the end of the span, as long as the client is connected. Returns the actual length.
    pub(super) fn wait(self, client: &Client) -> Result<Duration, Refusal> {
        let _place = Place::take()?;
        let began = Instant::now();
        loop {
            let elapsed = began.elapsed();
            if elapsed >= self.0 {
                return Ok(elapsed);
            }
            // The client is checked before the first pause, too: the profile may have taken long to begin.
            if client.is_gone() {
                return Err(Refusal::new(500, "the client went away"));
            }
            thread::sleep((self.0 - elapsed).min(LOOK_EVERY));
        }
    }
}

/// Counts a span as under way until this is dropped.
pub(super) struct Place(());

impl Place {
    pub(super) fn take() -> Result<Place, Refusal> {
        if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= MOST_AT_ONCE {
            UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::new(
                503,
                format!(
                    "too many profiles with \"seconds\" at once: {MOST_AT_ONCE} are under way, try again"
                ),
            ));
        }
        Ok(Place(()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}
