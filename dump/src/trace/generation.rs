//! Encoding of one generation: batches of events by thread, batches of tables.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// The most bytes of a batch. Go's reader refuses longer ones.
const MOST_BYTES: usize = 65_536;
/// The most bytes of an event: one byte and six numbers of ten bytes each.
const EVENT_BYTES: usize = 64;
/// The thread of batches that belong to no thread.
pub(super) const NO_THREAD: u64 = u64::MAX;
/// The first byte of a batch.
const BATCH: u8 = 1;
/// The batch with the number of time units in a second, and the byte of its only record.
const FREQUENCY: u8 = 8;
const UNITS_PER_SECOND: u64 = 1_000_000_000;

/// Go's numbers of events. The comments name the arguments after the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    /// Proc, its sequence number.
    ProcStart = 10,
    ProcStop = 11,
    /// Proc, status.
    ProcStatus = 13,
    /// Goroutine, its stack, the creator's stack.
    GoCreate = 14,
    /// Goroutine, its sequence number.
    GoStart = 16,
    GoDestroy = 17,
    /// Reason, stack.
    GoStop = 19,
    /// Reason, stack.
    GoBlock = 20,
    /// Goroutine, its sequence number, the waker's stack.
    GoUnblock = 21,
    /// The proc's sequence number, stack.
    GoSyscallBegin = 22,
    GoSyscallEndBlocked = 24,
    /// Bytes.
    HeapAlloc = 37,
    /// The text. The event applies to the goroutine that runs.
    GoLabel = 39,
    /// User task, its parent, name, stack.
    UserTaskBegin = 40,
    /// User task, stack.
    UserTaskEnd = 41,
    /// User task, name, stack.
    UserRegionBegin = 42,
    /// User task, name, stack.
    UserRegionEnd = 43,
    /// User task, category, message, stack.
    UserLog = 44,
    /// Goroutine, thread, status, stack.
    GoStatusStack = 48,
}

/// Tables, with Go's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Stack,
    Text,
    CpuSample,
}

impl Structure {
    /// The first byte of the batch, and the first byte of each record.
    fn codes(self) -> (u8, u8) {
        match self {
            Structure::Stack => (2, 3),
            Structure::Text => (4, 5),
            Structure::CpuSample => (6, 7),
        }
    }
}

/// A generation that is being written.
#[derive(Debug)]
pub(super) struct Generation {
    number: u64,
    began: u64,
    last: u64,
    open: BTreeMap<u64, Batch>,
    stacks: Vec<u8>,
    texts: Vec<u8>,
    samples: Vec<u8>,
    sealed: Vec<u8>,
}

#[derive(Debug)]
struct Batch {
    base: u64,
    last: u64,
    payload: Vec<u8>,
}

impl Generation {
    pub(super) fn new(number: u64, began: u64) -> Self {
        let mut generation = Generation {
            number,
            began,
            last: began,
            open: BTreeMap::new(),
            stacks: Vec::new(),
            texts: Vec::new(),
            samples: Vec::new(),
            sealed: Vec::new(),
        };
        let mut frequency = vec![FREQUENCY];
        put_number(&mut frequency, UNITS_PER_SECOND);
        generation.seal(NO_THREAD, began, &frequency);
        generation
    }

    /// Adds an event, with a time after all earlier events.
    pub(super) fn event(&mut self, at: u64, thread: u64, code: Code, arguments: &[u64]) {
        self.last = at.max(self.last + 1);
        self.put(self.last, thread, code, arguments);
    }

    /// Adds a CPU sample, with a time after all earlier events. The arguments are thread, proc, task and stack.
    pub(super) fn cpu_sample(&mut self, at: u64, arguments: &[u64]) {
        self.last = at.max(self.last + 1);
        let mut record = Vec::new();
        put_number(&mut record, self.last);
        for argument in arguments {
            put_number(&mut record, *argument);
        }
        self.structure(Structure::CpuSample, &record);
    }

    /// Adds a state as of the begin of the generation. MUST be called before any event. Otherwise the times of a batch
    /// decrease.
    pub(super) fn status(&mut self, thread: u64, code: Code, arguments: &[u64]) {
        self.put(self.began, thread, code, arguments);
    }

    fn put(&mut self, at: u64, thread: u64, code: Code, arguments: &[u64]) {
        let batch = self.open.entry(thread).or_insert_with(|| Batch {
            base: at,
            last: at,
            payload: Vec::new(),
        });
        batch.payload.push(code as u8);
        put_number(&mut batch.payload, at - batch.last);
        batch.last = at;
        for argument in arguments {
            put_number(&mut batch.payload, *argument);
        }
        if batch.payload.len() + EVENT_BYTES > MOST_BYTES
            && let Some(full) = self.open.remove(&thread)
        {
            self.seal(thread, full.base, &full.payload);
        }
    }

    /// Adds a record of a table.
    pub(super) fn structure(&mut self, table: Structure, record: &[u8]) {
        let (first, each) = table.codes();
        let mut open = std::mem::take(self.table(table));
        if open.len() + record.len() + 1 > MOST_BYTES {
            self.seal(NO_THREAD, self.began, &open);
            open.clear();
        }
        if open.is_empty() {
            open.push(first);
        }
        open.push(each);
        open.extend_from_slice(record);
        *self.table(table) = open;
    }

    fn table(&mut self, table: Structure) -> &mut Vec<u8> {
        match table {
            Structure::Stack => &mut self.stacks,
            Structure::Text => &mut self.texts,
            Structure::CpuSample => &mut self.samples,
        }
    }

    fn seal(&mut self, thread: u64, base: u64, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        self.sealed.push(BATCH);
        for number in [self.number, thread, base, payload.len() as u64] {
            put_number(&mut self.sealed, number);
        }
        self.sealed.extend_from_slice(payload);
    }

    /// The time of the last event.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Writes all batches.
    pub(super) fn write_to(mut self, out: &mut impl Write) -> io::Result<()> {
        for (thread, batch) in std::mem::take(&mut self.open) {
            self.seal(thread, batch.base, &batch.payload);
        }
        let tables = [
            std::mem::take(&mut self.stacks),
            std::mem::take(&mut self.texts),
            std::mem::take(&mut self.samples),
        ];
        for table in tables {
            self.seal(NO_THREAD, self.began, &table);
        }
        out.write_all(&self.sealed)
    }
}

/// Appends a number, seven bits a byte, the low bits first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
