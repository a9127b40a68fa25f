//! `watch`: the number of waiting tasks by site over time, and the sites that grow. With `-o` the dumps are written to
//! a log.
//!
//! * [`series`]: counts by site over time.

mod series;

use crate::refusal::Refusal;
use crate::show;
use crate::show::screen::Screen;
use crate::show::style::{Style, printable};
use crate::show::table::Table;
use crate::source::Source;
use crate::source::arguments::{output, source, time_in, with_source};
use clap::{Arg, ArgMatches, Command, value_parser};
use runtime_dump::parse::stacks::of_counts;
use runtime_dump::parse::{Parsed, parse, rfc3339};
use series::{Series, Site};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) fn command() -> Command {
    let command = Command::new("watch").about("Finds leaks: the sites whose tasks become more and more. Also reads a log that it wrote").after_help(
        "A site grows if the lowest count in the last third of the looks is above the highest in the first third, from the sixth look on. \
         The growth in a minute is the slope of the least-squares line through all counts. The last 600 looks count.",
    );
    with_source(command)
        .arg(
            Arg::new("every")
                .long("every")
                .value_name("TIME")
                .default_value("1s")
                .value_parser(time_in(
                    Duration::from_millis(1)..,
                    "a time from 1ms on, as in 500ms, 1s, 1m",
                ))
                .help("The time between two looks"),
        )
        .arg(output(
            "Appends each look to a log: a line with the date, below it the text of debug=1",
        ))
        .arg(
            Arg::new("looks")
                .long("looks")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .help("Ends after N looks; without it, at q or ctrl-c"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    match watch(matches) {
        Ok(code) => code,
        Err(refusal) => refusal.told(),
    }
}

fn watch(matches: &ArgMatches) -> Result<ExitCode, Refusal> {
    let source = source(matches)?;
    if !source.is_live() {
        return Ok(show::print(&of_log(&source)?, true));
    }
    let every: Duration = *matches.get_one("every").expect("it has a default");
    let mut log = match matches.get_one::<PathBuf>("output") {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Some(file.map_err(|error| Refusal::file("write", path, &error))?)
        }
        None => None,
    };
    let looks = matches.get_one::<u64>("looks").copied().unwrap_or(u64::MAX);
    let mut series = Series::default();
    // A failure of the first look is an error. A later failure may be a service that restarts.
    let mut last = look(&source, &mut log)?;
    let started = Instant::now();
    let mut screen = Screen::open();
    for number in 1..=looks {
        if number > 1 {
            let due = started + every.saturating_mul(u32::try_from(number - 1).unwrap_or(u32::MAX));
            if wait(due, screen.as_mut()) {
                break;
            }
            match look(&source, &mut log) {
                Ok(counts) => last = counts,
                Err(refusal) => {
                    match &mut screen {
                        Some(screen) => screen.draw(&format!(
                            "{}\n\nthe last look failed: {refusal}\n",
                            table(&series, &source, screen.rows(), Style::of_stdout())
                        )),
                        None => _ = refusal.told(),
                    }
                    continue;
                }
            }
        }
        series.push(started.elapsed().as_secs_f64(), &of_counts(&last));
        match &mut screen {
            Some(screen) => {
                screen.draw(&table(&series, &source, screen.rows(), Style::of_stdout()))
            }
            None if !show::line(&line(&series, last.total)) => break,
            None => {}
        }
    }
    drop(screen);
    Ok(ExitCode::SUCCESS)
}

/// Takes one dump, and writes it to the log.
fn look(
    source: &Source,
    log: &mut Option<File>,
) -> Result<runtime_dump::parse::counts::Counts, Refusal> {
    let bytes = source.bytes("goroutine?debug=1", Duration::ZERO)?;
    let counts = match parse(&bytes) {
        Ok(Parsed::Counts(counts)) => counts,
        Ok(_) => {
            return Err(Refusal::new(format!(
                "{source}: its page goroutine?debug=1 has no stacks with their counts"
            )));
        }
        Err(error) => return Err(Refusal::new(format!("{source}: {error}"))),
    };
    if let Some(log) = log {
        let mut entry = format!("{}\n", now()).into_bytes();
        entry.extend_from_slice(&bytes);
        log.write_all(&entry)
            .map_err(|error| Refusal::new(format!("cannot write the log: {error}")))?;
    }
    Ok(counts)
}

fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    rfc3339(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Waits until `due`. Returns whether a key ended the wait.
fn wait(due: Instant, screen: Option<&mut Screen>) -> bool {
    match screen {
        Some(screen) => screen.quits_before(due),
        None => {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            false
        }
    }
}

/// The table of a log.
fn of_log(source: &Source) -> Result<String, Refusal> {
    let Parsed::Log(log) = source.dump("")? else {
        return Err(Refusal::new(format!(
            "{source}: one moment has no trend: `watch` needs a server, or a log that it wrote with -o"
        )));
    };
    let mut series = Series::default();
    let first = log
        .samples
        .iter()
        .find_map(|sample| sample.time_ns)
        .unwrap_or(0);
    for (index, sample) in log.samples.iter().enumerate() {
        // A log without dates counts as one dump a second.
        let seconds = sample
            .time_ns
            .map_or(index as f64, |time| (time - first) as f64 / 1e9);
        series.push(seconds, &of_counts(&sample.counts));
    }
    let mut text = table(&series, source, usize::MAX, Style::of_stdout());
    if log.damaged > 0 {
        text.push_str(&match log.damaged {
            1 => "# 1 dump of the log is incomplete and is left out\n".to_owned(),
            many => format!("# {many} dumps of the log are incomplete and are left out\n"),
        });
    }
    Ok(text)
}

fn table(series: &Series, source: &Source, rows: usize, style: Style) -> String {
    let sites = series.sites();
    let growing = sites.iter().filter(|site| site.grows).count();
    let mut text = format!(
        "{source}: {} looks, {} sites, {growing} grow\n",
        series.moments(),
        sites.len()
    );
    if series.missed > 0 {
        text.push_str(&style.alarm(&format!(
            "# {} tasks of further sites are not shown\n",
            series.missed
        )));
    }
    let mut table = Table::new(&[">COUNT", ">IN A MINUTE", "TREND", "", "SITE"]);
    for site in sites.iter().take(rows.saturating_sub(4)) {
        table.push(vec![
            site.count.to_string(),
            per_minute(site),
            site.trend
                .iter()
                .map(|level| char::from(b" .:-=+*#%@"[usize::from(*level).min(9)]))
                .collect(),
            if site.grows {
                "grows".to_owned()
            } else {
                String::new()
            },
            printable(&site.name),
        ]);
    }
    text.push_str(&table.text(style));
    text
}

fn per_minute(site: &Site) -> String {
    // Less than one in an hour is shown as no change.
    if site.per_minute.abs() < 1.0 / 60.0 {
        "0".to_owned()
    } else {
        format!("{:+.1}", site.per_minute)
    }
}

/// Formats one look as a line.
fn line(series: &Series, total: i64) -> String {
    let sites = series.sites();
    let growing: Vec<&Site> = sites.iter().filter(|site| site.grows).collect();
    let listed: Vec<String> = growing
        .iter()
        .take(3)
        .map(|site| {
            format!(
                "{} ({}, {} a minute)",
                printable(&site.name),
                site.count,
                per_minute(site)
            )
        })
        .collect();
    let grow = match growing.len() {
        0 => "no site grows".to_owned(),
        1 => format!("1 site grows: {}", listed.join("; ")),
        more => format!("{more} sites grow: {}", listed.join("; ")),
    };
    format!("{} {total} tasks, {} sites, {grow}", now(), sites.len())
}
