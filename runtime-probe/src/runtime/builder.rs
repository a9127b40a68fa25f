//! [`tokio::runtime::Builder`] that also sets the probe's hooks.

use super::{LocalRuntime, Runtime};
use crate::source::hooks::{Driver, Hooks, tell};
use std::io;
use std::time::Duration;
use tokio::runtime::LocalOptions;
#[cfg(tokio_unstable)]
use tokio::runtime::TaskMeta;

/// [`tokio::runtime::Builder`] that builds instrumented runtimes. Converts from and into tokio's.
///
/// With `--cfg tokio_unstable` it sets tokio's task hooks, so that tasks spawned by dependencies are seen, too. Hooks
/// that are set through this builder also run.
pub struct Builder {
    inner: tokio::runtime::Builder,
    hooks: Hooks,
    /// Whether [`Builder::name`] was called. That name replaces the name of the threads.
    named: bool,
}

/// tokio's default.
const BLOCKING_THREADS: usize = 512;

/// Methods that only call tokio's method of the same name. A closure is `Send + Sync + 'static` as well.
macro_rules! forward {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident$(<$closure:ident: $call:path>)?($($argument:ident: $type:ty),*);
    )*) => {
        impl Builder {
            $(
                #[doc = concat!("[`tokio::runtime::Builder::", stringify!($name), "`].")]
                $(#[$attribute])*
                pub fn $name$(<$closure>)?(&mut self $(, $argument: $type)*) -> &mut Self
                $(where $closure: $call + Send + Sync + 'static)?
                {
                    self.inner.$name($($argument),*);
                    self
                }
            )*
        }
    };
}

forward! {
    #[cfg(any(feature = "net", all(unix, feature = "process"), all(unix, feature = "signal")))]
    #[track_caller]
    fn max_io_events_per_tick(capacity: usize);
    #[cfg(any(feature = "net", all(unix, feature = "process"), all(unix, feature = "signal")))]
    #[track_caller]
    fn max_io_events_per_busy_tick(capacity: usize);
    #[cfg(all(tokio_unstable, feature = "time", feature = "rt-multi-thread"))]
    fn enable_alt_timer();
    #[cfg(all(tokio_unstable, feature = "rt-multi-thread"))]
    fn enable_eager_driver_handoff();
    #[cfg(tokio_unstable)]
    fn enable_sharded_blocking_queue();
    #[cfg(all(tokio_unstable, feature = "io-uring", feature = "rt", feature = "fs", target_os = "linux"))]
    fn enable_io_uring();
    #[track_caller]
    fn worker_threads(val: usize);
    fn thread_name_fn<F: Fn() -> String>(f: F);
    fn thread_stack_size(val: usize);
    fn thread_keep_alive(duration: Duration);
    #[track_caller]
    fn global_queue_interval(val: u32);
    #[track_caller]
    fn event_interval(val: u32);
    #[cfg(feature = "test-util")]
    fn start_paused(start_paused: bool);
    #[cfg(tokio_unstable)]
    fn unhandled_panic(behavior: tokio::runtime::UnhandledPanic);
    #[cfg(tokio_unstable)]
    fn disable_lifo_slot();
    #[cfg(tokio_unstable)]
    fn rng_seed(seed: tokio::runtime::RngSeed);
    #[cfg(tokio_unstable)]
    fn enable_metrics_poll_time_histogram();
    #[cfg(tokio_unstable)]
    #[allow(deprecated)]
    fn enable_metrics_poll_count_histogram();
    #[cfg(tokio_unstable)]
    #[allow(deprecated)]
    fn metrics_poll_count_histogram_scale(histogram_scale: tokio::runtime::HistogramScale);
    #[cfg(tokio_unstable)]
    fn metrics_poll_time_histogram_configuration(configuration: tokio::runtime::HistogramConfiguration);
    #[cfg(tokio_unstable)]
    #[allow(deprecated)]
    fn metrics_poll_count_histogram_resolution(resolution: Duration);
    #[cfg(tokio_unstable)]
    #[allow(deprecated)]
    fn metrics_poll_count_histogram_buckets(buckets: usize);
    #[cfg(all(tokio_unstable, feature = "schedule-latency"))]
    fn track_task_schedule_latency();
    #[cfg(all(tokio_unstable, feature = "schedule-latency"))]
    fn enable_metrics_schedule_latency_histogram();
    #[cfg(all(tokio_unstable, feature = "schedule-latency"))]
    fn metrics_schedule_latency_histogram_configuration(configuration: tokio::runtime::HistogramConfiguration);
}

impl Builder {
    /// [`tokio::runtime::Builder::new_current_thread`].
    pub fn new_current_thread() -> Builder {
        Builder::new(tokio::runtime::Builder::new_current_thread())
    }

    /// [`tokio::runtime::Builder::new_multi_thread`].
    #[cfg(feature = "rt-multi-thread")]
    pub fn new_multi_thread() -> Builder {
        Builder::new(tokio::runtime::Builder::new_multi_thread())
    }

    fn new(fresh: tokio::runtime::Builder) -> Builder {
        let mut new = Builder::from(fresh);
        new.hooks.blocking_threads(BLOCKING_THREADS);
        new.hooks.drives(false);
        new
    }

    /// [`tokio::runtime::Builder::enable_all`].
    pub fn enable_all(&mut self) -> &mut Self {
        self.inner.enable_all();
        self.hooks.drives(true);
        self
    }

    /// [`tokio::runtime::Builder::enable_io`].
    #[cfg(any(
        feature = "net",
        all(unix, feature = "process"),
        all(unix, feature = "signal")
    ))]
    pub fn enable_io(&mut self) -> &mut Self {
        self.inner.enable_io();
        self.hooks.drives(true);
        self
    }

    /// [`tokio::runtime::Builder::enable_time`].
    #[cfg(feature = "time")]
    pub fn enable_time(&mut self) -> &mut Self {
        self.inner.enable_time();
        self.hooks.drives(true);
        self
    }

    /// [`tokio::runtime::Builder::max_blocking_threads`].
    #[track_caller]
    pub fn max_blocking_threads(&mut self, val: usize) -> &mut Self {
        self.inner.max_blocking_threads(val);
        self.hooks.blocking_threads(val);
        self
    }

    /// [`tokio::runtime::Builder::name`]. If there are several runtimes, a dump shows the name for each task.
    ///
    /// # Panics
    /// As tokio's: with an empty name.
    #[track_caller]
    pub fn name(&mut self, val: impl Into<String>) -> &mut Self {
        let val = val.into();
        self.inner.name(val.clone());
        self.hooks.runtime_name(val);
        self.named = true;
        self
    }

    /// [`tokio::runtime::Builder::thread_name`]. A dump also uses it as the name of a runtime without one.
    pub fn thread_name(&mut self, val: impl Into<String>) -> &mut Self {
        let val = val.into();
        if !self.named {
            self.hooks.runtime_name(val.clone());
        }
        self.inner.thread_name(val);
        self
    }

    /// [`tokio::runtime::Builder::build`]. The first runtime of a process also starts the HTTP server, if
    /// `RUNTIME_PROBE_LISTEN` names an address.
    ///
    /// # Errors
    /// As tokio's. If the server cannot start, a line is written to standard error.
    pub fn build(&mut self) -> io::Result<Runtime> {
        self.build_by(tokio::runtime::Builder::build, |runtime| runtime.handle())
            .map(Runtime::from)
    }

    /// [`tokio::runtime::Builder::build_local`].
    ///
    /// # Errors
    /// As tokio's.
    pub fn build_local(&mut self, options: LocalOptions) -> io::Result<LocalRuntime> {
        self.build_by(
            |inner| inner.build_local(options),
            |runtime| runtime.handle(),
        )
        .map(LocalRuntime::from)
    }

    fn build_by<R>(
        &mut self,
        build: impl FnOnce(&mut tokio::runtime::Builder) -> io::Result<R>,
        handle: impl FnOnce(&R) -> &tokio::runtime::Handle,
    ) -> io::Result<R> {
        crate::pprof::start_from_environment();
        let listed = self.hooks.install_for(&mut self.inner, Driver::Ours);
        let built = build(&mut self.inner)?;
        if let Some(listed) = listed {
            tell(&listed, handle(&built));
        }
        Ok(built)
    }
}

