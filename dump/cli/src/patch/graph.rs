//! A workspace as cargo reports it: its root, and the packages in its graph.
//!
//! The command runs cargo instead of reading Cargo.lock, because cargo decides on features, on the directories of
//! sources and on the effect of a `[patch]`.

use crate::refusal::Refusal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cargo command, and its options.
pub struct Cargo {
    offline: bool,
    /// The value of `--filter-platform`. Without it cargo would download the packages of all platforms.
    platform: String,
}

/// Whether cargo may write Cargo.lock.
#[derive(PartialEq)]
pub enum Lock {
    Fixed,
    Free,
}

#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// The registry or repository, by cargo's name; none for a directory.
    pub source: Option<String>,
    /// The directory of the Cargo.toml.
    pub directory: PathBuf,
    /// The features, with those of optional dependencies.
    pub features: BTreeMap<String, Vec<String>>,
    pub edition: String,
    pub dependencies: Vec<Dependency>,
}

/// A dependency of the library, neither for tests nor for a build script.
#[derive(Clone)]
pub struct Dependency {
    pub name: String,
    pub requirement: String,
    pub rename: Option<String>,
    pub optional: bool,
    pub default_features: bool,
    pub features: Vec<String>,
    pub target: Option<String>,
    pub path: Option<PathBuf>,
}

impl Cargo {
    pub fn new(offline: bool) -> Result<Cargo, Refusal> {
        let about = run(cargo().arg("-vV"))?;
        let about = String::from_utf8_lossy(&about);
        let platform = about.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Cargo {
            offline,
            platform: platform.unwrap_or_default().to_owned(),
        })
    }

    /// The root of the workspace that contains a directory.
    pub fn workspace_root(&self, directory: &Path) -> Result<PathBuf, Refusal> {
        let metadata = self.metadata(directory, &["--no-deps"])?;
        Ok(PathBuf::from(text(&metadata["workspace_root"])))
    }

    /// The packages of the workspace that contains a directory.
    pub fn members(&self, directory: &Path) -> Result<Vec<Package>, Refusal> {
        Ok(packages(&self.metadata(directory, &["--no-deps"])?).collect())
    }

    /// Every package in the graph of the workspace.
    pub fn graph(&self, root: &Path, lock: Lock) -> Result<Vec<Package>, Refusal> {
        let mut arguments = vec!["--filter-platform", &self.platform];
        if lock == Lock::Fixed {
            arguments.push("--locked");
        }
        Ok(packages(&self.metadata(root, &arguments)?).collect())
    }

    fn metadata(&self, directory: &Path, arguments: &[&str]) -> Result<Value, Refusal> {
        let mut command = cargo();
        command
            .current_dir(directory)
            .args(["metadata", "--format-version=1"])
            .args(arguments)
            .args(self.offline.then_some("--offline"));
        let output = run(&mut command)?;
        serde_json::from_slice(&output)
            .map_err(|error| Refusal::new(format!("cargo's metadata cannot be read: {error}")))
    }
}

fn cargo() -> Command {
    // cargo sets this variable for the programs that it runs.
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn run(command: &mut Command) -> Result<Vec<u8>, Refusal> {
    let output = command
        .output()
        .map_err(|error| Refusal::new(format!("cannot run cargo: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Refusal::new(format!("cargo says: {}", said.trim())))
}

impl Package {
    /// Whether the package is from crates.io or a mirror of it.
    pub fn is_on_crates_io(&self) -> bool {
        self.source.as_deref().is_some_and(|source| {
            source.starts_with("registry+") && source.ends_with("/crates.io-index")
        })
    }

    /// The origin of the package, for people.
    pub fn origin(&self) -> String {
        match &self.source {
            Some(source) => source.clone(),
            None => self.directory.display().to_string(),
        }
    }
}

fn packages(metadata: &Value) -> impl Iterator<Item = Package> {
    list(&metadata["packages"]).iter().map(|package| {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            source: optional(&package["source"]),
            directory: manifest.parent().map(Path::to_owned).unwrap_or_default(),
            features: package["features"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, enabled)| (name.clone(), texts(enabled)))
                .collect(),
            edition: text(&package["edition"]),
            dependencies: list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(dependency)
                .collect(),
        }
    })
}

fn dependency(dependency: &Value) -> Dependency {
    Dependency {
        name: text(&dependency["name"]),
        requirement: text(&dependency["req"]),
        rename: optional(&dependency["rename"]),
        optional: dependency["optional"] == true,
        default_features: dependency["uses_default_features"] == true,
        features: texts(&dependency["features"]),
        target: optional(&dependency["target"]),
        path: optional(&dependency["path"]).map(PathBuf::from),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}
