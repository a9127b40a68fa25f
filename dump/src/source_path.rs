//! Short paths of source files.

/// Shortens the path of a file in cargo's registry, or in a package that `runtime-dump patch` wrote: the path begins
/// with its package, as `tokio-1.54.1/src/sync/mutex.rs`. Other paths are returned unchanged.
///
/// ```
/// use runtime_dump::source_path::shortened;
///
/// let path = "/home/user/.cargo/registry/src/mirror.example-1949cf8c6b5b557f/tokio-1.54.1/src/sync/mutex.rs";
/// assert_eq!(shortened(path), "tokio-1.54.1/src/sync/mutex.rs");
/// let path = "/home/user/service/.runtime-probe/tokio-1.54.1/src/sync/mutex.rs";
/// assert_eq!(shortened(path), "tokio-1.54.1/src/sync/mutex.rs");
/// assert_eq!(shortened("src/main.rs"), "src/main.rs");
/// ```
pub fn shortened(path: &str) -> &str {
    let after = |directory: &str| path.split_once(directory).map(|(_, inside)| inside);
    let of_registry = || {
        after("/registry/src/")?
            .split_once('/')
            .map(|(_, file)| file)
    };
    of_registry()
        .or_else(|| after("/.runtime-probe/"))
        .unwrap_or(path)
}
