//! The probe's hooks in a runtime, with the user's hooks.

use super::cpu;
use super::foreign::{self, number};
use super::untracked;
use crate::primitive::Ordering;
use crate::registry::runtimes::{Installed, Runtime};
use crate::registry::threads::{self, Role};
use crate::stack::own::OwnStack;
use crate::sys::own_memory;
use std::sync::Arc;
#[cfg(tokio_unstable)]
use tokio::runtime::TaskMeta;

/// Sets the probe's hooks and your own in a runtime that tokio's own builder builds. tokio keeps one hook of each kind,
/// and a later call replaces the former. So pass your hooks to this type, which sets all of them.
///
/// A [`Builder`](crate::runtime::Builder) of this crate does not need it: it combines the hooks itself. Without `--cfg
/// tokio_unstable` there are no hooks on tasks, and foreign tasks are not seen.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use runtime_probe::pprof::Hooks;
///
/// let mut builder = tokio::runtime::Builder::new_multi_thread();
/// Hooks::new()
///     .runtime_name("payments")
///     .on_thread_start(|| println!("a worker more"))
///     .install(&mut builder);
/// let runtime = builder.build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use = "hooks do nothing unless installed"]
pub struct Hooks {
    name: Option<Arc<str>>,
    blocking_threads: Option<usize>,
    drives: Option<bool>,
    thread_start: Option<ThreadHook>,
    thread_stop: Option<ThreadHook>,
    thread_park: Option<ThreadHook>,
    thread_unpark: Option<ThreadHook>,
    #[cfg(tokio_unstable)]
    task_spawn: Option<TaskHook>,
    #[cfg(tokio_unstable)]
    before_task_poll: Option<TaskHook>,
    #[cfg(tokio_unstable)]
    after_task_poll: Option<TaskHook>,
    #[cfg(tokio_unstable)]
    task_terminate: Option<TaskHook>,
}

type ThreadHook = Arc<dyn Fn() + Send + Sync>;
#[cfg(tokio_unstable)]
type TaskHook = Arc<dyn Fn(&TaskMeta<'_>) + Send + Sync>;

/// The caller of the runtime's `block_on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Our `Runtime`, which knows tokio's id and sets the thread's slot.
    Ours,
    /// Any caller.
    Any,
}

