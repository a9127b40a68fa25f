//! Entries from all threads to one reader. Each thread writes into a chunk of its own; full chunks go to the reader,
//! and empty ones come back. For a reader that wants the last entries only ([`Chunks::keep_last`]), full chunks stay
//! where they are, and a thread that needs a chunk takes the oldest one. The reader still takes the chunks of threads that have
//! ended: these may hold little, and many of them would leave no room for entries.
//!
//! | bits of an entry's first word | |
//! |---|---|
//! | 60 to 63 | kind; 0 for a moment: the other bits are the time |
//! | 44 (x86_64), 45 (elsewhere) to 59 | time since the previous entry |
//! | below | payload |
//!
//! The kind tells how many words follow. A moment is the first entry of a chunk, and stands before an entry whose time
//! does not fit into its bits.
//!
//! Allowed in [`Chunk::append`]: loads and stores of this thread's chunk; once a chunk, pops and a push of bounded
//! queues. Forbidden: locks, allocation, panics. It runs inside polls and wakes.
//!
//! 1. Only the thread that took a chunk from the queue of empty ones MUST write to it, until it hands the chunk in.
//!    Otherwise words of two threads are mixed.
//! 2. A word MUST be stored before the length that counts it, which has Release; the reader loads the length with Acquire first.
//!    Otherwise the reader takes an old word for a new one.
//! 3. A chunk is emptied after it was handed in, by the reader or by the thread that takes it as the oldest one. The version of
//!    the chunk MUST be odd before its length changes, and even again before the next entry. The reader compares the version
//!    before and after it copies. Otherwise it takes words of two versions for one.
//!
//! Rejected: one queue for all words. All threads would contend for it with every event.

use crate::primitive::{ArrayQueue, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::cell::Cell;
use std::sync::OnceLock;

/// The chunks of execution traces. Made for the first trace and never freed: a thread may be writing.
pub(crate) static TRACE: OnceLock<Chunks> = OnceLock::new();

/// Words of a chunk: 64 KiB, some 8,000 events. Under loom, two events.
const WORDS: usize = if cfg!(probe_loom) { 3 } else { 8192 };
/// The most chunks: 64 MiB. They are made when they are needed, and kept for the next trace.
const MOST: usize = if cfg!(probe_loom) { 3 } else { 1024 };
/// The most chunks that [`Chunks::keep_last`] keeps: the others are for threads that write.
pub(crate) const MOST_KEPT: usize = MOST * 3 / 4;
/// The bytes of a chunk.
pub(crate) const CHUNK: usize = WORDS * size_of::<u64>();
/// How many empty chunks the reader provides at each look: enough for 4 threads for 80 ms at 3 M events a second.
const STOCK: usize = if cfg!(probe_loom) { 2 } else { 128 };
/// The same while full chunks stay: enough for threads that begin to write.
const STOCK_BESIDE: usize = if cfg!(probe_loom) { 1 } else { 64 };

const KIND_SHIFT: u32 = 60;
/// Bits of the time since the previous entry.
const DELTA: u32 = KIND_SHIFT - PAYLOAD;
/// Bits of the payload: an address of the user's half of memory, which is aligned to words.
const PAYLOAD: u32 = if cfg!(target_arch = "x86_64") { 44 } else { 45 };
/// The largest payload.
pub(crate) const MOST_PAYLOAD: u64 = (1 << PAYLOAD) - 1;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The time by the writer's clock.
    pub(crate) at: u64,
    /// 1 to 15.
    pub(crate) kind: u8,
    /// At most [`MOST_PAYLOAD`].
    pub(crate) payload: u64,
    /// The further words of this kind.
    pub(crate) more: [u64; MOST_MORE],
}

impl Entry {
    /// The first word, without the time. The payload MUST be at most [`MOST_PAYLOAD`]. Otherwise it changes the time.
    #[inline(always)]
    pub(crate) fn first(kind: u8, payload: u64) -> u64 {
        debug_assert!(payload <= MOST_PAYLOAD);
        u64::from(kind) << KIND_SHIFT | payload
    }

