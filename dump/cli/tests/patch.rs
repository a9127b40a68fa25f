//! `runtime-dump patch` and `unpatch` on workspaces of real cargo, without a network. The needed packages are in
//! cargo's cache, because this repository is built with them. Nothing is compiled here; ci/patch.sh does that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[test]
fn all_crates_get_our_tokio_and_unpatch_leaves_no_trace() {
    let shop = Workspace::of_two_members("round_trip");
    let config = "# Ours.\n[net]\nretry = 3 # often enough\n\n\n[alias]\nb = \"build\"\n";
    shop.write(".cargo/config.toml", config);
    let before = shop.files();
    let [theirs] = &shop.tokio("")[..] else {
        panic!("one tokio");
    };

    assert!(shop.check().contains("not patched"));
    let said = shop.patch();
    assert!(said.starts_with("Patched: tokio 1."), "{said}");
    assert!(shop.read(".cargo/config.toml").starts_with(config));
    // As in CI, cargo may not write the lock file. The second directory is below a member.
    for directory in ["", "members/till/src"] {
        let tokio = shop.tokio(directory);
        assert_eq!(tokio, [shop.root.join(".runtime-probe/tokio/Cargo.toml")]);
    }
    assert!(shop.check().starts_with("In force: tokio 1."));
    let (old, new) = (locked(&before["Cargo.lock"]), shop.read("Cargo.lock"));
    let new = locked(&new);
    assert!(old.len() > 2 && old.is_subset(&new), "{old:?} {new:?}");
    let version = said.split(' ').nth(2).expect("a version");
    let upstream = shop.read(&format!(".runtime-probe/tokio-{version}/Cargo.toml"));
    assert!(upstream.contains("\nname = \"tokio-upstream\"\n") && upstream.contains("unpatch"));
    let theirs = files_of(&theirs.with_file_name("src"));
    let ours = files_of(
        &shop
            .root
            .join(format!(".runtime-probe/tokio-{version}/src")),
    );
    assert!(theirs.contains_key("lib.rs"));
    assert_eq!(changes(&theirs, &ours), "");

    let after = shop.files();
    assert!(shop.patch().starts_with("Already patched: tokio 1."));
    assert_eq!(changes(&after, &shop.files()), "");

    assert_eq!(shop.unpatch(), "Unpatched.\n");
    assert_eq!(changes(&before, &shop.files()), "");
    assert!(shop.unpatch().starts_with("Not patched"));
    assert_eq!(changes(&before, &shop.files()), "");
}

#[test]
fn the_unstable_flag_stays_until_unpatch_takes_it_out() {
    let shop = Workspace::of_two_members("unstable");
    let before = shop.files();
    let config = || shop.read(".cargo/config.toml");
    assert!(shop.patch_with(&["--unstable"]).starts_with("Patched"));
    let after = shop.files();
    assert!(config().contains("tokio_unstable"));
    // The packages look like those of another runtime-probe, so all of them are written again.
    shop.write(".runtime-probe/runtime-probe/src/lib.rs", "");
    assert!(shop.patch().starts_with("Patched"));
    assert_eq!(changes(&after, &shop.files()), "");
    assert_eq!(shop.unpatch(), "Unpatched.\n");
    assert_eq!(changes(&before, &shop.files()), "");
    assert!(!shop.root.join(".cargo").exists());

    // The origin of the flag is known also after an edit of the file, and after another patch.
    shop.patch_with(&["--unstable"]);
    let edit = "\n[target.'cfg(windows)']\nrustflags = \"-g\"\n";
    shop.write(".cargo/config.toml", &format!("{}{edit}", config()));
    assert!(shop.patch().starts_with("Patched"));
    assert!(config().contains("tokio_unstable"));
    shop.write(".cargo/config.toml", &format!("{}# Why.\n", config()));
    let said = shop.unpatch();
    assert!(said.contains("and the rest stays.\n"), "{said}");
    let expected = "[target.'cfg(windows)']\nrustflags = \"-g\"";
    let left = config();
    assert!(left.contains(expected) && left.contains("# Why."), "{left}");
    assert!(!left.contains("tokio_unstable"), "{left}");

    // A flag that the user has removed is not added again. A flag that the user has written stays.
    fs::remove_dir_all(shop.root.join(".cargo")).expect("remove");
    shop.patch_with(&["--unstable"]);
    let without = config().replace("\"--cfg\", \"tokio_unstable\"", "");
    shop.write(".cargo/config.toml", &without);
    shop.patch();
    assert!(!config().contains("tokio_unstable"));
    shop.unpatch();
    let theirs = "[build]\nrustflags = [\"--cfg\", \"tokio_unstable\"]\n";
    shop.write(".cargo/config.toml", theirs);
    shop.patch_with(&["--unstable"]);
    shop.write(".cargo/config.toml", &format!("{}# Why.\n", config()));
    let said = shop.unpatch();
    assert!(said.contains("`--cfg tokio_unstable` included."), "{said}");
    assert!(config().starts_with(theirs));
}

