//! The cost of stacks of foreign tasks in a dump.

use std::time::{Duration, Instant};

use crate::Error;
use crate::budget::{Budget, Measured, Verdict};
use crate::contestant::{Field, Role};
use crate::hold::Hold;
use crate::http::Client;
use crate::options::Options;
use crate::statistics::Quartiles;
use crate::table::Table;

/// The text above the table.
pub const EXPLANATION: &str = "\
`GET /debug/pprof/goroutine?debug=2` of a process whose tasks plain tokio spawned, on the probe's runtimes, with the feature \
`decode` and `debug = 2`. Each round takes the dump with `decode=0` and with `decode=1`, in turns; `ratio` is the median of \
what the second is to the first of the same round, with the middle half of the rounds in brackets. `first` is the process's \
first dump with decoding, after the index was made. `decoded` counts the tasks that have a stack of the application's.";

/// Numbers of foreign tasks, and the budget if there is one.
const SIZES: &[(u64, Option<Budget>)] = &[(1_000, Some(Budget::DECODED_DUMP)), (100_000, None)];

/// Rounds of small dumps, which are short. Large dumps have as many rounds as any comparison.
const ROUNDS: usize = 101;
const QUICK_ROUNDS: usize = 11;

/// How long the index may take.
const INDEX_WAIT: Duration = Duration::from_secs(20);

/// The outermost of the tasks' functions.
const APP_FRAME: &str = "serve_connection(...)";

/// Dumps of one process, with and without decoding.
pub struct Row {
    tasks: u64,
    decoded: usize,
    first: Duration,
    without: Quartiles,
    with: Quartiles,
    ratio: Quartiles,
    budget: Option<Budget>,
    pub verdict: Option<Verdict>,
}

/// Takes the dumps.
pub fn run(field: &Field, options: &Options) -> Result<Vec<Row>, Error> {
    let mut contestants = field.built.iter();
    let decoding = contestants.find(|contestant| contestant.entry.role == Role::Decoding);
    let decoding = decoding.ok_or("no contestant decodes")?;
    let mut rows = Vec::new();
    for &(tasks, budget) in SIZES {
        eprintln!("decoding {tasks} foreign tasks");
        let hold = Hold::start(&decoding.program, tasks)?;
        let mut client = Client::new(hold.address);
        let rounds = match (tasks, options.quick) {
            (..=1_000, false) => ROUNDS,
            (..=1_000, true) => QUICK_ROUNDS,
            _ => options.rounds(),
        };
        rows.push(measure(&mut client, tasks, budget, rounds)?);
    }
    Ok(rows)
}

fn measure(
    client: &mut Client,
    tasks: u64,
    budget: Option<Budget>,
    rounds: usize,
) -> Result<Row, Error> {
    let mut dump = |decode: u8| -> Result<(Duration, Vec<u8>), Error> {
        let reply = client.get(&format!("/debug/pprof/goroutine?debug=2&decode={decode}"))?;
        match reply.status {
            200 => Ok((reply.time, reply.body)),
            status => Err(format!("status {status}").into()),
        }
    };
    let began = Instant::now();
    let (first, body) = loop {
        // A dump without the index says so.
        if let Ok((time, body)) = dump(1)
            && contains(&body, "foreign tasks are decoded")
        {
            break (time, body);
        }
        if began.elapsed() > INDEX_WAIT {
            return Err("no dump is decoded".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let text = String::from_utf8_lossy(&body);
    let decoded = text.lines().filter(|line| line.contains(APP_FRAME)).count();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for decode in order {
            let seconds = dump(decode)?.0.as_secs_f64();
            match decode {
                0 => without.push(seconds),
                _ => with.push(seconds),
            }
        }
    }
    let ratios = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with / without);
    let ratio = Quartiles::of(ratios);
    let (without, with) = (Quartiles::of(without), Quartiles::of(with));
    let verdict = budget.map(|budget| match decoded as u64 >= tasks {
        true => budget.judge(Measured {
            ratio: ratio.median,
            added: with.median - without.median,
            dial9_added: None,
        }),
        false => Verdict::Over,
    });
    Ok(Row {
        tasks,
        decoded,
        first,
        without,
        with,
        ratio,
        budget,
        verdict,
    })
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The rows in markdown.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "foreign tasks",
        "decoded",
        "first",
        "decode=0",
        "decode=1",
        "ratio",
        "budget",
        "verdict",
    ]);
    let milliseconds = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    for row in rows {
        let Quartiles { low, median, high } = row.ratio;
        table.row([
            row.tasks.to_string(),
            row.decoded.to_string(),
            milliseconds(row.first.as_secs_f64()),
            milliseconds(row.without.median),
            milliseconds(row.with.median),
            format!("{median:.2}x [{low:.2} {high:.2}]"),
            row.budget
                .map(|budget| budget.to_string())
                .unwrap_or_default(),
            row.verdict
                .map(|verdict| verdict.to_string())
                .unwrap_or_default(),
        ]);
    }
    table
}
