//! Threads of the probe's own. All start here, so that their waits are not taken for the service's.

use super::thread;
use crate::primitive::{AtomicU32, Ordering};
use std::cell::Cell;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Kernel thread ids of the probe's live threads; 0 for a free place. A thread that finds no free place runs unlisted.
static IDS: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];

/// Starts a thread of the probe.
///
/// # Errors
/// The system creates no more threads.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        let _listed = Listed::new();
        work()
    })
}

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread one of the probe's until it ends, if another crate started it.
pub(crate) fn adopt() {
    IS_OWN.with(|is_own| is_own.set(true));
}

/// Whether this thread is one of the probe's.
#[cfg(all(feature = "interpose", target_os = "linux"))]
pub(crate) fn is_here() -> bool {
    IS_OWN.with(Cell::get)
}

/// Whether this is the id of a thread of the probe.
pub(crate) fn is(id: u32) -> bool {
    IDS.iter().any(|own| own.load(Ordering::Relaxed) == id)
}

struct Listed(Option<&'static AtomicU32>);

impl Listed {
    fn new() -> Self {
        adopt();
        let id = thread::id();
        let taken = IDS.iter().find(|own| {
            own.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        });
        Listed(taken)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(own) = self.0 {
            own.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_is_one_of_these_while_it_runs() {
        let (tell, told) = channel();
        let own = spawn("probe-test", move || tell.send(thread::id()).unwrap()).unwrap();
        let id = told.recv().unwrap();
        own.join().unwrap();
        assert!(!is(id));
        assert!(!is(thread::id()));
        let asked = spawn("probe-test", || is(thread::id())).unwrap();
        assert!(asked.join().unwrap());
    }
}
