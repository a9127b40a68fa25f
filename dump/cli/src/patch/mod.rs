//! `patch`, `patch --check` and `unpatch`.
//!
//! Invariants:
//! 1. `.cargo/config.toml` MUST name existing packages only: it is written after them, and restored before they are
//!    removed. Otherwise cargo refuses to build. Between the two renames that replace old packages by new ones no
//!    packages exist. If a run ends there, the next `patch` or `unpatch` finds the old ones and puts them back.
//! 2. A refusal MUST leave every file unchanged.
//! 3. `unpatch` MUST restore, byte by byte, the files from before the first of several patches. If a file was edited
//!    since, only our lines are removed from it.
//!
//! In reading order:
//! * [`graph`]: the tokio of the workspace, as cargo reports it;
//! * [`packages`]: the packages that replace tokio;
//! * [`config`]: the lines of `.cargo/config.toml` that make cargo use them;
//! * [`flags`]: the settings that keep cargo from using the flag among these lines;
//! * [`tree`]: directories that exist completely or not at all;
//! * [`command`]: the command line.

pub(crate) mod command;
mod config;
mod flags;
mod graph;
mod packages;
mod tree;

use crate::refusal::Refusal;
use config::DIRECTORY;
use graph::{Cargo, Lock, Package};
use packages::{
    FACADE_SOURCE, README, facade_manifest, probe_manifest, upstream_directory, upstream_manifest,
};
use std::fs;
use std::path::{Path, PathBuf};

/// The newest minor version of tokio 1 whose functions to spawn are all known. A test compares it with Cargo.lock.
const NEWEST_KNOWN: u64 = 54;

/// A directory below that of the packages. It contains the original files (`.before`; missing if there was no file) and
/// the patched ones (`.after`). A file that differs from the patched one was edited since.
const UNDO: &str = "undo";

/// The extension of `.runtime-probe.new`, the incomplete new packages.
const IN_THE_MAKING: &str = "new";
/// The extension of `.runtime-probe.old`, the replaced packages, until the new ones work.
const REPLACED: &str = "old";

/// Patches the workspace of the current directory with packages made of the runtime-probe in `probe`.
pub fn patch(probe: &Path, unstable: bool, offline: bool) -> Result<String, Refusal> {
    let cargo = Cargo::new(offline)?;
    let workspace = Workspace::find(&cargo)?;
    let recovered = workspace.recover()?;
    workspace.complete_lock(&cargo)?;
    let probe = Probe::read(&cargo, probe)?;
    let graph = workspace.graph(&cargo)?;
    let tokio = workspace.tokio(&graph)?;
    let note = note_on(&tokio, &probe.packages[0])?;
    let names = patched_names(&workspace, &graph)?;

    let new = workspace.beside(IN_THE_MAKING);
    let made = write_packages(&new, &tokio, &probe)
        .and_then(|()| workspace.write_undo(&new, &names, unstable));
    let after = match made {
        Ok(after) => after,
        Err(refusal) => {
            tree::remove(&new)?;
            return Err(refusal.and("nothing was changed"));
        }
    };
    let place = workspace.packages();
    if place.exists()
        && workspace.config()?.as_deref() == Some(after.as_bytes())
        && workspace.is_in_force(&graph)
        && tree::same(&new, &place, UNDO)?
    {
        tree::remove(&new)?;
        return Ok(format!(
            "{recovered}Already patched: tokio {}.{}",
            tokio.version,
            flags::note(&workspace.root)
        ));
    }

    let before = workspace.files()?;
    if let Err(refusal) = workspace.put_in_force(&cargo, &after) {
        workspace.take_back(&before)?;
        return Err(refusal.and("nothing was changed"));
    }
    tree::remove(&workspace.beside(REPLACED))?;
    Ok(format!(
        "{recovered}Patched: tokio {} of every crate in {} is instrumented.\n\
         Written: {DIRECTORY}/, .cargo/config.toml, and Cargo.lock, where tokio is now of {DIRECTORY}/ and the probe's \
         dependencies are added; no other version moved, and `--locked` builds work as before.\n\
         `runtime-dump unpatch` takes it back.{note}{}",
        tokio.version,
        workspace.root.display(),
        flags::note(&workspace.root)
    ))
}

