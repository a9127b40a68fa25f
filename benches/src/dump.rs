//! What a dump costs, and what it costs the process meanwhile.

use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::budget::{DumpBudget, Verdict};
use crate::contestant::{Contestant, Role};
use crate::golang::Go;
use crate::hold::Hold;
use crate::http::Client;
use crate::options::Options;
use crate::statistics::Quartiles;
use crate::table::Table;
use crate::workload;

/// What the table shows.
pub const EXPLANATION: &str = "\
`GET /debug/pprof/goroutine?debug=N` over a plain socket on loopback, of a process whose tasks wait in channels and sleeps, \
eight calls deep, on two workers. `first` is the first reply of the process in this form, `time` the median of those after it, \
from before the connection to the last byte. `in it` counts the tasks that the text names one by one; `app frames` tells \
whether the application's own functions are in it. `stall` is the longest that a 1 ms ticker of the process was late during \
any of the dumps; `idle` the same without one, `busy` beside two processes that only keep the CPUs busy, at the nice value that \
the probe's server has: what the machine itself does to a ticker. `peak` is how far a dump raised the anonymous memory \
(`RssAnon`, sampled every 2 ms).";

/// The numbers of waiting tasks of which everybody dumps.
const TASKS: &[u64] = &[1_000, 100_000];

/// Of which the probe alone dumps: Go's runs for minutes, over and over into a larger buffer, and is cut off in the end.
const MILLION: u64 = 1_000_000;

/// The forms of a dump: every task by itself, equal stacks counted, the binary profile.
const FORMS: &[u8] = &[2, 1, 0];

/// Dumps of each form, and the time after which a slow one is not repeated any more.
const GETS: usize = 6;
const QUICK_GETS: usize = 3;
const ENOUGH: Duration = Duration::from_secs(10);

/// How long a server may take until it listens.
const SERVER_WAIT: Duration = Duration::from_secs(2);

/// How long the ticker is watched without a dump: about as long as the dumps of a form take.
const WATCH: Duration = Duration::from_secs(2);

const GO: &str = "go";

/// A function of the held call chain, as each language names it.
const APP_FRAME: &str = "checkout";

/// One form of dump of one process.
pub struct Row {
    contestant: &'static str,
    tasks: u64,
    debug: u8,
    /// The measurement, or why there is none.
    outcome: Result<Cost, String>,
    budget: Option<DumpBudget>,
}

struct Cost {
    first: Duration,
    time: Duration,
    bytes: usize,
    content: Option<Content>,
    stall: Duration,
    without: Without,
    peak_bytes: u64,
}

/// How late the ticker was without a dump.
#[derive(Clone, Copy)]
struct Without {
    idle: Duration,
    busy: Duration,
}

/// What a dump in text holds.
#[derive(Debug, PartialEq)]
struct Content {
    tasks: usize,
    app_frames: bool,
}

/// Dumps every contestant that serves dumps, of the numbers of tasks that the options want.
pub fn run(
    contestants: &[Contestant],
    go: Option<&Go>,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    let probes: Vec<_> = contestants
        .iter()
        .filter(|contestant| contestant.entry.role == Role::Probe)
        .map(|contestant| (contestant.name(), contestant.program.as_path()))
        .collect();
    let go = go.map(|go| (GO, go.program.as_path()));
    let mut rows = Vec::new();
    if options.wants(workload::DUMP) {
        for &tasks in TASKS {
            for &(name, program) in probes.iter().chain(&go) {
                rows.extend(dump(name, program, tasks, options)?);
            }
        }
    }
    // One build is enough: what differs between them is not in the dump.
    if let Some(&(name, program)) = probes.first().filter(|_| options.wants(workload::MILLION)) {
        rows.extend(dump(name, program, MILLION, options)?);
    }
    Ok(rows)
}

