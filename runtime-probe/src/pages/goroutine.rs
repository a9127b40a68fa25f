//! `/debug/pprof/goroutine`: the tasks as a profile (`debug=0`, `format=`) or as text by count (`debug=1`), with
//! `seconds=` the change of these; as a block of text for each task (`debug=2`) or as a sample for each task
//! (`debug=3`).

use super::dump_permit::DumpPermit;
use super::go_duration;
use super::page::Page;
use super::seconds::Span;
use super::stack_format::{StackFormat, crates};
use super::threads::names;
use crate::profile::goroutine::Goroutines;
use crate::profile::goroutine_forms::Lines;
use crate::profile::leaks;
use crate::profile::selection::Selection;
use crate::snapshot::tasks;
use runtime_probe_http::client::Client;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::{Body, Reply};
use runtime_probe_http::request::Request;

const PARAMETERS: [&str; 16] = [
    "crate", "debug", "decode", "format", "frames", "fresh", "group", "label", "limit", "match",
    "minwait", "names", "plain", "seconds", "slow", "state",
];

/// The parameters of the page of leaks.
const LEAK_PARAMETERS: [&str; 10] = [
    "crate", "debug", "format", "frames", "group", "limit", "match", "names", "plain", "seconds",
];

/// The page.
pub(super) const PAGE: Page = Page {
    name: "goroutine",
    link: "?debug=1",
    parameters: Some(&PARAMETERS),
    about: "Stack traces of all tasks. debug=2 writes a block per task: its state, how long it has been in it, the stack of \
            its await points and who spawned it; plain=1 leaves out the lines that Go does not have, group=1 writes equal \
            tasks once. debug=3 is a profile with a sample per task, labelled with its id, state, wait and spawn site. \
            seconds=N returns a delta profile, format=folded and format=flamegraph the stacks of a flame graph, format=json an object per task. match=REGEX, \
            state=LIST, label=KEY=VALUE, minwait=10s and limit=N keep the tasks that one looks for; names=full shows generic arguments; \
            decode=0 leaves out the stacks that foreign tasks have by their futures; \
            fresh=1 first wakes the tasks whose stacks leave open where they wait. Threads that run a task are asked for its \
            stack by a signal; slow=1s sets from which length of a poll on its thread is shown, too.",
    count: |_| tasks::count(),
    takes_post: false,
    answer,
};

/// Answers a request.
fn answer(request: &Request) -> Result<Reply, Refusal> {
    let span = Span::of(request)?;
    let debug = request.number("debug")?;
    let form = Form::of(request, debug.unwrap_or(0))?;
    answer_form(span, form, selection(request)?, request)
}

fn answer_form(
    span: Option<Span>,
    form: Form,
    selection: Selection,
    request: &Request,
) -> Result<Reply, Refusal> {
    match (span, form) {
        (None, form) => form.answer(selection),
        (Some(_), Form::Text(_) | Form::Groups | Form::Samples) => {
            // These forms show no difference. A new task is in a dump after the span.
            Err(Refusal::incompatible("seconds", "debug"))
        }
        (Some(_), Form::Json) => Err(Refusal::incompatible("seconds", "format=json")),
        (Some(span), form) => change(span, form, selection, request.client()),
    }
}

/// The page of tasks that can never be woken.
pub(super) const LEAKS_PAGE: Page = Page {
    name: leaks::NAME,
    parameters: Some(&LEAK_PARAMETERS),
    about: "Tasks that can never go on: no waker of them is left, or they are in a deadlock or behind one. debug=2 writes all \
            tasks, with a mark at these, as Go does.",
    count: leaks::count_with,
    answer: |request| {
        let span = Span::of(request)?;
        let debug = request.number("debug")?.unwrap_or(0);
        let form = Form::of(request, debug)?;
        if form == Form::Samples {
            return Err(Refusal::bad_request("debug=3 is a form of goroutine"));
        }
        let mut selection = selection(request)?;
        selection.leaks = leaks::leaks(debug);
        answer_form(span, form, selection, request)
    },
    ..PAGE
};

/// A form of the dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Stacks, counted.
    Profile(StackFormat),
    /// The same as text.
    Counts,
    /// A block of text for each task.
    Text(Lines),
    /// A block of text for each group of equal tasks.
    Groups,
    /// A sample for each task.
    Samples,
    /// An object of JSON for each task.
    Json,
}

impl Form {
    fn of(request: &Request, debug: u32) -> Result<Form, Refusal> {
        if request.param("format")? == Some("json") {
            return match (debug, request.param("plain")?, request.param("group")?) {
                (0, None, None) => Ok(Form::Json),
                (0, ..) => Err(Refusal::bad_request("plain=1 and group=1 need debug=2")),
                _ => Err(Refusal::incompatible("format", "debug")),
            };
        }
        let format = StackFormat::of(request)?;
        if format != StackFormat::Proto && debug != 0 {
            return Err(Refusal::incompatible("format", "debug"));
        }
        let plain = switch(request, "plain", debug)?;
        let group = switch(request, "group", debug)?;
        Ok(match debug {
            0 => Form::Profile(format),
            1 => Form::Counts,
            2 if plain && group => {
                return Err(Refusal::bad_request(
                    "plain=1 leaves out the lines in which group=1 says how many tasks there are",
                ));
            }
            2 if plain => Form::Text(Lines::Plain),
            2 if group => Form::Groups,
            2 => Form::Text(Lines::All),
            3 => Form::Samples,
            _ => {
                return Err(Refusal::bad_request(
                    "invalid value for \"debug\" - must be 0, 1, 2 or 3",
                ));
            }
        })
    }