    /// The entry of one word.
    pub(crate) fn of_first(at: u64, first: u64) -> Self {
        Entry {
            at,
            kind: (first >> KIND_SHIFT) as u8,
            payload: first & MOST_PAYLOAD,
            more: [0; MOST_MORE],
        }
    }
}

/// The most words of an entry beside the first.
pub(crate) const MOST_MORE: usize = 2;

/// A chunk by number, from 1 on; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChunkNumber(pub(crate) u32);

/// Aligned, so that no two threads write to one cache line.
#[repr(align(128))]
pub(crate) struct Chunk {
    /// The kernel's id of the thread that writes.
    thread: AtomicU32,
    len: AtomicU32,
    /// The time of the last entry; 0 for an empty chunk. For the writer, and a thread that takes the chunk as the oldest one.
    last: AtomicU64,
    /// Counts twice whenever the chunk is emptied; odd meanwhile.
    version: AtomicU32,
    words: Box<[AtomicU64; WORDS]>,
}

/// A thread's chunk, for the thread itself. The reader finds it by its number, which is stored elsewhere.
#[derive(Default)]
pub(crate) struct Writer<'c>(Cell<Option<&'c Chunk>>);

impl<'c> Writer<'c> {
    /// A writer without a chunk.
    pub(crate) const fn new() -> Self {
        Writer(Cell::new(None))
    }

    /// The thread's chunk.
    #[inline(always)]
    pub(crate) fn chunk(&self) -> Option<&'c Chunk> {
        self.0.get()
    }
}

/// All chunks.
pub(crate) struct Chunks {
    chunks: Box<[OnceLock<Chunk>]>,
    made: AtomicU32,
    /// Numbers of chunks; also the next one.
    empty: ArrayQueue<u32>,
    full: ArrayQueue<u32>,
    /// Those of threads that have ended.
    ended: ArrayQueue<u32>,
    /// How many full chunks stay; 0 if the reader takes them.
    kept: AtomicUsize,
    /// The time of the last entry that was in a chunk that a thread took as the oldest one.
    dropped: AtomicU64,
}

