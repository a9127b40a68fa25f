//! The instrumentation of each way to spawn. Macros, so that `#[track_caller]` reaches tokio.

/// Wraps a future and hands it to one of tokio's methods, which returns a handle with an id.
macro_rules! spawn {
    ($kind:ident, $future:expr, |$task:ident| $spawn:expr) => {{
        use $crate::registry::task::Kind;
        use $crate::source::{foreign::OurSpawn, instrumented::Instrumented, spawn_here};

        let $task = Instrumented::new(Kind::$kind, 0, Some(spawn_here()), $future);
        let (spawned, _ours) = ($task.spawned(), OurSpawn::begin());
        let handle = $spawn;
        spawned.has_id(handle.id());
        handle
    }};
}

/// As `spawn`, for a closure on the blocking pool, of this thread's runtime or of a handle's.
macro_rules! spawn_blocking {
    ($closure:expr, |$watched:ident| $spawn:expr) => {
        $crate::task::spawning::spawn_blocking!(@ $closure, None, |$watched| $spawn)
    };
    ($closure:expr, on $handle:expr, |$watched:ident| $spawn:expr) => {
        $crate::task::spawning::spawn_blocking!(@ $closure, Some($handle), |$watched| $spawn)
    };
    (@ $closure:expr, $on:expr, |$watched:ident| $spawn:expr) => {{
        let ($watched, spawned) =
            $crate::source::blocking::watch($crate::source::spawn_here(), $on, $closure);
        let handle = $spawn;
        spawned.has_handle(&handle, handle.id());
        handle
    }};
}

/// [`spawn`] by a builder: a name, tokio's builder and its method, and the expression to spawn without them. tokio's
/// builder exists only with `tokio_unstable` and feature `tracing`; then it gives the name to tokio's tracing span as
/// well.
macro_rules! spawn_named {
    ($name:expr, $kind:ident, $future:expr, |$task:ident| $builder:expr => $method:ident($($argument:expr),*), $plain:expr) => {{
        let name = $name;
        Ok($crate::task::spawning::spawn!($kind, $future, |$task| {
            let $task = $crate::source::named::Named::new(name, $task);
            $crate::task::spawning::by_builder!(name, $builder => $method($($argument),*), $plain)
        }))
    }};
}

/// [`spawn_blocking`] by a builder.
macro_rules! spawn_blocking_named {
    ($name:expr, $closure:expr, $on:expr, |$watched:ident| $builder:expr => $method:ident($($argument:expr),*), $plain:expr) => {{
        let name = $name;
        let ($watched, spawned) =
            $crate::source::blocking::watch($crate::source::spawn_here(), $on, $closure);
        let $watched = $crate::source::named::closure(name, &spawned, $watched);
        let handle = $crate::task::spawning::by_builder!(name, $builder => $method($($argument),*), $plain);
        spawned.has_handle(&handle, handle.id());
        Ok(handle)
    }};
}

/// By tokio's builder where it has one.
#[cfg(all(tokio_unstable, feature = "tracing"))]
macro_rules! by_builder {
    ($name:expr, $builder:expr => $method:ident($($argument:expr),*), $plain:expr) => {
        match $name {
            Some(name) => $builder.name(name).$method($($argument),*)?,
            None => $builder.$method($($argument),*)?,
        }
    };
}

/// By tokio's builder where it has one.
#[cfg(not(all(tokio_unstable, feature = "tracing")))]
macro_rules! by_builder {
    ($name:expr, $builder:expr => $method:ident($($argument:expr),*), $plain:expr) => {{
        let _ = $name;
        $plain
    }};
}

pub(crate) use {by_builder, spawn, spawn_blocking, spawn_blocking_named, spawn_named};
