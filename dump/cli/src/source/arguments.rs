//! The sources of a command line, and concurrent reads of several sources.

use super::Source;
use crate::refusal::Refusal;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use runtime_dump::parse::duration_ns;
use std::env;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Adds the arguments `SOURCE..` and `--token`.
pub(crate) fn with_sources(command: Command) -> Command {
    with_token(command).arg(
        Arg::new("SOURCE")
            .action(ArgAction::Append)
            .help("A URL, HOST:PORT, unix socket or file (- is stdin); several are read at once. Without one: RUNTIME_DUMP_URL"),
    )
}

/// Adds the arguments `SOURCE` and `--token`.
pub(crate) fn with_source(command: Command) -> Command {
    with_token(command).arg(
        Arg::new("SOURCE")
            .help("A URL, HOST:PORT, unix socket or file. Without one: RUNTIME_DUMP_URL"),
    )
}

/// Adds the argument `--token`.
pub(crate) fn with_token(command: Command) -> Command {
    command.arg(
        Arg::new("token")
            .long("token")
            .value_name("TOKEN")
            .help("The token of the server, which other users of this machine can see here; RUNTIME_DUMP_TOKEN hides it"),
    )
}

/// The argument `--output FILE`, or `-o FILE`.
pub(crate) fn output(help: &'static str) -> Arg {
    Arg::new("output")
        .long("output")
        .short('o')
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

/// The argument `--json`.
pub(crate) fn json(help: &'static str) -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help(help)
}

/// Parses a time, as `500ms`, `10s` or `1m30s`.
pub(crate) fn time(text: &str) -> Result<Duration, &'static str> {
    let time = duration_ns(text).map(Duration::from_nanos);
    time.ok_or("a time is a number and its unit, as in 500ms, 10s, 1m30s")
}

/// Parses a time in a range. `otherwise` is the error for a time outside of it.
pub(crate) fn time_in(
    range: impl RangeBounds<Duration> + Clone,
    otherwise: &'static str,
) -> impl Fn(&str) -> Result<Duration, &'static str> + Clone {
    move |text| match time(text)? {
        time if range.contains(&time) => Ok(time),
        _ => Err(otherwise),
    }
}

/// The sources of a command with [`with_sources`].
pub(crate) fn sources(matches: &ArgMatches) -> Result<Vec<Source>, Refusal> {
    let given: Vec<String> = matches
        .get_many("SOURCE")
        .map(|given| given.cloned().collect())
        .unwrap_or_default();
    let given = match given.is_empty() {
        true => vec![default_url()?],
        false => given,
    };
    given.iter().map(|text| named(matches, text)).collect()
}

/// The source of a command with [`with_source`].
pub(crate) fn source(matches: &ArgMatches) -> Result<Source, Refusal> {
    match matches.get_one::<String>("SOURCE") {
        Some(text) => named(matches, text),
        None => named(matches, &default_url()?),
    }
}

/// A named source of a command with `--token`.
pub(crate) fn named(matches: &ArgMatches, text: &str) -> Result<Source, Refusal> {
    let token = matches.get_one::<String>("token").cloned();
    let token = token.or_else(|| {
        env::var("RUNTIME_DUMP_TOKEN")
            .ok()
            .filter(|token| !token.is_empty())
    });
    Source::parse(text, token.as_deref())
}

fn default_url() -> Result<String, Refusal> {
    env::var("RUNTIME_DUMP_URL").ok().filter(|url| !url.is_empty()).ok_or_else(|| {
        Refusal::new("no source: give a URL, HOST:PORT, unix socket or file, or set RUNTIME_DUMP_URL; as in `runtime-dump tasks 127.0.0.1:6060`")
    })
}

/// Reads all sources at the same time. Returns the results, and whether none failed. Failures are printed on standard
/// error.
pub(crate) fn read_all<T: Send>(
    sources: &[Source],
    read: impl Fn(&Source) -> Result<T, Refusal> + Sync,
) -> (Vec<(&Source, T)>, bool) {
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(|| read(source)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no reader panics"))
            .collect()
    });
    let mut is_whole = true;
    let mut read = Vec::new();
    for (source, result) in sources.iter().zip(results) {
        match result {
            Ok(value) => read.push((source, value)),
            Err(refusal) => {
                refusal.told();
                is_whole = false;
            }
        }
    }
    (read, is_whole)
}
