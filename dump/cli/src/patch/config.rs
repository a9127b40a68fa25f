//! The lines of `.cargo/config.toml` that make cargo use the packages. The functions are pure, from text to text. The
//! rest of the file stays unchanged, comments and blanks included.

use crate::refusal::Refusal;
use std::ops::Range;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, value};

/// The directory of the packages, relative to the directory that contains `.cargo`.
pub const DIRECTORY: &str = ".runtime-probe";

const COMMENT: &str = "# Written by `runtime-dump patch`; `runtime-dump unpatch` takes it back.\n";
const UNSTABLE: [&str; 2] = ["--cfg", "tokio_unstable"];

/// Adds the patches of these packages, and the flag if `unstable` is set. The text MUST NOT contain patches of ours.
/// Otherwise they count as patches of the user's.
///
/// # Errors
///
/// Fails if the file already patches one of the packages.
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

/// Whether the text contains a patch of ours.
pub fn is_patched(text: &str) -> Result<bool, Refusal> {
    let config = parse(text)?;
    let patches = config.get("patch").and_then(|patch| patch.get("crates-io"));
    Ok(patches
        .and_then(Item::as_table_like)
        .is_some_and(|patches| patches.iter().any(|(_, patch)| is_ours(patch))))
}

/// Whether the flags of `[build]` contain the flag.
pub fn has_flag(text: &str) -> Result<bool, Refusal> {
    let config = parse(text)?;
    let flags = config.get("build").and_then(|build| build.get("rustflags"));
    Ok(flags.is_some_and(|flags| place(&texts(flags)).is_some()))
}

/// # Errors
///
/// Fails if flags of a target take precedence over `[build]`.
pub fn accepts_flag(text: &str) -> Result<(), Refusal> {
    match &target_flags(text)?[..] {
        [] => Ok(()),
        [target, ..] => Err(Refusal::new(format!(
            "`[target.'{}']` in .cargo/config.toml has rustflags, which stand above those of `[build]`: \
             add `--cfg tokio_unstable` there, and leave out --unstable",
            target.name
        ))),
    }
}

/// The flags of a target.
pub struct TargetFlags {
    /// A target triple or a `cfg(..)`.
    pub name: String,
    pub unstable: bool,
}

/// The flags of each target that has flags.
pub fn target_flags(text: &str) -> Result<Vec<TargetFlags>, Refusal> {
    let config = parse(text)?;
    let targets = config.get("target").and_then(Item::as_table_like);
    let flags = targets.into_iter().flat_map(|targets| targets.iter());
    Ok(flags
        .filter_map(|(name, target)| {
            let flags = texts(target.get("rustflags")?);
            (!flags.is_empty()).then(|| TargetFlags {
                name: name.to_owned(),
                unstable: place(&flags).is_some(),
            })
        })
        .collect())
}

/// Whether these flags contain the flag.
pub fn is_unstable<'a>(flags: impl Iterator<Item = &'a str>) -> bool {
    place(&flags.collect::<Vec<_>>()).is_some()
}

/// Removes the flag from a file that was edited after `patch` wrote it.
pub fn without_flag(text: &str) -> Result<String, Refusal> {
    let mut config = parse(text)?;
    if let Some(build) = config.get_mut("build").and_then(Item::as_table_like_mut)
        && let Some(mut flags) = build.get("rustflags").and_then(list)
        && let Some(place) = place(&elements(&flags))
    {
        for _ in place.clone() {
            flags.remove(place.start);
        }
        if flags.is_empty() {
            build.remove("rustflags");
        } else {
            build.insert("rustflags", value(flags));
        }
        if build.is_empty() {
            config.remove("build");
        }
    }
    Ok(config.to_string())
}

/// Removes the patches from a file that was edited after `patch` wrote it.
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
    let build = table(config.as_table_mut(), "build", Heading::Shown)?;
    let mut flags = match build.get("rustflags") {
        None => Array::new(),
        Some(flags) => list(flags).ok_or_else(|| {
            Refusal::new("`build.rustflags` in .cargo/config.toml is neither a list nor a text")
        })?,
    };
    if place(&elements(&flags)).is_none() {
        for flag in UNSTABLE {
            flags.push(flag);
        }
    }
    build.insert("rustflags", value(flags));
    Ok(())
}

/// The flags as cargo accepts them: a list, or a text separated by blanks.
fn list(flags: &Item) -> Option<Array> {
    match flags.as_array() {
        Some(flags) => Some(flags.clone()),
        None => Some(flags.as_str()?.split_whitespace().collect()),
    }
}

fn texts(flags: &Item) -> Vec<&str> {
    match flags.as_array() {
        Some(flags) => elements(flags),
        None => flags
            .as_str()
            .map_or(Vec::new(), |flags| flags.split_whitespace().collect()),
    }
}

/// The flags as texts. An element that is no text becomes an empty one, so that the indices stay the same.
fn elements(flags: &Array) -> Vec<&str> {
    let texts = flags.iter().map(toml_edit::Value::as_str);
    texts.map(Option::unwrap_or_default).collect()
}

/// The indices of the flag, in either spelling.
fn place(flags: &[&str]) -> Option<Range<usize>> {
    let one = |at: usize| flags[at] == "--cfg=tokio_unstable";
    let two = |at: usize| flags.get(at..at + 2) == Some(&UNSTABLE[..]);
    (0..flags.len()).find_map(|at| match (one(at), two(at)) {
        (true, _) => Some(at..at + 1),
        (_, true) => Some(at..at + 2),
        _ => None,
    })
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
    fn what_is_not_ours_is_refused() {
        for (text, said) in [
            (
                "[patch.crates-io]\ntokio = { git = \"x\" }\n",
                "take it out first",
            ),
            ("patch = 1\n", "is no table"),
            ("[patch\n", "cannot be read"),
        ] {
            let refusal = with_patch(text, &["tokio"], true).unwrap_err().to_string();
            assert!(refusal.contains(said), "{refusal}");
        }
        let flags = "[target.'cfg(unix)']\nrustflags = \"-g\"\n";
        let refusal = accepts_flag(flags).unwrap_err().to_string();
        assert!(refusal.contains("stand above"), "{refusal}");
    }

    #[test]
    fn the_flag_is_taken_out_from_among_others() {
        for (flags, expected) in [
            (
                "[\"-g\", \"--cfg\", \"tokio_unstable\", \"-O\"]",
                "[build]\nrustflags = [\"-g\", \"-O\"]\n",
            ),
            (
                "\"-g --cfg=tokio_unstable\"",
                "[build]\nrustflags = [\"-g\"]\n",
            ),
            ("[\"--cfg\", \"tokio_unstable\"]", ""),
            (
                "[\"--cfg\", \"loom\"]",
                "[build]\nrustflags = [\"--cfg\", \"loom\"]\n",
            ),
        ] {
            let text = format!("[build]\nrustflags = {flags}\n");
            assert_eq!(without_flag(&text).unwrap(), expected);
        }
    }
}