impl Chunks {
    /// No chunks: [`Chunks::stock`] makes them.
    pub(crate) fn new() -> Self {
        Chunks {
            chunks: (0..MOST).map(|_| OnceLock::new()).collect(),
            made: AtomicU32::new(0),
            empty: ArrayQueue::new(MOST),
            full: ArrayQueue::new(MOST),
            ended: ArrayQueue::new(MOST),
            kept: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    fn chunk(&self, number: ChunkNumber) -> Option<&Chunk> {
        let index = (number.0 as usize).checked_sub(1)?;
        self.chunks.get(index)?.get()
    }

    /// Appends an entry with `more` further words to a new chunk of a thread, and gives the thread's previous chunk to
    /// the reader. Returns whether a chunk was available; otherwise the entry is lost.
    #[cold]
    #[inline(never)]
    pub(crate) fn write_to_next<'c>(
        &'c self,
        writer: &Writer<'c>,
        at: &AtomicU32,
        thread: impl FnOnce() -> u32,
        entry: &Entry,
        more: usize,
    ) -> bool {
        let Some((next, chunk)) = self.next_empty() else {
            return false;
        };
        chunk.thread.store(thread(), Ordering::Relaxed);
        self.hand_in(writer, at);
        // Release: a reader that finds the chunk's number here also finds its thread.
        at.store(next.0, Ordering::Release);
        writer.0.set(Some(chunk));
        chunk.append(entry, more)
    }

    /// An empty chunk, or the oldest full one, emptied.
    fn next_empty(&self) -> Option<(ChunkNumber, &Chunk)> {
        let kept = self.kept.load(Ordering::Relaxed);
        let spare = (kept == 0 || self.full.len() < kept).then(|| self.empty.pop());
        if let Some(number) = spare.flatten().map(ChunkNumber) {
            return Some((number, self.chunk(number)?));
        }
        let oldest = (kept != 0).then(|| self.full.pop()).flatten();
        let number = ChunkNumber(oldest.or_else(|| self.empty.pop())?);
        let chunk = self.chunk(number)?;
        // Before the version, which has Release: a reader that misses the entries finds this time.
        let last = chunk.last.load(Ordering::Relaxed);
        self.dropped.fetch_max(last, Ordering::Relaxed);
        chunk.clear();
        Some((number, chunk))
    }

    /// Lets so many full chunks stay, and threads take the oldest one when they need more; 0 leaves all to the reader.
    pub(crate) fn keep_last(&self, kept: usize) {
        self.kept.store(kept.min(MOST_KEPT), Ordering::Relaxed);
    }

    /// Whether full chunks stay.
    pub(crate) fn keeps_last(&self) -> bool {
        self.kept.load(Ordering::Relaxed) != 0
    }

    /// The bytes of the chunks that stay, without those that threads are writing to.
    pub(crate) fn kept_bytes(&self) -> usize {
        match self.keeps_last() {
            true => self.full.len().min(self.kept.load(Ordering::Relaxed)) * CHUNK,
            false => 0,
        }
    }

    /// The time up to which entries were dropped because they were the oldest ones.
    pub(crate) fn dropped_until(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// All chunks that were made.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = ChunkNumber> {
        (1..=self.made.load(Ordering::Relaxed)).map(ChunkNumber)
    }

    /// Gives a thread's full chunk to the reader, or leaves it for the thread that will take it.
    fn hand_in(&self, writer: &Writer<'_>, at: &AtomicU32) {
        if let Some(number) = take_from(writer, at) {
            // Each of the queues has room for all chunks.
            let _ = self.full.push(number.0);
        }
    }

    /// Gives the chunk of a thread that ends to the reader.
    pub(crate) fn end(&self, writer: &Writer<'_>, at: &AtomicU32) {
        if let Some(number) = take_from(writer, at) {
            let _ = self.ended.push(number.0);
        }
    }

    /// The next chunk of a thread that has ended. The reader gives it back by [`Chunks::empty`].
    pub(crate) fn next_ended(&self) -> Option<ChunkNumber> {
        self.ended.pop().map(ChunkNumber)
    }

    /// The next full chunk. The reader gives it back by [`Chunks::empty`].
    pub(crate) fn next_full(&self) -> Option<ChunkNumber> {
        self.full.pop().map(ChunkNumber)
    }

    /// The thread of a chunk, and its words beyond the mark, which begins anew if the chunk was emptied. No words if a
    /// thread empties it meanwhile.
    pub(crate) fn words(&self, number: ChunkNumber, mark: &mut Mark) -> (u32, Box<[u64]>) {
        let Some(chunk) = self.chunk(number) else {
            return (0, Box::default());
        };
        // Acquire: pairs with the Release at the end of `clear`.
        let version = chunk.version.load(Ordering::Acquire);
        if mark.version != version {
            *mark = Mark {
                version,
                ..Mark::default()
            };
        }
        // Acquire: pairs with the Release in `append`.
        let len = chunk.len.load(Ordering::Acquire) as usize;
        let words = chunk.words.get(mark.read..len).unwrap_or_default().iter();
        let words = words.map(|word| word.load(Ordering::Relaxed)).collect();
        let thread = chunk.thread.load(Ordering::Relaxed);
        // Pairs with the fence in `clear`: a word of the next version is seen with its version.
        fence(Ordering::Acquire);
        match version.is_multiple_of(2) && chunk.version.load(Ordering::Acquire) == version {
            true => (thread, words),
            false => (thread, Box::default()),
        }
    }

    /// Makes a chunk that was handed in an empty one.
    pub(crate) fn empty(&self, number: ChunkNumber) {
        if let Some(chunk) = self.chunk(number) {
            chunk.clear();
            let _ = self.empty.push(number.0);
        }
    }

    /// Makes chunks until there are enough empty ones, apart from those that are to be full ones that stay.
    pub(crate) fn stock(&self) {
        let wanted = match self.kept.load(Ordering::Relaxed) {
            0 => STOCK,
            kept => kept.saturating_sub(self.full.len()) + STOCK_BESIDE,
        };
        while self.empty.len() < wanted {
            let index = self.made.load(Ordering::Relaxed) as usize;
            let Some(place) = self.chunks.get(index) else {
                return;
            };
            let words: Box<[AtomicU64]> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
            let Ok(words) = words.try_into() else { return };
            place.get_or_init(|| Chunk {
                thread: AtomicU32::new(0),
                len: AtomicU32::new(0),
                last: AtomicU64::new(0),
                version: AtomicU32::new(0),
                words,
            });
            self.made.store(index as u32 + 1, Ordering::Relaxed);
            let _ = self.empty.push(index as u32 + 1);
        }
    }
}

/// Takes a thread's chunk from it.
fn take_from(writer: &Writer<'_>, at: &AtomicU32) -> Option<ChunkNumber> {
    writer.0.set(None);
    let number = ChunkNumber(at.swap(0, Ordering::Relaxed));
    (number != ChunkNumber::default()).then_some(number)
}

/// Decodes words to entries. The first entry's time counts from `after`.
pub(crate) fn entries(
    mut words: impl Iterator<Item = u64>,
    after: u64,
    more: impl Fn(u8) -> usize,
) -> impl Iterator<Item = Entry> {
    let mut at = after;
    std::iter::from_fn(move || {
        loop {
            let first = words.next()?;
            let kind = (first >> KIND_SHIFT) as u8;
            if kind == 0 {
                at = first;
                continue;
            }
            at += first >> PAYLOAD & ((1 << DELTA) - 1);
            let mut entry = Entry {
                at,
                kind,
                payload: first & MOST_PAYLOAD,
                more: [0; MOST_MORE],
            };
            for word in entry.more.iter_mut().take(more(kind)) {
                *word = words.next().unwrap_or(0);
            }
            return Some(entry);
        }
    })
}

/// How far an unfinished chunk was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Words.
    pub(crate) read: usize,
    /// The time of the last entry.
    pub(crate) at: u64,
    /// The version of the chunk.
    version: u32,
}

