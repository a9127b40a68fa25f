//! The reasons why there is no index.

use std::fmt;
use std::path::PathBuf;

/// The reason why debug information is unusable, with the path of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The file cannot be read, for this reason.
    Unreadable(PathBuf, String),
    /// The file has functions and lines, but no types.
    NoTypes(PathBuf),
    /// The types are in other files, which were not passed.
    Split(PathBuf),
    /// The types are not in the file. It names another one that several programs have in common (`dwz -m`), which is not read and may
    /// have them.
    CommonPart(PathBuf),
    /// The file has no types of tokio's tasks: the program spawns none, or the crates that spawn have no types, unlike
    /// others.
    NoTokio(PathBuf),
    /// The index takes more memory than the caller allows.
    TooLarge(PathBuf),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, why) => write!(f, "{} cannot be read: {why}", path.display()),
            Self::NoTypes(path) => write!(
                f,
                "{} has no types, which debug = 2 in the profile adds",
                path.display()
            ),
            Self::Split(path) => write!(
                f,
                "{} has its types in other files (split-debuginfo)",
                path.display()
            ),
            Self::CommonPart(path) => write!(
                f,
                "{} may have its types in a file that several programs have in common (dwz -m)",
                path.display()
            ),
            Self::NoTokio(path) => write!(
                f,
                "{} has no types of tasks of tokio, which debug = 2 in the profile adds",
                path.display()
            ),
            Self::TooLarge(path) => write!(
                f,
                "the debug information of {} takes more memory than is allowed",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Unusable {}
