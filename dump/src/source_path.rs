//! Paths of source files, as people read them.

/// A file of cargo's registry from its package on: `tokio-1.54.1/src/sync/mutex.rs`. Others are as they are.
///
/// ```
/// use runtime_dump::source_path::shortened;
///
/// let path = "/home/user/.cargo/registry/src/mirror.example-1949cf8c6b5b557f/tokio-1.54.1/src/sync/mutex.rs";
/// assert_eq!(shortened(path), "tokio-1.54.1/src/sync/mutex.rs");
/// assert_eq!(shortened("src/main.rs"), "src/main.rs");
/// ```
pub fn shortened(path: &str) -> &str {
    const SOURCES: &str = "/registry/src/";
    let inside = path.find(SOURCES).map(|at| &path[at + SOURCES.len()..]);
    inside
        .and_then(|inside| inside.split_once('/'))
        .map_or(path, |(_registry, file)| file)
}
