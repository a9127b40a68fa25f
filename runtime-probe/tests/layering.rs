//! The layers of the source: a check of every path in it. After Go's `go/build/deps_test.go`.

mod syntax;

use proc_macro2::{Ident, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Item, Visibility};
use syntax::{flatten, parse, segments};

/// The layers, lowest first. A module may name itself and the modules before it.
const LAYERS: [&str; 22] = [
    "primitive",
    "clock",
    "sys",
    "environment",
    "sampling",
    "stack",
    "labels",
    "tally",
    "events",
    "registry",
    "demand",
    "source",
    "ask",
    "snapshot",
    "symbol",
    "profile",
    "pages",
    "duty",
    // The composition root: it starts the server, so it is above the pages.
    "pprof",
    // The facade: one layer of three modules.
    "runtime",
    "sync",
    "task",
];

/// Layers that may name only some of the layers below them, and which.
const SEES: [(&str, &[&str]); 6] = [
    (
        "tally",
        &["clock", "labels", "primitive", "sampling", "stack"],
    ),
    ("events", &["primitive"]),
    (
        "demand",
        &["clock", "primitive", "registry", "sampling", "sys", "tally"],
    ),
    ("symbol", &["environment", "primitive", "source", "sys"]),
    (
        "pages",
        &[
            "ask",
            "demand",
            "primitive",
            "profile",
            "snapshot",
            "source",
            "symbol",
        ],
    ),
    ("sampling", &["clock"]),
];

/// The allowed imports between siblings inside `source`: the user, the used.
const SOURCE_EDGES: [(&str, &str); 53] = [
    ("blocking", "driving"),
    // A thread that runs a closure may have run a foreign task before.
    ("blocking", "foreign"),
    // A closure and a future give their id by the same handle.
    ("blocking", "instrumented"),
    // A closure has the labels of its spawner.
    ("blocking", "labels"),
    // The end of each counts at its spawn site.
    ("blocking", "timing"),
    // Wrappers and hooks write their events to the trace, which asks whether a poll is under way.
    ("blocking", "trace"),
    ("blocking", "waker"),
    // The task that the interrupted thread polls.
    ("cpu", "polled_task"),
    // The task that created a thread.
    ("creation", "polled_task"),
    // The number in tokio's id.
    ("driving", "foreign"),
    // A spawned task has the labels of its spawner.
    ("foreign", "labels"),
    ("foreign", "timing"),
    ("foreign", "trace"),
    // The parent of a foreign task is the task that is being polled.
    ("foreign", "waker"),
    // The stack of a wait inside a poll ends at that poll, and the wait has its labels.
    ("futex", "labels"),
    // A thread that waits is in a region of a trace.
    ("futex", "trace"),
    ("futex", "waker"),
    // The task in whose poll an allocation happens.
    ("heap", "polled_task"),
    // The hooks call it.
    ("hooks", "cpu"),
    ("hooks", "foreign"),
    // The workers of an untracked runtime.
    ("hooks", "untracked"),
    ("instrumented", "driving"),
    // A wrapper claims the hook's stamp.
    ("instrumented", "foreign"),
    // The address of tokio's task of a closure.
    ("instrumented", "joiners"),
    // A nested future has the labels of the poll around it.
    ("instrumented", "labels"),
    ("instrumented", "timing"),
    ("instrumented", "trace"),
    ("instrumented", "waker"),
    // The number in tokio's id.
    ("joiners", "foreign"),
    // The task that a waker belongs to.
    ("joiners", "waker"),
    // A change of a task's labels goes to the trace.
    ("labels", "trace"),
    // Labels are in force for a poll.
    ("labels", "waker"),
    // The release of a lock counts in the task that is being polled, under its labels.
    ("locks", "labels"),
    // A thread that waits for a lock is in a region of a trace.
    ("locks", "regions"),
    ("locks", "waker"),
    // The number in tokio's id.
    ("metrics", "foreign"),
    ("named", "instrumented"),
    ("polled_task", "foreign"),
    // The labels in force on a thread.
    ("polled_task", "labels"),
    ("polled_task", "waker"),
    // A user task is in force for a poll. Regions, logs and the user task of a spawned task go to the trace.
    ("regions", "trace"),
    ("regions", "waker"),
    // The polls that a thread is in.
    ("signal", "waker"),
    // Whether a foreign task enters a span, the user task in force, the entry in the trace, and the registrations of the poll.
    ("spans", "polled_task"),
    ("spans", "regions"),
    ("spans", "trace"),
    ("spans", "waker"),
    // Specimens that wait, and the locks that they wait in.
    ("specimens", "instrumented"),
    ("specimens", "locks"),
    ("timing", "trace"),
    ("trace", "regions"),
    // A thread that is left out has no entries of waits.
    ("trace", "untracked"),
    ("waker", "trace"),
];

