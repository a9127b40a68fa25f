//! `/metrics`: the figures for Prometheus, as OpenMetrics or as Prometheus text, by the `Accept` header.

use super::routes::only;
use crate::profile::figures::{self, Family, Number, Type, Unit, process};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as Named};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::fmt;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures::OfTheProbe));
    registry.register_collector(Box::new(Figures::OfTheProcess));
    let accepted: Vec<&str> = request.header_values("accept").collect();
    let mut body = String::new();
    let (written, content_type) = match prefers_open_metrics(&accepted.join(",")) {
        true => (text::encode(&mut body, &registry), OPEN_METRICS),
        false => (prometheus_text::encode(&mut body, &registry), PROMETHEUS),
    };
    written.map_err(|error| Refusal::new(500, format!("could not write the metrics: {error}")))?;
    Ok(Reply::new(200, content_type, body))
}

/// Whether a client prefers OpenMetrics to text, by the weights `q`; without one, `q` is 1.
fn prefers_open_metrics(accept: &str) -> bool {
    let weight = |wanted: fn(&str) -> bool| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = wanted(parts.next()?);
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            is_wanted.then(|| weight.map_or(Some(1.0), |weight| weight.parse::<f64>().ok()))?
        });
        ranges.fold(0.0, f64::max)
    };
    let open_metrics = weight(|range| range.eq_ignore_ascii_case("application/openmetrics-text"));
    let text = weight(|range| matches!(range, "text/plain" | "text/*" | "*/*"));
    open_metrics > 0.0 && open_metrics >= text
}

/// A collector that reads the figures whenever a registry is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figures {
    OfTheProbe,
    OfTheProcess,
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = match self {
            Figures::OfTheProbe => figures::of_the_probe(),
            Figures::OfTheProcess => process::families(),
        };
        families
            .iter()
            .try_for_each(|family| encode(&mut encoder, family))
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, family: &Family) -> fmt::Result {
    let unit = family.unit.map(|unit| match unit {
        Unit::Bytes => Named::Bytes,
        Unit::Seconds => Named::Seconds,
    });
    let is = match family.is {
        Type::Counter => MetricType::Counter,
        Type::Gauge => MetricType::Gauge,
        Type::Histogram => MetricType::Histogram,
    };
    // A registry adds a full stop to the help of its own metrics.
    let help = format!("{}.", family.help);
    let mut metric = encoder.encode_descriptor(family.name, &help, unit.as_ref(), is)?;
    for sample in &family.samples {
        if sample.labels.is_empty() {
            encode_number(&mut metric, family.is, &sample.number)?;
        } else {
            let mut one = metric.encode_family(&sample.labels)?;
            encode_number(&mut one, family.is, &sample.number)?;
        }
    }
    Ok(())
}

fn encode_number(metric: &mut MetricEncoder<'_>, is: Type, number: &Number) -> fmt::Result {
    match (is, number) {
        (Type::Counter, Number::Whole(number)) => {
            metric.encode_counter::<NoLabelSet, _, u64>(number, None)
        }
        (Type::Counter, Number::Real(number)) => {
            metric.encode_counter::<NoLabelSet, _, f64>(number, None)
        }
        (_, Number::Whole(number)) => metric.encode_gauge(number),
        (_, Number::Real(number)) => metric.encode_gauge(number),
        (
            _,
            Number::Lengths {
                sum,
                count,
                buckets,
            },
        ) => {
            let infinite = (
                f64::INFINITY,
                count - buckets.iter().map(|(_, count)| count).sum::<u64>(),
            );
            let buckets: Vec<(f64, u64)> = buckets.iter().copied().chain([infinite]).collect();
            metric.encode_histogram::<NoLabelSet>(*sum, *count, &buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          text/plain;version=0.0.4;escaping=allow-utf-8;q=0.3,*/*;q=0.2";
        for (accept, open_metrics) in [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=1.0.0", true),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.9", false),
            (prometheus, true),
        ] {
            assert_eq!(prefers_open_metrics(accept), open_metrics, "{accept}");
        }
    }
}
