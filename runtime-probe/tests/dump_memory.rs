//! The memory of a dump of many tasks: its rows, and little more. A file of its own, as the allocator counts for the
//! process.
#![cfg(feature = "full")]
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use runtime_probe::pprof;

const TASKS: usize = 100_000;

/// A row has 64 bytes, and the table of rows grows by an eighth at a time. Names, tables, two chunks and the state of
/// a compressor take a mebibyte and a half. A profile of that many tasks would take 5 MB more as bytes, and 25 MB as
/// a model.
const MOST_BYTES: usize = TASKS * 64 * 9 / 8 + (3 << 19);

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn count(more: usize) {
    let live = LIVE.fetch_add(more, Relaxed).wrapping_add(more);
    // Memory that was allocated before the count began may be freed after it.
    PEAK.fetch_max(if live > usize::MAX / 2 { 0 } else { live }, Relaxed);
}

// SAFETY: passes every call to the system's allocator, and counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A large block is moved by remapping its pages, not by a copy.
        count(size.wrapping_sub(layout.size()));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_dump_of_100_000_tasks_holds_its_rows_and_streams_the_rest() {
    let runtime = runtime_probe::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    for _ in 0..TASKS {
        runtime.spawn(std::future::pending::<()>());
    }
    let profile = pprof::lookup("goroutine").unwrap();
    // Until the last task's first poll. Names are resolved once for the process, and that is done by now.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut text = Vec::new();
        profile.write_to(&mut text, 2).unwrap();
        let text = String::from_utf8(text).unwrap();
        if text.matches(" [waiting]:\n").count() == TASKS {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    for (debug, least_written) in [(2, 100 * TASKS), (3, 4 * TASKS)] {
        let mut out = Counter(0);
        let before = LIVE.load(Relaxed);
        PEAK.store(before, Relaxed);
        profile.write_to(&mut out, debug).unwrap();
        let peak = PEAK.load(Relaxed) - before;
        assert!(out.0 > least_written, "debug={debug}: {} bytes", out.0);
        assert!(peak < MOST_BYTES, "debug={debug} took {peak} bytes");
        eprintln!(
            "debug={debug}: {} bytes written, {peak} bytes of memory",
            out.0
        );
    }
}
