//! The cost of a dump: its time, and the delay and memory of the dumped process.

use std::fmt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::budget::{DumpBudget, MeasuredDump, Verdict};
use crate::contestant::{Contestant, Role};
use crate::golang::Go;
use crate::hold::Hold;
use crate::http::Client;
use crate::options::Options;
use crate::statistics::Quartiles;
use crate::table::Table;
use crate::workload;

/// The text above the table.
pub const EXPLANATION: &str = "\
`GET /debug/pprof/goroutine?debug=N` over a plain socket on loopback, of a process whose tasks wait in channels and sleeps, \
eight calls deep, on two workers. `first` is the first reply of the process in this form, `time` the median of those after it, \
from before the connection to the last byte. `in it` counts the tasks that the text names one by one; `app frames` tells \
whether the application's own functions are in it. `stall` is the longest that a 1 ms ticker of the process was late during a \
dump: the median of the dumps, and in brackets the longest of all. `idle` is the same without one, in as many times of the same \
length, `busy` beside two processes that only keep the CPUs busy, at the nice values of the probe's server and of the client: \
what the machine itself does to a ticker; a dump may add to the worse of them. `peak` is how far a dump raised the anonymous memory \
(`RssAnon`, sampled every 2 ms).";

/// The numbers of waiting tasks that all contestants dump.
const TASKS: &[u64] = &[1_000, 100_000];

/// The number of waiting tasks that only the probe dumps. Go's dump takes minutes, as it starts again with a larger
/// buffer several times, and is cut off in the end.
const MILLION: u64 = 1_000_000;

/// The forms of a dump: every task by itself, equal stacks counted, the binary profile.
const FORMS: &[u8] = &[2, 1, 0];

/// Dumps of each form, and the total time after which a slow form is not repeated.
const GETS: usize = 6;
const QUICK_GETS: usize = 3;
const ENOUGH: Duration = Duration::from_secs(10);

/// How long a server may take until it listens.
const SERVER_WAIT: Duration = Duration::from_secs(2);

/// The ticker is also watched without a dump, for as long as a dump takes, but no longer than this.
const WATCH: Duration = Duration::from_secs(2);

const GO: &str = "go";

/// A function of the tasks' call chain; its name has this text in each language.
const APP_FRAME: &str = "checkout";

/// One form of dump of one process.
pub struct Row {
    contestant: &'static str,
    tasks: u64,
    debug: u8,
    /// The measurement, or why there is none.
    outcome: Result<Cost, String>,
    budget: Option<DumpBudget>,
    /// The time of Go's dump.
    go_time: Option<Duration>,
}

struct Cost {
    first: Duration,
    time: Duration,
    bytes: usize,
    content: Option<Content>,
    stall: Stall,
    /// The delay of the ticker without a dump, on idle CPUs and on busy ones.
    idle: Stall,
    busy: Stall,
    peak_bytes: u64,
}

/// The greatest delays of the ticker, in several stretches of time.
#[derive(Clone, Copy, Default)]
struct Stall {
    median: Duration,
    longest: Duration,
}

/// The contents of a text dump.
#[derive(Debug, PartialEq)]
struct Content {
    tasks: usize,
    app_frames: bool,
}

/// Dumps the tasks of every contestant that serves dumps, for the numbers of tasks in the options.
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
        compare_with_go(&mut rows);
    }
    // One build is enough: the builds do not differ in their dumps.
    if let Some(&(name, program)) = probes.first().filter(|_| options.wants(workload::MILLION)) {
        rows.extend(dump(name, program, MILLION, options)?);
    }
    Ok(rows)
}

fn compare_with_go(rows: &mut [Row]) {
    let go_times: Vec<_> = rows
        .iter()
        .filter(|row| row.contestant == GO)
        .filter_map(|row| Some(((row.tasks, row.debug), row.outcome.as_ref().ok()?.time)))
        .collect();
    for row in rows {
        let same = |(form, _): &&((u64, u8), Duration)| *form == (row.tasks, row.debug);
        row.go_time = go_times.iter().find(same).map(|(_, time)| *time);
    }
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
                cost.stall.to_string(),
                cost.idle.to_string(),
                cost.busy.to_string(),
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
    /// `None` without a budget.
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
        let without = cost.idle.median.max(cost.busy.median);
        Some(budget.judge(MeasuredDump {
            time: cost.time,
            go_time: self.go_time,
            added_stall: cost.stall.median.saturating_sub(without),
            peak_bytes: cost.peak_bytes,
        }))
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
    let mut rows = Vec::new();
    for &debug in FORMS {
        let gets = if options.quick { QUICK_GETS } else { GETS };
        let outcome = match &listening {
            Ok(()) => measure(&mut hold, &mut client, debug, gets)?,
            Err(reason) => Err(reason.clone()),
        };
        // Go's own numbers are the base and have no budget.
        let budget = DumpBudget::of(tasks, debug).filter(|_| contestant != GO);
        rows.push(Row {
            contestant,
            tasks,
            debug,
            outcome,
            budget,
            go_time: None,
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
) -> Result<Result<Cost, String>, Error> {
    let path = format!("/debug/pprof/goroutine?debug={debug}");
    let mut times = Vec::new();
    let mut stalls = Vec::new();
    let mut peak_bytes = 0;
    let mut body = Vec::new();
    let start = Instant::now();
    while times.len() < gets && (times.is_empty() || start.elapsed() < ENOUGH) {
        hold.take_longest_stall()?;
        let memory = hold.watch_memory()?;
        let reply = client.get(&path);
        peak_bytes = peak_bytes.max(memory.growth()?);
        stalls.push(hold.take_longest_stall()?);
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
    let time = median(after_first);
    let mut without = || -> Result<Stall, Error> {
        let mut stalls = Vec::new();
        for _ in &times {
            hold.take_longest_stall()?;
            thread::sleep(time.min(WATCH));
            stalls.push(hold.take_longest_stall()?);
        }
        Ok(Stall::of(&stalls))
    };
    let idle = without()?;
    let busy = {
        // One at the nice value of the server, one at that of the client.
        let _busy = [Busy::start(5)?, Busy::start(0)?];
        without()?
    };
    Ok(Ok(Cost {
        first: times[0],
        time,
        bytes: body.len(),
        content: Content::read(&body, debug),
        stall: Stall::of(&stalls),
        idle,
        busy,
        peak_bytes,
    }))
}

/// The median of at least one value.
fn median(durations: &[Duration]) -> Duration {
    let seconds = durations.iter().map(Duration::as_secs_f64);
    Duration::from_secs_f64(Quartiles::of(seconds).median)
}

impl Stall {
    fn of(stalls: &[Duration]) -> Self {
        Self {
            median: median(stalls),
            longest: stalls.iter().copied().max().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({})",
            milliseconds(self.median),
            milliseconds(self.longest)
        )
    }
}

/// A process that only uses the CPU, while this lives.
struct Busy(Child);

impl Busy {
    fn start(niceness: u8) -> Result<Self, Error> {
        let mut nothing = Command::new("nice");
        nothing.args(["-n", &niceness.to_string()]);
        nothing.args(["sh", "-c", "while :; do :; done"]);
        Ok(Self(nothing.spawn()?))
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
                stall: Stall::default(),
                idle: Stall::default(),
                busy: Stall::default(),
                peak_bytes: 0,
            }),
            budget: DumpBudget::of(100_000, 2),
            go_time: Some(Duration::from_secs(1)),
        };
        assert_eq!(row(100_000).verdict(), Some(Verdict::Within));
        assert_eq!(row(99_999).verdict(), Some(Verdict::Over));
    }
}
