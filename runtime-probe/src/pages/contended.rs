//! What requests for profiles of waiting have in common: a form, a span, and a rate for that span.

use super::dump_permit::DumpPermit;
use super::seconds::Span;
use super::stack_format::StackFormat;
use crate::demand::{Demand, Lease};
use crate::profile::contended::Contended;
use crate::profile::diagnosis::OFF;
use crate::source;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// How a profile asks for its rate.
pub(super) struct RateParameter {
    pub(super) name: &'static str,
    /// What it is a number of.
    pub(super) unit: &'static str,
    /// The largest.
    pub(super) most: i64,
    pub(super) demand: Demand,
}

/// What a request asks for, whichever profile it is.
pub(super) struct Question {
    span: Option<Span>,
    debug: u32,
    format: StackFormat,
    lease: Option<(Demand, i64)>,
}

impl Question {
    /// Reads the parameters `seconds`, `debug`, `format` and that of the rate.
    pub(super) fn of(request: &Request, rate: &RateParameter) -> Result<Self, Refusal> {
        let question = Question {
            span: Span::of(request)?,
            debug: request.number("debug")?.unwrap_or(0),
            format: StackFormat::of(request)?,
            lease: rate.of(request)?.map(|wanted| (rate.demand, wanted)),
        };
        question.format.goes_with(question.debug, 1)?;
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

    /// Whether waits that have not ended are wanted (`ongoing=1`): then a dump's permit, as it looks at all tasks.
    pub(super) fn ongoing(&self, request: &Request) -> Result<Option<DumpPermit>, Refusal> {
        if !request.switch("ongoing")? {
            return Ok(None);
        }
        if self.span.is_some() {
            // What goes on at both ends would be in the difference as if it had ended.
            return Err(Refusal::incompatible("seconds", "ongoing"));
        }
        DumpPermit::take().map(Some)
    }

    /// Answers it with what `collect` finds, now or at both ends of the span.
    pub(super) fn answer(
        self,
        request: &Request,
        name: &str,
        collect: impl Fn() -> Contended,
    ) -> Result<Reply, Refusal> {
        let Some(span) = self.span else {
            return self.reply(name, &collect());
        };
        let lease = self.lease.map(|(demand, rate)| Lease::take(demand, rate));
        let before = collect();
        let span = span.wait(request.client())?;
        let after = collect();
        drop(lease);
        self.reply(&format!("{name}-delta"), &after.since(&before, span))
    }

    fn reply(&self, name: &str, contended: &Contended) -> Result<Reply, Refusal> {
        match self.debug {
            0 => self.format.reply(name, &contended.profile()),
            _ => Reply::written(|text| contended.write_text(text)),
        }
    }
}

impl RateParameter {
    fn of(&self, request: &Request) -> Result<Option<i64>, Refusal> {
        request.up_to(self.name, self.most, || {
            format!("a positive integer: {}", self.unit)
        })
    }
}
