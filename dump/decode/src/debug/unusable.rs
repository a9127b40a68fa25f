//! Why there is no index.

use std::fmt;
use std::path::PathBuf;

/// Why debug information is of no use. Each names the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A file that cannot be read, and why.
    Unreadable(PathBuf, String),
    /// Functions and lines, but no types.
    NoTypes(PathBuf),
    /// The types are in other files, which were not given.
    Split(PathBuf),
    /// No types of tasks of tokio: the program spawns none, or the crates that do have no types, while others have.
    NoTokio(PathBuf),
    /// What has to be kept of it takes more memory than the caller allows.
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
