//! The packages that replace tokio, and their dependencies on each other:
//!
//! ```text
//! all crates -> tokio (same version, nothing but features and a `pub use`) -> runtime-probe -> tokio-upstream
//! ```
//!
//! `tokio-upstream` is tokio's own source under another package name. Its library is still called `tokio`, so names in
//! stacks stay the same. cargo distinguishes packages by name: with one name for both there would be a cycle.
//!
//! This module writes manifests only. runtime-probe's manifest is made from cargo's report, because the checkout's own
//! manifest inherits from a workspace that does not exist here.

use super::graph::{Dependency, Package};
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

/// The first line of every written file.
const HEADER: &str =
    "# Written by `runtime-dump patch`; `runtime-dump unpatch` takes it back. Edits are lost.\n";

/// The tables of a manifest for the package's own development.
const DEVELOPMENT: [&str; 5] = [
    "dev-dependencies",
    "dev_dependencies",
    "test",
    "bench",
    "example",
];

/// tokio's manifest with the name `tokio-upstream`. A manifest that has this name already stays the same.
pub fn upstream_manifest(text: &str) -> Result<String, Refusal> {
    let mut manifest: DocumentMut = text
        .trim_start_matches(HEADER)
        .parse()
        .map_err(|error| Refusal::new(format!("tokio's Cargo.toml cannot be read: {error}")))?;
    manifest["package"]["name"] = value("tokio-upstream");
    for table in DEVELOPMENT {
        manifest.remove(table);
    }
    if let Some(targets) = manifest.get_mut("target").and_then(Item::as_table_like_mut) {
        for (_, target) in targets.iter_mut() {
            if let Some(target) = target.as_table_like_mut() {
                for table in DEVELOPMENT {
                    target.remove(table);
                }
            }
        }
    }
    Ok(format!("{HEADER}{manifest}"))
}

/// The manifest of runtime-probe, or of a package beside it in its checkout. Its dependency on tokio becomes
/// `tokio-upstream`, and paths in the checkout become paths here.
pub fn probe_manifest(package: &Package, tokio: &Package) -> String {
    let mut manifest = manifest(&package.name, &package.version, &package.edition);
    manifest["features"] = features(&package.features);
    for dependency in &package.dependencies {
        let table = match &dependency.target {
            None => implicit_table(manifest.as_table_mut(), "dependencies"),
            Some(target) => {
                let targets = implicit_table(manifest.as_table_mut(), "target");
                implicit_table(implicit_table(targets, target), "dependencies")
            }
        };
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
        table.insert(name, value(requirement(dependency, tokio)));
    }
    // Warnings are for developers of the package. cargo hides warnings of registry packages, and would show those of
    // path packages.
    let lints = implicit_table(implicit_table(manifest.as_table_mut(), "lints"), "rust");
    lints.insert("warnings", value("allow"));
    format!("{HEADER}{manifest}")
}

/// The feature of runtime-probe that makes its `Semaphore` a type of its own.
const SEMAPHORE: &str = "semaphore";

/// The manifest of the package `tokio` that all crates get. Features that runtime-probe does not know, as of a newer
/// tokio, are forwarded to tokio only.
pub fn facade_manifest(tokio: &Package, probe: &Package) -> String {
    let mut manifest = manifest("tokio", &tokio.version, "2024");
    let forwarded = tokio.features.iter().map(|(name, enabled)| {
        let known = name != "default" && probe.features.contains_key(name);
        let below = if known {
            "runtime-probe"
        } else {
            "tokio-upstream"
        };
        let mut all: Vec<String> = enabled
            .iter()
            .filter(|enabled| tokio.features.contains_key(*enabled))
            .cloned()
            .collect();
        if name != "default" {
            all.push(format!("{below}/{name}"));
        }
        // The feature makes `Semaphore` the same type for all crates.
        if name == "sync" && probe.features.contains_key(SEMAPHORE) {
            all.push(format!("runtime-probe/{SEMAPHORE}"));
        }
        (name.clone(), all)
    });
    manifest["features"] = features(&forwarded.collect());
    let upstream = upstream_directory(tokio);
    for (below, directory) in [
        ("runtime-probe", "runtime-probe"),
        ("tokio-upstream", &upstream),
    ] {
        let mut dependency = InlineTable::new();
        dependency.insert("path", format!("../{directory}").into());
        dependency.insert("default-features", false.into());
        implicit_table(manifest.as_table_mut(), "dependencies").insert(below, value(dependency));
    }
    format!("{HEADER}{manifest}")
}

/// The directory of tokio's own source. It is named as in cargo's cache, because names of inlined functions depend on
/// it.
pub fn upstream_directory(tokio: &Package) -> String {
    format!("tokio-{}", tokio.version)
}

/// The source of the package `tokio` that all crates get.
pub const FACADE_SOURCE: &str = "\
//! tokio, instrumented: see runtime-probe. Written by `runtime-dump patch`; `runtime-dump unpatch` takes it back.

