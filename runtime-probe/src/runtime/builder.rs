//! [`tokio::runtime::Builder`], which sets the probe's hooks beside the user's.

use super::{LocalRuntime, Runtime};
use crate::source::hooks::on_unpark;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::LocalOptions;
#[cfg(tokio_unstable)]
use tokio::runtime::TaskMeta;

/// [`tokio::runtime::Builder`] that builds instrumented runtimes. Converts from and into tokio's.
///
/// With `--cfg tokio_unstable` it sets tokio's task hooks, so that tasks which others spawn are seen too. Hooks that are
/// set through this builder run as well.
pub struct Builder {
    inner: tokio::runtime::Builder,
    unpark: Option<Arc<dyn Fn() + Send + Sync>>,
    #[cfg(tokio_unstable)]
    hooks: Hooks,
}

#[cfg(tokio_unstable)]
type Hook = Arc<dyn Fn(&TaskMeta<'_>) + Send + Sync>;

/// The user's own.
#[cfg(tokio_unstable)]
#[derive(Clone, Default)]
struct Hooks {
    spawn: Option<Hook>,
    before_poll: Option<Hook>,
    after_poll: Option<Hook>,
    terminate: Option<Hook>,
    park: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Methods that only pass on to tokio's method of the same name. A closure is `Send + Sync + 'static` as well.
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
    fn enable_all();
    #[cfg(any(feature = "net", all(unix, feature = "process"), all(unix, feature = "signal")))]
    fn enable_io();
    #[cfg(any(feature = "net", all(unix, feature = "process"), all(unix, feature = "signal")))]
    #[track_caller]
    fn max_io_events_per_tick(capacity: usize);
    #[cfg(any(feature = "net", all(unix, feature = "process"), all(unix, feature = "signal")))]
    #[track_caller]
    fn max_io_events_per_busy_tick(capacity: usize);
    #[cfg(feature = "time")]
    fn enable_time();
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
    #[track_caller]
    fn max_blocking_threads(val: usize);
    fn thread_name(val: impl Into<String>);
    #[track_caller]
    fn name(val: impl Into<String>);
    fn thread_name_fn<F: Fn() -> String>(f: F);
    fn thread_stack_size(val: usize);
    fn on_thread_start<F: Fn()>(f: F);
    fn on_thread_stop<F: Fn()>(f: F);
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
        tokio::runtime::Builder::new_current_thread().into()
    }

    /// [`tokio::runtime::Builder::new_multi_thread`].
    #[cfg(feature = "rt-multi-thread")]
    pub fn new_multi_thread() -> Builder {
        tokio::runtime::Builder::new_multi_thread().into()
    }

    /// [`tokio::runtime::Builder::on_thread_park`]. Runs after the probe's own hook.
    pub fn on_thread_park<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        #[cfg(tokio_unstable)]
        {
            self.hooks.park = Some(Arc::new(f));
        }
        #[cfg(not(tokio_unstable))]
        self.inner.on_thread_park(f);
        self
    }

    /// [`tokio::runtime::Builder::on_thread_unpark`]. Runs after the probe's own hook.
    pub fn on_thread_unpark<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.unpark = Some(Arc::new(f));
        self
    }

    /// [`tokio::runtime::Builder::on_task_spawn`]. Runs after the probe's own hook.
    #[cfg(tokio_unstable)]
    pub fn on_task_spawn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.hooks.spawn = Some(Arc::new(f));
        self
    }

    /// [`tokio::runtime::Builder::on_before_task_poll`]. Runs after the probe's own hook.
    #[cfg(tokio_unstable)]
    pub fn on_before_task_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.hooks.before_poll = Some(Arc::new(f));
        self
    }

    /// [`tokio::runtime::Builder::on_after_task_poll`]. Runs after the probe's own hook.
    #[cfg(tokio_unstable)]
    pub fn on_after_task_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.hooks.after_poll = Some(Arc::new(f));
        self
    }

    /// [`tokio::runtime::Builder::on_task_terminate`]. Runs after the probe's own hook.
    #[cfg(tokio_unstable)]
    pub fn on_task_terminate<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.hooks.terminate = Some(Arc::new(f));
        self
    }

    /// [`tokio::runtime::Builder::build`]. The first runtime of a process also starts the HTTP server, if
    /// `RUNTIME_PROBE_LISTEN` names an address.
    ///
    /// # Errors
    /// As tokio's. A server that cannot start is one line on standard error, no error.
    pub fn build(&mut self) -> io::Result<Runtime> {
        self.prepare();
        self.inner.build().map(Runtime::from)
    }

    /// [`tokio::runtime::Builder::build_local`].
    ///
    /// # Errors
    /// As tokio's.
    pub fn build_local(&mut self, options: LocalOptions) -> io::Result<LocalRuntime> {
        self.prepare();
        self.inner.build_local(options).map(LocalRuntime::from)
    }

    fn prepare(&mut self) {
        crate::pprof::start_from_environment();
        match (crate::source::is_on(), self.unpark.clone()) {
            (true, None) => drop(self.inner.on_thread_unpark(on_unpark)),
            (true, Some(user)) => drop(self.inner.on_thread_unpark(move || {
                on_unpark();
                user();
            })),
            (false, Some(user)) => drop(self.inner.on_thread_unpark(move || user())),
            (false, None) => {}
        }
        #[cfg(tokio_unstable)]
        self.set_hooks();
    }

    #[cfg(tokio_unstable)]
    fn set_hooks(&mut self) {
        use crate::source::hooks::{before_poll, between_polls, number, on_spawn, on_terminate};

        let user = self.hooks.clone();
        if crate::source::is_on() {
            self.inner.on_task_spawn(with(user.spawn, |meta| {
                on_spawn(number(meta.id()), meta.spawned_at());
            }));
            // The hook before a poll is worth a closure of its own when nobody else wants to run there.
            match user.before_poll {
                None => self
                    .inner
                    .on_before_task_poll(|meta| before_poll(number(meta.id()))),
                user => self
                    .inner
                    .on_before_task_poll(with(user, |meta| before_poll(number(meta.id())))),
            };
            if let Some(hook) = user.after_poll {
                self.inner.on_after_task_poll(move |meta| hook(meta));
            }
            let park = user.park;
            self.inner.on_thread_park(move || {
                between_polls();
                if let Some(park) = &park {
                    park();
                }
            });
            self.inner
                .on_task_terminate(with(user.terminate, |meta| on_terminate(number(meta.id()))));
            return;
        }
        if let Some(park) = user.park {
            self.inner.on_thread_park(move || park());
        }
        if let Some(hook) = user.spawn {
            self.inner.on_task_spawn(move |meta| hook(meta));
        }
        if let Some(hook) = user.before_poll {
            self.inner.on_before_task_poll(move |meta| hook(meta));
        }
        if let Some(hook) = user.after_poll {
            self.inner.on_after_task_poll(move |meta| hook(meta));
        }
        if let Some(hook) = user.terminate {
            self.inner.on_task_terminate(move |meta| hook(meta));
        }
    }
}

/// Our hook, then the user's.
#[cfg(tokio_unstable)]
fn with(
    user: Option<Hook>,
    ours: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static,
) -> impl Fn(&TaskMeta<'_>) + Send + Sync {
    move |meta| {
        ours(meta);
        if let Some(user) = &user {
            user(meta);
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl From<tokio::runtime::Builder> for Builder {
    /// Hooks on tasks and on parking that tokio's builder already has are replaced by the probe's: set them here instead.
    fn from(inner: tokio::runtime::Builder) -> Self {
        Builder {
            inner,
            unpark: None,
            #[cfg(tokio_unstable)]
            hooks: Hooks::default(),
        }
    }
}

impl From<Builder> for tokio::runtime::Builder {
    fn from(mut outer: Builder) -> Self {
        outer.prepare();
        outer.inner
    }
}
