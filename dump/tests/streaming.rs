//! A dump of any size takes little memory: rows go in one by one, bytes go out in chunks.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use runtime_dump::goroutine::samples::SampleWriter;
use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::goroutine::{Goroutine, State, Tables};
use runtime_dump::stack::{Site, Stack};

/// Two chunks, the state of a compressor (256 KiB) and the strings that are remembered.
const MOST_BYTES: usize = 1 << 20;

const TASKS: u64 = 100_000;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is the system's allocator's; numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[derive(Default)]
struct Counter {
    bytes: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that were alive at the same time, above those before, while `work` ran.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    work();
    PEAK.load(Relaxed) - before
}

// One test: the allocator counts for the whole process.
#[test]
fn a_dump_of_100_000_tasks_takes_a_mebibyte() {
    let site = Site {
        function: Some("app::main".into()),
        file: "src/main.rs".into(),
        line: 7,
        column: 9,
        function_offset: None,
    };
    let tables = Tables {
        stacks: vec![Stack::default()],
        sites: vec![site],
        ..Tables::default()
    };
    let mut name = String::new();
    let mut each = |write: &mut dyn FnMut(&Goroutine<'_>)| {
        for id in 0..TASKS {
            use std::fmt::Write;
            name.clear();
            let _ = write!(name, "connection-{id}");
            write(&Goroutine {
                id,
                parent: Some(1),
                state: State::Waiting,
                reason: "sleep",
                since_ns: id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20,
                polls: 3,
                busy_ns: 1,
                name: Some(&name),
                labels: &[],
                notes: &[],
                joins: &[],
                stack: 0,
                site: Some(0),
            });
        }
    };

    let mut out = Counter::default();
    let peak = peak_of(|| {
        let mut writer = SampleWriter::new(&mut out, "goroutine", &tables, &[]);
        each(&mut |task| writer.write(task).unwrap());
        writer.finish().unwrap();
    });
    assert!(out.bytes > 15 * TASKS, "{} bytes", out.bytes);
    assert!(peak < MOST_BYTES, "debug=3 took {peak} bytes");

    let mut out = Counter::default();
    let peak = peak_of(|| {
        let mut writer = TextWriter::new(&mut out, &tables, TextOptions::default());
        each(&mut |task| writer.write(task).unwrap());
        writer.finish().unwrap();
    });
    assert!(out.bytes > 100 * TASKS, "{} bytes", out.bytes);
    assert!(peak < MOST_BYTES, "debug=2 took {peak} bytes");
}
