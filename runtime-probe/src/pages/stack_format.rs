//! The parameters of all stack profiles: the form (`format=`) and the crates whose frames are kept (`crate=`).

use crate::profile::condensed::Crates;
use runtime_dump::profile::folded::fold;
use runtime_dump::profile::proto::Profile;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StackFormat {
    /// Gzipped `profile.proto`.
    Proto,
    /// Text: `root;...;leaf 12`, the input of flame graphs.
    Folded,
    /// An interactive SVG.
    #[cfg(feature = "flamegraph")]
    FlameGraph,
}

impl StackFormat {
    /// Reads the parameter; the default is [`StackFormat::Proto`].
    pub(super) fn of(request: &Request) -> Result<StackFormat, Refusal> {
        match request.param("format")? {
            None => Ok(StackFormat::Proto),
            Some("folded") => Ok(StackFormat::Folded),
            #[cfg(feature = "flamegraph")]
            Some("flamegraph") => Ok(StackFormat::FlameGraph),
            #[cfg(not(feature = "flamegraph"))]
            Some("flamegraph") => Err(Refusal::new(
                501,
                "format=flamegraph needs the feature \"flamegraph\" of runtime-probe, which this program was built \
                 without; the tool inferno-flamegraph makes the same picture of format=folded",
            )),
            Some(_) => Err(Refusal::bad_request(
                "invalid value for \"format\" - must be folded or flamegraph",
            )),
        }
    }

    /// Checks that `debug` is at most `most`, and that a text (`debug` above 0) has no format as well.
    ///
    /// # Errors
    /// 400 otherwise.
    pub(super) fn goes_with(self, debug: u32, most: u32) -> Result<(), Refusal> {
        if debug > most {
            let choice = if most == 1 { "0 or 1" } else { "0, 1 or 2" };
            return Err(Refusal::bad_request(format!(
                "invalid value for \"debug\" - must be {choice}"
            )));
        }
        if debug != 0 && self != StackFormat::Proto {
            return Err(Refusal::incompatible("format", "debug"));
        }
        Ok(())
    }

    /// Answers with a profile. A form that shows a single value shows pprof's default: the profile's default type, or
    /// else the last one.
    pub(super) fn reply(self, name: &str, profile: &Profile) -> Result<Reply, Refusal> {
        let is_named = profile.default_sample_type != 0;
        let mut kinds = profile.sample_type.iter().map(|shown| shown.r#type);
        let named = kinds.position(|kind| is_named && kind == profile.default_sample_type);
        let shown = named.unwrap_or(profile.sample_type.len().saturating_sub(1));
        match self {
            StackFormat::Proto => Ok(Reply::octets(name, profile.to_gzip())),
            StackFormat::Folded => Ok(Reply::text(200, fold(profile, shown))),
            #[cfg(feature = "flamegraph")]
            StackFormat::FlameGraph => flame_graph(name, profile, shown),
        }
    }
}

/// The crates whose frames are kept.
pub(super) fn crates(request: &Request) -> Result<Crates, Refusal> {
    let Some(list) = request.param("crate")? else {
        return Ok(Crates::default());
    };
    Crates::named(list).ok_or_else(|| {
        Refusal::bad_request("invalid value for \"crate\" - must be names of crates: app,app-core")
    })
}

#[cfg(feature = "flamegraph")]
fn flame_graph(name: &str, profile: &Profile, measure: usize) -> Result<Reply, Refusal> {
    use inferno::flamegraph::{Options, TextTruncateDirection, from_lines};

    let folded = fold(profile, measure);
    let (remarks, stacks): (Vec<&str>, Vec<&str>) =
        folded.lines().partition(|line| line.starts_with("# "));
    // A flame graph of a change shows only stacks that became more.
    let (less, stacks): (Vec<&str>, Vec<&str>) = stacks.into_iter().partition(|line| {
        let value = line.rsplit(' ').next();
        value.is_some_and(|value| value.starts_with('-'))
    });
    if stacks.is_empty() {
        // inferno refuses to draw an empty graph. The remarks tell why it is empty.
        return Ok(Reply::text(200, folded));
    }
    let mut options = Options::default();
    options.title = name.to_owned();
    let mut remarks: Vec<String> = remarks
        .iter()
        .map(|remark| remark[2..].to_owned())
        .collect();
    if !less.is_empty() {
        remarks.push(format!(
            "{} stacks that became fewer are left out",
            less.len()
        ));
    }
    options.subtitle = (!remarks.is_empty()).then(|| remarks.join("; "));
    if let Some(shown) = profile.sample_type.get(measure) {
        let (kind, unit) = (profile.string(shown.r#type), profile.string(shown.unit));
        options.count_name = if unit == "count" { kind } else { unit }.to_owned();
    }
    // Equal stacks give equal pictures, so that two pictures can be compared.
    options.deterministic = true;
    // A name begins with its crate, which stays visible.
    options.text_truncate_direction = TextTruncateDirection::Right;
    let mut svg = Vec::new();
    from_lines(&mut options, stacks, &mut svg)
        .map_err(|error| Refusal::new(500, format!("could not draw the flame graph: {error}")))?;
    Ok(Reply::new(200, "image/svg+xml", svg))
}
