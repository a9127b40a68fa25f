//! Leaves with known names, and their details. An unreadable detail is left out.

use super::Decoder;
use super::channels;
use super::memory::Reader;
use super::model::{Detail, Timer};
use super::plan::Part;

/// The future that waits for permits, of semaphores, locks and bounded channels.
pub(crate) const ACQUIRE: &str = "tokio::sync::batch_semaphore::Acquire";

/// A collection of futures, which are in a linked list outside of the structure.
pub(crate) const UNORDERED: &str = "futures_util::stream::futures_unordered::FuturesUnordered<";

/// A future in an `Arc`, which all of its waiters have.
pub(crate) const SHARED: &str = "futures_util::future::future::shared::Shared<";

type ReadDetail = fn(&mut Decoder<'_, '_, '_>, &Reader<'_>, u64, Part) -> Option<Detail>;

/// A known type of a library.
pub(crate) struct Row {
    prefix: &'static str,
    /// Whether the type's members are not followed.
    pub(crate) is_leaf: bool,
    /// The only member that is followed, if there is one.
    pub(crate) only: Option<&'static str>,
    pub(crate) detail: Option<ReadDetail>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.prefix)
    }
}

const fn leaf(prefix: &'static str, detail: Option<ReadDetail>) -> Row {
    Row {
        prefix,
        is_leaf: true,
        only: None,
        detail,
    }
}

const ROWS: &[Row] = &[
    leaf("tokio::time::sleep::Sleep", Some(sleep)),
    Row {
        prefix: "tokio::time::timeout::Timeout<",
        is_leaf: false,
        only: Some("value"),
        detail: Some(timeout),
    },
    leaf(ACQUIRE, Some(acquire)),
    leaf("tokio::sync::notify::Notified", Some(end)),
    leaf("tokio::sync::notify::OwnedNotified", Some(end)),
    leaf("tokio::sync::oneshot::Receiver<", Some(end)),
    leaf("tokio::runtime::task::join::JoinHandle<", Some(join)),
    leaf(
        "futures_util::stream::stream::next::Next<tokio_stream::wrappers::mpsc_",
        Some(end),
    ),
    leaf(
        "tokio_stream::stream_ext::next::Next<tokio_stream::wrappers::mpsc_",
        Some(end),
    ),
    leaf("tokio::runtime::io::scheduled_io::Readiness", None),
    leaf("core::future::pending::Pending<", None),
    leaf("futures_util::future::pending::Pending<", None),
    leaf("futures_channel::oneshot::Receiver<", None),
];

/// The known properties of a type.
pub(crate) fn row_of(path: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| path.starts_with(row.prefix))
}

fn sleep(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    _: u64,
    part: Part,
) -> Option<Detail> {
    let (at, die) = part;
    // A timer has a pointer to its runtime. At a guessed place, another pointer there means that no timer is there.
    if decoder.is_guessing
        && let Some((offset, handle)) = decoder
            .types
            .find_type(die, "tokio::runtime::scheduler::Handle")
    {
        let (scheduler, _) = decoder.scheduler(at.wrapping_add(offset), handle, reader)?;
        decoder.schedulers.contains(&scheduler).then_some(())?;
    }
    deadline(decoder, reader, part, Timer::Sleep)
}

fn timeout(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    _: u64,
    (at, die): Part,
) -> Option<Detail> {
    let (offset, delay) = decoder.types.find(die, "delay")?;
    // A deadline that is too far away has no timer.
    let delay = (at.wrapping_add(offset), delay);
    let delay = decoder.within(delay, "tokio::time::sleep::Sleep", reader)?;
    deadline(decoder, reader, delay, Timer::Timeout)
}

fn deadline(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    (at, die): Part,
    what: Timer,
) -> Option<Detail> {
    let types = decoder.types;
    let places = decoder.deadlines.entry(die).or_insert_with(|| {
        let (offset, deadline) = types.find(die, "deadline")?;
        let (seconds, _) = types.find(deadline, "tv_sec")?;
        let (nanos, _) = types.find(deadline, "tv_nsec")?;
        Some((offset.wrapping_add(seconds), offset.wrapping_add(nanos)))
    });
    let (seconds, nanos) = (*places)?;
    let seconds = i64::try_from(reader.word(at.wrapping_add(seconds))?).ok()?;
    let nanos = u32::try_from(reader.number(at.wrapping_add(nanos), 4)?).ok()?;
    (nanos < 1_000_000_000).then_some(Detail::Fires {
        what,
        seconds,
        nanos,
    })
}

fn acquire(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    _: u64,
    (at, die): Part,
) -> Option<Detail> {
    let (offset, pointer) = decoder.types.find(die, "semaphore")?;
    let semaphore = reader.word(at.wrapping_add(offset))?;
    let (wanted, _) = decoder.types.find(die, "num_permits")?;
    let wanted = reader.word(at.wrapping_add(wanted))?;
    if is_given(decoder, reader, (at, die)) == Some(true) {
        return Some(Detail::Given {
            semaphore,
            permits: wanted,
            future: at,
        });
    }
    let (permits, _) = decoder
        .types
        .find(decoder.types.pointee(pointer)?, "permits")?;
    // The lowest bit means that the semaphore is closed.
    let available = reader.word(semaphore.wrapping_add(permits))? >> 1;
    Some(Detail::Acquires {
        semaphore,
        wanted,
        available,
    })
}

/// Whether the semaphore has removed the future from its queue with all permits, and the future was not polled since.
fn is_given(decoder: &Decoder<'_, '_, '_>, reader: &Reader<'_>, (at, die): Part) -> Option<bool> {
    let (queued, _) = decoder.types.find(die, "queued")?;
    let (node, of_node) = decoder.types.find(die, "node")?;
    let (missing, _) = decoder.types.find(of_node, "state")?;
    let is_queued = reader.number(at.wrapping_add(queued), 1)? != 0;
    Some(is_queued && reader.word(at.wrapping_add(node + missing))? == 0)
}

fn end(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    _: u64,
    part: Part,
) -> Option<Detail> {
    channels::awaited(decoder, reader, part)
}

fn join(
    decoder: &mut Decoder<'_, '_, '_>,
    reader: &Reader<'_>,
    bias: u64,
    (at, die): Part,
) -> Option<Detail> {
    let (offset, raw) = decoder.types.find(die, "raw")?;
    let (inner, _) = decoder.types.peel(raw);
    let task = reader.word(at.wrapping_add(offset).wrapping_add(inner))?;
    Some(Detail::Joins(
        decoder.id_of_task(task, bias, reader).unwrap_or(0),
    ))
}
