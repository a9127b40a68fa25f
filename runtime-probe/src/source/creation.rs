//! Who created a thread: where the creator stood, and in which task. With the feature `interpose`.
//!
//! The creator walks its own stack before the thread is made, with a walker that was made beforehand, and leaves what it
//! finds in a slot of a table; the thread takes the slot over with its first instruction and gives it back with its last.
//! See `sys::pthread` for what may not happen in between, and why.

use crate::registry::names::NameNumber;
use crate::stack::raw::FutureMeta;
use std::collections::HashMap;
use std::panic::Location;

/// How a thread came to be.
#[derive(Debug)]
pub(crate) struct Creation {
    /// The thread that created it, by the kernel's id.
    pub(crate) by: u32,
    /// The task that this thread was polling.
    pub(crate) task: Option<Creator>,
    /// The future whose poll the stack ends at; `None` for the stack of a thread.
    pub(crate) root: Option<&'static FutureMeta>,
    /// Frames left out in the middle of the stack.
    pub(crate) elided: u32,
    /// Innermost first, each one past an instruction of its function.
    pub(crate) pcs: Vec<usize>,
}

/// A task that created a thread; it may have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Creator {
    pub(crate) id: u64,
    /// The number of its name.
    pub(crate) name: NameNumber,
    pub(crate) spawned_at: Option<&'static Location<'static>>,
}

/// Of the threads that are alive, those whose creation was seen.
#[derive(Debug)]
pub(crate) struct Creations {
    pub(crate) by_thread: HashMap<u32, Creation>,
    /// Why the others are not among them.
    pub(crate) others: &'static str,
}

/// Words before the frames.
const HEAD: usize = 6;

/// Reads what there is.
pub(crate) fn all() -> Creations {
    let mut by_thread = HashMap::new();
    imp::for_each_alive(|tid, words| by_thread.extend(Some(tid).zip(read(words))));
    Creations {
        by_thread,
        others: imp::why_not_others(),
    }
}

/// What the creator wrote.
#[expect(unsafe_code, reason = "references come back as addresses")]
fn read(words: &[u64]) -> Option<Creation> {
    let (head, pcs) = words.split_first_chunk::<HEAD>()?;
    let [by, elided, id, name, location, meta] = *head;
    // SAFETY: 0, or the address of a location that is 'static; only creators write to the table.
    let spawned_at: Option<&'static Location<'static>> =
        unsafe { (location as *const Location<'static>).as_ref() };
    // SAFETY: as above, of a type's `META`.
    let root: Option<&'static FutureMeta> = unsafe { (meta as *const FutureMeta).as_ref() };
    Some(Creation {
        by: by as u32,
        task: (id != 0).then_some(Creator {
            id,
            name: NameNumber(name as u32),
            spawned_at,
        }),
        root,
        elided: elided as u32,
        pcs: pcs.iter().map(|pc| *pc as usize).collect(),
    })
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
    use super::super::waker;
    use super::HEAD;
    use crate::primitive::Ordering;
    use crate::registry::births::{Births, MOST_THREADS, Slot};
    use crate::registry::task::Kind;
    use crate::registry::threads;
    use crate::stack::anchor::here;
    use crate::stack::interrupted::Trace;
    use crate::stack::walkers::Walkers;
    use crate::sys::pthread::{self, Entry, Function, Watcher};
    use crate::sys::signal::Registers;
    use crate::sys::thread;
    use std::cell::Cell;
    use std::ffi::c_void;
    use std::sync::OnceLock;

    /// Frames of a creator that are kept, half of them its innermost.
    const MOST_FRAMES: usize = 64;
    const WORDS: usize = HEAD + MOST_FRAMES;

    /// 2.5 MB of zeros, of which a thread that is alive touches 600 bytes.
    static BIRTHS: Births<MOST_THREADS, WORDS> = Births::new();

    /// Threads that create at a time; one more leaves no stack.
    const MOST_CREATORS: usize = 4;

    static WALKERS: OnceLock<Walkers> = OnceLock::new();

    /// From now on it is noted who creates a thread.
    pub(in super::super) fn install() {
        WALKERS.get_or_init(|| Walkers::new(MOST_CREATORS));
        pthread::install(Watcher { creates, failed });
    }

    /// On the creating thread.
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
        // The task's poll: what is wrapped by hand inside it is a part of it.
        let polls = waker::interrupted();
        let poll = polls.min_by_key(|poll| poll.record.kind() == Kind::Nested);
        let foreign = threads::if_listed().map_or(0, |slot| slot.foreign.load(Ordering::Relaxed));
        let head = |elided: usize| -> [u64; HEAD] {
            let location = poll.and_then(|poll| poll.record.location());
            [
                thread::id().into(),
                elided as u64,
                poll.map_or(foreign, |poll| poll.record.id()),
                poll.map_or(0, |poll| u64::from(poll.record.name().0)),
                location.map_or(0, |location| std::ptr::from_ref(location).addr() as u64),
                poll.map_or(0, |poll| std::ptr::from_ref(poll.meta).addr() as u64),
            ]
        };
        let walked = WALKERS.get()?.with_one(|walker, trace: &mut Trace| {
            trace.take(
                walker,
                &registers,
                poll.map_or(usize::MAX, |poll| poll.root),
            );
            let frames = trace.iter().count();
            let dropped = frames.saturating_sub(MOST_FRAMES);
            let kept = trace
                .iter()
                .enumerate()
                .filter(|(at, _)| *at < MOST_FRAMES / 2 || *at >= MOST_FRAMES / 2 + dropped);
            let pcs = kept.map(|(_, frame)| frame.pc as u64);
            BIRTHS.announce(head(trace.elided() + dropped).into_iter().chain(pcs))
        });
        let slot = walked.unwrap_or_else(|| BIRTHS.announce(head(0).into_iter()))?;
        slot.function
            .store(entry.function as *mut c_void, Ordering::Relaxed);
        slot.argument.store(entry.argument, Ordering::Relaxed);
        Some(Entry {
            function: begin,
            argument: std::ptr::from_ref(slot).cast_mut().cast(),
        })
    }

    /// There is no thread.
    fn failed(own: Entry) {
        slot(own.argument).end();
    }

    #[expect(unsafe_code, reason = "an argument that `creates` made")]
    fn slot(argument: *mut c_void) -> &'static Slot<WORDS> {
        // SAFETY: `creates` made it of a slot of the static table.
        unsafe { &*argument.cast_const().cast::<Slot<WORDS>>() }
    }

    /// Gives the slot back when the thread ends, by whatever way: of the destructors that a thread registers its first is
    /// called last.
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

    /// The first instructions of the thread. Nothing is left to be dropped when the thread's own function is called.
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

    pub(super) fn why_not_others() -> &'static str {
        match BIRTHS.missed() {
            0 => {
                "creator unknown: the probe was not there yet when it was created, or a library created it past libc's own pthread_create"
            }
            _ => "creator unknown: there were more threads than are kept apart",
        }
    }
}

#[cfg(not(all(
    feature = "interpose",
    target_os = "linux",
    not(target_feature = "crt-static")
)))]
mod imp {
    pub(super) fn for_each_alive(_: impl FnMut(u32, &[u64])) {}

    pub(super) fn why_not_others() -> &'static str {
        match () {
            () if !cfg!(feature = "interpose") => {
                "creator unknown: only with the feature interpose it is noted who creates a thread"
            }
            () if cfg!(target_os = "linux") => {
                "creator unknown: a statically linked program has no pthread_create beside libc's"
            }
            () => "creator unknown: it is noted on Linux only",
        }
    }
}
