//! `/debug/pprof/goroutine`: `debug=0` (profile.proto, gzip), `1` (text by count), `2` (a block per task), and with
//! `debug=2` also `plain=1`, which leaves out the lines that Go does not have.

use super::refusal::Refusal;
use super::reply::{Body, Reply};
use super::request::Request;
use super::routes::only;
use crate::profile::goroutine::{Goroutines, NAME};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Dumps that may be under way at once: each holds 72 bytes a task, so 4 of a million tasks hold 288 MB.
const MOST_AT_ONCE: usize = 4;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Counts a dump for as long as it lives.
struct Turn;

impl Turn {
    fn take() -> Result<Turn, Refusal> {
        if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= MOST_AT_ONCE {
            UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::new(
                503,
                "too many goroutine dumps at once: four are being written, try again",
            ));
        }
        Ok(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["debug", "plain", "seconds"])?;
    if let Some(seconds) = request.param("seconds")? {
        if !seconds.parse().is_ok_and(|seconds: u64| seconds > 0) {
            return Err(Refusal::bad_request(
                "invalid value for \"seconds\" - must be a positive integer",
            ));
        }
        return Err(Refusal::bad_request(
            "\"seconds\" parameter is not supported for this profile type",
        ));
    }
    let debug = number(request, "debug")?.unwrap_or(0);
    let plain = match number(request, "plain")? {
        None | Some(0) => false,
        Some(1) if debug >= 2 => true,
        Some(1) => return Err(Refusal::bad_request("plain=1 needs debug=2")),
        Some(_) => {
            return Err(Refusal::bad_request(
                "invalid value for \"plain\" - must be 0 or 1",
            ));
        }
    };
    let turn = Turn::take()?;
    let goroutines = Goroutines::collect();
    Ok(match debug {
        0 => {
            let mut bytes = Vec::new();
            goroutines.write_profile(&mut bytes).map_err(|error| {
                Refusal::new(500, format!("could not write the profile: {error}"))
            })?;
            Reply::octets(NAME, bytes)
        }
        1 => {
            let mut text = Vec::new();
            goroutines.write_count_text(&mut text).map_err(|error| {
                Refusal::new(500, format!("could not write the profile: {error}"))
            })?;
            Reply::text(200, text)
        }
        _ => Reply::text(
            200,
            Body::stream(move |out| {
                let _turn = turn;
                goroutines.write_text(out, plain)
            }),
        ),
    })
}

/// A parameter that is a number, if it is there.
fn number(request: &Request, name: &str) -> Result<Option<u32>, Refusal> {
    match request.param(name)? {
        None => Ok(None),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => text
            .parse()
            .map(Some)
            .map_err(|_| Refusal::bad_request(format!("invalid value for \"{name}\" - too large"))),
        Some(_) => Err(Refusal::bad_request(format!(
            "invalid value for \"{name}\" - must be a non-negative integer"
        ))),
    }
}