#[test]
fn flags_from_elsewhere_that_keep_ours_from_its_effect_are_told() {
    let mut shop = Workspace::of_two_members("flags/shop");
    let root = shop.root.clone();
    let above = root.with_file_name(".cargo/config.toml");
    let home = root.with_file_name("home");
    let _ = fs::remove_dir_all(&home);
    let _ = fs::remove_file(&above);
    fs::create_dir_all(&home).expect("create");
    std::os::unix::fs::symlink(cargo_home().join("registry"), home.join("registry")).expect("link");
    // This member compiles with the flag only. Nothing else needs to be compiled to test the flag.
    shop.write("members/scale/Cargo.toml", &member("scale", ""));
    shop.write(
        "members/scale/src/lib.rs",
        "#[cfg(not(tokio_unstable))]\ncompile_error!(\"without the flag\");\n",
    );
    shop.resolve();
    shop.environment
        .insert("CARGO_HOME".to_owned(), home.display().to_string());
    assert!(!shop.patch_with(&["--unstable"]).contains("Note"));

    let host_variable = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        host().to_uppercase().replace('-', "_")
    );
    let host_flags = |flags: &str| format!("[target.{}]\nrustflags = {flags}\n", host());
    let unix_flags = "[target.'cfg(unix)']\nrustflags = \"-g\"\n";
    let both = format!("{unix_flags}{}", host_flags("\"--cfg=tokio_unstable\""));
    let variable = Source::Variable;
    let cases = [
        (
            variable("RUSTFLAGS"),
            "",
            Some("RUSTFLAGS in the environment"),
        ),
        (variable("RUSTFLAGS"), "-g --cfg  tokio_unstable", None),
        (
            variable("CARGO_ENCODED_RUSTFLAGS"),
            "-g",
            Some("CARGO_ENCODED_RUSTFLAGS in the environment"),
        ),
        (variable("CARGO_BUILD_RUSTFLAGS"), "-g", None),
        (variable(&host_variable), "-g", Some(&host_variable)),
        (Source::Above, "[build]\nrustflags = [\"-g\"]\n", None),
        (
            Source::Above,
            &host_flags("[\"-g\"]"),
            Some("/flags/.cargo/config.toml"),
        ),
        (Source::Above, &host_flags("[]"), None),
        (Source::Above, &both, None),
        (Source::Home, unix_flags, Some("`[target.'cfg(unix)']` in ")),
    ];
    for (source, flags, expected) in cases {
        match source {
            Source::Variable(name) => {
                drop(shop.environment.insert(name.to_owned(), flags.to_owned()))
            }
            Source::Above => shop.write("../.cargo/config.toml", flags),
            Source::Home => shop.write("../home/config.toml", flags),
        }
        let said = shop.check();
        let note = said.split_once("\nNote: ").map(|(_, note)| note);
        assert_eq!(note.is_some(), expected.is_some(), "{flags}: {said}");
        let told = note.unwrap_or_default();
        assert!(
            told.contains(expected.unwrap_or_default()),
            "{flags}: {said}"
        );
        assert_eq!(shop.has_effect("scale"), expected.is_none(), "{flags}");
        if let Source::Variable(name) = source {
            shop.environment.remove(name);
        }
        let _ = fs::remove_file(&above);
    }
    // The file is found twice, as for a workspace in a user's home directory.
    shop.write("../.cargo/config.toml", unix_flags);
    fs::remove_file(home.join("config.toml")).expect("remove");
    std::os::unix::fs::symlink(&above, home.join("config.toml")).expect("link");
    let said = shop.patch();
    assert_eq!(said.matches("cfg(unix)").count(), 1, "{said}");
    // Without our flag no flag can be without effect.
    shop.unpatch();
    assert!(!shop.patch().contains("Note"));
    let said = shop.patch_with(&["--unstable"]);
    assert!(
        said.starts_with("Patched") && said.contains("Note"),
        "{said}"
    );
}