/// Methods for hooks, which run beside the probe's.
macro_rules! hooks {
    ($($(#[$attribute:meta])* fn $name:ident<$hook:ident: $call:path>($f:ident: $argument:ty);)*) => {
        impl Builder {
            $(
                #[doc = concat!("[`tokio::runtime::Builder::", stringify!($name), "`]. Runs after the probe's own hook.")]
                $(#[$attribute])*
                pub fn $name<$hook>(&mut self, $f: $argument) -> &mut Self
                where
                    $hook: $call + Send + Sync + 'static,
                {
                    self.hooks.$name($f);
                    self
                }
            )*
        }
    };
}

hooks! {
    fn on_thread_start<F: Fn()>(f: F);
    fn on_thread_stop<F: Fn()>(f: F);
    fn on_thread_park<F: Fn()>(f: F);
    fn on_thread_unpark<F: Fn()>(f: F);
    #[cfg(tokio_unstable)]
    fn on_task_spawn<F: Fn(&TaskMeta<'_>)>(f: F);
    #[cfg(tokio_unstable)]
    fn on_before_task_poll<F: Fn(&TaskMeta<'_>)>(f: F);
    #[cfg(tokio_unstable)]
    fn on_after_task_poll<F: Fn(&TaskMeta<'_>)>(f: F);
    #[cfg(tokio_unstable)]
    fn on_task_terminate<F: Fn(&TaskMeta<'_>)>(f: F);
}

impl Hooks {
    /// Sets the probe's hooks and these. They replace the hooks that `builder` had. Hooks that are set on `builder`
    /// later replace these, and the index page says so. As with the probe's builder, the first call in a process starts
    /// the server that `RUNTIME_PROBE_LISTEN` asks for.
    pub fn install(&self, builder: &mut tokio::runtime::Builder) {
        crate::pprof::start_from_environment();
        self.install_for(builder, Driver::Any);
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl From<tokio::runtime::Builder> for Builder {
    /// The probe's hooks replace those of tokio's builder: set them on the result instead.
    fn from(inner: tokio::runtime::Builder) -> Self {
        Builder {
            inner,
            hooks: Hooks::new(),
            named: false,
        }
    }
}

impl From<Builder> for tokio::runtime::Builder {
    /// The result has the probe's hooks. Hooks that are set on it afterwards replace them, and the index page says so.
    fn from(mut outer: Builder) -> Self {
        outer.hooks.install(&mut outer.inner);
        outer.inner
    }
}