/// Reports whether the patch is in force.
pub fn check(offline: bool) -> Result<String, Refusal> {
    let cargo = Cargo::new(offline)?;
    let workspace = Workspace::find(&cargo)?;
    let config = workspace.config_text()?;
    if !config::is_patched(&config)? {
        return Err(Refusal::new(
            "not patched: .cargo/config.toml has no patch of runtime-dump's",
        ));
    }
    let graph = workspace.graph(&cargo)?;
    if workspace.is_in_force(&graph) {
        let version = |name: &str| {
            let package = graph.iter().find(|package| package.name == name);
            package.map_or("?", |package| &package.version)
        };
        return Ok(format!(
            "In force: tokio {} by runtime-probe {}.{}",
            version("tokio"),
            version("runtime-probe"),
            flags::note(&workspace.root)
        ));
    }
    let found: Vec<String> = graph
        .iter()
        .filter(|package| package.name == "tokio")
        .map(|tokio| format!("{} of {}", tokio.version, tokio.origin()))
        .collect();
    Err(Refusal::new(format!(
        "not in force: the graph has tokio {}; run `runtime-dump patch --path DIR` again, where DIR is the directory of \
         runtime-probe in a checkout",
        found.join(" and ")
    )))
}

/// Removes the patch.
pub fn unpatch(offline: bool) -> Result<String, Refusal> {
    let cargo = Cargo::new(offline)?;
    let workspace = Workspace::find(&cargo)?;
    let recovered = workspace.recover()?;
    let config = workspace.config_text()?;
    if !config::is_patched(&config)? && !workspace.packages().exists() {
        return Ok(format!(
            "{recovered}Not patched: there is nothing to take back."
        ));
    }
    let mut said = vec![format!("{recovered}Unpatched.")];
    let version = fs::read_to_string(workspace.packages().join("tokio/Cargo.toml"))
        .ok()
        .and_then(|text| text.parse::<toml_edit::DocumentMut>().ok())
        .and_then(|manifest| manifest["package"]["version"].as_str().map(str::to_owned));
    let undo = Undo::read(&workspace.packages())?;
    let restored = undo.config.restored(workspace.config()?.as_deref());
    let content = match restored {
        Some(content) => content,
        None => {
            let content = undo.taken_out_of(&config)?;
            let flag = match config::has_flag(&content)? {
                true => ", `--cfg tokio_unstable` included",
                false => "",
            };
            said.push(format!(
                ".cargo/config.toml was edited since: what `patch` wrote is out of it, and the rest stays{flag}."
            ));
            Some(content.into_bytes())
        }
    };
    tree::replace(&workspace.config_path(), content.as_deref())?;
    if content.is_none() {
        // The call fails if the directory has other files, which stay.
        let _ = fs::remove_dir(workspace.root.join(".cargo"));
    }
    let lock = tree::read(&workspace.lock_path())?;
    match undo.lock.restored(lock.as_deref()).flatten() {
        Some(content) => tree::replace(&workspace.lock_path(), Some(&content))?,
        None => {
            cargo.graph(&workspace.root, Lock::Free)?;
            let version = version.unwrap_or_else(|| "VERSION".to_owned());
            said.push(format!(
                "Cargo.lock was changed since: cargo has written it anew; `cargo update tokio --precise {version}` \
                 if tokio must not move."
            ));
        }
    }
    tree::remove(&workspace.packages())?;
    Ok(said.join("\n"))
}

/// The packages of crates.io to replace: tokio, and runtime-probe if a package depends on it by name.
fn patched_names(workspace: &Workspace, graph: &[Package]) -> Result<Vec<&'static str>, Refusal> {
    let mut names = vec!["tokio"];
    for probe in graph
        .iter()
        .filter(|package| package.name == "runtime-probe")
    {
        if probe.is_on_crates_io() {
            names.push("runtime-probe");
        } else if !probe.directory.starts_with(workspace.packages()) {
            return Err(Refusal::new(format!(
                "the workspace depends on runtime-probe from {}, and every task would be instrumented twice: \
                 take that dependency out (`tokio = \"1\"` for a renamed one)",
                probe.origin()
            )));
        } else if workspace
            .config_text()?
            .contains(&format!("{DIRECTORY}/runtime-probe"))
        {
            names.push("runtime-probe");
        }
    }
    Ok(names)
}

