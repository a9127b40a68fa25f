//! Limits how many dumps are under way at once, and ends the slowest one if too many are asked for.

use crate::primitive;
use runtime_probe_http::limits::WRITE_STALL;
use runtime_probe_http::refusal::Refusal;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most dumps under way at once. Each holds 64 bytes a task, so 4 of a million tasks hold 256 MB.
const MOST_AT_ONCE: usize = 4;

/// How long a request waits for a permit. A dump takes milliseconds, unless its client reads slowly. A client that has
/// waited for the end of its span should get its answer although other dumps are under way at that moment.
const PATIENCE: Duration = Duration::from_secs(2);

static UNDER_WAY: Mutex<Vec<Arc<Dump>>> = Mutex::new(Vec::new());
static ENDED: Condvar = Condvar::new();

/// A dump under way.
#[derive(Debug)]
struct Dump {
    began: Instant,
    /// Whether the dump has to end.
    must_end: AtomicBool,
}

/// One of the permits. It is returned when this is dropped.
pub(super) struct DumpPermit(Arc<Dump>);

impl DumpPermit {
    /// Waits for a permit. If none is free in time, the dump that has been under way for longest ends, if that is
    /// longer than [`WRITE_STALL`]. So four slow readers cannot lock out other clients.
    pub(super) fn take() -> Result<DumpPermit, Refusal> {
        let mut under_way = wait_for_permit(lock());
        if under_way.len() >= MOST_AT_ONCE {
            if !send_one_away(&under_way, WRITE_STALL) {
                return Err(refusal());
            }
            under_way = wait_for_permit(under_way);
        }
        if under_way.len() >= MOST_AT_ONCE {
            return Err(refusal());
        }
        let dump = Arc::new(Dump {
            began: Instant::now(),
            must_end: AtomicBool::new(false),
        });
        under_way.push(Arc::clone(&dump));
        Ok(DumpPermit(dump))
    }

    /// A writer that fails once the dump has to end.
    pub(super) fn writer<W: Write>(&self, inside: W) -> Writer<'_, W> {
        Writer {
            permit: self,
            inside,
        }
    }
}

fn lock() -> MutexGuard<'static, Vec<Arc<Dump>>> {
    primitive::lock(&UNDER_WAY)
}

type UnderWay = MutexGuard<'static, Vec<Arc<Dump>>>;

fn wait_for_permit(under_way: UnderWay) -> UnderWay {
    let is_full = |dumps: &mut Vec<Arc<Dump>>| dumps.len() >= MOST_AT_ONCE;
    ENDED
        .wait_timeout_while(under_way, PATIENCE, is_full)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

/// Ends the oldest dump if it has been under way for `stall`, unless one has to end already. Returns whether one has to
/// end.
fn send_one_away(dumps: &[Arc<Dump>], stall: Duration) -> bool {
    let leaves = |dump: &Arc<Dump>| dump.must_end.load(Ordering::Relaxed);
    if dumps.iter().any(leaves) {
        return true;
    }
    let oldest = dumps.iter().min_by_key(|dump| dump.began);
    let oldest = oldest.filter(|dump| dump.began.elapsed() >= stall);
    oldest.is_some_and(|dump| {
        dump.must_end.store(true, Ordering::Relaxed);
        true
    })
}

fn refusal() -> Refusal {
    Refusal::new(
        503,
        "too many dumps at once: four are being written, try again",
    )
}

impl Drop for DumpPermit {
    fn drop(&mut self) {
        lock().retain(|dump| !Arc::ptr_eq(dump, &self.0));
        ENDED.notify_one();
    }
}

/// Writes to `inside`, until the dump has to end.
pub(super) struct Writer<'a, W> {
    permit: &'a DumpPermit,
    inside: W,
}

impl<W: Write> Write for Writer<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.permit.0.must_end.load(Ordering::Relaxed) {
            let reason = "a dump that is read slowly ended for another one";
            return Err(io::Error::new(ErrorKind::TimedOut, reason));
        }
        self.inside.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inside.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ends_and_one_at_a_time() {
        let begun = |seconds| {
            Arc::new(Dump {
                began: Instant::now()
                    .checked_sub(Duration::from_secs(seconds))
                    .unwrap(),
                must_end: AtomicBool::new(false),
            })
        };
        let dumps = [begun(5), begun(20), begun(40), begun(1)];
        let told = || {
            dumps
                .each_ref()
                .map(|dump| dump.must_end.load(Ordering::Relaxed))
        };
        assert!(!send_one_away(&dumps, Duration::from_secs(60)));
        assert_eq!(told(), [false; 4]);
        for _ in 0..2 {
            assert!(send_one_away(&dumps, Duration::from_secs(10)));
            assert_eq!(told(), [false, false, true, false]);
        }
        let mut written = Vec::new();
        let [young, _, old, _] = &dumps;
        let permit = |dump: &Arc<Dump>| DumpPermit(Arc::clone(dump));
        assert!(permit(young).writer(&mut written).write_all(b"a").is_ok());
        assert!(permit(old).writer(&mut written).write_all(b"b").is_err());
        assert_eq!(written, b"a");
    }
}
