//! A waker that counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// Its counters are std's atomics: loom does not explore them.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    wakes: AtomicUsize,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counting {
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }
}

/// The counters and a waker that counts with them.
pub(crate) fn counting() -> (Arc<Counting>, Waker) {
    let counting = Arc::new(Counting::default());
    (counting.clone(), counting.into())
}

/// How many wakers of these counters are alive.
pub(crate) fn alive(counting: &Arc<Counting>) -> usize {
    Arc::strong_count(counting) - 1
}
