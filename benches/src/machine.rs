//! The machine and the tools of the measurements.

use std::fs;
use std::process::Command;

use crate::contestant::{Field, Role};
use crate::golang::Go;
use crate::{Error, workspace};

/// A markdown list: machine, toolchains, and tokio with its resolved features for each contestant.
pub fn describe(field: &Field, go: Option<&Go>) -> Result<String, Error> {
    let mut lines = vec![
        format!(
            "* cpu: {}, {} usable",
            cpu_model(),
            std::thread::available_parallelism()?
        ),
        format!(
            "* load before: {}",
            fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .trim()
        ),
        format!("* kernel: {}", first_line("uname", &["-sr"])),
        format!("* {}", rustc()),
        format!(
            "* source: {}",
            first_line("git", &["describe", "--always", "--dirty"])
        ),
    ];
    lines.extend(go.map(|go| format!("* {}", go.version)));
    for contestant in &field.built {
        let entry = contestant.entry;
        let tokio = match entry.role {
            Role::Allocator => String::new(),
            _ => format!(", {}", entry.tokio()?),
        };
        lines.push(format!("* {}: {}{tokio}", entry.name, entry.flags()));
    }
    for absent in &field.absent {
        lines.push(format!(
            "* {}: not measured: {}",
            absent.entry.name, absent.reason
        ));
    }
    Ok(lines.join("\n"))
}

/// The CPU that single-threaded workloads are pinned to: the last of those that this process may use, as the first
/// ones tend to serve interrupts.
pub fn pinned_cpu() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let last = allowed.trim().rsplit([',', '-']).next()?;
    (!last.is_empty()).then(|| last.to_owned())
}

/// Today, as `YYYY-MM-DD`.
pub fn today() -> String {
    first_line("date", &["-u", "+%F"])
}

/// The compiler that the contestants are built with.
pub fn rustc() -> String {
    first_line("rustc", &["--version"])
}

fn cpu_model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.to_owned(),
    )
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace())
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .next()
        .map_or_else(|| format!("{program}: not known"), str::to_owned)
}