/// The layers that may have unsafe code.
const UNSAFE: [&str; 6] = ["primitive", "clock", "sys", "stack", "registry", "source"];

/// The layers that may name tokio. The others must work when tokio is stuck, and can be read without knowing it.
const KNOWS_TOKIO: [&str; 5] = ["lib", "source", "runtime", "sync", "task"];

/// The layers that may name the server; it gets its handler from them.
const KNOWS_THE_WIRE: [&str; 2] = ["pages", "pprof"];

/// Reads the sources once, as reading takes longer than all the checks.
#[test]
fn the_source_keeps_its_rules() {
    let sources = sources();
    let wrong: Vec<String> = [
        imports_point_one_way(&sources),
        some_layers_see_few_others(&sources),
        every_module_has_its_layer(&sources),
        siblings_of_the_source_keep_to_their_edges(&sources),
        unsafe_stays_in_its_folders(&sources),
        few_name("tokio", &KNOWS_TOKIO, &sources),
        few_name("runtime_probe_http", &KNOWS_THE_WIRE, &sources),
        retired_words_do_not_come_back(&sources),
        names_say_what_things_are(&sources),
    ]
    .concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn imports_point_one_way(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in sources {
        let own = rank(&file.layer());
        for (path, line) in file.paths() {
            let Some(layer) = path.first() else { continue };
            let against = match (rank(layer), own) {
                (Some(used), Some(own)) => used > own,
                // The root, and items that it re-exports under its own name.
                (None, Some(_)) => true,
                (_, None) => false,
            };
            if against {
                wrong.push(format!("{file}:{line} names crate::{}", path.join("::")));
            }
        }
    }
    wrong
}

fn some_layers_see_few_others(sources: &[Source]) -> Vec<String> {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources {
        for (path, _) in file.paths() {
            let Some(layer) = path.first() else { continue };
            if rank(layer).is_some() && *layer != file.layer() {
                seen.entry(file.layer()).or_default().insert(layer.clone());
            }
        }
    }
    SEES.into_iter()
        .map(|(layer, known)| (layer, known.iter().map(|name| (*name).to_owned()).collect()))
        .filter(|(layer, known)| seen.get(*layer) != Some(known))
        .map(|(layer, known)| format!("{layer} sees {:?}, and may see {known:?}", seen.get(layer)))
        .collect()
}

fn every_module_has_its_layer(sources: &[Source]) -> Vec<String> {
    let modules: BTreeSet<String> = sources.iter().map(Source::layer).collect();
    let listed: BTreeSet<String> = LAYERS.iter().map(|layer| (*layer).to_owned()).collect();
    // The root and the guide.
    let root = BTreeSet::from(["lib", "guide"].map(str::to_owned));
    let modules: BTreeSet<String> = modules.difference(&root).cloned().collect();
    modules
        .symmetric_difference(&listed)
        .map(|layer| format!("{layer} is a module or a layer, and not both"))
        .collect()
}

fn siblings_of_the_source_keep_to_their_edges(sources: &[Source]) -> Vec<String> {
    let known: BTreeSet<(String, String)> = SOURCE_EDGES
        .iter()
        .map(|(user, used)| ((*user).to_owned(), (*used).to_owned()))
        .collect();
    let mut edges = BTreeSet::new();
    let siblings: BTreeSet<&String> = sources
        .iter()
        .filter(|file| file.layer() == "source")
        .filter_map(|file| file.module.get(1))
        .collect();
    for file in sources.iter().filter(|file| file.layer() == "source") {
        let Some(user) = file.module.get(1) else {
            continue;
        };
        for (path, _) in file.paths() {
            if let [layer, used, ..] = &path[..]
                && layer == "source"
                && siblings.contains(used)
                && used != user
            {
                edges.insert((user.clone(), used.clone()));
            }
        }
    }
    edges
        .symmetric_difference(&known)
        .map(|(user, used)| format!("source::{user} names source::{used}, or is only said to"))
        .collect()
}

fn unsafe_stays_in_its_folders(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in sources {
        if UNSAFE.contains(&file.layer().as_str()) {
            continue;
        }
        for name in idents(file.tokens.clone()) {
            if name == "unsafe" {
                wrong.push(format!("{file}:{}: unsafe", name.span().start().line));
            }
        }
    }
    wrong
}

/// Only these layers name another crate.
fn few_name(other: &str, layers: &[&str], sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in sources {
        if layers.contains(&file.layer().as_str()) {
            continue;
        }
        for path in absolute(file.tokens.clone(), other) {
            wrong.push(format!("{file}:{} names {other}", path.1));
        }
    }
    wrong
}

/// Words that had several meanings, or that no reader of tokio knows. Use instead: wait, busy and ready time; a
/// permit of a bounded resource; a site; a stack key; and the client, the thread or the task instead of a pronoun.
const RETIRED: [&str; 12] = [
    "anybody",
    "lap",
    "manner",
    "nobody",
    "owed",
    "paid",
    "readiness",
    "scheduled",
    "seat",
    "somebody",
    "turn",
    "whoever",
];

/// Names of console-api.
const THEIRS: [&str; 2] = ["scheduled_time", "scheduled_times_histogram"];

fn retired_words_do_not_come_back(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    let others = [
        "http/src",
        "axum/src",
        "console/src",
        "../dump/src",
        "../dump/cli/src",
    ];
    let others: Vec<Source> = others.into_iter().flat_map(sources_of).collect();
    for file in sources.iter().chain(&others) {
        for name in idents(file.tokens.clone()) {
            let text = name.to_string().to_lowercase();
            if THEIRS.contains(&&*text) {
                continue;
            }
            if text.split('_').any(|word| RETIRED.contains(&word)) {
                wrong.push(format!("{file}:{} {name}", name.span().start().line));
            }
        }
    }
    wrong
}

fn names_say_what_things_are(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in sources {
        let module = file.module.last().cloned().unwrap_or_default();
        if ["utils", "util", "common", "shared", "helpers", "misc"].contains(&module.as_str()) {
            wrong.push(format!("{file}: a module called {module}"));
        }
        if file.layer() == "sync" {
            // tokio's names.
            continue;
        }
        let mut getters = Getters::default();
        getters.visit_file(&file.parsed);
        for name in getters.0 {
            wrong.push(format!("{file}: a public {name}"));
        }
    }
    wrong
}

/// A file of the crate.
struct Source {
    file: PathBuf,
    /// `["source", "waker"]`; empty for the root.
    module: Vec<String>,
    parsed: syn::File,
    tokens: TokenStream,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())
    }
}