fn write_packages(place: &Path, tokio: &Package, probe: &Probe) -> Result<(), Refusal> {
    tree::write(&place.join("README.md"), README)?;
    let upstream = place.join(upstream_directory(tokio));
    let leave_out = [".cargo-ok", "benches", "examples", "tests", "Cargo.lock"];
    tree::copy(&tokio.directory, &upstream, &leave_out)?;
    let manifest = upstream.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).map_err(|error| Refusal::file("read", &manifest, &error))?;
    tree::write(&manifest, upstream_manifest(&text)?)?;

    for package in &probe.packages {
        let directory = place.join(&package.name);
        tree::copy(
            &package.directory.join("src"),
            &directory.join("src"),
            &["bin"],
        )?;
        tree::write(
            &directory.join("Cargo.toml"),
            probe_manifest(package, tokio),
        )?;
    }

    let facade = place.join("tokio");
    let manifest = facade_manifest(tokio, &probe.packages[0]);
    tree::write(&facade.join("Cargo.toml"), manifest)?;
    tree::write(&facade.join("src/lib.rs"), FACADE_SOURCE)
}

/// The note on a tokio that is newer than this version knows; empty for known versions.
///
/// # Errors
///
/// Fails if nothing would compile: the version is older than runtime-probe needs, or is no tokio 1.
fn note_on(tokio: &Package, probe: &Package) -> Result<String, Refusal> {
    let needed = probe
        .dependencies
        .iter()
        .find(|dependency| dependency.name == "tokio")
        .map_or("", |dependency| {
            dependency.requirement.trim_start_matches('^')
        });
    let version = &tokio.version;
    match (minor(version), minor(needed)) {
        (Some(found), Some(oldest)) if found < oldest => Err(Refusal::new(format!(
            "the graph has tokio {version}, and runtime-probe needs {needed} or newer: `cargo update tokio`"
        ))),
        (Some(found), _) if found > NEWEST_KNOWN => Ok(format!(
            "\nNote: tokio {version} is newer than what this version knows, 1.{NEWEST_KNOWN}: a way to spawn that is new \
             in it is not instrumented."
        )),
        (Some(_), _) => Ok(String::new()),
        (None, _) => Err(Refusal::new(format!(
            "the graph has tokio {version}, and runtime-probe instruments tokio 1"
        ))),
    }
}

/// Adds advice to a conflict of versions. cargo does not change a locked version for a new package in the graph.
fn with_advice(refusal: Refusal) -> Refusal {
    let said = refusal.to_string();
    let name = said
        .split_once("failed to select a version for `")
        .and_then(|(_, after)| after.split_once('`'));
    match name {
        Some((name, _)) => refusal.and(&format!(
            "what runtime-probe depends on needs another {name} than the one in Cargo.lock: `cargo update {name}`, then again"
        )),
        None => refusal,
    }
}

/// The minor number of a version 1.x; `None` for other major versions.
fn minor(version: &str) -> Option<u64> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

/// The packages of a checkout of runtime-probe.
struct Probe {
    /// runtime-probe first, then its dependencies by path.
    packages: Vec<Package>,
}

impl Probe {
    fn read(cargo: &Cargo, directory: &Path) -> Result<Probe, Refusal> {
        let directory = directory
            .canonicalize()
            .map_err(|error| Refusal::file("read", directory, &error))?;
        let members = cargo.members(&directory)?;
        let member = |directory: &Path| {
            let found = members.iter().find(|member| member.directory == directory);
            found.cloned().ok_or_else(|| {
                Refusal::new(format!(
                    "{} has no package: --path names the directory with runtime-probe's Cargo.toml",
                    directory.display()
                ))
            })
        };
        let probe = member(&directory)?;
        if probe.name != "runtime-probe" {
            return Err(Refusal::new(format!(
                "--path names the package {} instead of runtime-probe",
                probe.name
            )));
        }
        let beside: Vec<_> = probe
            .dependencies
            .iter()
            .filter_map(|dependency| dependency.path.as_deref())
            .map(member)
            .collect::<Result<_, _>>()?;
        let packages = [vec![probe], beside].concat();
        Ok(Probe { packages })
    }
}

