//! The workloads that every contestant runs: one source, built once against tokio and once against the probe.
//!
//! `contestant NAME [COUNT]` runs one workload and prints one line, `NAME metric=value ops=count`. Each workload
//! warms up by a fixed count first, so that the work of a run is start-up + COUNT x operation: the instruction counts
//! rely on it. `contestant hold COUNT` differs: it keeps that many waiting tasks for the dumps, see [`hold`].
//! `contestant echo-clients COUNT` is started by the workload `echo-server`.

use std::process::ExitCode;

mod echo;
mod hold;
mod lock;
mod memory;
mod mutex;
mod pingpong;
mod poll;
mod report;
mod runtimes;
mod spawn;
mod wake;

use report::Line;

/// A workload by its name, and its number of operations if the command line has no count.
struct Workload {
    name: &'static str,
    run: fn(u64) -> Line,
    default_ops: u64,
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "poll",
        run: poll::stored,
        default_ops: 5_000_000,
    },
    Workload {
        name: "poll-yield",
        run: poll::by_ref,
        default_ops: 5_000_000,
    },
    Workload {
        name: "wake",
        run: wake::wake_again,
        default_ops: 20_000_000,
    },
    Workload {
        name: "clone",
        run: wake::clone_and_drop,
        default_ops: 20_000_000,
    },
    Workload {
        name: "spawn",
        run: spawn::one_by_one,
        default_ops: 1_000_000,
    },
    Workload {
        name: "spawn-batch",
        run: spawn::in_batches,
        default_ops: 1_000_000,
    },
    Workload {
        name: "pingpong",
        run: pingpong::one_thread,
        default_ops: 1_000_000,
    },
    Workload {
        name: "pingpong-mt",
        run: pingpong::two_workers,
        default_ops: 300_000,
    },
    Workload {
        name: "mutex",
        run: mutex::one_thread,
        default_ops: 500_000,
    },
    Workload {
        name: "lock",
        run: lock::of_tasks,
        default_ops: 10_000_000,
    },
    Workload {
        name: "lock-thread",
        run: lock::of_threads,
        default_ops: 50_000_000,
    },
    Workload {
        name: "echo",
        run: echo::loopback,
        default_ops: 100_000,
    },
    Workload {
        name: "echo-server",
        run: echo::server,
        default_ops: 100_000,
    },
    Workload {
        name: "memory",
        run: memory::waiting_tasks,
        default_ops: 100_000,
    },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count = match arguments.next().map(|text| text.parse::<u64>()) {
        None => None,
        Some(Ok(count)) => Some(count),
        Some(Err(error)) => {
            eprintln!("the count of operations: {error}");
            return ExitCode::FAILURE;
        }
    };
    if name == "hold" {
        hold::run(count.unwrap_or(1_000));
        return ExitCode::SUCCESS;
    }
    if name == "echo-clients" {
        echo::clients(count.unwrap_or(1_000));
        return ExitCode::SUCCESS;
    }
    let Some(workload) = WORKLOADS.iter().find(|workload| workload.name == name) else {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        eprintln!(
            "usage: contestant NAME [COUNT], NAME one of {}, hold",
            names.join(", ")
        );
        return ExitCode::FAILURE;
    };
    #[cfg(feature = "cpu-profile")]
    if std::env::var_os("CONTESTANT_CPU_PROFILE").is_some()
        && let Err(error) = tokio::pprof::start_cpu_profile(std::io::sink())
    {
        eprintln!("no CPU profile: {error}");
        return ExitCode::FAILURE;
    }
    let line = (workload.run)(count.unwrap_or(workload.default_ops));
    println!("{} {line}", workload.name);
    ExitCode::SUCCESS
}