impl Source {
    fn layer(&self) -> String {
        self.module
            .first()
            .cloned()
            .unwrap_or_else(|| "lib".to_owned())
    }

    /// Every path into the crate, from its root, with its line: in `use` and inline, also in macros.
    fn paths(&self) -> Vec<(Vec<String>, usize)> {
        let mut found = Paths {
            module: self.module.clone(),
            paths: Vec::new(),
        };
        found.visit_file(&self.parsed);
        // The parser sees macros, and definitions of macros, as tokens.
        found.paths.extend(absolute(self.tokens.clone(), "crate"));
        found.paths
    }
}

fn sources() -> Vec<Source> {
    let sources = sources_of("src");
    assert!(sources.len() > 50, "only {} files found", sources.len());
    sources
}

/// The files below a directory, relative to this package.
fn sources_of(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    rust_files(&root)
        .into_iter()
        .map(|file| {
            let inside = file
                .strip_prefix(&root)
                .expect("below the root")
                .with_extension("");
            let mut module: Vec<String> = inside
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            if module
                .last()
                .is_some_and(|last| last == "mod" || last == "lib")
            {
                module.pop();
            }
            let text = std::fs::read_to_string(&file).expect("a readable file");
            Source {
                parsed: parse(&file),
                tokens: text.parse().expect("Rust"),
                file: Path::new(directory).join(inside.with_extension("rs")),
                module,
            }
        })
        .collect()
}

