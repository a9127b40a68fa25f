//! The C function `pthread_create`, ours in place of libc's: std, and C code that the program links, create threads
//! through it. It passes its arguments on to libc's.
//!
//! Linking this object defines the symbol for the program. Threads that libc makes for itself do not pass through here.
//! libc's own function is the next of that name in the order of the dynamic linker, so this does not work in a
//! statically linked program.
//!
//! MUST: the result and `errno` are libc's, whatever the watcher does; a thread costs two loads if no profile asks for
//! it; and nothing here allocates: an allocator may create a thread while it holds its own lock.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The function that a thread runs, and its argument.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) function: Function,
    pub(crate) argument: *mut c_void,
}

/// `pthread_exit` unwinds through its caller, which MUST be `C-unwind` itself and have nothing to drop. Otherwise the
/// process ends there.
pub(crate) type Function = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// Called at the creation of threads, on the creating thread.
pub(crate) struct Watcher {
    /// A thread is about to be created. Returns the entry to run instead; `None` for the given one.
    pub(crate) creates: fn(Entry) -> Option<Entry>,
    /// The thread was not created. Called with the entry that `creates` returned.
    pub(crate) failed: fn(Entry),
}

static WATCHER: OnceLock<Watcher> = OnceLock::new();

/// libc's own function; null until it is first needed.
static LIBC: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the watcher. Only the first call counts. It also makes sure that the linker takes the symbol from here.
pub(crate) fn install(watcher: Watcher) {
    let symbol = pthread_create as unsafe extern "C" fn(_, _, _, _) -> _;
    std::hint::black_box(symbol);
    libc_create();
    WATCHER.get_or_init(|| watcher);
}

type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    Function,
    *mut c_void,
) -> c_int;

/// As libc's.
///
/// # Safety
/// As for libc's.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "calls libc's own, and keeps errno")]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    function: Function,
    argument: *mut c_void,
) -> c_int {
    let Some(create) = libc_create() else {
        return libc::EAGAIN;
    };
    let given = Entry { function, argument };
    let watcher = WATCHER.get();
    // SAFETY: the thread's own `errno`.
    let own = watcher.and_then(|watcher| unsafe {
        let errno = *libc::__errno_location();
        let own = (watcher.creates)(given);
        *libc::__errno_location() = errno;
        own
    });
    let run = own.unwrap_or(given);
    // SAFETY: the caller's own arguments, with the watcher's entry, if it returned one.
    let result = unsafe { create(thread, attributes, run.function, run.argument) };
    if result != 0
        && let (Some(watcher), Some(own)) = (watcher, own)
    {
        (watcher.failed)(own);
    }
    result
}

/// libc's function; `None` if the dynamic linker does not find it.
#[expect(unsafe_code, reason = "asks the dynamic linker")]
fn libc_create() -> Option<Create> {
    let mut found = LIBC.load(Ordering::Relaxed);
    if found.is_null() {
        // SAFETY: a name that ends in a NUL.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
        LIBC.store(found, Ordering::Relaxed);
    }
    // SAFETY: null, which is `None`, or the function that every libc has by that name.
    unsafe { std::mem::transmute::<*mut c_void, Option<Create>>(found) }
}