    fn answer(self, selection: Selection) -> Result<Reply, Refusal> {
        let permit = DumpPermit::take()?;
        let goroutines = Goroutines::collect(selection);
        Ok(match self {
            Form::Profile(StackFormat::Proto) => {
                return StackFormat::Proto.reply(goroutines.name(), &goroutines.profile());
            }
            Form::Profile(picture) => {
                return picture.reply(goroutines.name(), &goroutines.shown_profile());
            }
            Form::Counts => Reply::written(|text| goroutines.write_count_text(text))?,
            Form::Text(lines) => Reply::text(
                200,
                Body::stream(move |out| goroutines.write_text(permit.writer(out), lines)),
            ),
            Form::Groups => Reply::text(
                200,
                Body::stream(move |out| goroutines.write_groups(permit.writer(out))),
            ),
            Form::Json => Reply::new(
                200,
                "application/json",
                Body::stream(move |out| goroutines.write_json(permit.writer(out))),
            ),
            Form::Samples => Reply::octets(
                goroutines.name(),
                Body::stream(move |out| goroutines.write_samples(permit.writer(out))),
            ),
        })
    }
}

/// The change while a client waits: Go's delta profile, and other forms of it.
fn change(span: Span, form: Form, selection: Selection, client: &Client) -> Result<Reply, Refusal> {
    if selection.fresh {
        // The tasks that the first dump wakes would look like a change.
        return Err(Refusal::incompatible("seconds", "fresh"));
    }
    if selection.limit.is_some() {
        // A task that is beyond the limit in one dump only would look like a change.
        return Err(Refusal::incompatible("seconds", "limit"));
    }
    let before = {
        let _permit = DumpPermit::take()?;
        Goroutines::collect(selection.clone()).counts()
    };
    let span = span.wait(client)?;
    let _permit = DumpPermit::take()?;
    let goroutines = Goroutines::collect(selection);
    let delta = goroutines.since(&before, span);
    let name = format!("{}-delta", goroutines.name());
    match form {
        Form::Profile(StackFormat::Proto) => {
            StackFormat::Proto.reply(&name, &goroutines.change_profile(&delta))
        }
        Form::Profile(picture) => picture.reply(&name, &goroutines.change_profile(&delta.shown())),
        _ => Reply::written(|text| Goroutines::write_change(&delta, text)),
    }
}

/// The parameters that choose among the tasks.
pub(super) fn selection(request: &Request) -> Result<Selection, Refusal> {
    let invalid = |name: &str, reason: &str| {
        Refusal::bad_request(format!("invalid value for \"{name}\" - {reason}"))
    };
    let mut selection = Selection::default();
    if let Some(pattern) = request.param("match")? {
        selection
            .matching(pattern)
            .map_err(|reason| invalid("match", &reason))?;
    }
    if let Some(text) = request.param("minwait")? {
        let min_wait = go_duration::parse(text).map_err(|reason| invalid("minwait", reason))?;
        // `parse` returns at most 64 bits of nanoseconds.
        selection.waiting_for(u64::try_from(min_wait.as_nanos()).unwrap_or(u64::MAX), text);
    }
    if let Some(text) = request.param("slow")? {
        let slow = go_duration::parse(text).map_err(|reason| invalid("slow", reason))?;
        selection.slow_from(u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX));
    }
    if let Some(list) = request.param("state")? {
        selection
            .in_states(list)
            .map_err(|reason| invalid("state", &reason))?;
    }
    if let Some(label) = request.param("label")? {
        selection
            .labelled(label)
            .map_err(|reason| invalid("label", reason))?;
    }
    selection.limit = match request.number("limit")? {
        Some(0) => return Err(invalid("limit", "must be a positive integer")),
        limit => limit.map(|limit| limit as usize),
    };
    selection.without_decoding = !decodes(request)?;
    // Notes are in these forms.
    selection.reads_futures =
        request.number("debug")? == Some(2) || request.param("format")? == Some("json");
    selection.fresh = request.switch("fresh")?;
    selection.crates = crates(request)?;
    selection.all_frames = match request.param("frames")? {
        None => false,
        Some("all") if request.number("debug")? == Some(2) => true,
        Some("all") => return Err(Refusal::bad_request("frames=all needs debug=2")),
        Some(_) => return Err(invalid("frames", "must be all")),
    };
    selection.names = names(request)?;
    Ok(selection)
}

/// Whether foreign tasks are decoded: by default, if the program was built with that feature.
fn decodes(request: &Request) -> Result<bool, Refusal> {
    match request.param("decode")? {
        None => Ok(cfg!(feature = "decode")),
        Some("0") => Ok(false),
        Some("1") if cfg!(feature = "decode") => Ok(true),
        Some("1") => Err(Refusal::new(
            501,
            "decode=1 needs the feature \"decode\" of runtime-probe, which this program was built without",
        )),
        Some(_) => Err(Refusal::bad_request(
            "invalid value for \"decode\" - must be 0 or 1",
        )),
    }
}

/// A switch that needs `debug=2`.
fn switch(request: &Request, name: &str, debug: u32) -> Result<bool, Refusal> {
    match request.switch(name)? {
        true if debug != 2 => Err(Refusal::bad_request(format!("{name}=1 needs debug=2"))),
        on => Ok(on),
    }
}
