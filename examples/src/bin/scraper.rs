//! Scrapes a program for a while as Grafana Alloy and Parca do, both at once, and makes the same checks:
//!
//! ```text
//! cargo run --release -p examples --bin scraper -- 127.0.0.1:6060 60
//! ```
//!
//! * Parca accepts a profile only if it is complete: an empty first string, ids in sequence, no reference without a target.
//! * Alloy makes a series of each set of addresses and labels. `block` and `mutex` are cumulative; Alloy computes the differences
//!   itself, so no value may ever fall, and no series may vanish.
//! * Both ask for CPU profiles, of which only one runs at a time: the other client must get that error.
//!
//! Exits with 1 and a sentence if a check fails.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::Profile;

/// The profiles that both scrape by default and that the probe has.
const PROFILES: [&str; 3] = ["block", "goroutine", CPU];
/// Both take a CPU profile as long as their interval.
const CPU: &str = "profile?seconds=1";
/// The error for the second client.
const IN_USE: &str = "Could not enable CPU profiling: cpu profiling already in use";
/// Profiles whose values only ever grow.
const CUMULATIVE: [&str; 2] = ["block", "mutex"];
/// Their intervals are 10 and 15 s; a shorter one tests more.
const INTERVAL: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A series of Alloy: the addresses of a sample's locations, and its labels.
type Identity = (Vec<u64>, Vec<(String, String)>);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:6060".to_owned());
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(60));
    let scrapers: Vec<_> = ["alloy", "parca"]
        .map(|name| {
            let address = address.clone();
            thread::spawn(move || (name, scrape(&address, end)))
        })
        .into_iter()
        .collect();
    let mut code = ExitCode::SUCCESS;
    for scraper in scrapers {
        match scraper.join() {
            Ok((name, Ok(report))) => println!("{name}: {report}"),
            Ok((name, Err(error))) => {
                eprintln!("{name}: {error}");
                code = ExitCode::FAILURE;
            }
            Err(_) => code = ExitCode::FAILURE,
        }
    }
    code
}

/// Scrapes until `end`. Returns a summary as a sentence.
fn scrape(address: &str, end: Instant) -> Outcome<String> {
    let mut series: HashMap<&str, HashMap<Identity, Vec<i64>>> = HashMap::new();
    let (mut scrapes, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    while Instant::now() < end {
        for name in PROFILES {
            let began = Instant::now();
            let answer = get(address, name);
            if name == CPU
                && answer
                    .as_ref()
                    .is_err_and(|error| error.to_string().contains(IN_USE))
            {
                refused += 1;
                continue;
            }
            let profile = answer.and_then(|body| Ok(Profile::decode(&body)?));
            let profile = profile.map_err(|error| format!("{name}: {error}"))?;
            slowest = slowest.max(began.elapsed());
            validate(&profile).map_err(|error| format!("{name} is not valid: {error}"))?;
            let now = identities(&profile);
            let before = series.entry(name).or_default();
            if CUMULATIVE.contains(&name) {
                for (identity, values) in before.iter() {
                    let grown = now.get(identity).is_some_and(|now| {
                        now.iter().zip(values).all(|(now, before)| now >= before)
                    });
                    if !grown {
                        return Err(format!("{name}: fell from {values:?}: {identity:?}").into());
                    }
                }
                *before = now;
            } else {
                before.extend(now);
            }
            scrapes += 1;
        }
        thread::sleep(INTERVAL);
    }
    let mut counts: Vec<String> = series
        .iter()
        .map(|(name, series)| format!("{} of {name}", series.len()))
        .collect();
    counts.sort();
    Ok(format!(
        "{scrapes} scrapes, {refused} refused, the slowest {slowest:.1?}; series: {}",
        counts.join(", ")
    ))
}

/// A profile's body. The server ends the connection.
fn get(address: &str, name: &str) -> Outcome<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /debug/pprof/{name} HTTP/1.0\r\nHost: {address}\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .ok_or("no answer")?;
    let status = String::from_utf8_lossy(&answer[..head]);
    let status = status.lines().next().unwrap_or_default().to_owned();
    if !status.ends_with(" 200 OK") {
        let body = String::from_utf8_lossy(&answer[head + 4..]).into_owned();
        return Err(format!("{status}: {}", body.trim_end()).into());
    }
    Ok(answer.split_off(head + 4))
}

/// Parca's rules, and the rules of the format that both rely on.
fn validate(profile: &Profile) -> Result<(), String> {
    if profile
        .string_table
        .first()
        .is_none_or(|first| !first.is_empty())
    {
        return Err("the first string is not empty".into());
    }
    let ids = |name: &str, ids: &mut dyn Iterator<Item = u64>| {
        let wrong = ids.zip(1..).find(|(id, next)| id != next);
        wrong.map_or(Ok(()), |(id, next)| {
            Err(format!("{name} {next} has the id {id}"))
        })
    };
    ids(
        "mapping",
        &mut profile.mapping.iter().map(|mapping| mapping.id),
    )?;
    ids(
        "location",
        &mut profile.location.iter().map(|location| location.id),
    )?;
    ids(
        "function",
        &mut profile.function.iter().map(|function| function.id),
    )?;
    let is = |id: u64, len: usize| (1..=len as u64).contains(&id);
    for location in &profile.location {
        let known = |id| is(id, profile.function.len());
        if location.address == 0 || !is(location.mapping_id, profile.mapping.len()) {
            return Err(format!("location {} lies nowhere", location.id));
        }
        if !location.line.iter().all(|line| known(line.function_id)) {
            return Err(format!("location {} names no function", location.id));
        }
    }
    for sample in &profile.sample {
        if sample.value.len() != profile.sample_type.len() || sample.value.len() > 4 {
            return Err(format!("a sample has the values {:?}", sample.value));
        }
        if !sample
            .location_id
            .iter()
            .all(|id| is(*id, profile.location.len()))
        {
            return Err(format!(
                "a sample has the locations {:?}",
                sample.location_id
            ));
        }
    }
    Ok(())
}

fn identities(profile: &Profile) -> HashMap<Identity, Vec<i64>> {
    let samples = profile.sample.iter().map(|sample| {
        let address = |id: &u64| profile.location[*id as usize - 1].address;
        let label = |label: &runtime_dump::profile::proto::Label| {
            let text = |index| profile.string(index).to_owned();
            (text(label.key), text(label.str))
        };
        let addresses = sample.location_id.iter().map(address).collect();
        let labels = sample.label.iter().map(label).collect();
        ((addresses, labels), sample.value.clone())
    });
    samples.collect()
}
