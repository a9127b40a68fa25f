//! The lines of `.cargo/config.toml` that make cargo use the packages. Pure: text to text; whoever wrote the rest of the
//! file finds it as it was, comments and blanks included.

use crate::refusal::Refusal;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

/// Relative to the directory that `.cargo` is in.
pub const DIRECTORY: &str = ".runtime-probe";

const COMMENT: &str = "# Written by `runtime-dump patch`; `runtime-dump unpatch` takes it back.\n";
const UNSTABLE: [&str; 2] = ["--cfg", "tokio_unstable"];

/// Adds the patches of these packages, and on request the flag. The text must not have them.
///
/// # Errors
///
/// If somebody else patches one of them, or if flags for a target stand above those that would be written.
pub fn with_patch(text: &str, packages: &[&str], unstable: bool) -> Result<String, Refusal> {
    let mut config = parse(text)?;
    let patch = table(config.as_table_mut(), "patch", Heading::Hidden)?;
    let crates_io = table(patch, "crates-io", Heading::Shown)?;
    let first = crates_io.is_empty();
    for (index, package) in packages.iter().enumerate() {
        if let Some(existing) = crates_io.get(package) {
            return Err(Refusal::new(format!(
                "`[patch.crates-io]` in .cargo/config.toml has `{package} = {}` already: take it out first",
                existing.to_string().trim()
            )));
        }
        let mut path = InlineTable::new();
        path.insert("path", format!("{DIRECTORY}/{package}").into());
        crates_io.insert(package, value(path));
        if index == 0
            && !first
            && let Some(mut key) = crates_io.key_mut(package)
        {
            key.leaf_decor_mut().set_prefix(COMMENT);
        }
    }
    if first {
        let above = if text.is_empty() { "" } else { "\n" };
        crates_io
            .decor_mut()
            .set_prefix(format!("{above}{COMMENT}"));
    }
    if unstable {
        add_flag(&mut config)?;
    }
    Ok(config.to_string())
}

/// Whether there is a patch of ours.
pub fn is_patched(text: &str) -> Result<bool, Refusal> {
    let config = parse(text)?;
    let patches = config.get("patch").and_then(|patch| patch.get("crates-io"));
    Ok(patches
        .and_then(Item::as_table_like)
        .is_some_and(|patches| patches.iter().any(|(_, patch)| is_ours(patch))))
}

/// Takes the patches out of a file that was edited since. A flag stays: who knows who wants it by now.
pub fn without_patch(text: &str) -> Result<String, Refusal> {
    let mut config = parse(text)?;
    if let Some(patch) = config.get_mut("patch").and_then(Item::as_table_like_mut) {
        if let Some(patches) = patch.get_mut("crates-io").and_then(Item::as_table_like_mut) {
            let ours: Vec<String> = patches
                .iter()
                .filter(|(_, patch)| is_ours(patch))
                .map(|(name, _)| name.to_owned())
                .collect();
            for name in ours {
                patches.remove(&name);
            }
            if patches.is_empty() {
                patch.remove("crates-io");
            }
        }
        if patch.is_empty() {
            config.remove("patch");
        }
    }
    Ok(config.to_string())
}

fn is_ours(patch: &Item) -> bool {
    patch
        .get("path")
        .and_then(Item::as_str)
        .is_some_and(|path| path.starts_with(&format!("{DIRECTORY}/")))
}

fn add_flag(config: &mut DocumentMut) -> Result<(), Refusal> {
    let for_target = config
        .get("target")
        .and_then(Item::as_table_like)
        .and_then(|targets| {
            targets
                .iter()
                .find(|(_, target)| target.get("rustflags").is_some())
        });
    if let Some((target, _)) = for_target {
        return Err(Refusal::new(format!(
            "`[target.'{target}']` in .cargo/config.toml has rustflags, which stand above those of `[build]`: \
             add `--cfg tokio_unstable` there, and leave out --unstable"
        )));
    }
    let build = table(config.as_table_mut(), "build", Heading::Shown)?;
    let mut flags = match build.get("rustflags") {
        None => Array::new(),
        Some(Item::Value(toml_edit::Value::Array(flags))) => flags.clone(),
        Some(other) => match other.as_str() {
            Some(flags) => flags.split_whitespace().collect(),
            None => {
                return Err(Refusal::new(
                    "`build.rustflags` in .cargo/config.toml is neither a list nor a text",
                ));
            }
        },
    };
    let set = |pair: &[Option<&str>]| {
        pair == UNSTABLE.map(Some) || pair.last() == Some(&Some("--cfg=tokio_unstable"))
    };
    let texts: Vec<Option<&str>> = flags.iter().map(toml_edit::Value::as_str).collect();
    if !texts.windows(2).any(set) && !texts.windows(1).any(set) {
        for flag in UNSTABLE {
            flags.push(flag);
        }
    }
    build.insert("rustflags", value(flags));
    Ok(())
}

