//! The chunks between the threads of a trace and its reader: every entry whole, none twice, what is lost counted.

use crate::events::chunks::{Chunk, ChunkNumber, Chunks, Entry, Mark, Writer, entries};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::collections::HashMap;

/// Every second entry has a further word, so that a half-written one shows.
fn entry(number: u64) -> Entry {
    let more = number.is_multiple_of(2);
    Entry {
        at: number,
        kind: if more { 2 } else { 1 },
        payload: number,
        more: if more { [number, 0] } else { [0; 2] },
    }
}

fn more(kind: u8) -> usize {
    usize::from(kind == 2)
}

/// A thread that is traced: what other threads know of it is the number of its chunk.
struct Traced {
    chunks: Chunks,
    chunk_of: [AtomicU32; 2],
}

impl Traced {
    fn new() -> Arc<Traced> {
        let chunks = Chunks::new();
        chunks.stock();
        Arc::new(Traced {
            chunks,
            chunk_of: [AtomicU32::new(0), AtomicU32::new(0)],
        })
    }

    /// Writes entries as the thread of that number, and ends. Returns how many were lost.
    fn write(&self, thread: u32, numbers: impl Iterator<Item = u64>) -> u64 {
        let (at, writer) = (&self.chunk_of[thread as usize], Writer::new());
        let mut lost = 0;
        for number in numbers {
            let (entry, more) = (entry(number), more(entry(number).kind));
            let chunk: Option<&Chunk> = writer.chunk();
            let is_written = chunk.is_some_and(|chunk| chunk.append(&entry, more))
                || self
                    .chunks
                    .write_to_next(&writer, at, || thread, &entry, more);
            lost += u64::from(!is_written);
        }
        self.chunks.end(&writer, at);
        lost
    }
}

/// The reader, which looks as a trace does: at the full chunks, then at those that are being written.
#[derive(Default)]
struct Reader {
    marks: HashMap<ChunkNumber, Mark>,
    /// By thread.
    found: [Vec<u64>; 2],
}

impl Reader {
    fn look(&mut self, traced: &Traced) {
        let next = || {
            traced
                .chunks
                .next_full()
                .or_else(|| traced.chunks.next_ended())
        };
        while let Some(number) = next() {
            let mark = self.marks.remove(&number).unwrap_or_default();
            self.take(traced, number, mark);
            traced.chunks.empty(number);
        }
        for chunk in &traced.chunk_of {
            let number = ChunkNumber(chunk.load(Ordering::Acquire));
            let mark = self.marks.remove(&number).unwrap_or_default();
            let mark = self.take(traced, number, mark);
            self.marks.insert(number, mark);
        }
        traced.chunks.stock();
    }

    fn take(&mut self, traced: &Traced, number: ChunkNumber, mut mark: Mark) -> Mark {
        let (thread, words) = traced.chunks.words(number, &mut mark);
        for found in entries(words.iter().copied(), mark.at, more) {
            assert_eq!(found, entry(found.payload));
            self.found[thread as usize].push(found.payload);
        }
        mark.pass(&words, more);
        mark
    }
}

impl Reader {
    /// Whether each thread's entries are some of these, each once. A chunk that is handed in while the reader looks is
    /// read after its successor: the trace orders by time.
    fn assert_found(mut self, written: [&[u64]; 2], lost: u64) {
        let all: usize = written.iter().map(|numbers| numbers.len()).sum();
        let found: usize = self.found.iter().map(Vec::len).sum();
        assert_eq!(found as u64 + lost, all as u64, "{:?}", self.found);
        for (found, written) in self.found.iter_mut().zip(written) {
            found.sort_unstable();
            assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
            assert!(found.iter().all(|number| written.contains(number)));
        }
    }
}

/// Three chunks, the third of which may be the first one again.
#[test]
fn a_reader_finds_each_entry_of_a_thread_once() {
    loom::model(|| {
        let traced = Traced::new();
        let thread = {
            let traced = traced.clone();
            thread::spawn(move || traced.write(0, 1..=5))
        };
        let mut reader = Reader::default();
        reader.look(&traced);
        reader.look(&traced);
        let lost = thread.join().unwrap();
        reader.look(&traced);
        reader.assert_found([&[1, 2, 3, 4, 5], &[]], lost);
    });
}

/// Three chunks of one event or two each, for two threads.
#[test]
fn a_chunk_goes_from_thread_to_thread() {
    loom::model(|| {
        let traced = Traced::new();
        let threads = [(0, [1, 2]), (1, [3, 4])].map(|(thread, numbers)| {
            let traced = traced.clone();
            thread::spawn(move || traced.write(thread, numbers.into_iter()))
        });
        let mut reader = Reader::default();
        reader.look(&traced);
        let lost = threads.map(|thread| thread.join().unwrap());
        reader.look(&traced);
        reader.assert_found([&[1, 2], &[3, 4]], lost.iter().sum());
    });
}

/// The reader that looks only at what is there, while a thread takes the oldest chunk again.
#[test]
fn a_look_finds_no_mixed_entries_and_all_that_did_not_make_room() {
    loom::model(|| {
        let traced = Traced::new();
        traced.chunks.keep_last(1);
        // The first chunk is full.
        assert_eq!(traced.write(1, 1..=3), 0);
        traced.chunks.stock();
        let thread = {
            let traced = traced.clone();
            thread::spawn(move || traced.write(0, 4..=6))
        };
        let found = look(&traced);
        let dropped = traced.chunks.dropped_until();
        for before in dropped + 1..=3 {
            assert!(
                found.contains(&before),
                "{before} is not in {found:?}, after {dropped}"
            );
        }
        assert_eq!(thread.join().unwrap(), 0, "none is lost");
        let dropped = traced.chunks.dropped_until();
        let expected: Vec<u64> = (dropped + 1..=6).collect();
        let mut found = look(&traced);
        found.retain(|number| *number > dropped);
        assert_eq!(found, expected);
        assert!(dropped < 5, "the last full chunk is there");
    });
}

/// The entries that are in the chunks, in their order.
fn look(traced: &Traced) -> Vec<u64> {
    let mut all = Vec::new();
    for number in traced.chunks.numbers() {
        let mut mark = Mark::default();
        let (_, words) = traced.chunks.words(number, &mut mark);
        for found in entries(words.iter().copied(), mark.at, more) {
            assert_eq!(found, entry(found.payload));
            all.push(found.payload);
        }
    }
    all.sort_unstable();
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    all
}