/// All `.rs` files below a directory, in order.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{directory:?}: {e}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .flat_map(|path| {
            if path.is_dir() {
                rust_files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The modules of the facade are one layer.
fn rank(layer: &str) -> Option<usize> {
    let layer = match layer {
        "sync" | "task" => "runtime",
        other => other,
    };
    LAYERS.iter().position(|name| *name == layer)
}

/// Paths into the crate, from its root.
struct Paths {
    module: Vec<String>,
    paths: Vec<(Vec<String>, usize)>,
}

impl Paths {
    /// Makes a path begin at the root; `None` if it belongs to another crate or begins with a local name.
    fn add(&mut self, path: &[String], line: usize) {
        let mut from = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                from.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {}
            _ => return,
        }
        while rest.first().is_some_and(|part| part == "super") {
            from.pop();
            rest = &rest[1..];
        }
        from.extend_from_slice(rest);
        self.paths.push((from, line));
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let line = item.use_token.span.start().line;
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut |path, _| paths.push(path));
        for path in paths {
            self.add(&path, line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let line = path
            .segments
            .first()
            .map_or(0, |first| first.ident.span().start().line);
        self.add(&segments(path), line);
        syn::visit::visit_path(self, path);
    }

    // `pub(in super::x)` and `pub(crate)` name no item.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Public functions that begin with `get_`.
#[derive(Default)]
struct Getters(Vec<String>);

impl Getters {
    fn look(&mut self, visibility: &Visibility, name: &Ident) {
        if !matches!(visibility, Visibility::Inherited) && name.to_string().starts_with("get_") {
            self.0.push(name.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Getters {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Fn(item) = item {
            self.look(&item.vis, &item.sig.ident);
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.look(&item.vis, &item.sig.ident);
    }
}

/// Paths that begin with `root`, without it, anywhere in the tokens; groups of a `use` end the path.
fn absolute(tokens: TokenStream, root: &str) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => found.extend(absolute(group.stream(), root)),
            TokenTree::Ident(name) if name == root => {
                let mut path = Vec::new();
                let mut rest = &tokens[at + 1..];
                while let [
                    TokenTree::Punct(a),
                    TokenTree::Punct(b),
                    TokenTree::Ident(part),
                    ..,
                ] = rest
                    && (a.as_char(), b.as_char()) == (':', ':')
                {
                    path.push(part.to_string());
                    rest = &rest[3..];
                }
                if !path.is_empty() {
                    found.push((path, name.span().start().line));
                }
            }
            _ => {}
        }
    }
    found
}

fn idents(tokens: TokenStream) -> Vec<Ident> {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => idents(group.stream()),
            TokenTree::Ident(name) => vec![name],
            _ => Vec::new(),
        })
        .collect()
}