/// A source of flags outside of the workspace.
enum Source<'a> {
    Variable(&'a str),
    /// The directory above that of the workspace.
    Above,
    /// cargo's home.
    Home,
}

#[test]
fn what_was_edited_meanwhile_stays() {
    let shop = Workspace::of_two_members("edited");
    shop.patch();
    let config = shop.read(".cargo/config.toml");
    shop.write(
        ".cargo/config.toml",
        &format!("{config}\n[net]\nretry = 3\n"),
    );
    shop.write(
        "members/till/Cargo.toml",
        &member("till", "tokio = \"1\"\nlibc = \"0.2\""),
    );
    shop.resolve();
    assert!(shop.patch().starts_with("Patched"));
    let said = shop.unpatch();
    assert!(said.contains("Cargo.lock was changed since"), "{said}");
    assert_eq!(shop.read(".cargo/config.toml").trim(), "[net]\nretry = 3");
    assert!(!shop.read("Cargo.lock").contains("runtime-probe"));
    assert!(shop.read("Cargo.lock").contains("name = \"tokio\""));
    assert!(!shop.root.join(".runtime-probe").exists());
}

#[test]
fn a_tokio_that_moved_is_noticed_and_patched_again() {
    let shop = Workspace::of_two_members("moved");
    shop.patch();
    // The graph needs another version of tokio than that of the packages.
    let facade = ".runtime-probe/tokio/Cargo.toml";
    let manifest = shop.read(facade);
    let version = manifest
        .lines()
        .find(|line| line.starts_with("version"))
        .expect("a version");
    shop.write(facade, &manifest.replace(version, "version = \"2.0.0\""));
    shop.resolve();
    let said = shop.check();
    assert!(
        said.contains("not in force: the graph has tokio 1."),
        "{said}"
    );
    // The advice is taken as it is printed.
    let (_, advice) = said.split_once("run `runtime-dump ").expect("an advice");
    let (command, _) = advice.split_once('`').expect("a command");
    let path = probe();
    let mut arguments: Vec<&str> = command.split(' ').collect();
    for argument in &mut arguments {
        if *argument == "DIR" {
            *argument = &path;
        }
    }
    arguments.push("--offline");
    assert!(shop.runtime_dump(&arguments, true).starts_with("Patched"));
    assert!(shop.check().starts_with("In force"));
}

