//! The committed instruction counts: plain text, a line `name value` each, `#` for comments.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::Error;

/// Instructions for each operation, by name.
#[derive(Debug, Default, PartialEq)]
pub struct Baseline {
    counts: BTreeMap<String, f64>,
}

/// A count compared with the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    Near,
    /// Higher by more than the tolerance.
    Worse,
    /// Lower by more than the tolerance: a reason for a new baseline.
    Better,
    /// The baseline has no such name.
    Unknown,
}

/// How far a count may differ. Another build of the same source changes it by a percent or two. The count of a spawn
/// also depends on the paths that its blocks take through the allocator: a change elsewhere that moved the blocks
/// cost 200 of 3,400 instructions.
fn tolerance(name: &str) -> f64 {
    if name.contains("spawn") { 0.12 } else { 0.05 }
}

/// The path of this architecture's baseline.
pub fn path() -> PathBuf {
    let file = format!("{}.txt", std::env::consts::ARCH);
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("instructions")
        .join(file)
}

impl Baseline {
    /// Empty if there is no such file yet.
    pub fn load(path: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map_err(|reason| format!("{}: {reason}", path.display()).into())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display()).into()),
        }
    }

    /// Writes the file with a comment at its head.
    pub fn save(&self, path: &Path, remark: &str) -> Result<(), Error> {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let remark: String = remark.lines().map(|line| format!("# {line}\n")).collect();
        Ok(std::fs::write(path, format!("{remark}{self}"))?)
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.counts.get(name).copied()
    }

    pub fn set(&mut self, name: String, count: f64) {
        self.counts.insert(name, count);
    }

    pub fn standing(&self, name: &str, count: f64) -> Standing {
        match self.get(name) {
            None => Standing::Unknown,
            Some(before) if count > before * (1.0 + tolerance(name)) => Standing::Worse,
            Some(before) if count < before * (1.0 - tolerance(name)) => Standing::Better,
            Some(_) => Standing::Near,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut baseline = Self::default();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (name, value) = line
                .split_once(' ')
                .ok_or_else(|| format!("{line:?} is not a name and a value"))?;
            let count = value
                .trim()
                .parse()
                .map_err(|error| format!("{line:?}: {error}"))?;
            baseline.set(name.to_owned(), count);
        }
        Ok(baseline)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts
            .iter()
            .try_for_each(|(name, count)| writeln!(f, "{name} {count:.1}"))
    }
}

impl Standing {
    /// Whether the run fails because of it.
    pub fn fails(self) -> bool {
        matches!(self, Self::Worse | Self::Unknown)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Near => "ok",
            Self::Worse => "WORSE",
            Self::Better => "better: --bless",
            Self::Unknown => "NEW: --bless",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "bare/poll 210.5\nprobe/poll 260.0\n";
        let baseline = Baseline::parse(&format!("# rustc 1.95\n{text}")).unwrap();
        assert_eq!(baseline.to_string(), text);
        assert!(Baseline::parse("bare/poll").is_err());
        assert!(Baseline::parse("bare/poll many").is_err());
    }

    #[test]
    fn a_count_stands_by_five_percent() {
        let baseline = Baseline::parse("poll 100").unwrap();
        assert_eq!(baseline.standing("poll", 104.9), Standing::Near);
        assert_eq!(baseline.standing("poll", 105.1), Standing::Worse);
        assert_eq!(baseline.standing("poll", 94.9), Standing::Better);
        assert_eq!(baseline.standing("wake", 1.0), Standing::Unknown);
    }
}
