//! `/debug/pprof/block`: where tasks waited for each other, since the start (`debug=0`, `debug=1`, `format=`) or while the
//! client waits (`seconds=`), then also at a rate for that time only (`rate=`).

use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::routes::only;
use super::seconds::Span;
use super::stack_format::StackFormat;
use crate::profile::block::{Blocked, Included, NAME};
use crate::record::contention::BlockLease;

const PARAMETERS: [&str; 6] = ["debug", "format", "include", "ongoing", "rate", "seconds"];

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &PARAMETERS)?;
    let span = Span::of(request)?;
    let debug = request.number("debug")?.unwrap_or(0);
    let format = StackFormat::of(request)?;
    let rate = rate(request)?;
    let included = included(request)?;
    if debug > 1 {
        return Err(Refusal::bad_request(
            "invalid value for \"debug\" - must be 0 or 1",
        ));
    }
    if debug != 0 && format != StackFormat::Proto {
        return Err(Refusal::incompatible("format", "debug"));
    }
    let Some(span) = span else {
        if rate.is_some() {
            return Err(Refusal::bad_request(
                "rate needs seconds: it is in force for those seconds only",
            ));
        }
        let blocked = Blocked::collect(included);
        if debug == 0 {
            return format.reply(NAME, &blocked.profile());
        }
        let mut text = Vec::new();
        blocked
            .write_text(&mut text)
            .map_err(|error| Refusal::new(500, format!("could not write the profile: {error}")))?;
        return Ok(Reply::text(200, text));
    };
    if debug != 0 {
        return Err(Refusal::incompatible("seconds", "debug"));
    }
    if included.ongoing {
        // What goes on at both ends would be in the difference as if it had ended.
        return Err(Refusal::incompatible("seconds", "ongoing"));
    }
    let lease = rate.map(BlockLease::take);
    let before = Blocked::collect(included);
    let span = span.wait(request.client())?;
    let after = Blocked::collect(included);
    drop(lease);
    format.reply(&format!("{NAME}-delta"), &after.delta(&before, span))
}

fn rate(request: &Request) -> Result<Option<i64>, Refusal> {
    let Some(text) = request.param("rate")? else {
        return Ok(None);
    };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|ns| digits && *ns > 0)
        .map(Some)
        .ok_or_else(|| {
            Refusal::bad_request(
                "invalid value for \"rate\" - must be a positive integer: nanoseconds of waiting for each sample",
            )
        })
}

fn included(request: &Request) -> Result<Included, Refusal> {
    let mut included = Included {
        ongoing: request.switch("ongoing")?,
        ..Included::default()
    };
    for name in request
        .param("include")?
        .into_iter()
        .flat_map(|list| list.split(','))
    {
        match name {
            "sleep" => included.sleep = true,
            "io" => included.io = true,
            _ => {
                return Err(Refusal::bad_request(
                    "invalid value for \"include\" - must be sleep, io or sleep,io",
                ));
            }
        }
    }
    Ok(included)
}
