//! Figures of the heap, if the probe's allocator is the global one.

use super::{Family, Number, Unit};
use crate::profile::heap::{estimated, unavailable};
use crate::snapshot::heap::{SplitBy, take};
use runtime_dump::profile::heap::Objects;

/// No families without the allocator.
pub(super) fn families() -> Vec<Family> {
    if unavailable().is_some() {
        return Vec::new();
    }
    let heap = take(SplitBy::default());
    let (mut allocated, mut in_use) = (Objects::default(), Objects::default());
    for samples in &heap.samples {
        for (sum, of) in [
            (&mut allocated, samples.allocated),
            (&mut in_use, samples.in_use),
        ] {
            let Objects { objects, bytes } = estimated(of, samples.of.rate);
            sum.objects += objects;
            sum.bytes += bytes;
        }
    }
    let whole = |number| Some(Number::Whole(number));
    let mut lost = Family::counter(
        "runtime_probe_heap_losses",
        "Samples of the heap that are in no profile, or without their stack",
    );
    for (kind, count) in [
        ("lost", heap.losses.lost),
        ("reentered", heap.losses.reentered),
        ("unkept", heap.losses.unkept),
        ("untracked", heap.losses.untracked),
        ("unwalked", heap.losses.unwalked),
    ] {
        lost.add(&[("kind", kind)], whole(count));
    }
    vec![
        Family::gauge(
            "runtime_probe_heap_in_use",
            "Memory that is allocated and not freed, estimated from samples",
        )
        .unit(Unit::Bytes)
        .with(whole(in_use.bytes)),
        Family::gauge(
            "runtime_probe_heap_in_use_objects",
            "Blocks that are allocated and not freed, estimated from samples",
        )
        .with(whole(in_use.objects)),
        Family::counter(
            "runtime_probe_heap_allocated",
            "Memory that was allocated since the start, estimated from samples",
        )
        .unit(Unit::Bytes)
        .with(whole(allocated.bytes)),
        Family::counter(
            "runtime_probe_heap_allocated_objects",
            "Blocks that were allocated since the start, estimated from samples",
        )
        .with(whole(allocated.objects)),
        Family::gauge(
            "runtime_probe_heap_sample_rate",
            "Bytes for each sample on average; 0 while sampling is off",
        )
        .unit(Unit::Bytes)
        .with(whole(heap.rate)),
        lost,
    ]
}