#[test]
fn a_run_that_was_interrupted_is_cleared_up_after() {
    let shop = Workspace::of_two_members("interrupted");
    let before = shop.files();
    // The run ended while it wrote the packages.
    shop.write(".runtime-probe.new/tokio/Cargo.toml", "[pack");
    let said = shop.patch();
    assert!(said.starts_with("An earlier run was interrupted"), "{said}");
    let after = shop.files();
    let place = |name: &str| shop.root.join(name);

    // The run ended while it wrote the config and the lock file.
    shop.write(".cargo/config.toml.runtime-probe-new", "[pa");
    shop.write("Cargo.lock.runtime-probe-new", "");
    assert!(shop.patch().starts_with("Already patched"));
    assert_eq!(changes(&after, &shop.files()), "");

    // The run ended between the two renames of the packages. cargo cannot build then.
    fs::rename(place(".runtime-probe"), place(".runtime-probe.old")).expect("rename");
    shop.write(".runtime-probe.new/README.md", "half");
    let said = shop.patch();
    assert!(said.contains("Already patched"), "{said}");
    assert_eq!(changes(&after, &shop.files()), "");

    fs::rename(place(".runtime-probe"), place(".runtime-probe.old")).expect("rename");
    assert!(shop.unpatch().contains("Unpatched"));
    assert_eq!(changes(&before, &shop.files()), "");

    // The run ended before cargo wrote the lock file, then before the config was written.
    shop.patch();
    let not_locked = || {
        shop.write("Cargo.lock", &before["Cargo.lock"]);
        fs::remove_file(place(".runtime-probe/undo/Cargo.lock.after")).expect("remove");
    };
    not_locked();
    assert!(shop.patch().starts_with("Already patched"));
    assert_eq!(changes(&after, &shop.files()), "");
    not_locked();
    fs::remove_dir_all(place(".cargo")).expect("remove");
    assert_eq!(shop.unpatch(), "Unpatched.\n");
    assert_eq!(changes(&before, &shop.files()), "");
}

/// A name, a change of a workspace, and the expected message.
type Case<'a> = (&'a str, &'a dyn Fn(&Workspace), &'a str);

#[test]
fn a_refusal_says_why_and_changes_nothing() {
    let cases: [Case; 8] = [
        (
            "no_lock",
            &|shop| fs::remove_file(shop.root.join("Cargo.lock")).expect("remove"),
            "has no Cargo.lock",
        ),
        (
            "stale_lock",
            &|shop| {
                shop.write(
                    "members/till/Cargo.toml",
                    &member("till", "bytes = \"1\"\ntokio = \"1\""),
                )
            },
            "cargo says: ",
        ),
        (
            "two_tokios",
            &|shop| {
                shop.own_tokio(
                    "0.2.0",
                    "tokio-02 = { package = \"tokio\", path = \"../../tokio\" }",
                )
            },
            "and cargo patches one: `cargo tree -i tokio@",
        ),
        (
            "own_tokio",
            &|shop| {
                shop.write("members/shelf/Cargo.toml", &member("shelf", ""));
                shop.own_tokio("1.54.1", "");
                shop.write(
                    "members/till/Cargo.toml",
                    &member("till", "tokio = { path = \"../../tokio\" }"),
                );
                shop.lock();
            },
            "only one from crates.io can be replaced",
        ),
        (
            "conflict",
            &|shop| {
                shop.own_tokio("1.0.0", "");
                shop.write(
                    ".cargo/config.toml",
                    "[patch.crates-io]\ntokio.path = \"tokio\"\n",
                );
                shop.lock();
            },
            "take it out first",
        ),
        (
            "twice",
            &|shop| {
                let probe = format!("runtime-probe = {{ path = {:?} }}\ntokio = \"1\"", probe());
                shop.write("members/till/Cargo.toml", &member("till", &probe));
                shop.lock();
            },
            "every task would be instrumented twice",
        ),
        (
            "unreadable",
            &|shop| shop.write(".cargo", "a file"),
            "cannot read",
        ),
        (
            // The last file cannot be written, so all others have to be restored.
            "unwritable",
            &|shop| shop.write(".cargo/config.toml.runtime-probe-new/x", ""),
            "cannot write",
        ),
    ];
    for (name, spoil, expected) in cases {
        let shop = Workspace::of_two_members(name);
        spoil(&shop);
        let before = shop.files();
        let said = shop.runtime_dump(&["patch", "--offline", "--path", &probe()], false);
        assert!(said.contains(expected), "{name}: {said}");
        assert_eq!(changes(&before, &shop.files()), "", "{name}: {said}");
    }
}