/// The rows in markdown.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "tasks",
        "contestant",
        "debug",
        "first",
        "time",
        "bytes",
        "in it",
        "app frames",
        "stall",
        "idle",
        "busy",
        "peak",
        "budget",
        "verdict",
    ]);
    for row in rows {
        let mut cells = vec![
            row.tasks.to_string(),
            row.contestant.to_owned(),
            row.debug.to_string(),
        ];
        match &row.outcome {
            Ok(cost) => cells.extend([
                milliseconds(cost.first),
                milliseconds(cost.time),
                cost.bytes.to_string(),
                cost.content
                    .as_ref()
                    .map(|content| content.tasks.to_string())
                    .unwrap_or_default(),
                cost.content
                    .as_ref()
                    .map(|content| yes_no(content.app_frames))
                    .unwrap_or_default(),
                milliseconds(cost.stall),
                milliseconds(cost.without.idle),
                milliseconds(cost.without.busy),
                format!("+{:.1} MiB", cost.peak_bytes as f64 / f64::from(1 << 20)),
            ]),
            Err(reason) => {
                cells.push(reason.clone());
                cells.extend(std::iter::repeat_n(String::new(), 8));
            }
        }
        cells.push(
            row.budget
                .map(|budget| budget.to_string())
                .unwrap_or_default(),
        );
        cells.push(
            row.verdict()
                .map(|verdict| verdict.to_string())
                .unwrap_or_default(),
        );
        table.row(cells);
    }
    table
}

impl Row {
    /// `None` where there is no budget.
    pub fn verdict(&self) -> Option<Verdict> {
        let budget = self.budget?;
        let Ok(cost) = &self.outcome else {
            return Some(Verdict::NotMeasured);
        };
        let complete = cost
            .content
            .as_ref()
            .is_none_or(|content| content.tasks as u64 >= self.tasks && content.app_frames);
        if !complete {
            return Some(Verdict::Over);
        }
        let without = cost.without.idle.max(cost.without.busy);
        let added_stall = cost.stall.saturating_sub(without);
        Some(budget.judge(cost.time, added_stall, cost.peak_bytes))
    }
}

/// Starts one process and takes all forms of dumps from it.
fn dump(
    contestant: &'static str,
    program: &Path,
    tasks: u64,
    options: &Options,
) -> Result<Vec<Row>, Error> {
    eprintln!("dumping {contestant} with {tasks} tasks");
    let mut hold = Hold::start(program, tasks)?;
    let mut client = Client::new(hold.address);
    let listening = wait_for_server(&mut client);
    let without = Without::watch(&mut hold)?;
    let mut rows = Vec::new();
    for &debug in FORMS {
        let gets = if options.quick { QUICK_GETS } else { GETS };
        let outcome = match &listening {
            Ok(()) => measure(&mut hold, &mut client, debug, gets, without)?,
            Err(reason) => Err(reason.clone()),
        };
        // Go's own numbers are the yardstick, not what is judged.
        let budget = DumpBudget::of(tasks, debug).filter(|_| contestant != GO);
        rows.push(Row {
            contestant,
            tasks,
            debug,
            outcome,
            budget,
        });
    }
    Ok(rows)
}

/// The outer error ends the run; the inner one is a row without a measurement.
fn measure(
    hold: &mut Hold,
    client: &mut Client,
    debug: u8,
    gets: usize,
    without: Without,
) -> Result<Result<Cost, String>, Error> {
    let path = format!("/debug/pprof/goroutine?debug={debug}");
    let mut times = Vec::new();
    let mut stall = Duration::ZERO;
    let mut peak_bytes = 0;
    let mut body = Vec::new();
    let start = Instant::now();
    while times.len() < gets && (times.is_empty() || start.elapsed() < ENOUGH) {
        hold.take_longest_stall()?;
        let memory = hold.watch_memory()?;
        let reply = client.get(&path);
        peak_bytes = peak_bytes.max(memory.growth()?);
        stall = stall.max(hold.take_longest_stall()?);
        let reply = match reply {
            Ok(reply) if reply.status == 200 => reply,
            Ok(reply) => return Ok(Err(format!("status {}", reply.status))),
            Err(reason) => return Ok(Err(reason)),
        };
        times.push(reply.time);
        body = reply.body;
    }
    let after_first = if times.len() > 1 {
        &times[1..]
    } else {
        &times[..]
    };
    let time = Quartiles::of(after_first.iter().map(Duration::as_secs_f64)).median;
    Ok(Ok(Cost {
        first: times[0],
        time: Duration::from_secs_f64(time),
        bytes: body.len(),
        content: Content::read(&body, debug),
        stall,
        without,
        peak_bytes,
    }))
}