struct Workspace {
    root: PathBuf,
}

/// The files that a patch changes, outside of its own directory.
struct Files {
    config: Option<Vec<u8>>,
    lock: Option<Vec<u8>>,
}

impl Workspace {
    fn find(cargo: &Cargo) -> Result<Workspace, Refusal> {
        let here = std::env::current_dir()
            .map_err(|error| Refusal::new(format!("the current directory is gone: {error}")))?;
        let root = cargo.workspace_root(&here)?;
        Ok(Workspace { root })
    }

    fn packages(&self) -> PathBuf {
        self.root.join(DIRECTORY)
    }

    fn beside(&self, extension: &str) -> PathBuf {
        self.root.join(format!("{DIRECTORY}.{extension}"))
    }

    fn lock_path(&self) -> PathBuf {
        self.root.join("Cargo.lock")
    }

    fn config_path(&self) -> PathBuf {
        flags::config_in(&self.root.join(".cargo"))
    }

    fn config(&self) -> Result<Option<Vec<u8>>, Refusal> {
        tree::read(&self.config_path())
    }

    fn config_text(&self) -> Result<String, Refusal> {
        String::from_utf8(self.config()?.unwrap_or_default())
            .map_err(|_| Refusal::new(".cargo/config.toml is not UTF-8"))
    }

    fn files(&self) -> Result<Files, Refusal> {
        Ok(Files {
            config: self.config()?,
            lock: tree::read(&self.lock_path())?,
        })
    }