#[derive(PartialEq)]
enum Heading {
    Shown,
    Hidden,
}

fn table<'a>(above: &'a mut Table, key: &str, heading: Heading) -> Result<&'a mut Table, Refusal> {
    let made = || {
        let mut table = Table::new();
        table.set_implicit(heading == Heading::Hidden);
        Item::Table(table)
    };
    above.entry(key).or_insert_with(made).as_table_mut().ok_or_else(|| {
        Refusal::new(format!(
            "`{key}` in .cargo/config.toml is no table with a heading of its own: write it as one first"
        ))
    })
}

fn parse(text: &str) -> Result<DocumentMut, Refusal> {
    text.parse()
        .map_err(|error| Refusal::new(format!(".cargo/config.toml cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "\
# Ours since 2019.
[build] # the usual
rustflags = [\"-C\", \"target-cpu=native\"] # fast

[patch.crates-io]
# Until it is released.
bytes = { path = \"../bytes\" }
";

    #[test]
    fn what_was_there_stays_as_it_was() {
        let patched = with_patch(THEIRS, &["tokio"], false).unwrap();
        let expected = format!(
            "{THEIRS}# Written by `runtime-dump patch`; `runtime-dump unpatch` takes it back.\n\
             tokio = {{ path = \".runtime-probe/tokio\" }}\n"
        );
        assert_eq!(patched, expected);
        assert!(is_patched(&patched).unwrap() && !is_patched(THEIRS).unwrap());
        assert_eq!(without_patch(&patched).unwrap(), THEIRS);
    }

    #[test]
    fn a_file_of_our_own_says_whose_it_is() {
        let patched = with_patch("", &["tokio", "runtime-probe"], true).unwrap();
        assert_eq!(
            patched,
            "\
# Written by `runtime-dump patch`; `runtime-dump unpatch` takes it back.
[patch.crates-io]
tokio = { path = \".runtime-probe/tokio\" }
runtime-probe = { path = \".runtime-probe/runtime-probe\" }

[build]
rustflags = [\"--cfg\", \"tokio_unstable\"]
"
        );
    }

    #[test]
    fn the_flag_joins_those_that_are_there_once() {
        for (flags, expected) in [
            ("[\"-g\"]", "[\"-g\", \"--cfg\", \"tokio_unstable\"]"),
            (
                "\"-g -O\"",
                "[\"-g\", \"-O\", \"--cfg\", \"tokio_unstable\"]",
            ),
            (
                "[\"--cfg\", \"tokio_unstable\"]",
                "[\"--cfg\", \"tokio_unstable\"]",
            ),
            ("[\"--cfg=tokio_unstable\"]", "[\"--cfg=tokio_unstable\"]"),
        ] {
            let text = format!("[build]\nrustflags = {flags}\n");
            let patched = with_patch(&text, &["tokio"], true).unwrap();
            let expected = format!("[build]\nrustflags = {expected}\n");
            assert!(patched.starts_with(&expected), "{patched}");
        }
    }

    #[test]
    fn what_is_somebody_elses_is_refused() {
        for (text, said) in [
            (
                "[patch.crates-io]\ntokio = { git = \"x\" }\n",
                "take it out first",
            ),
            ("[target.'cfg(unix)']\nrustflags = \"-g\"\n", "stand above"),
            ("patch = 1\n", "is no table"),
            ("[patch\n", "cannot be read"),
        ] {
            let refusal = with_patch(text, &["tokio"], true).unwrap_err().to_string();
            assert!(refusal.contains(said), "{refusal}");
        }
    }
}
