//! What requests for profiles of waiting have in common: a form, a span, and a rate for that span.

use super::refusal::Refusal;
use super::reply::Reply;
use super::request::Request;
use super::seconds::Span;
use super::stack_format::StackFormat;
use crate::profile::contended::Contended;
use crate::profile::diagnosis::OFF;
use crate::record::contention::{Lease, Sampled};
use crate::source;

/// How a profile asks for its rate.
pub(super) struct RateParameter {
    pub(super) name: &'static str,
    /// What it is a number of.
    pub(super) unit: &'static str,
    /// The largest.
    pub(super) most: i64,
    pub(super) sampled: Sampled,
}

/// What a request asks for, whichever profile it is.
pub(super) struct Question {
    span: Option<Span>,
    debug: u32,
    format: StackFormat,
    lease: Option<(Sampled, i64)>,
}

impl Question {
    /// Reads the parameters `seconds`, `debug`, `format` and that of the rate.
    pub(super) fn of(request: &Request, rate: &RateParameter) -> Result<Self, Refusal> {
        let question = Question {
            span: Span::of(request)?,
            debug: request.number("debug")?.unwrap_or(0),
            format: StackFormat::of(request)?,
            lease: rate.of(request)?.map(|wanted| (rate.sampled, wanted)),
        };
        if question.debug > 1 {
            return Err(Refusal::bad_request(
                "invalid value for \"debug\" - must be 0 or 1",
            ));
        }
        if question.debug != 0 && question.format != StackFormat::Proto {
            return Err(Refusal::incompatible("format", "debug"));
        }
        if question.debug != 0 && question.span.is_some() {
            return Err(Refusal::incompatible("seconds", "debug"));
        }
        if question.lease.is_some() && question.span.is_none() {
            return Err(Refusal::bad_request(format!(
                "{} needs seconds: it is in force for those seconds only",
                rate.name
            )));
        }
        if question.lease.is_some() && !source::is_on() {
            return Err(Refusal::bad_request(OFF));
        }
        Ok(question)
    }

    /// Whether it is about a span of time, not about all since the start.
    pub(super) fn has_span(&self) -> bool {
        self.span.is_some()
    }

    /// Answers it with what `collect` finds, now or at both ends of the span.
    pub(super) fn answer(
        self,
        request: &Request,
        name: &str,
        collect: impl Fn() -> Contended,
    ) -> Result<Reply, Refusal> {
        let Some(span) = self.span else {
            let contended = collect();
            if self.debug == 0 {
                return self.format.reply(name, &contended.profile());
            }
            let mut text = Vec::new();
            contended.write_text(&mut text).map_err(|error| {
                Refusal::new(500, format!("could not write the profile: {error}"))
            })?;
            return Ok(Reply::text(200, text));
        };
        let lease = self.lease.map(|(sampled, rate)| Lease::take(sampled, rate));
        let before = collect();
        let span = span.wait(request.client())?;
        let after = collect();
        drop(lease);
        let delta = after.delta(&before, span);
        self.format.reply(&format!("{name}-delta"), &delta)
    }
}

impl RateParameter {
    fn of(&self, request: &Request) -> Result<Option<i64>, Refusal> {
        let Some(text) = request.param(self.name)? else {
            return Ok(None);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|rate| digits && (1..=self.most).contains(rate))
            .map(Some)
            .ok_or_else(|| {
                Refusal::bad_request(format!(
                    "invalid value for {:?} - must be a positive integer: {}",
                    self.name, self.unit
                ))
            })
    }
}