    /// Cleans up after an interrupted run.
    fn recover(&self) -> Result<&'static str, Refusal> {
        let (new, old) = (self.beside(IN_THE_MAKING), self.beside(REPLACED));
        let interrupted = new.exists() || old.exists();
        tree::forget_replacement(&self.config_path());
        tree::forget_replacement(&self.lock_path());
        tree::remove(&new)?;
        if self.packages().exists() {
            tree::remove(&old)?;
        } else if old.exists() {
            tree::rename(&old, &self.packages())?;
        }
        Ok(if interrupted {
            "An earlier run was interrupted: cleared up after it.\n"
        } else {
            ""
        })
    }

    fn graph(&self, cargo: &Cargo) -> Result<Vec<Package>, Refusal> {
        if !self.lock_path().exists() {
            return Err(Refusal::new(format!(
                "{} has no Cargo.lock, which says which tokio it is about: run `cargo generate-lockfile`",
                self.root.display()
            )));
        }
        cargo.graph(&self.root, Lock::Fixed)
    }

    /// The original tokio of the graph. In a patched graph this is the package `tokio-upstream`.
    fn tokio(&self, graph: &[Package]) -> Result<Package, Refusal> {
        let found: Vec<&Package> = graph
            .iter()
            .filter(|package| package.name == "tokio")
            .collect();
        let [tokio] = found[..] else {
            let versions: Vec<&str> = found.iter().map(|tokio| tokio.version.as_str()).collect();
            return Err(Refusal::new(match versions.first() {
                None => "nothing in this workspace depends on tokio".to_owned(),
                Some(first) => format!(
                    "the graph has tokio {}, and cargo patches one: `cargo tree -i tokio@{first}` tells who needs that",
                    versions.join(" and "),
                ),
            }));
        };
        if self.is_in_force(graph) {
            let upstream = graph
                .iter()
                .find(|package| package.name == "tokio-upstream");
            return upstream.cloned().ok_or_else(|| {
                Refusal::new(
                    "the graph has our tokio and none behind it: run `runtime-dump unpatch`",
                )
            });
        }
        if !tokio.is_on_crates_io() {
            return Err(Refusal::new(format!(
                "tokio {} of this workspace is from {}: only one from crates.io can be replaced",
                tokio.version,
                tokio.origin()
            )));
        }
        Ok(tokio.clone())
    }

    fn is_in_force(&self, graph: &[Package]) -> bool {
        let mut tokios = graph.iter().filter(|package| package.name == "tokio");
        tokios.next().is_some_and(|tokio| {
            tokio.source.is_none() && tokio.directory == self.packages().join("tokio")
        }) && tokios.next().is_none()
    }

    /// Writes the files that `unpatch` needs. Returns the new text of the config. A flag that an earlier run has added
    /// stays.
    fn write_undo(&self, new: &Path, names: &[&str], unstable: bool) -> Result<String, Refusal> {
        let now = self.files()?;
        let text = self.config_text()?;
        let (config, lock, kept) = if config::is_patched(&text)? {
            let undo = Undo::read(&self.packages())?;
            let config = match undo.config.restored(now.config.as_deref()) {
                Some(config) => config,
                None => Some(undo.taken_out_of(&text)?.into_bytes()),
            };
            // A lock file that cargo has changed since is not restored.
            let lock = undo.lock.restored(now.lock.as_deref()).flatten();
            (config, lock, undo.added_flag()? && config::has_flag(&text)?)
        } else {
            (now.config, now.lock, false)
        };
        let before = String::from_utf8(config.clone().unwrap_or_default())
            .map_err(|_| Refusal::new(".cargo/config.toml is not UTF-8"))?;
        if unstable {
            config::accepts_flag(&before)?;
        }
        let after = config::with_patch(&before, names, unstable || kept)?;
        let undo = new.join(UNDO);
        tree::write(&undo.join("config.toml.after"), &after)?;
        for (name, content) in [("config.toml.before", config), ("Cargo.lock.before", lock)] {
            if let Some(content) = content {
                tree::write(&undo.join(name), content)?;
            }
        }
        Ok(after)
    }

    fn put_in_force(&self, cargo: &Cargo, config: &str) -> Result<(), Refusal> {
        if self.packages().exists() {
            tree::rename(&self.packages(), &self.beside(REPLACED))?;
        }
        tree::rename(&self.beside(IN_THE_MAKING), &self.packages())?;
        tree::replace(&self.config_path(), Some(config.as_bytes()))?;
        let graph = cargo.graph(&self.root, Lock::Free).map_err(with_advice)?;
        if !self.is_in_force(&graph) {
            return Err(Refusal::new(
                "cargo does not use the patch; a `[patch]` in the workspace's Cargo.toml, or a config.toml above it, may stand against it",
            ));
        }
        self.keep_lock()
    }

    /// Completes a run that has written the config but not the lock file. `--locked` would find the lock file out of
    /// date.
    fn complete_lock(&self, cargo: &Cargo) -> Result<(), Refusal> {
        let complete = self.packages().join(UNDO).join("Cargo.lock.after");
        if config::is_patched(&self.config_text()?)? && !complete.exists() {
            cargo.graph(&self.root, Lock::Free)?;
            self.keep_lock()?;
        }
        Ok(())
    }

    /// Keeps a copy of the patched lock file. This is the last step of a patch.
    fn keep_lock(&self) -> Result<(), Refusal> {
        match tree::read(&self.lock_path())? {
            Some(lock) => tree::write(&self.packages().join(UNDO).join("Cargo.lock.after"), lock),
            None => Ok(()),
        }
    }

    fn take_back(&self, before: &Files) -> Result<(), Refusal> {
        tree::replace(&self.config_path(), before.config.as_deref())?;
        if before.config.is_none() {
            let _ = fs::remove_dir(self.root.join(".cargo"));
        }
        tree::replace(&self.lock_path(), before.lock.as_deref())?;
        let old = self.beside(REPLACED);
        tree::remove(&self.beside(IN_THE_MAKING))?;
        tree::remove(&self.packages())?;
        if old.exists() {
            tree::rename(&old, &self.packages())?;
        }
        Ok(())
    }
}

