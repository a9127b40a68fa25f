//! The common part of requests for the block and the mutex profile: a form, a span, and a rate for that span.

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

/// The parameter that sets a profile's rate.
pub(super) struct RateParameter {
    pub(super) name: &'static str,
    /// The unit of the rate, for error messages.
    pub(super) unit: &'static str,
    /// The largest rate.
    pub(super) most: i64,
    pub(super) demand: Demand,
}

/// The parameters of a request that both profiles share.
pub(super) struct Question {
    span: Option<Span>,
    debug: u32,
    format: StackFormat,
    lease: Option<(Demand, i64)>,
}

impl Question {
    /// Reads the parameters `seconds`, `debug`, `format` and the rate.
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

    /// The permit of a dump, if waits that have not ended are asked for (`ongoing=1`): that looks at all tasks.
    pub(super) fn ongoing(&self, request: &Request) -> Result<Option<DumpPermit>, Refusal> {
        if !request.switch("ongoing")? {
            return Ok(None);
        }
        if self.span.is_some() {
            // A wait that is under way at both ends would look in the difference as if it had ended.
            return Err(Refusal::incompatible("seconds", "ongoing"));
        }
        DumpPermit::take().map(Some)
    }

    /// Answers the request with the result of `collect`: the one of now, or the difference over the span.
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