impl Mark {
    /// Moves the mark past these words. `more` tells how many further words a kind has.
    pub(crate) fn pass(&mut self, words: &[u64], more: impl Fn(u8) -> usize) {
        if let Some(last) = entries(words.iter().copied(), self.at, more).last() {
            self.at = last.at;
        }
        self.read += words.len();
    }
}

impl Chunk {
    /// Empties the chunk.
    fn clear(&self) {
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Release);
        // A reader that sees a word or the length of the next version sees at least the odd version.
        fence(Ordering::Release);
        self.len.store(0, Ordering::Relaxed);
        self.last.store(0, Ordering::Relaxed);
        // Release: a reader that sees this version does not see the length of the last one.
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    /// Appends an entry of one word, made by [`Entry::first`], if there is room. Returns whether there was. Most
    /// entries are of this kind, and their parts stay in registers.
    #[inline(always)]
    pub(crate) fn append_word(&self, at: u64, first: u64) -> bool {
        let len = self.len.load(Ordering::Relaxed) as usize;
        let Some([place, second]) = self.words.get(len..len + 2) else {
            return false;
        };
        let last = self.last.load(Ordering::Relaxed);
        // An entry with an older time gets the time of the last one.
        let at = at.max(last);
        let delta = at - last;
        let used = if delta >> DELTA == 0 {
            place.store(first | delta << PAYLOAD, Ordering::Relaxed);
            1
        } else {
            place.store(at & ((1 << KIND_SHIFT) - 1), Ordering::Relaxed);
            second.store(first, Ordering::Relaxed);
            2
        };
        self.last.store(at, Ordering::Relaxed);
        // Release: pairs with the Acquire in `words`.
        self.len.store((len + used) as u32, Ordering::Release);
        true
    }

    /// Appends an entry with `more` further words if there is room. Returns whether there was.
    #[inline(always)]
    pub(crate) fn append(&self, entry: &Entry, more: usize) -> bool {
        let first = Entry::first(entry.kind, entry.payload & MOST_PAYLOAD);
        if more == 0 {
            return self.append_word(entry.at, first);
        }
        let len = self.len.load(Ordering::Relaxed) as usize;
        // One word more, for a moment.
        let Some(room) = self.words.get(len..len + 2 + more) else {
            return false;
        };
        let last = self.last.load(Ordering::Relaxed);
        // An entry with an older time gets the time of the last one.
        let at = entry.at.max(last);
        let delta = at - last;
        let mut room = room.iter();
        let mut put = |word: u64| {
            if let Some(place) = room.next() {
                place.store(word, Ordering::Relaxed);
            }
        };
        let mut used = 1 + more;
        if delta >> DELTA == 0 {
            put(first | delta << PAYLOAD);
        } else {
            put(at & ((1 << KIND_SHIFT) - 1));
            put(first);
            used += 1;
        }
        entry.more.iter().take(more).for_each(|word| put(*word));
        self.last.store(at, Ordering::Relaxed);
        // Release: pairs with the Acquire in `words`.
        self.len.store((len + used) as u32, Ordering::Release);
        true
    }
}

