//! One run of one contestant: a process, a line, a value.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use crate::Error;
use crate::machine;
use crate::workload::{Placement, Workload};

/// A variable of the contestant's environment, and its value.
pub type Setting = (&'static str, String);

/// Runs the workload once and returns the metric's value in the report's unit.
pub fn once(
    program: &Path,
    workload: &Workload,
    ops: u64,
    setting: Option<&Setting>,
) -> Result<f64, Error> {
    let command = match workload.placement {
        Placement::OneCpu => pinned(program),
        Placement::AllCpus => Command::new(program),
    };
    let answer = answer(command, workload.name, ops, setting)?;
    let value = value_of(&answer, workload.metric.key()).ok_or_else(|| {
        format!(
            "{}: no {} in {answer:?}",
            workload.name,
            workload.metric.key()
        )
    })?;
    Ok(workload.metric.value(value))
}

/// Runs the workload on all CPUs, and returns its values by their keys.
pub fn values(
    program: &Path,
    workload: &str,
    ops: u64,
) -> Result<impl Fn(&str) -> Option<f64>, Error> {
    let answer = answer(Command::new(program), workload, ops, None)?;
    Ok(move |key: &str| value_of(&answer, key))
}

/// The line that a contestant prints.
fn answer(
    mut command: Command,
    workload: &str,
    ops: u64,
    setting: Option<&Setting>,
) -> Result<String, Error> {
    isolate(&mut command);
    command.envs(setting.map(|(name, value)| (name, value)));
    let output = command.arg(workload).arg(ops.to_string()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => {
            let why = String::from_utf8_lossy(&output.stderr);
            let program = command.get_program().display();
            Err(format!("{program} {workload}: {}\n{why}", output.status).into())
        }
    }
}

/// Removes variables of the caller's environment that change a contestant: all have their defaults, and the probe no
/// server.
pub fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        {
            command.env_remove(name);
        }
    }
}

/// Prefixes of variables that configure contestants.
const PREFIXES: &[&str] = &["RUNTIME_PROBE", "TOKIO_", "DIAL9_", "RUST_LOG", "GO"];

/// The program on one CPU if `taskset` works, otherwise unpinned.
fn pinned(program: &Path) -> Command {
    let Some(cpu) = PINNED_CPU.as_deref() else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cpu]).arg(program);
    command
}

/// `None` without a working `taskset`.
static PINNED_CPU: LazyLock<Option<String>> = LazyLock::new(|| {
    let cpu = machine::pinned_cpu()?;
    let trial = Command::new("taskset")
        .args(["--cpu-list", &cpu, "true"])
        .output();
    trial
        .is_ok_and(|output| output.status.success())
        .then_some(cpu)
});

/// The number behind `key=` in an answer like `poll ns_per_op=43.7 ops=1000`.
fn value_of(answer: &str, key: &str) -> Option<f64> {
    answer
        .split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let answer = "poll ns_per_op=43.7 ops=1000\n";
        assert_eq!(value_of(answer, "ns_per_op"), Some(43.7));
        assert_eq!(value_of(answer, "ops"), Some(1000.0));
        assert_eq!(value_of(answer, "ns"), None);
    }
}
