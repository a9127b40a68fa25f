//! The facts of a task, in the protocol's types.

use std::time::{Duration, SystemTime};

use console_api::field::{Name, Value};
use console_api::metadata::{Kind, Level};
use console_api::register_metadata::NewMetadata;
use console_api::tasks::task::Kind as ProtocolKind;
use console_api::tasks::{Stats, Task};
use console_api::{Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, SpanId};
use runtime_probe::pprof::{TaskFacts, TaskKind, TaskState};

use crate::model::Known;

/// All tasks have the same fields, under this number.
const METADATA: MetaId = MetaId { id: 1 };

/// The size that the probe adds to the user's future: a pointer to the record.
const WRAPPER: usize = size_of::<usize>();

/// tokio boxes a future or closure that is larger, also that of a `block_on`: `BOX_FUTURE_THRESHOLD` of tokio 1.54.
const BOXED_ABOVE: usize = if cfg!(debug_assertions) { 2048 } else { 16384 };

/// The fields by their index, under the names that the client looks for.
const FIELDS: [&str; 6] = [
    "task.id",
    "task.name",
    "kind",
    "spawn.location",
    "size.bytes",
    "original_size.bytes",
];

/// The description that must precede the first task.
pub(crate) fn metadata() -> RegisterMetadata {
    RegisterMetadata {
        metadata: vec![NewMetadata {
            id: Some(METADATA),
            metadata: Some(Metadata {
                name: "runtime.spawn".to_owned(),
                target: "tokio::task".to_owned(),
                kind: Kind::Span.into(),
                level: Level::Trace.into(),
                field_names: FIELDS.map(str::to_owned).into(),
                ..Metadata::default()
            }),
        }],
    }
}

/// The facts that do not change.
pub(crate) fn task(facts: &TaskFacts) -> Task {
    let [original, size] = sizes(facts);
    let values = [
        Some(Value::U64Val(facts.id.as_u64())),
        facts
            .name
            .as_ref()
            .map(|name| Value::StrVal(name.to_string())),
        Some(Value::StrVal(kind(facts.kind).to_owned())),
        facts.location.map(|place| Value::StrVal(place.to_string())),
        size,
        original,
    ];
    let field = |(index, value): (usize, Option<Value>)| {
        Some(Field {
            metadata_id: Some(METADATA),
            name: Some(Name::NameIdx(index as u64)),
            value: Some(value?),
        })
    };
    let protocol_kind = match facts.kind {
        TaskKind::Blocking => ProtocolKind::Blocking,
        _ => ProtocolKind::Spawn,
    };
    Task {
        id: Some(Id {
            id: facts.id.as_u64(),
        }),
        metadata: Some(METADATA),
        kind: protocol_kind.into(),
        fields: values.into_iter().enumerate().filter_map(field).collect(),
        parents: facts
            .parent
            .map(|id| SpanId { id: id.as_u64() })
            .into_iter()
            .collect(),
        location: facts.location.map(Location::from),
    }
}

fn kind(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Local => "local",
        TaskKind::BlockOn => "block_on",
        TaskKind::Instrumented => "instrument",
        TaskKind::Blocking => "blocking",
        _ => "task",
    }
}

/// The size as the user wrote the future, and as tokio keeps it.
fn sizes(facts: &TaskFacts) -> [Option<Value>; 2] {
    // A wrapped future inside a task is kept where the task is.
    let is_of_its_own = facts.kind != TaskKind::Instrumented;
    let Some(size) = facts.size else {
        return [None, None];
    };
    let kept = match size + WRAPPER > BOXED_ABOVE && is_of_its_own {
        true => size_of::<Box<()>>(),
        false => size,
    };
    [size, kept].map(|bytes| Some(Value::U64Val(bytes as u64)))
}

/// The facts that change.
pub(crate) fn stats(known: &Known) -> Stats {
    let Known { facts, at, .. } = known;
    let back = |ago: Duration| at.checked_sub(ago).unwrap_or(known.created_at);
    let since = back(facts.since);
    // The client shows a task as running if its last poll began after the last one ended, and as scheduled if it was
    // woken after the last poll began. The time of the wake is not kept once the poll is over; any moment before the
    // end of the poll gives the right state.
    let before = |moment: SystemTime| {
        moment
            .checked_sub(Duration::from_nanos(1))
            .unwrap_or(moment)
    };
    let (started, ended) = match facts.state {
        _ if facts.polls == 0 => (None, None),
        TaskState::Running if known.dropped_at.is_none() => (Some(since), None),
        _ => (Some(before(since)), Some(before(since))),
    };
    let last_wake = match facts.state {
        TaskState::Runnable => Some(since),
        _ => facts
            .last_wake
            .map(|ago| back(ago).min(started.unwrap_or(since))),
    };
    // One wake for each poll but the first, which the spawn caused.
    let runnable = facts.state == TaskState::Runnable;
    let wakes = (facts.polls + u64::from(runnable)).saturating_sub(1);
    Stats {
        created_at: Some(known.created_at.into()),
        dropped_at: known.dropped_at.map(Into::into),
        wakes,
        waker_clones: facts.wakers.map_or(1, |wakers| wakers as u64),
        waker_drops: 0,
        last_wake: last_wake.map(Into::into),
        poll_stats: Some(PollStats {
            polls: facts.polls,
            first_poll: None,
            last_poll_started: started.map(Into::into),
            last_poll_ended: ended.map(Into::into),
            busy_time: facts.busy.try_into().ok(),
        }),
        self_wakes: facts.self_wakes.min(wakes),
        scheduled_time: facts.ready.try_into().ok(),
    }
}

/// The last values of a task that has been forgotten.
pub(crate) fn gone(at: SystemTime) -> Stats {
    Stats {
        created_at: Some(at.into()),
        dropped_at: Some(at.into()),
        poll_stats: Some(PollStats {
            busy_time: Some(prost_types::Duration::default()),
            ..PollStats::default()
        }),
        scheduled_time: Some(prost_types::Duration::default()),
        ..Stats::default()
    }
}
