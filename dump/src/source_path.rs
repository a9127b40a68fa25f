//! Paths of source files, as people read them.

/// A file of cargo's registry, or of the packages that `runtime-dump patch` writes, from its package on:
/// `tokio-1.54.1/src/sync/mutex.rs`. Others are as they are.
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
