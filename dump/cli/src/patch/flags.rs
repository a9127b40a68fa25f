//! The settings that keep cargo from using the flag in `[build]` of `.cargo/config.toml`.
//!
//! cargo takes its flags from the first existing one of these sources only (a test compares this with cargo 1.95):
//! 1. `CARGO_ENCODED_RUSTFLAGS`, then `RUSTFLAGS`; both may be empty;
//! 2. `[target]` in each config file from the workspace's directory upwards and in cargo's home, and
//!    `CARGO_TARGET_<TRIPLE>_RUSTFLAGS`: the flags of the target that is built, together;
//! 3. `[build]` in all these files, and `CARGO_BUILD_RUSTFLAGS`, together.
//!
//! The target of the next build is unknown, so the note names each target with flags. Settings for a single build are
//! unknown, too.

use super::config;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// cargo's config file in a directory. cargo prefers the name without the extension.
pub fn config_in(directory: &Path) -> PathBuf {
    let old = directory.join("config");
    if old.is_file() {
        old
    } else {
        directory.join("config.toml")
    }
}

/// The note on a flag without effect, for the workspace in `root`. Empty if the config has no flag, or if the flag has
/// effect. An unreadable file has no note, because cargo itself refuses it.
pub fn note(root: &Path) -> String {
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let ours = text(&config_in(&root.join(".cargo")));
    if !config::has_flag(&ours).unwrap_or_default() {
        return String::new();
    }
    let sources = match variable() {
        Some((_, true)) => Vec::new(),
        Some((name, false)) => vec![format!("{name} in the environment")],
        None => {
            let mut targets = target_variables();
            for path in config_files(root) {
                for target in config::target_flags(&text(&path)).unwrap_or_default() {
                    let source = format!("`[target.'{}']` in {}", target.name, path.display());
                    targets.push((source, target.unstable));
                }
            }
            // Several targets may apply to one build, so the flag in one of them is enough.
            if targets.iter().any(|(_, unstable)| *unstable) {
                targets.clear();
            }
            targets.into_iter().map(|(source, _)| source).collect()
        }
    };
    if sources.is_empty() {
        return String::new();
    }
    format!(
        "\nNote: `--cfg tokio_unstable` in .cargo/config.toml is without effect where cargo takes its flags from {}: it \
         takes them from one place only. Add it there, too.",
        sources.join(" or ")
    )
}

/// The variable that takes precedence over every config file, and whether it contains the flag.
fn variable() -> Option<(&'static str, bool)> {
    let variables = [("CARGO_ENCODED_RUSTFLAGS", '\x1f'), ("RUSTFLAGS", ' ')];
    variables.into_iter().find_map(|(name, separator)| {
        let flags = env::var_os(name)?;
        let flags = flags.to_string_lossy();
        let flags = flags.split(separator).filter(|flag| !flag.is_empty());
        Some((name, config::is_unstable(flags)))
    })
}

fn target_variables() -> Vec<(String, bool)> {
    env::vars_os()
        .filter_map(|(name, flags)| {
            let (name, flags) = (name.to_str()?, flags.to_string_lossy());
            let triple = name.strip_prefix("CARGO_TARGET_")?;
            let set = triple.ends_with("_RUSTFLAGS") && !flags.trim().is_empty();
            let unstable = config::is_unstable(flags.split_whitespace());
            set.then(|| (format!("{name} in the environment"), unstable))
        })
        .collect()
}

/// The config files that cargo reads in this directory, the nearest first. Each file is returned once, because cargo's
/// home is often a parent directory.
fn config_files(root: &Path) -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".cargo")));
    let directories = root.ancestors().map(|above| above.join(".cargo"));
    let mut seen = BTreeSet::new();
    directories
        .chain(home)
        .map(|directory| config_in(&directory))
        .filter(|path| {
            path.canonicalize()
                .is_ok_and(|canonical| seen.insert(canonical))
        })
        .collect()
}
