//! The compared programs: packages below `benches/contestants`, each built alone.
//!
//! Cargo unifies features within a workspace and within one build, but a contestant must only have the features of
//! tokio that it asks for. Each build gets its flags from here and none from `.cargo/config.toml`. Bare tokio and the
//! probe have the versions of the workspace's lock file. A rival has a lock file of its own, committed, with the same
//! tokio.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::budget::{Budget, Measured, Verdict};
use crate::options::Options;
use crate::table::Table;
use crate::workload;
use crate::{Error, build_dir, workspace};

/// The commit that `--before` compares today's probe with.
pub const BEFORE: &str = "139564c";

/// The contestants of this run, and the absent ones.
pub struct Field {
    pub built: Vec<Contestant>,
    pub absent: Vec<Absent>,
}

/// A built contestant.
pub struct Contestant {
    pub entry: &'static Entry,
    pub program: PathBuf,
}

/// An absent rival, and the reason.
#[derive(Clone)]
pub struct Absent {
    pub entry: &'static Entry,
    pub reason: String,
}

/// A package with the flags that it is built with.
pub struct Entry {
    /// Also the folder of its build output.
    pub name: &'static str,
    /// Its folder in `benches/contestants`.
    package: &'static str,
    /// The feature of the package that it is built with, if any.
    feature: Option<&'static str>,
    pub role: Role,
    /// Its `--cfg` flag, if any.
    cfg: Option<&'static str>,
    /// Built with frame pointers, if it unwinds by them.
    frame_pointers: bool,
    /// The contestant that its ratios are against: bare tokio with the same flags.
    pub against: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Plain tokio: the base of the ratios.
    Bare,
    /// The probe, which has budgets.
    Probe,
    /// The probe of commit [`BEFORE`] with today's workloads, on request. The run goes on without it.
    Before,
    /// The probe with the sources and the manifest of `bare`, by `runtime-dump patch`. It has the same budgets; its
    /// dumps and profiles are those of the probe.
    Patched,
    /// Another way to observe a runtime, for orientation. The run goes on without it.
    Rival,
    /// Another way to sample CPU time, compared only with a CPU profile of the probe. The run goes on without it.
    Sampler,
    /// The probe with its console for tokio-console, compared only with console-subscriber.
    Console,
    /// One of several global allocators. The run goes on without it, unless it is the probe's or the one that is its
    /// base.
    Allocator,
    /// The probe that decodes foreign tasks, for dumps of such tasks only.
    Decoding,
    /// A recorder of traces. The run goes on without dial9's.
    Tracing,
}

impl Role {
    /// Whether it is compared with bare tokio in all workloads, and not only in a group of rows.
    pub fn is_always_compared(self) -> bool {
        !matches!(
            self,
            Role::Sampler | Role::Console | Role::Decoding | Role::Allocator | Role::Tracing
        )
    }

    /// Whether the run goes on without it.
    fn is_dispensable(self) -> bool {
        self.has_own_lock() || matches!(self, Role::Before | Role::Allocator | Role::Tracing)
    }

    /// Whether it is a package of another project, with a lock file of its own.
    fn has_own_lock(self) -> bool {
        matches!(self, Role::Rival | Role::Sampler)
    }

    /// Whether its costs have budgets.
    pub fn has_budgets(self) -> bool {
        matches!(self, Role::Probe | Role::Patched)
    }
}