#[cfg(all(test, not(probe_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn entry(number: u64) -> Entry {
        Entry {
            // Now and then the time does not fit beside the kind.
            at: number
                * if number.is_multiple_of(100) {
                    1_000_000
                } else {
                    1
                },
            kind: (number % 15) as u8 + 1,
            payload: number,
            more: [number + 1, number + 2]
                .map(|word| if number.is_multiple_of(2) { word } else { 0 }),
        }
    }

    fn write<'c>(
        chunks: &'c Chunks,
        writer: &Writer<'c>,
        at: &AtomicU32,
        thread: u32,
        entry: &Entry,
        more: usize,
    ) -> bool {
        let chunk = writer.chunk();
        chunk.is_some_and(|chunk| chunk.append(entry, more))
            || chunks.write_to_next(writer, at, || thread, entry, more)
    }

    fn more(kind: u8) -> usize {
        if kind == 1 { 2 } else { 0 }
    }

    fn numbered(number: u64) -> Entry {
        let more = number.is_multiple_of(3);
        Entry {
            kind: if more { 1 } else { 2 },
            more: if more { [number, number + 1] } else { [0, 0] },
            ..entry(number)
        }
    }

    /// Reads all chunks that were handed in, and the unfinished one in `under_way`.
    fn read(
        chunks: &Chunks,
        marks: &mut HashMap<ChunkNumber, Mark>,
        under_way: &[AtomicU32],
        entries: &mut HashMap<u32, Vec<Entry>>,
    ) {
        let mut take = |number: ChunkNumber| {
            let mark = marks.entry(number).or_default();
            let (thread, words) = chunks.words(number, mark);
            let read = super::entries(words.iter().copied(), mark.at, more);
            entries.entry(thread).or_default().extend(read);
            mark.pass(&words, more);
        };
        let mut full = Vec::new();
        while let Some(number) = chunks.next_ended() {
            take(number);
            full.push(number);
        }
        if !chunks.keeps_last() {
            while let Some(number) = chunks.next_full() {
                take(number);
                full.push(number);
            }
            for at in under_way {
                take(ChunkNumber(at.load(Ordering::Acquire)));
            }
        }
        for number in full {
            marks.remove(&number);
            chunks.empty(number);
        }
        chunks.stock();
    }

    #[test]
    fn without_chunks_entries_are_lost() {
        let chunks = Chunks::new();
        let (at, writer) = (AtomicU32::new(0), Writer::new());
        assert!(!write(&chunks, &writer, &at, 1, &entry(7), 0));
        chunks.stock();
        assert!(write(&chunks, &writer, &at, 1, &entry(7), 0));
    }

    #[test]
    fn what_is_written_is_read_once_and_in_order() {
        let chunks = Chunks::new();
        chunks.stock();
        let at = [const { AtomicU32::new(0) }; 1];
        let writer = Writer::new();
        let (mut marks, mut entries) = (HashMap::new(), HashMap::new());
        let mut expected = Vec::new();
        let mut last = 0;
        for number in 1..3 * WORDS as u64 {
            let mut entry = numbered(number);
            assert!(write(&chunks, &writer, &at[0], 5, &entry, more(entry.kind)));
            // Time does not go back inside a chunk.
            if expected.len().is_multiple_of(1000) {
                read(&chunks, &mut marks, &at, &mut entries);
            }
            last = entry.at.max(last);
            entry.at = last;
            expected.push(entry);
        }
        read(&chunks, &mut marks, &at, &mut entries);
        let without_time = |entries: &[Entry]| -> Vec<Entry> {
            entries
                .iter()
                .map(|entry| Entry { at: 0, ..*entry })
                .collect()
        };
        assert_eq!(without_time(&entries[&5]), without_time(&expected));
        assert!(entries[&5].iter().zip(&expected).all(|(read, expected)| {
            // A new chunk begins with the entry's own time.
            read.at <= expected.at && read.at >= numbered(read.payload).at
        }));
    }

    /// All entries that are in chunks, by thread. The marks tell what was taken out before.
    fn kept(chunks: &Chunks, marks: &HashMap<ChunkNumber, Mark>) -> HashMap<u32, Vec<Entry>> {
        let mut found: HashMap<u32, Vec<Entry>> = HashMap::new();
        for number in chunks.numbers() {
            let mut mark = marks.get(&number).copied().unwrap_or_default();
            let (thread, words) = chunks.words(number, &mut mark);
            let read = super::entries(words.iter().copied(), mark.at, more);
            found.entry(thread).or_default().extend(read);
        }
        found
    }

    fn sorted(entries: &[Entry]) -> Vec<u64> {
        let mut numbers: Vec<u64> = entries.iter().map(|entry| entry.payload).collect();
        numbers.sort_unstable();
        numbers
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write { thread: usize, entries: u64 },
        End(usize),
        Look,
        Keep(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let write = (0..2_usize, 0..WORDS as u64);
        prop_oneof![
            4 => write.prop_map(|(thread, entries)| Step::Write { thread, entries }),
            1 => (0..2_usize).prop_map(Step::End),
            2 => Just(Step::Look),
            1 => (0..6_usize).prop_map(Step::Keep),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever a reader does: each entry is found once, by one way or the other, unless it made room for a later one.
        #[test]
        fn what_did_not_make_room_is_found_once(steps in proptest::collection::vec(step(), 0..12)) {
            let chunks = Chunks::new();
            chunks.stock();
            let at = [const { AtomicU32::new(0) }; 2];
            let writers = [const { Writer::new() }; 2];
            let (mut marks, mut taken) = (HashMap::new(), HashMap::new());
            // The number of an entry is its time.
            let (mut written, mut now) = ([Vec::new(), Vec::new()], 0);
            for step in steps {
                match step {
                    Step::Write { thread, entries } => {
                        for _ in 0..entries {
                            now += 1;
                            let entry = Entry { at: now, ..numbered(now) };
                            let more = more(entry.kind);
                            prop_assert!(write(&chunks, &writers[thread], &at[thread], thread as u32, &entry, more));
                            written[thread].push(now);
                        }
                    }
                    // The next entry is of another thread that has its place.
                    Step::End(thread) => chunks.end(&writers[thread], &at[thread]),
                    Step::Look => read(&chunks, &mut marks, &at, &mut taken),
                    Step::Keep(most) => {
                        chunks.keep_last(most);
                        chunks.stock();
                    }
                }
                let mut found = taken.clone();
                for (thread, entries) in kept(&chunks, &marks) {
                    found.entry(thread).or_default().extend(entries);
                }
                let dropped = chunks.dropped_until();
                for (thread, written) in written.iter().enumerate() {
                    let found = sorted(found.entry(thread as u32).or_default());
                    prop_assert!(found.is_sorted_by(|a, b| a < b), "none is found twice");
                    prop_assert!(found.iter().all(|number| written.binary_search(number).is_ok()));
                    let after = |numbers: &[u64]| -> Vec<u64> {
                        numbers.iter().copied().filter(|number| *number > dropped).collect()
                    };
                    prop_assert_eq!(after(&found), after(written));
                }
            }
        }
    }

    #[test]
    fn the_last_entries_stay() {
        const KEPT: usize = 4;
        let chunks = Chunks::new();
        chunks.keep_last(KEPT);
        chunks.stock();
        let (at, writer) = (AtomicU32::new(0), Writer::new());
        let many = 20 * WORDS as u64;
        for number in 1..=many {
            let entry = numbered(number);
            assert!(write(&chunks, &writer, &at, 5, &entry, more(entry.kind)));
        }
        assert_eq!(
            chunks.numbers().count(),
            KEPT + STOCK_BESIDE,
            "no chunk was made since"
        );
        assert_eq!(chunks.kept_bytes(), KEPT * CHUNK);
        let found = sorted(&kept(&chunks, &HashMap::new())[&5]);
        let last: Vec<u64> = (many - found.len() as u64 + 1..=many).collect();
        assert_eq!(found, last);
        // An entry takes up to four words.
        assert!(found.len() >= KEPT * WORDS / 4, "{}", found.len());
        chunks.keep_last(0);
        assert_eq!(chunks.kept_bytes(), 0);
    }

    #[test]
    fn threads_that_end_leave_room_for_the_others() {
        let chunks = Chunks::new();
        chunks.keep_last(4);
        chunks.stock();
        let at = [const { AtomicU32::new(0) }; 1];
        let (mut marks, mut taken) = (HashMap::new(), HashMap::new());
        for number in 1..=1000 {
            let writer = Writer::new();
            let entry = numbered(number);
            assert!(write(&chunks, &writer, &at[0], 5, &entry, more(entry.kind)));
            chunks.end(&writer, &at[0]);
            if number.is_multiple_of(10) {
                read(&chunks, &mut marks, &at, &mut taken);
            }
        }
        assert_eq!(sorted(&taken[&5]), (1..=1000).collect::<Vec<_>>());
        assert_eq!(chunks.dropped_until(), 0);
        assert_eq!(chunks.numbers().count(), 4 + STOCK_BESIDE);
    }

    #[test]
    fn a_look_at_chunks_that_are_taken_again_has_no_mixed_entries() {
        const EACH: u64 = 300_000;
        let chunks = Chunks::new();
        chunks.keep_last(2);
        chunks.stock();
        let under_way = [const { AtomicU32::new(0) }; 3];
        let mut looks = 0;
        std::thread::scope(|scope| {
            let writers: Vec<_> = under_way
                .iter()
                .enumerate()
                .map(|(writer, at)| {
                    let chunks = &chunks;
                    scope.spawn(move || {
                        let own = Writer::new();
                        for number in 1..=EACH {
                            let entry = numbered(number);
                            let more = more(entry.kind);
                            assert!(write(chunks, &own, at, writer as u32, &entry, more));
                        }
                        chunks.end(&own, at);
                    })
                })
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                looks += 1;
                for entries in kept(&chunks, &HashMap::new()).into_values() {
                    for entry in &entries {
                        assert_eq!(
                            Entry { at: 0, ..*entry },
                            Entry {
                                at: 0,
                                ..numbered(entry.payload)
                            }
                        );
                    }
                    let numbers = sorted(&entries);
                    assert!(numbers.is_sorted_by(|a, b| a < b), "none is found twice");
                }
            }
        });
        assert!(looks > 1, "{looks}");
    }

    #[test]
    fn threads_lose_nothing_uncounted() {
        const EACH: u64 = 200_000;
        let chunks = Chunks::new();
        chunks.stock();
        let under_way = [const { AtomicU32::new(0) }; 3];
        let lost = AtomicU64::new(0);
        let (mut marks, mut entries) = (HashMap::new(), HashMap::new());
        std::thread::scope(|scope| {
            let writers: Vec<_> = under_way
                .iter()
                .enumerate()
                .map(|(writer, at)| {
                    let (chunks, lost) = (&chunks, &lost);
                    scope.spawn(move || {
                        let own = Writer::new();
                        for number in 1..=EACH {
                            let entry = numbered(number);
                            let more = more(entry.kind);
                            if !write(chunks, &own, at, writer as u32, &entry, more) {
                                lost.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        chunks.end(&own, at);
                    })
                })
                .collect();
            while writers.iter().any(|writer| !writer.is_finished()) {
                read(&chunks, &mut marks, &under_way, &mut entries);
            }
        });
        read(&chunks, &mut marks, &under_way, &mut entries);
        let count: usize = entries.values().map(Vec::len).sum();
        assert_eq!(count as u64 + lost.load(Ordering::Relaxed), 3 * EACH);
        for entries in entries.values() {
            let mut numbers: Vec<u64> = entries.iter().map(|entry| entry.payload).collect();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), entries.len(), "none is read twice");
        }
    }
}
