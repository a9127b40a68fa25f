//! The counters of a runtime's workers, also if tokio was built without `tokio_unstable`.

use super::Decoder;
use super::memory::Reader;
use super::model::Worker;
use crate::debug::index::Die;

/// The most workers of one runtime.
const MOST_WORKERS: u64 = 1024;

impl Decoder<'_, '_, '_> {
    /// The workers of the scheduler at `at`. Empty if the counters cannot be read.
    pub(crate) fn workers(&self, at: u64, of: Die, reader: &Reader<'_>) -> Vec<Worker> {
        self.try_workers(at, of, reader).unwrap_or_default()
    }

    fn try_workers(&self, at: u64, of: Die, reader: &Reader<'_>) -> Option<Vec<Worker>> {
        let (offset, metrics) = self.types.find(of, "worker_metrics")?;
        let at = at.checked_add(offset)?;
        let Some((pointer, length, each)) = self.slice(metrics) else {
            // A runtime of one thread has one worker.
            return Some(vec![self.worker(at, metrics, reader)?]);
        };
        let first = reader.word(at.wrapping_add(pointer))?;
        let length = reader.word(at.wrapping_add(length))?.min(MOST_WORKERS);
        let size = self.types.get(each).size;
        (0..length)
            .map(|number| self.worker(first.wrapping_add(number * size), each, reader))
            .collect()
    }

    fn worker(&self, at: u64, of: Die, reader: &Reader<'_>) -> Option<Worker> {
        let counter = |name| {
            let (offset, of) = self.types.find(of, name)?;
            let (inner, _) = self.types.peel(of);
            reader.word(at.wrapping_add(offset + inner))
        };
        Some(Worker {
            busy_ns: counter("busy_duration_total")?,
            parks: counter("park_count")?,
        })
    }
}