/// Bare first: the order of the report.
const ENTRIES: &[Entry] = &[
    Entry {
        name: "bare",
        package: "bare",
        feature: None,
        role: Role::Bare,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "probe",
        package: "probe",
        feature: None,
        role: Role::Probe,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "probe-before",
        package: "probe",
        feature: None,
        role: Role::Before,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "patched",
        package: "bare",
        feature: None,
        role: Role::Patched,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "dial9",
        package: "dial9",
        feature: None,
        role: Role::Rival,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "dial9-hooks",
        package: "dial9",
        feature: Some("hooks"),
        role: Role::Rival,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "console",
        package: "console-subscriber",
        feature: None,
        role: Role::Rival,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "pprof-rs",
        package: "pprof-rs",
        feature: None,
        role: Role::Sampler,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "dial9-cpu",
        package: "dial9-cpu",
        feature: None,
        role: Role::Sampler,
        cfg: Some("tokio_unstable"),
        frame_pointers: true,
        against: None,
    },
    Entry {
        name: "native-console",
        package: "native-console",
        feature: None,
        role: Role::Console,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: Some("bare"),
    },
    Entry {
        name: "decode",
        package: "decode",
        feature: None,
        role: Role::Decoding,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "traces",
        package: "traces",
        feature: None,
        role: Role::Tracing,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "traces-dial9",
        package: "traces",
        feature: Some("dial9"),
        role: Role::Tracing,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "heap-system",
        package: "allocators",
        feature: None,
        role: Role::Allocator,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "heap-probe",
        package: "allocators",
        feature: Some("probe"),
        role: Role::Allocator,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "heap-dial9",
        package: "allocators",
        feature: Some("dial9"),
        role: Role::Allocator,
        cfg: Some("tokio_unstable"),
        frame_pointers: true,
        against: None,
    },
    Entry {
        name: "heap-jemalloc",
        package: "allocators",
        feature: Some("jemalloc"),
        role: Role::Allocator,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "heap-jemalloc-prof",
        package: "allocators",
        feature: Some("jemalloc-prof"),
        role: Role::Allocator,
        cfg: Some("tokio_unstable"),
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "bare-stable",
        package: "bare",
        feature: None,
        role: Role::Bare,
        cfg: None,
        frame_pointers: false,
        against: None,
    },
    Entry {
        name: "probe-stable",
        package: "probe",
        feature: None,
        role: Role::Probe,
        cfg: None,
        frame_pointers: false,
        against: Some("bare-stable"),
    },
];

/// What the table of crates shows.
pub const CRATES_EXPLANATION: &str = "Packages that a build of the contestant compiles for itself, build scripts and macros included, the contestant not.";

/// Builds every contestant with a row in this run. If one of ours does not build the run ends; a rival is left out.
pub fn build_wanted(options: &Options) -> Result<Field, Error> {
    let wanted = |entry: &&Entry| match entry.role {
        Role::Sampler => options.wants(workload::CPU_PROFILE),
        Role::Console => options.wants(workload::CONSOLE),
        Role::Decoding => options.wants(workload::DECODE),
        Role::Tracing => options.wants(workload::RECORDERS) || options.wants(workload::SPANS),
        Role::Allocator => options.wants(workload::HEAP),
        Role::Before => options.before,
        Role::Bare | Role::Probe | Role::Patched | Role::Rival => {
            let few = [
                workload::DECODE,
                workload::HEAP,
                workload::RECORDERS,
                workload::SPANS,
            ];
            let is_recorded = workload::RECORDED_CONTESTANTS.contains(&entry.name);
            options.wants_others_than(&few) || is_recorded && options.wants(workload::RECORDERS)
        }
    };
    build_those(ENTRIES.iter().filter(wanted), options.layout)
}

/// Builds the contestants with these names.
pub fn build(names: &[&str]) -> Result<Field, Error> {
    let named = ENTRIES.iter().filter(|entry| names.contains(&entry.name));
    build_those(named, None)
}

