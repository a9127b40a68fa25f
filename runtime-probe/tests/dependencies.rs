//! The dependencies that the probe adds to a user's build, by cargo's own data.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The platforms whose dependencies count: those that the probe supports.
const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// How many crates the probe may add to tokio's own.
const MOST_CRATES: usize = 40;

#[test]
fn nothing_below_the_probe_depends_on_tokio() {
    for platform in PLATFORMS {
        let graph = Graph::read(platform);
        let below = graph.reachable(&graph.id("runtime-probe"));
        let tokio = graph.id("tokio");
        assert!(
            below.contains(&tokio),
            "{platform}: tokio is not in the graph"
        );
        let above: Vec<_> = below
            .iter()
            .filter(|id| **id != graph.id("runtime-probe"))
            .filter(|id| graph.normal(id).contains(&tokio))
            .map(|id| &graph.packages[id]["name"])
            .collect();
        // In a graph in which every package's tokio is this crate, each of these would close a dependency cycle.
        assert!(above.is_empty(), "{platform}: {above:?} depend on tokio");
    }
}

#[test]
fn every_feature_of_tokio_is_forwarded() {
    let graph = Graph::read(PLATFORMS[0]);
    let features = |name: &str| -> BTreeMap<String, Vec<String>> {
        serde_json::from_value(graph.packages[&graph.id(name)]["features"].clone())
            .expect("features")
    };
    let (theirs, ours) = (features("tokio"), features("runtime-probe"));
    // A feature that only switches on the dependency of its name; no code here depends on it.
    let implicit = |name: &str| theirs[name] == [format!("dep:{name}")];
    let mut wrong = Vec::new();
    for name in theirs.keys().filter(|name| *name != "default") {
        let Some(enabled) = ours.get(name) else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        let forwarded = format!("tokio/{name}");
        if !enabled.contains(&forwarded) {
            wrong.push(format!("{name} does not enable {forwarded}"));
        }
        // A feature that tokio's feature implies must be a feature here, too, as code here may depend on it.
        for implied in closure(&theirs, name).difference(&closure(&ours, name)) {
            if !implicit(implied) {
                wrong.push(format!("{name} does not enable {implied}, as tokio's does"));
            }
        }
    }
    assert_eq!(
        ours["default"], theirs["default"],
        "the defaults are tokio's"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_dependency_brings_its_defaults() {
    let graph = Graph::read(PLATFORMS[0]);
    let package = &graph.packages[&graph.id("runtime-probe")];
    let with_defaults: Vec<_> = list(&package["dependencies"])
        .iter()
        .filter(|dependency| {
            dependency["kind"].is_null() && dependency["uses_default_features"] == true
        })
        .map(|dependency| &dependency["name"])
        .collect();
    assert!(with_defaults.is_empty(), "{with_defaults:?}");
}

/// The packages of a user's build: those below each of our published packages.
fn taken_in(graph: &Graph) -> BTreeSet<String> {
    const OURS: [&str; 6] = [
        "runtime-dump",
        "runtime-probe-http",
        "runtime-dump-decode",
        "runtime-probe",
        "runtime-probe-axum",
        "runtime-probe-console",
    ];
    let ours = OURS.map(|name| graph.reachable(&graph.id(name)));
    ours.into_iter().flatten().collect()
}

#[test]
fn no_dependency_asks_for_a_later_rust() {
    let number = |version: &str| {
        let mut parts = version
            .split('.')
            .map(|part| part.parse().expect("a number"));
        [(); 3].map(|()| parts.next().unwrap_or(0))
    };
    let graph = Graph::read(PLATFORMS[0]);
    let ours: [u32; 3] = number(text(
        &graph.packages[&graph.id("runtime-probe")]["rust_version"],
    ));
    let later: Vec<_> = taken_in(&graph)
        .iter()
        .map(|id| &graph.packages[id])
        .filter(|package| {
            let wanted = package["rust_version"].as_str();
            wanted.is_some_and(|wanted| number(wanted) > ours)
        })
        .map(|package| format!("{} asks for {}", package["name"], package["rust_version"]))
        .collect();
    assert!(later.is_empty(), "{later:?}");
}

/// `deny.toml` has the same rule for `cargo deny`, which also checks the licence of single files.
#[test]
fn the_licences_of_dependencies_are_known() {
    const ALLOWED: [&str; 7] = [
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-3-Clause",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
    ];
    /// Copyleft by file; only with the feature `flamegraph`.
    const EXCEPTION: (&str, &str) = ("inferno", "CDDL-1.0");
    let graph = Graph::read(PLATFORMS[0]);
    let mut unknown = Vec::new();
    for id in taken_in(&graph) {
        let package = &graph.packages[&id];
        let (name, licence) = (text(&package["name"]), package["license"].as_str());
        let licence = licence.unwrap_or("none").replace('/', " OR ");
        let one = |one: &str| {
            let one = one.trim_matches(['(', ')', ' ']);
            ALLOWED.contains(&one) || (name, one) == EXCEPTION
        };
        // "OR" lets the user choose one licence; each part of an "AND" must be allowed.
        let parts: Vec<&str> = licence.split(" AND ").collect();
        if !parts.iter().all(|part| part.split(" OR ").any(one)) {
            unknown.push(format!("{name}: {licence}"));
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_probe_adds_few_crates() {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package",
        "runtime-probe",
        "--features",
        "full",
        "--edges",
        "normal,build",
        "--no-dedupe",
        "--prefix",
        "depth",
        "--format",
        " {p}",
    ]);
    // Lines are "depth name v1.2.3"; the same crate in two versions is two crates to compile.
    let (mut all, mut tokio) = (BTreeSet::new(), BTreeSet::new());
    let mut tokio_depth = usize::MAX;
    for line in tree.lines() {
        let mut words = line.split(' ');
        let depth: usize = words
            .next()
            .and_then(|depth| depth.parse().ok())
            .expect("a depth");
        let name = words.take(2).collect::<Vec<_>>().join(" ");
        if name.starts_with("tokio v") {
            tokio_depth = depth;
        } else if depth <= tokio_depth {
            tokio_depth = usize::MAX;
        }
        if depth >= tokio_depth {
            tokio.insert(name.clone());
        }
        all.insert(name);
    }
    assert!(tokio.len() > 10, "{tokio:?}");
    let added: Vec<_> = all.difference(&tokio).collect();
    assert!(
        added.len() <= MOST_CRATES,
        "{} added: {added:?}",
        added.len()
    );
}

/// All features of the same package that a feature enables, itself included.
fn closure<'a>(features: &'a BTreeMap<String, Vec<String>>, name: &'a str) -> BTreeSet<&'a str> {
    let mut enabled = BTreeSet::from([name]);
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        for implied in &features[name] {
            if features.contains_key(implied) && enabled.insert(implied) {
                open.push(implied);
            }
        }
    }
    enabled
}

/// The packages of the workspace's lock file for one platform, all features on.
struct Graph {
    packages: BTreeMap<String, Value>,
    nodes: BTreeMap<String, Value>,
}

impl Graph {
    fn read(platform: &str) -> Graph {
        let arguments = [
            "metadata",
            "--locked",
            "--format-version",
            "1",
            "--all-features",
            "--filter-platform",
            platform,
        ];
        let metadata: Value = serde_json::from_str(&cargo(&arguments)).expect("JSON");
        let by_id = |values: &Value| -> BTreeMap<String, Value> {
            list(values)
                .iter()
                .map(|value| (text(&value["id"]).to_owned(), value.clone()))
                .collect()
        };
        Graph {
            packages: by_id(&metadata["packages"]),
            nodes: by_id(&metadata["resolve"]["nodes"]),
        }
    }

    /// The one package of that name.
    fn id(&self, name: &str) -> String {
        let mut ids = self
            .packages
            .iter()
            .filter(|(_, package)| package["name"] == name);
        let (id, _) = ids
            .next()
            .unwrap_or_else(|| panic!("no {name} in the graph"));
        assert!(ids.next().is_none(), "more than one {name} in the graph");
        id.clone()
    }

    /// What a package depends on, tests and build scripts aside.
    fn normal(&self, id: &str) -> Vec<String> {
        let normal = |dependency: &&Value| {
            list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"].is_null())
        };
        list(&self.nodes[id]["deps"])
            .iter()
            .filter(normal)
            .map(|dependency| text(&dependency["pkg"]).to_owned())
            .collect()
    }

    /// A package and all below it.
    fn reachable(&self, from: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([from.to_owned()]);
        let mut open = vec![from.to_owned()];
        while let Some(id) = open.pop() {
            for below in self.normal(&id) {
                if found.insert(below.clone()) {
                    open.push(below);
                }
            }
        }
        found
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