/// The original and the patched files.
struct Undo {
    config: Former,
    lock: Former,
}

struct Former {
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl Undo {
    fn read(packages: &Path) -> Result<Undo, Refusal> {
        let former = |name: &str| -> Result<Former, Refusal> {
            let read = |when| tree::read(&packages.join(UNDO).join(format!("{name}.{when}")));
            Ok(Former {
                before: read("before")?,
                after: read("after")?,
            })
        };
        Ok(Undo {
            config: former("config.toml")?,
            lock: former("Cargo.lock")?,
        })
    }

    /// Whether the patch has added the flag.
    fn added_flag(&self) -> Result<bool, Refusal> {
        let has_flag = |config: &Option<Vec<u8>>| {
            let text = String::from_utf8_lossy(config.as_deref().unwrap_or_default());
            config::has_flag(&text)
        };
        Ok(has_flag(&self.config.after)? && !has_flag(&self.config.before)?)
    }

    /// Removes our lines from a config that was edited since.
    fn taken_out_of(&self, text: &str) -> Result<String, Refusal> {
        let text = config::without_patch(text)?;
        if self.added_flag()? {
            config::without_flag(&text)
        } else {
            Ok(text)
        }
    }
}

impl Former {
    /// The original content of the file. `None` if the file was changed since the patch, so that restoring it would
    /// lose the change.
    fn restored(&self, now: Option<&[u8]>) -> Option<Option<Vec<u8>>> {
        let known =
            now == self.before.as_deref() || (now.is_some() && now == self.after.as_deref());
        known.then(|| self.before.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::graph::Dependency;
    use super::*;

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn package(name: &str, version: &str, source: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            source: Some(source.to_owned()),
            directory: PathBuf::new(),
            features: Default::default(),
            edition: "2021".to_owned(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_tokio_that_is_too_old_is_refused_and_one_that_is_new_is_noted() {
        let mut probe = package("runtime-probe", "0.1.0", CRATES_IO);
        probe.dependencies.push(Dependency {
            name: "tokio".to_owned(),
            requirement: "^1.54".to_owned(),
            rename: None,
            optional: false,
            default_features: false,
            features: Vec::new(),
            target: None,
            path: None,
        });
        let said = |version: &str| match note_on(&package("tokio", version, CRATES_IO), &probe) {
            Ok(note) => note,
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(said(&format!("1.{NEWEST_KNOWN}.7")), "");
        assert!(said("1.999.0").contains("Note: tokio 1.999.0 is newer"));
        assert!(said("1.53.9").contains("runtime-probe needs 1.54 or newer: `cargo update tokio`"));
        assert!(said("2.60.0").contains("instruments tokio 1"));
    }

    #[test]
    fn a_dependency_that_is_locked_too_old_is_named() {
        // The message of cargo 1.95 for a lock file with httparse 1.9.5.
        let said = "cargo says: error: failed to select a version for `httparse`.\n    ... required by package ..";
        let advice = with_advice(Refusal::new(said)).to_string();
        assert!(advice.starts_with(said), "{advice}");
        assert!(advice.ends_with("`cargo update httparse`, then again"));
        let other = "cargo says: error: no matching package named `httparse` found";
        assert_eq!(with_advice(Refusal::new(other)).to_string(), other);
    }

    #[test]
    fn a_tokio_from_elsewhere_is_refused() {
        let shop = Workspace {
            root: PathBuf::from("/shop"),
        };
        let repository = "git+https://github.com/tokio-rs/tokio#0123456";
        for (source, served) in [
            (CRATES_IO, true),
            ("registry+https://mirror.example/crates.io-index", true),
            (repository, false),
            ("registry+https://shop.example/index", false),
        ] {
            let found = shop.tokio(&[package("tokio", "1.54.1", source)]);
            let said = found.map_or_else(|refusal| refusal.to_string(), |tokio| tokio.version);
            let expected = if served {
                "1.54.1".to_owned()
            } else {
                format!(
                    "tokio 1.54.1 of this workspace is from {source}: only one from crates.io can be replaced"
                )
            };
            assert_eq!(said, expected);
        }
    }
}