fn build_those(
    entries: impl Iterator<Item = &'static Entry>,
    layout: Option<u32>,
) -> Result<Field, Error> {
    let mut built: Vec<Contestant> = Vec::new();
    let mut absent = Vec::new();
    for entry in entries {
        match entry
            .build(layout)
            .and_then(|contestant| contestant.has_the_tokio_of(built.first()))
        {
            Ok(contestant) => built.push(contestant),
            Err(error) if entry.role.is_dispensable() => {
                let reason = error.to_string();
                eprintln!("no rows of {}: {reason}", entry.name);
                absent.push(Absent { entry, reason });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Field { built, absent })
}

/// The crates that are added to bare tokio's, and whether the probe is within its budget, with the rename and with
/// the patch.
pub fn crates(field: &Field) -> Result<(Table, Vec<Verdict>), Error> {
    let mut table = Table::new(&["contestant", "crates", "above bare", "budget", "verdict"]);
    let mut bare = None;
    let mut verdicts = Vec::new();
    for entry in field.entries().filter(|entry| entry.is_a_set_of_crates()) {
        let crates = entry.crates()? as f64;
        let added = bare.map(|bare| crates - bare);
        let ratio = crates / *bare.get_or_insert(crates);
        let budget = entry.role.has_budgets().then_some(Budget::CRATES);
        let judged = budget.zip(added).map(|(budget, added)| {
            budget.judge(Measured {
                ratio,
                added,
                dial9_added: None,
            })
        });
        verdicts.extend(judged);
        table.row([
            entry.name.to_owned(),
            crates.to_string(),
            added.map(|added| format!("{added:+}")).unwrap_or_default(),
            budget.map(|budget| budget.to_string()).unwrap_or_default(),
            judged
                .map(|verdict| verdict.to_string())
                .unwrap_or_default(),
        ]);
    }
    for absent in &field.absent {
        table.row([
            absent.entry.name.to_owned(),
            "not built".to_owned(),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    Ok((table, verdicts))
}

impl Field {
    fn entries(&self) -> impl Iterator<Item = &'static Entry> {
        self.built.iter().map(|contestant| contestant.entry)
    }
}

impl Contestant {
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Whether it is built with `--cfg tokio_unstable`.
    pub fn is_unstable(&self) -> bool {
        self.entry.cfg.is_some()
    }

    /// A rival's lock file may have another tokio than bare's. Then a ratio would compare two versions of tokio.
    fn has_the_tokio_of(self, bare: Option<&Self>) -> Result<Self, Error> {
        // Most of these do not use tokio.
        if self.entry.role == Role::Allocator {
            return Ok(self);
        }
        let version = |contestant: &Self| -> Result<String, Error> {
            let tokio = contestant.entry.tokio()?;
            Ok(tokio.split(" [").next().unwrap_or_default().to_owned())
        };
        let own = version(&self)?;
        let bares = bare.map_or_else(|| Ok(own.clone()), version)?;
        if own == bares {
            Ok(self)
        } else {
            Err(format!("its Cargo.lock has {own}, and bare has {bares}").into())
        }
    }
}

impl Entry {
    /// `layout` is that of [`Options`].
    fn build(&'static self, layout: Option<u32>) -> Result<Contestant, Error> {
        if self.role == Role::Patched {
            self.copy_sources()?;
        }
        if self.role == Role::Before {
            self.check_out()?;
        }
        if !self.role.has_own_lock() {
            let locked = fs::read(workspace().join("Cargo.lock"))?;
            fs::write(self.folder().join("Cargo.lock"), locked)?;
        }
        if self.role == Role::Patched {
            self.patch()?;
        }
        let target = build_dir(self.name);
        eprintln!("building {}", self.name);
        let output = self
            .cargo(layout.map_or("build", |_| "rustc"))
            .args(["--release", "--quiet", "--target-dir"])
            .arg(&target)
            .args(["--message-format", "short"])
            .args(self.feature.map(|feature| format!("--features={feature}")))
            .args(self.has_other_defaults().then_some("--no-default-features"))
            .args(layout.into_iter().flat_map(shuffled))
            .output()?;
        if !output.status.success() {
            let messages = String::from_utf8_lossy(&output.stderr);
            eprintln!("{messages}");
            let first = messages.lines().find(|line| line.contains("error"));
            return Err(format!(
                "does not build: {}",
                first.unwrap_or("cargo does not say why")
            )
            .into());
        }
        Ok(Contestant {
            entry: self,
            program: target.join("release/contestant"),
        })
    }

    /// A patch applies to a directory and everything below it, so the contestant has a directory of its own.
    fn copy_sources(&self) -> Result<(), Error> {
        let copy = self.copy();
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        fs::create_dir_all(&copy)?;
        let contestants = contestants();
        let sources = [self.package, "workload"].map(|name| contestants.join(name));
        succeed(Command::new("cp").arg("-r").args(sources).arg(&copy))
    }

    /// The repository at [`BEFORE`], with today's workloads. Copied only once, as cargo decides by file times what to
    /// build again.
    fn check_out(&self) -> Result<(), Error> {
        let copy = self.copy();
        let marker = copy.join(BEFORE);
        if !marker.exists() {
            if copy.exists() {
                fs::remove_dir_all(&copy)?;
            }
            fs::create_dir_all(&copy)?;
            let archive = copy.with_extension("tar");
            let mut git = Command::new("git");
            git.current_dir(workspace())
                .args(["archive", "--output"])
                .arg(&archive)
                .arg(BEFORE);
            succeed(&mut git)?;
            let mut tar = Command::new("tar");
            tar.arg("-xf").arg(&archive).arg("-C").arg(&copy);
            succeed(&mut tar)?;
            fs::remove_file(&archive)?;
            fs::write(marker, "")?;
        }
        let mut cp = Command::new("cp");
        cp.args(["-r", "--update", "--preserve=timestamps"])
            .arg(contestants().join("workload"))
            .arg(copy.join("benches/contestants"));
        succeed(&mut cp)
    }

    /// Patches the copy, as a user of a service does.
    fn patch(&self) -> Result<(), Error> {
        // Reduces the copied lock file to the needed packages first: the patch does not let cargo change it before
        // its own checks.
        self.tree(&["--depth", "0"])?;
        let mut runtime_dump = cargo("run", &workspace());
        runtime_dump
            .current_dir(self.folder())
            .args(["--quiet", "--package", "runtime-dump-cli", "--"])
            .args(["patch", "--path"])
            .arg(workspace().join("runtime-probe"));
        succeed(&mut runtime_dump)
    }

    /// Whether its feature stands in place of the default ones.
    fn has_other_defaults(&self) -> bool {
        self.role == Role::Tracing && self.feature.is_some()
    }

    /// Whether its set of crates differs from those of all other entries.
    fn is_a_set_of_crates(&self) -> bool {
        self.cfg.is_some() && self.feature.is_none() && self.role.is_always_compared()
    }

    /// `--cfg` flags as on a command line.
    pub fn flags(&self) -> String {
        let cfg = self
            .cfg
            .map_or("no cfg".to_owned(), |cfg| format!("--cfg {cfg}"));
        match self.frame_pointers {
            true => cfg + ", frame pointers",
            false => cfg,
        }
    }

    /// tokio's version and the features that cargo resolved for it here.
    pub fn tokio(&self) -> Result<String, Error> {
        let tree = self.tree(&["--invert", "tokio", "--depth", "0", "--format", "{p} [{f}]"])?;
        tree.lines()
            .next()
            .map(without_directory)
            .ok_or_else(|| format!("no tokio in {}", self.name).into())
    }

    fn crates(&self) -> Result<usize, Error> {
        let tree = self.tree(&["--format", "{p}"])?;
        let packages: BTreeSet<&str> = tree
            .lines()
            .map(|line| line.trim_end_matches(" (*)"))
            .collect();
        Ok(packages.len().saturating_sub(1))
    }

    fn tree(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = self
            .cargo("tree")
            .args(["--edges", "normal,build", "--prefix", "none"])
            .args(arguments)
            .output()?;
        if !output.status.success() {
            return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A cargo command on this package, with exactly its own flags.
    fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo(subcommand, &self.folder());
        let mut flags = Vec::new();
        flags.extend(self.cfg.map(|cfg| ["--cfg", cfg]).into_iter().flatten());
        if self.frame_pointers {
            flags.push("-Cforce-frame-pointers=yes");
        }
        command
            // The directory in which cargo looks for a patch.
            .current_dir(self.folder())
            // This variable, even when empty, replaces every other source of flags.
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR");
        if self.role.has_own_lock() {
            command.arg("--locked");
        }
        command
    }

    fn folder(&self) -> PathBuf {
        match self.role {
            Role::Patched => self.copy(),
            Role::Before => self.copy().join("benches/contestants"),
            _ => contestants(),
        }
        .join(self.package)
    }

    /// The directory of the sources of a contestant that is patched, or of another commit.
    fn copy(&self) -> PathBuf {
        build_dir(self.name).join("sources")
    }
}

/// Arguments of `cargo rustc` for the program alone: lld orders its functions by this seed.
fn shuffled(seed: u32) -> [String; 2] {
    let order = format!("-Clink-arg=-Wl,--shuffle-sections=.text*={seed}");
    ["--".to_owned(), order]
}

fn contestants() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contestants")
}

fn cargo(subcommand: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .arg(subcommand)
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"));
    command
}

/// A line of `cargo tree` without the directory of a path package.
fn without_directory(line: &str) -> String {
    let parts = line
        .split_once(" (")
        .and_then(|(package, rest)| Some((package, rest.split_once(')')?.1)));
    parts.map_or(line.to_owned(), |(package, features)| {
        [package, features].concat()
    })
}

/// Runs a command. If it fails, its output is the error.
fn succeed(command: &mut Command) -> Result<(), Error> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokio_is_named_without_its_directory() {
        for from in ["", " (/work/.runtime-probe/tokio)"] {
            let line = format!("tokio v1.54.1{from} [full,net]");
            assert_eq!(without_directory(&line), "tokio v1.54.1 [full,net]");
        }
    }

    #[test]
    fn a_ratio_is_against_bare_tokio_with_the_same_flags() {
        for entry in ENTRIES {
            let Some(against) = entry.against else {
                continue;
            };
            let other = ENTRIES.iter().find(|other| other.name == against).unwrap();
            assert_eq!((other.package, other.cfg), ("bare", entry.cfg));
        }
    }
}