impl Without {
    fn watch(hold: &mut Hold) -> Result<Self, Error> {
        let mut watch = || -> Result<Duration, Error> {
            hold.take_longest_stall()?;
            thread::sleep(WATCH);
            hold.take_longest_stall()
        };
        let idle = watch()?;
        // A server and a client.
        let _busy = [Busy::start()?, Busy::start()?];
        Ok(Self {
            idle,
            busy: watch()?,
        })
    }
}

/// A process that does nothing as fast as it can, while this lives.
struct Busy(Child);

impl Busy {
    fn start() -> Result<Self, Error> {
        let nothing = ["-n", "5", "sh", "-c", "while :; do :; done"];
        Ok(Self(Command::new("nice").args(nothing).spawn()?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Content {
    /// `None` for the binary profile.
    fn read(body: &[u8], debug: u8) -> Option<Self> {
        let text = match debug {
            0 => return None,
            _ => String::from_utf8_lossy(body),
        };
        let tasks = text
            .lines()
            .map(|line| {
                if debug == 2 {
                    one_by_one(line)
                } else {
                    counted(line)
                }
            })
            .sum();
        Some(Self {
            tasks,
            app_frames: text.contains(APP_FRAME),
        })
    }
}

/// `goroutine 18 [chan receive]:` begins a task.
fn one_by_one(line: &str) -> usize {
    usize::from(line.starts_with("goroutine ") && line.trim_end().ends_with(':'))
}

/// `33334 @ 0x43e5ae 0x40fa85` begins a stack with the number of its tasks.
fn counted(line: &str) -> usize {
    line.split_once(" @ ")
        .and_then(|(count, _)| count.parse().ok())
        .unwrap_or(0)
}

fn wait_for_server(client: &mut Client) -> Result<(), String> {
    let start = Instant::now();
    loop {
        match client.get("/debug/pprof/") {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > SERVER_WAIT => {
                return Err(format!("no server: {error}"));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn yes_no(yes: bool) -> String {
    if yes { "yes" } else { "NO" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted_one_by_one() {
        let text = b"goroutine 1 [running]:\nmain.main()\n\ngoroutine 18 [chan receive, 2 minutes]:\nmain.checkout(...)\n";
        assert_eq!(
            Content::read(text, 2),
            Some(Content {
                tasks: 2,
                app_frames: true
            })
        );
    }

    #[test]
    fn tasks_with_equal_stacks_are_added_up() {
        let text = b"goroutine profile: total 5\n3 @ 0x1 0x2\n#\t0x1\tmain.main+0x1\n\n2 @ 0x3\n";
        assert_eq!(
            Content::read(text, 1),
            Some(Content {
                tasks: 5,
                app_frames: false
            })
        );
    }

    #[test]
    fn the_binary_profile_is_not_text() {
        assert_eq!(Content::read(&[0x1f, 0x8b], 0), None);
    }

    #[test]
    fn an_incomplete_dump_is_over_budget() {
        let row = |tasks| Row {
            contestant: "probe",
            tasks: 100_000,
            debug: 2,
            outcome: Ok(Cost {
                first: Duration::ZERO,
                time: Duration::ZERO,
                bytes: 0,
                content: Some(Content {
                    tasks,
                    app_frames: true,
                }),
                stall: Duration::ZERO,
                without: Without {
                    idle: Duration::ZERO,
                    busy: Duration::ZERO,
                },
                peak_bytes: 0,
            }),
            budget: DumpBudget::of(100_000, 2),
        };
        assert_eq!(row(100_000).verdict(), Some(Verdict::Within));
        assert_eq!(row(99_999).verdict(), Some(Verdict::Over));
    }
}