macro_rules! setters {
    ($($(#[$attribute:meta])* $method:ident $field:ident ($($argument:ty)?);)*) => {
        impl Hooks {
            $(
                #[doc = concat!("As [`tokio::runtime::Builder::", stringify!($method), "`]. Runs after the probe's own; of two the later counts.")]
                $(#[$attribute])*
                pub fn $method<F>(&mut self, f: F) -> &mut Self
                where
                    F: Fn($($argument)?) + Send + Sync + 'static,
                {
                    self.$field = Some(Arc::new(f));
                    self
                }
            )*
        }
    };
}

setters! {
    on_thread_start thread_start ();
    on_thread_stop thread_stop ();
    on_thread_park thread_park ();
    on_thread_unpark thread_unpark ();
    #[cfg(tokio_unstable)]
    on_task_spawn task_spawn (&TaskMeta<'_>);
    #[cfg(tokio_unstable)]
    on_before_task_poll before_task_poll (&TaskMeta<'_>);
    #[cfg(tokio_unstable)]
    on_after_task_poll after_task_poll (&TaskMeta<'_>);
    #[cfg(tokio_unstable)]
    on_task_terminate task_terminate (&TaskMeta<'_>);
}

impl Hooks {
    /// The probe's hooks only.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the runtime in dumps, if there are several; by default `runtime-1` and so on.
    pub fn runtime_name(&mut self, name: impl Into<String>) -> &mut Self {
        self.name = Some(name.into().into());
        self
    }

    /// The most threads of the blocking pool.
    pub(crate) fn blocking_threads(&mut self, most: usize) {
        self.blocking_threads = Some(most);
    }

    /// Whether there are timers or I/O.
    pub(crate) fn drives(&mut self, drives: bool) {
        self.drives = Some(drives);
    }

    /// Sets the probe's hooks and these. Returns the listed runtime; `None` if the probe is off.
    pub(crate) fn install_for(
        &self,
        builder: &mut tokio::runtime::Builder,
        driver: Driver,
    ) -> Option<Arc<Runtime>> {
        if let Some(stop) = self.thread_stop.clone() {
            builder.on_thread_stop(move || stop());
        }
        #[cfg(tokio_unstable)]
        if let Some(after) = self.after_task_poll.clone() {
            builder.on_after_task_poll(move |meta| after(meta));
        }
        let runtime = super::start_here()
            .then(|| Runtime::enlist(self.name.clone(), self.blocking_threads, self.drives))
            .flatten();
        match &runtime {
            Some(runtime) => self.beside_ours(builder, runtime, driver),
            None => self.alone(builder),
        }
        runtime
    }

    fn beside_ours(
        &self,
        builder: &mut tokio::runtime::Builder,
        runtime: &Arc<Runtime>,
        #[cfg_attr(
            not(tokio_unstable),
            expect(unused_variables, reason = "hooks are unstable")
        )]
        driver: Driver,
    ) {
        let hook = |name| Installed::new(runtime, name);
        let (start, ours) = (self.thread_start.clone(), runtime.clone());
        builder.on_thread_start(move || {
            let (number, slot) = (ours.number.0, threads::slot());
            slot.runtime.store(number.into(), Ordering::Relaxed);
            slot.set_role(Role::Pool);
            learn_id(&ours);
            cpu::thread_starts();
            OwnStack::here().learn_bounds();
            start.iter().for_each(|start| start());
        });
        let (park, ours) = (self.thread_park.clone(), hook("on_thread_park"));
        builder.on_thread_park(move || {
            learn_id(&ours.runtime);
            foreign::on_park();
            // Only workers run this hook; threads of the blocking pool sleep without it.
            threads::slot().set_role(Role::Worker);
            park.iter().for_each(|park| park());
        });
        let (unpark, ours) = (self.thread_unpark.clone(), hook("on_thread_unpark"));
        builder.on_thread_unpark(move || {
            let _held = &ours;
            foreign::on_unpark();
            unpark.iter().for_each(|unpark| unpark());
        });
        #[cfg(tokio_unstable)]
        {
            // A separate closure without the user's hook keeps each of these fast.
            let ours = hook("on_task_spawn");
            let tell = move |meta: &TaskMeta<'_>| {
                if !foreign::is_our_spawn() {
                    foreign::on_spawn(number(meta.id()), meta.spawned_at(), &ours.runtime);
                }
            };
            match self.task_spawn.clone() {
                None => builder.on_task_spawn(tell),
                Some(spawn) => builder.on_task_spawn(move |meta| {
                    tell(meta);
                    spawn(meta);
                }),
            };
            let (poll, ours) = (self.before_task_poll.clone(), hook("on_before_task_poll"));
            match (poll, driver) {
                (None, Driver::Ours) => builder.on_before_task_poll(move |meta| {
                    let _held = &ours;
                    foreign::before_poll(meta);
                }),
                (poll, _) => builder.on_before_task_poll(move |meta| {
                    learn_id(&ours.runtime);
                    match &poll {
                        Some(poll) => foreign::before_poll_and(meta, || poll(meta)),
                        None => foreign::before_poll(meta),
                    }
                }),
            };
            let ours = hook("on_task_terminate");
            let tell = move |meta: &TaskMeta<'_>| {
                let _held = &ours;
                foreign::on_terminate(number(meta.id()));
            };
            match self.task_terminate.clone() {
                None => builder.on_task_terminate(tell),
                Some(terminate) => builder.on_task_terminate(move |meta| {
                    tell(meta);
                    terminate(meta);
                }),
            };
        }
    }

    /// Sets the user's hooks only, if the probe is off. The workers of a runtime that is left out are left out, too.
    fn alone(&self, builder: &mut tokio::runtime::Builder) {
        let (start, leave_out) = (self.thread_start.clone(), untracked::is_here());
        if start.is_some() || leave_out {
            builder.on_thread_start(move || {
                if leave_out {
                    untracked::for_good();
                }
                start.iter().for_each(|start| start());
            });
        }
        if let Some(park) = self.thread_park.clone() {
            builder.on_thread_park(move || park());
        }
        if let Some(unpark) = self.thread_unpark.clone() {
            builder.on_thread_unpark(move || unpark());
        }
        #[cfg(tokio_unstable)]
        {
            if let Some(spawn) = self.task_spawn.clone() {
                builder.on_task_spawn(move |meta| spawn(meta));
            }
            if let Some(poll) = self.before_task_poll.clone() {
                builder.on_before_task_poll(move |meta| poll(meta));
            }
            if let Some(terminate) = self.task_terminate.clone() {
                builder.on_task_terminate(move |meta| terminate(meta));
            }
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A thread inside a runtime can ask tokio for the runtime's id.
#[inline(always)]
fn learn_id(runtime: &Runtime) {
    if !runtime.has_id()
        && let Ok(handle) = tokio::runtime::Handle::try_current()
    {
        tell(runtime, &handle);
    }
}

/// Sets tokio's id of a listed runtime.
pub(crate) fn tell(runtime: &Runtime, handle: &tokio::runtime::Handle) {
    let mut words = [0; 2];
    if cfg!(feature = "decode") && size_of_val(handle) == size_of_val(&words) {
        own_memory::read(std::ptr::from_ref(handle).addr(), &mut words);
    }
    runtime.set_id(number(handle.id()), words.map(|word| word as u64));
}