#[test]
fn a_read_only_directory_is_refused() {
    let shop = Workspace::of_two_members("read_only");
    // Permissions do not restrict root, so a read-only mount is used. Only this process sees it.
    let read_only = |command: &str| {
        let mount = "mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\" && ";
        let script = format!("{mount}{command}");
        shop.run(
            "unshare",
            &[
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                &script,
                RUNTIME_DUMP,
                &probe(),
            ],
            "",
        )
    };
    if !read_only("! touch file 2> /dev/null").status.success() {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let refused = |command: &str, expected: &str| {
        let before = shop.files();
        let output = read_only(&format!("\"$0\" {command} --offline"));
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("/read_only/{expected}: Read-only file system");
        assert!(
            !output.status.success() && said.contains(&expected),
            "{said}"
        );
        assert_eq!(changes(&before, &shop.files()), "", "{said}");
    };
    refused("patch --path \"$1\"", ".runtime-probe.new");
    shop.patch();
    refused("unpatch", ".cargo/config.toml");
}

#[test]
fn a_directory_that_is_no_runtime_probe_is_refused() {
    let shop = Workspace::of_two_members("path");
    for (path, expected) in [
        (
            concat!(env!("CARGO_MANIFEST_DIR"), "/src"),
            "has no package",
        ),
        (
            env!("CARGO_MANIFEST_DIR"),
            "the package runtime-dump-cli instead",
        ),
        ("/no/such/directory", "cannot read /no/such/directory"),
    ] {
        let said = shop.runtime_dump(&["patch", "--offline", "--path", path], false);
        assert!(said.contains(expected), "{said}");
    }
    let said = shop.runtime_dump(&["patch"], false);
    assert!(said.contains("--path <DIR>"), "{said}");
}

#[test]
fn the_newest_known_tokio_is_the_one_of_our_lock_file() {
    let lock = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock"));
    let (_, tokio) = lock
        .split_once("\nname = \"tokio\"\nversion = \"1.")
        .expect("tokio");
    let (minor, _) = tokio.split_once('.').expect("a minor version");
    let source = include_str!("../src/patch/mod.rs");
    assert!(
        source.contains(&format!("NEWEST_KNOWN: u64 = {minor};")),
        "{minor}"
    );
}

/// A workspace in a directory of its own.
struct Workspace {
    root: PathBuf,
    /// Additional variables for its commands.
    environment: BTreeMap<String, String>,
}

impl Workspace {
    /// A workspace with a virtual manifest, and a lock file with the versions of this repository.
    fn of_two_members(name: &str) -> Workspace {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("patch")
            .join(name);
        let _ = fs::remove_dir_all(&root);
        let shop = Workspace {
            root,
            environment: BTreeMap::new(),
        };
        shop.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"2\"\nmembers = [\"members/*\"]\nexclude = [\"tokio\"]\n",
        );
        shop.write(
            "members/till/Cargo.toml",
            &member("till", "tokio = { version = \"1\", features = [\"rt\"] }"),
        );
        shop.write(
            "members/shelf/Cargo.toml",
            &member(
                "shelf",
                "tokio = { version = \"1\", features = [\"full\"] }",
            ),
        );
        for name in ["till", "shelf"] {
            shop.write(&format!("members/{name}/src/lib.rs"), "");
        }
        shop.lock();
        shop
    }

    /// Adds a package called tokio in the workspace's directory, and a dependency on it.
    fn own_tokio(&self, version: &str, dependency: &str) {
        self.write(
            "tokio/Cargo.toml",
            &format!("[package]\nname = \"tokio\"\nversion = \"{version}\"\n"),
        );
        self.write("tokio/src/lib.rs", "");
        let dependencies = format!("tokio = \"1\"\n{dependency}");
        self.write("members/till/Cargo.toml", &member("till", &dependencies));
        self.lock();
    }

    fn lock(&self) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
        fs::copy(ours, self.root.join("Cargo.lock")).expect("a lock file");
        // Removes the packages that these members do not need.
        self.resolve();
    }

    fn patch(&self) -> String {
        self.patch_with(&[])
    }

    fn patch_with(&self, more: &[&str]) -> String {
        let path = probe();
        let mut arguments = vec!["patch", "--offline", "--path", &path];
        arguments.extend(more);
        self.runtime_dump(&arguments, true)
    }

    fn unpatch(&self) -> String {
        self.runtime_dump(&["unpatch", "--offline"], true)
    }

    /// The output of `patch --check`, of a success or a failure.
    fn check(&self) -> String {
        let output = self.run(RUNTIME_DUMP, &["patch", "--check", "--offline"], "");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(
            output.status.success(),
            said.starts_with("In force"),
            "{said}"
        );
        said
    }

    /// The standard output of the command, or its standard error after a failure. The command runs below a member, to
    /// test that the root is found.
    fn runtime_dump(&self, arguments: &[&str], succeeds: bool) -> String {
        let output = self.run(RUNTIME_DUMP, arguments, "members/till/src");
        assert_eq!(output.status.success(), succeeds, "{output:?}");
        let (said, silent) = if succeeds {
            (output.stdout, output.stderr)
        } else {
            (output.stderr, output.stdout)
        };
        assert_eq!(String::from_utf8_lossy(&silent), "");
        String::from_utf8(said).expect("text")
    }

    /// Lets cargo write the lock file.
    fn resolve(&self) {
        self.metadata(&[], "");
    }

    fn metadata(&self, more: &[&str], directory: &str) -> Vec<u8> {
        let host = host();
        let mut arguments = vec![
            "metadata",
            "--offline",
            "--format-version=1",
            "--filter-platform",
            &host,
        ];
        arguments.extend(more);
        let output = self.run(env!("CARGO"), &arguments, directory);
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// Whether a member compiles, which needs the flag.
    fn has_effect(&self, member: &str) -> bool {
        let target = self.root.join("target");
        let target = target.to_str().expect("text");
        let arguments = [
            "check",
            "--offline",
            "--package",
            member,
            "--target-dir",
            target,
        ];
        let output = self.run(env!("CARGO"), &arguments, "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || said.contains("error: without the flag"),
            "{said}"
        );
        output.status.success()
    }

    /// The manifests of each tokio in the graph. cargo may not write the lock file for this.
    fn tokio(&self, directory: &str) -> Vec<PathBuf> {
        let metadata = self.metadata(&["--locked"], directory);
        let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("JSON");
        let packages = metadata["packages"].as_array().expect("packages").iter();
        packages
            .filter(|package| package["name"] == "tokio")
            .map(|package| PathBuf::from(package["manifest_path"].as_str().expect("a path")))
            .collect()
    }

    fn run(&self, program: &str, arguments: &[&str], directory: &str) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.root.join(directory))
            // The flags of CI do not belong to the workspace.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .envs(&self.environment)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("create");
        fs::write(path, content).expect("write");
    }

    fn read(&self, name: &str) -> String {
        read(&self.root.join(name))
    }

    fn files(&self) -> BTreeMap<String, String> {
        files_of(&self.root)
    }
}

/// The files below a directory, by name.
fn files_of(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below the root");
                files.insert(name.display().to_string(), read(&path));
            }
        }
    }
    files
}

const RUNTIME_DUMP: &str = env!("CARGO_BIN_EXE_runtime-dump");

/// The platform of this machine. cargo has no packages of other platforms in its cache.
fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// cargo's home, which contains the cache.
fn cargo_home() -> PathBuf {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => std::env::home_dir().expect("a home").join(".cargo"),
    }
}

/// The directory of runtime-probe in this repository.
fn probe() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../runtime-probe").to_owned()
}

fn member(name: &str, dependencies: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n\n[dependencies]\n{dependencies}\n")
}

/// The name and version of each package in a lock file.
fn locked(lock: &str) -> BTreeSet<&str> {
    lock.split("[[package]]\n")
        .skip(1)
        .filter_map(|package| {
            package
                .match_indices('\n')
                .nth(1)
                .map(|(at, _)| &package[..at])
        })
        .collect()
}

/// The names of the files that differ.
fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let mut names: Vec<&str> = before
        .keys()
        .chain(after.keys())
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|&name| before.get(name) != after.get(name));
    names.join("\n")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