pub use runtime_probe::*;
";

/// The README at the top of the directory of packages.
pub const README: &str = "\
Written by `runtime-dump patch`, and used through `[patch.crates-io]` in `.cargo/config.toml`: with it every crate of this
workspace, and of its dependencies, has an instrumented tokio. `runtime-dump unpatch` takes all of it back; `runtime-dump
patch --check` tells whether it is in force.

* `tokio` is what all crates get: tokio's version and features, and the items of `runtime-probe`;
* `runtime-probe` (and `runtime-dump`, its formats) instruments;
* `tokio-` and its version is tokio's own source, with another name for its package, `tokio-upstream`;
* `undo` has the files as they were.
";

fn manifest(name: &str, version: &str, edition: &str) -> DocumentMut {
    let mut manifest = DocumentMut::new();
    manifest["package"] = Item::Table(Table::new());
    manifest["package"]["name"] = value(name);
    manifest["package"]["version"] = value(version);
    manifest["package"]["edition"] = value(edition);
    manifest["package"]["publish"] = value(false);
    // Only the library is built. A checkout has other targets, too.
    for kind in ["autobins", "autoexamples", "autotests", "autobenches"] {
        manifest["package"][kind] = value(false);
    }
    manifest["lib"] = Item::Table(Table::new());
    manifest["lib"]["path"] = value("src/lib.rs");
    manifest
}

fn features(features: &BTreeMap<String, Vec<String>>) -> Item {
    let mut table = Table::new();
    for (name, enabled) in features {
        table.insert(name, value(Array::from_iter(enabled)));
    }
    Item::Table(table)
}

fn requirement(dependency: &Dependency, tokio: &Package) -> InlineTable {
    let mut table = InlineTable::new();
    let mut set = |key: &str, value: Value| table.insert(key, value);
    if dependency.name == "tokio" {
        set("package", "tokio-upstream".into());
        set("path", format!("../{}", upstream_directory(tokio)).into());
    } else if dependency.path.is_some() {
        set("path", format!("../{}", dependency.name).into());
    } else {
        set("version", dependency.requirement.as_str().into());
        if dependency.rename.is_some() {
            set("package", dependency.name.as_str().into());
        }
    }
    set("default-features", dependency.default_features.into());
    if dependency.optional {
        set("optional", true.into());
    }
    if !dependency.features.is_empty() {
        set("features", Array::from_iter(&dependency.features).into());
    }
    table
}

/// A table without a header of its own, as `[target]` above `[target.'cfg(unix)'.dependencies]`.
fn implicit_table<'a>(table: &'a mut Table, key: &str) -> &'a mut Table {
    let item = table.entry(key).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    item.as_table_mut().expect("made here as a table")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, features: &[(&str, &[&str])]) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.99.0".to_owned(),
            source: None,
            directory: Default::default(),
            features: features
                .iter()
                .map(|(name, enabled)| {
                    let enabled = enabled.iter().map(|&feature| feature.to_owned());
                    (name.to_string(), enabled.collect())
                })
                .collect(),
            edition: "2021".to_owned(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn a_feature_that_runtime_probe_does_not_know_goes_to_tokio() {
        let tokio = package(
            "tokio",
            &[
                ("default", &[]),
                ("rt", &[]),
                ("teleport", &["rt", "dep:flux", "mio/net"]),
            ],
        );
        let probe = package("runtime-probe", &[("default", &[]), ("rt", &["tokio/rt"])]);
        let facade = facade_manifest(&tokio, &probe);
        assert!(facade.contains("\nversion = \"1.99.0\"\n"), "{facade}");
        let features = "\
[features]
default = []
rt = [\"runtime-probe/rt\"]
teleport = [\"rt\", \"tokio-upstream/teleport\"]
";
        assert!(facade.contains(features), "{facade}");
    }

    #[test]
    fn of_tokio_only_the_name_and_what_it_is_tested_with_change() {
        let theirs = "\
[package]
name = \"tokio\" # it is
version = \"1.99.0\"

[[test]]
name = \"sleeps\"

[dependencies.mio]
version = \"1\"

[dev-dependencies.tokio-test]
version = \"1\"

[target.\"cfg(unix)\".dependencies.libc]
version = \"0.2\"

[target.\"cfg(unix)\".dev-dependencies.nix]
version = \"1\"
";
        let ours = "\
[package]
name = \"tokio-upstream\" # it is
version = \"1.99.0\"

[dependencies.mio]
version = \"1\"

[target.\"cfg(unix)\".dependencies.libc]
version = \"0.2\"
";
        let manifest = upstream_manifest(theirs).unwrap();
        assert_eq!(upstream_manifest(&manifest).unwrap(), manifest);
        assert_eq!(
            manifest,
            format!("{HEADER}{ours}").replace("\" # it is", "\"")
        );
    }
}
