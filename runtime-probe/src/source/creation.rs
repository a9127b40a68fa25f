//! The creators of threads: the creator's stack and task. With the feature `interpose`.
//!
//! The creator walks its own stack before the thread is made, with a preallocated walker, and writes it to a slot of a
//! table. The thread takes the slot over when it begins, and frees it when it ends. `sys::pthread` tells what must not
//! happen in between, and why.

use super::polled_task::PolledTask;

/// The creation of a thread.
#[derive(Debug)]
pub(crate) struct Creation {
    /// The thread that created it, by the kernel's id.
    pub(crate) by: u32,
    /// The task that this thread was polling.
    pub(crate) polled: PolledTask,
    /// Frames left out in the middle of the stack.
    pub(crate) elided: u32,
    /// Innermost first, each one past an instruction of its function.
    pub(crate) pcs: Vec<usize>,
}

/// The number of words before the frames.
#[cfg(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
))]
const HEAD: usize = 2 + PolledTask::WORDS;

impl Creation {
    /// Decodes the words of the creator.
    fn read(words: &[u64]) -> Option<Creation> {
        let (&[by, elided], rest) = words.split_first_chunk()?;
        let (polled, pcs) = rest.split_first_chunk()?;
        Some(Creation {
            by: by as u32,
            polled: PolledTask::read(polled),
            elided: elided as u32,
            pcs: pcs.iter().map(|pc| *pc as usize).collect(),
        })
    }
}

/// Visits the creations of live threads, by the kernel's id.
pub(crate) fn for_each_alive(mut visit: impl FnMut(u32, Creation)) {
    imp::for_each_alive(|tid, words| {
        if let Some(creation) = Creation::read(words) {
            visit(tid, creation);
        }
    });
}

pub(crate) use imp::unseen;

/// Why the creation of a thread was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each build has some of them")]
pub(crate) enum Unseen {
    NoInterpose,
    Static,
    NotLinux,
    /// Before the probe was installed, or not through libc's `pthread_create`.
    Past,
    /// More threads than are kept apart.
    Full,
}

#[cfg(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
))]
pub(super) use imp::install;

#[cfg(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
))]
mod imp {
    use super::{HEAD, PolledTask, Unseen};
    use crate::primitive::Ordering;
    use crate::registry::births::{Births, MOST_THREADS, Slot};
    use crate::stack::anchor::here;
    use crate::stack::interrupted::Trace;
    use crate::stack::walkers::Walkers;
    use crate::sys::pthread::{self, Entry, Function, Watcher};
    use crate::sys::signal::Registers;
    use crate::sys::thread;
    use std::cell::Cell;
    use std::ffi::c_void;
    use std::sync::OnceLock;

    /// The most frames of a creator: half of them the innermost.
    const MOST_FRAMES: usize = 64;
    const WORDS: usize = HEAD + MOST_FRAMES;

    /// 2.5 MB of zeros, of which a live thread touches 600 bytes.
    static BIRTHS: Births<MOST_THREADS, WORDS> = Births::new();

    /// How many threads may walk at a time. A further creator has no stack.
    const MOST_CREATORS: usize = 4;

    static WALKERS: OnceLock<Walkers> = OnceLock::new();

    /// Records the creators of threads from now on.
    pub(in super::super) fn install() {
        WALKERS.get_or_init(|| Walkers::new(MOST_CREATORS));
        pthread::install(Watcher { creates, failed });
    }

    /// Runs on the creating thread.
    #[inline(never)]
    #[expect(unsafe_code, reason = "reads registers")]
    fn creates(entry: Entry) -> Option<Entry> {
        let anchor = here!();
        let registers = Registers {
            pc: anchor.pc,
            sp: anchor.sp,
            fp: anchor.fp,
            lr: 0,
        };
        let (polled, root) = PolledTask::here();
        let head = |elided: usize| {
            let head = [thread::id().into(), elided as u64];
            head.into_iter().chain(polled.words())
        };
        let walked = WALKERS.get()?.with_one(|walker, trace: &mut Trace| {
            trace.take(walker, &registers, root);
            let frames = trace.iter().count();
            let dropped = frames.saturating_sub(MOST_FRAMES);
            let kept = trace
                .iter()
                .enumerate()
                .filter(|(at, _)| *at < MOST_FRAMES / 2 || *at >= MOST_FRAMES / 2 + dropped);
            let pcs = kept.map(|(_, frame)| frame.pc as u64);
            BIRTHS.announce(head(trace.elided() + dropped).chain(pcs))
        });
        let slot = walked.unwrap_or_else(|| BIRTHS.announce(head(0)))?;
        slot.function
            .store(entry.function as *mut c_void, Ordering::Relaxed);
        slot.argument.store(entry.argument, Ordering::Relaxed);
        Some(Entry {
            function: begin,
            argument: std::ptr::from_ref(slot).cast_mut().cast(),
        })
    }

    /// The thread was not created.
    fn failed(own: Entry) {
        slot(own.argument).end();
    }

    #[expect(unsafe_code, reason = "an argument that `creates` made")]
    fn slot(argument: *mut c_void) -> &'static Slot<WORDS> {
        // SAFETY: `creates` made the pointer from a slot of the static table.
        unsafe { &*argument.cast_const().cast::<Slot<WORDS>>() }
    }

    /// Frees the slot when the thread ends, in any way. It is the first registered destructor of the thread, so it runs
    /// last.
    struct Own(Cell<Option<&'static Slot<WORDS>>>);

    impl Drop for Own {
        fn drop(&mut self) {
            if let Some(slot) = self.0.get() {
                slot.end();
            }
        }
    }

    thread_local! {
        static OWN: Own = const { Own(Cell::new(None)) };
    }

    /// The entry function of the thread. Nothing is left to drop when the thread's own function is called.
    #[expect(unsafe_code, reason = "an entry that libc was given")]
    extern "C-unwind" fn begin(argument: *mut c_void) -> *mut c_void {
        let slot = slot(argument);
        let function = slot.function.load(Ordering::Relaxed);
        let argument = slot.argument.load(Ordering::Relaxed);
        slot.begin(thread::id());
        OWN.with(|own| own.0.set(Some(slot)));
        // SAFETY: `creates` stored a function of this type.
        let function = unsafe { std::mem::transmute::<*mut c_void, Function>(function) };
        function(argument)
    }

    pub(super) fn for_each_alive(visit: impl FnMut(u32, &[u64])) {
        BIRTHS.alive(visit);
    }

    /// Why other creations were not seen.
    pub(crate) fn unseen() -> Unseen {
        match BIRTHS.missed() {
            0 => Unseen::Past,
            _ => Unseen::Full,
        }
    }
}

#[cfg(not(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
)))]
mod imp {
    use super::Unseen;

    pub(super) fn for_each_alive(_: impl FnMut(u32, &[u64])) {}

    pub(crate) fn unseen() -> Unseen {
        match () {
            () if !cfg!(feature = "interpose") => Unseen::NoInterpose,
            () if cfg!(target_os = "linux") => Unseen::Static,
            () => Unseen::NotLinux,
        }
    }
}
