//! The goroutine profile with a sample for each task, `debug=3`. pprof can group, focus and filter the tasks.
//!
//! A million tasks are a million samples, so the profile is never in memory as a whole. Protobuf merges messages that
//! follow each other. So the tables are written as a first profile, and each sample as a profile of its own, all
//! through one gzip stream.

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::goroutine::{Goroutine, Tables};
use crate::profile::address_list::AddressList;
use crate::profile::builder::{Measure, ProfileBuilder};
use crate::profile::proto;

/// The number of bytes of samples that are compressed at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The most names and reasons that are kept, so that the table has each once. A program has about ten reasons. If each
/// task has its own name, names beyond this number are written with their tasks.
const REMEMBERED: usize = 4096;

/// Writes a profile that has a sample for each task, with the labels
///
/// | label | what it is |
/// |---|---|
/// | `id` | the task's id |
/// | `name` | the name that the user gave it; left out where there is none |
/// | `state` | what stands in the brackets of the text: `running`, `runnable`, or the wait reason |
/// | `wait` | nanoseconds in that state |
/// | `spawned` | `FILE:LINE:COLUMN` of the spawn; left out where there is none |
///
/// ```
/// use runtime_dump::goroutine::{Goroutine, State, Tables};
/// use runtime_dump::goroutine::samples::SampleWriter;
/// use runtime_dump::profile::proto::Profile;
/// use runtime_dump::stack::Stack;
///
/// let tables = Tables { stacks: vec![Stack::default()], ..Tables::default() };
/// let mut bytes = Vec::new();
/// let mut writer = SampleWriter::new(&mut bytes, "goroutine", &tables, &[]);
/// writer.write(&Goroutine {
///     id: 7,
///     parent: None,
///     state: State::Waiting,
///     reason: "sleep",
///     since_ns: 3_000_000,
///     polls: 2,
///     busy_ns: 20_000,
///     name: None,
///     labels: &[],
///     notes: &[],
///     joins: &[],
///     stack: 0,
///     site: None,
/// })?;
/// writer.finish()?;
///
/// let profile = Profile::decode(&bytes)?;
/// let label = &profile.sample[0].label[1];
/// assert_eq!((profile.string(label.key), profile.string(label.str)), ("state", "sleep"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the last chunk is written by `finish`"]
pub struct SampleWriter<W: Write> {
    out: GzEncoder<W>,
    /// Bytes that are not compressed yet.
    chunk: Vec<u8>,
    /// By index of the stack: the ids of its locations.
    stacks: Vec<Vec<u64>>,
    /// By index of the site: the index of its text.
    sites: Vec<i64>,
    keys: Keys,
    strings: Strings,
    is_timed: bool,
}

impl<W: Write> SampleWriter<W> {
    /// Starts a profile whose samples point into `tables`. `comments` are remarks on the whole profile, which `go tool
    /// pprof -comments` shows.
    pub fn new(out: W, name: &str, tables: &Tables, comments: &[String]) -> Self {
        let measure = Measure {
            kind: name,
            unit: "count",
        };
        let mut builder = ProfileBuilder::new(&tables.mappings, &[measure])
            .period(measure, 1)
            .time_ns(tables.time_ns);
        for comment in comments {
            builder = builder.comment(comment);
        }
        let stacks = tables
            .stacks
            .iter()
            .map(|stack| builder.locations(&AddressList::of(stack)))
            .collect();
        let keys = Keys {
            id: builder.string("id"),
            name: builder.string("name"),
            state: builder.string("state"),
            wait: builder.string("wait"),
            spawned: builder.string("spawned"),
            nanoseconds: builder.string("nanoseconds"),
        };
        let sites = tables
            .sites
            .iter()
            .map(|site| builder.string(&format!("{}:{}:{}", site.file, site.line, site.column)))
            .collect();
        let head = builder.build();
        let mut writer = Self {
            out: GzEncoder::new(out, Compression::fast()),
            chunk: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4),
            stacks,
            sites,
            keys,
            strings: Strings {
                next: head.string_table.len() as i64,
                known: HashMap::new(),
            },
            is_timed: true,
        };
        writer.push(&head);
        writer
    }

    /// Leaves out the label `wait`, for tasks with unknown times.
    pub fn untimed(mut self) -> Self {
        self.is_timed = false;
        self
    }

    /// Writes the sample of one task.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write(&mut self, goroutine: &Goroutine<'_>) -> io::Result<()> {
        let keys = self.keys;
        let mut piece = proto::Profile::default();
        let mut label = Vec::with_capacity(5);
        label.push(number(keys.id, goroutine.id, 0));
        if let Some(name) = goroutine.name {
            label.push(text(keys.name, self.strings.index(name, &mut piece)));
        }
        let state = self.strings.index(goroutine.brackets(), &mut piece);
        label.push(text(keys.state, state));
        if self.is_timed {
            label.push(number(keys.wait, goroutine.since_ns, keys.nanoseconds));
        }
        if let Some(site) = goroutine
            .site
            .and_then(|site| self.sites.get(site as usize))
        {
            label.push(text(keys.spawned, *site));
        }
        for (key, value) in goroutine.labels {
            let key = self.strings.index(key, &mut piece);
            label.push(text(key, self.strings.index(value, &mut piece)));
        }
        piece.sample.push(proto::Sample {
            location_id: self
                .stacks
                .get(goroutine.stack as usize)
                .cloned()
                .unwrap_or_default(),
            value: vec![1],
            label,
        });
        self.push(&piece);
        if self.chunk.len() >= CHUNK_BYTES {
            self.write_chunk()?;
        }
        Ok(())
    }

    /// Writes the last chunk and the end of the gzip stream.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_chunk()?;
        self.out.finish()?.flush()
    }

    fn push(&mut self, piece: &proto::Profile) {
        piece
            .encode(&mut self.chunk)
            .expect("a Vec has room for any message");
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

/// The indices of the labels' keys, and of a unit, in the table of strings.
#[derive(Clone, Copy, Debug)]
struct Keys {
    id: i64,
    name: i64,
    state: i64,
    wait: i64,
    spawned: i64,
    nanoseconds: i64,
}

fn text(key: i64, str: i64) -> proto::Label {
    proto::Label {
        key,
        str,
        ..proto::Label::default()
    }
}

fn number(key: i64, num: u64, num_unit: i64) -> proto::Label {
    proto::Label {
        key,
        num: i64::try_from(num).unwrap_or(i64::MAX),
        num_unit,
        ..proto::Label::default()
    }
}

/// The part of the table of strings that grows with the samples.
#[derive(Debug)]
struct Strings {
    /// The index of the next new string.
    next: i64,
    known: HashMap<String, i64>,
}

impl Strings {
    /// The index of a string. A new string is added to `piece`.
    fn index(&mut self, text: &str, piece: &mut proto::Profile) -> i64 {
        if let Some(index) = self.known.get(text) {
            return *index;
        }
        let index = self.next;
        self.next += 1;
        piece.string_table.push(text.to_owned());
        if self.known.len() < REMEMBERED {
            self.known.insert(text.to_owned(), index);
        }
        index
    }
}
