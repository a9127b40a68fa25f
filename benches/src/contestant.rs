//! Who takes part: packages of their own below `benches/contestants`, each built alone.
//!
//! Cargo unifies features within a workspace and within one build; a contestant must have no more of tokio than it asked for.
//! Each build gets its flags from here and nothing from `.cargo/config.toml`, and the versions of the workspace's lock file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::budget::{Budget, Verdict};
use crate::table::Table;
use crate::{Error, build_dir, workspace};

/// A built contestant.
pub struct Contestant {
    pub entry: &'static Entry,
    pub program: PathBuf,
}

/// A package with the flags that it is built with.
pub struct Entry {
    /// Also the folder of its build output.
    pub name: &'static str,
    /// Its folder in `benches/contestants`.
    package: &'static str,
    /// One `--cfg` flag, where there is one.
    cfg: Option<&'static str>,
    /// The contestant that its ratios are against: bare tokio with the same flags.
    pub against: Option<&'static str>,
}

/// Bare first: the order of the report.
const ENTRIES: &[Entry] = &[
    Entry {
        name: "bare",
        package: "bare",
        cfg: Some("tokio_unstable"),
        against: None,
    },
    Entry {
        name: "probe",
        package: "probe",
        cfg: Some("tokio_unstable"),
        against: Some("bare"),
    },
    Entry {
        name: "bare-stable",
        package: "bare",
        cfg: None,
        against: None,
    },
    Entry {
        name: "probe-stable",
        package: "probe",
        cfg: None,
        against: Some("bare-stable"),
    },
];

/// What the table of crates shows.
pub const CRATES_EXPLANATION: &str = "Packages that a build of the contestant compiles for itself, build scripts and macros included, the contestant not.";

/// Builds every contestant.
pub fn build_all() -> Result<Vec<Contestant>, Error> {
    ENTRIES.iter().map(Entry::build).collect()
}

/// Builds those of the given names.
pub fn build(names: &[&str]) -> Result<Vec<Contestant>, Error> {
    ENTRIES
        .iter()
        .filter(|entry| names.contains(&entry.name))
        .map(Entry::build)
        .collect()
}

/// The crates above bare tokio's, and whether they are within their budget.
pub fn crates(contestants: &[Contestant]) -> Result<(Table, Verdict), Error> {
    let mut table = Table::new(&["contestant", "crates", "above bare", "budget", "verdict"]);
    let count = |name: &str| -> Result<usize, Error> {
        let contestant = contestants
            .iter()
            .find(|contestant| contestant.entry.name == name);
        contestant
            .ok_or_else(|| format!("no contestant {name}"))?
            .entry
            .crates()
    };
    let (bare, probe) = (count("bare")?, count("probe")?);
    let added = probe as f64 - bare as f64;
    let verdict = Budget::CRATES.judge(probe as f64 / bare as f64, added);
    table.row([
        "bare".into(),
        bare.to_string(),
        String::new(),
        String::new(),
        String::new(),
    ]);
    table.row([
        "probe".into(),
        probe.to_string(),
        format!("{added:+}"),
        Budget::CRATES.to_string(),
        verdict.to_string(),
    ]);
    Ok((table, verdict))
}

impl Contestant {
    pub fn name(&self) -> &'static str {
        self.entry.name
    }
}

impl Entry {
    fn build(&'static self) -> Result<Contestant, Error> {
        let folder = self.folder();
        let locked = fs::read(workspace().join("Cargo.lock"))?;
        fs::write(folder.join("Cargo.lock"), locked)?;
        let target = build_dir(self.name);
        eprintln!("building {}", self.name);
        let status = self
            .cargo("build")
            .args(["--release", "--quiet", "--target-dir"])
            .arg(&target)
            .args(["--message-format", "short"])
            .status()?;
        if !status.success() {
            return Err(format!("{} does not build", self.name).into());
        }
        Ok(Contestant {
            entry: self,
            program: target.join("release/contestant"),
        })
    }

    /// `--cfg` flags as people write them.
    pub fn flags(&self) -> String {
        self.cfg
            .map_or("no cfg".to_owned(), |cfg| format!("--cfg {cfg}"))
    }

    /// tokio's version and the features that cargo resolved for it here.
    pub fn tokio(&self) -> Result<String, Error> {
        let tree = self.tree(&["--invert", "tokio", "--depth", "0", "--format", "{p} [{f}]"])?;
        tree.lines()
            .next()
            .map(str::to_owned)
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
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let flags = self
            .cfg
            .map_or(String::new(), |cfg| ["--cfg", cfg].join("\u{1f}"));
        command
            .arg(subcommand)
            .arg("--manifest-path")
            .arg(self.folder().join("Cargo.toml"))
            // Set, even when empty, it takes the place of every other source of flags.
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR");
        command
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("contestants")
            .join(self.package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
