//! Blocking closures that wait for a thread of their pool.

use super::memory::Reader;
use super::model::{Body, Chain, Detail, State, Task};
use super::{Budget, Decoder, Process};
use crate::debug::index::Die;
use crate::debug::types::Shape;

/// The most shards of a queue. tokio has 16.
const MOST_SHARDS: u64 = 1024;

const LOCKED: &str = "tokio::runtime::blocking::pool::LockedImpl";
const SHARDED: &str = "tokio::runtime::blocking::sharded::ShardedImpl";
const SPAWNER: &str = "tokio::runtime::blocking::pool::Spawner";

impl Decoder<'_, '_, '_> {
    /// The closures in the queues of the blocking pool of the scheduler at `at`, in their order.
    pub(crate) fn queued_closures(
        &mut self,
        at: u64,
        of: Die,
        process: &Process<'_>,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Vec<Task> {
        let places = self.queue(at, of, reader, budget).unwrap_or_default();
        let tasks = places.into_iter().map(|place| {
            let (layout, poll) = self.task_at(place, process.bias, reader)?;
            let of = self.types.get(poll.future);
            let closure = of.parameters.first()?.1;
            let mut chain = Chain::default();
            chain.frames.to_mut().push(self.closure_frame(closure));
            chain.details.push(Detail::Queued);
            Some(Task {
                id: reader.word(place.wrapping_add(layout.id))?,
                address: place,
                runtime: 0,
                state: State::Runnable,
                is_cancelled: false,
                has_no_waker: false,
                thread: None,
                root_of: None,
                trace: None,
                unchanged_for: None,
                ends: None,
                spawned_at: None,
                body: Body::Chain(chain),
            })
        });
        tasks.map_while(|task| task).collect()
    }

    /// The addresses of the headers of the queued tasks.
    fn queue(&self, at: u64, of: Die, reader: &Reader<'_>, budget: Budget) -> Option<Vec<u64>> {
        let types = self.types;
        let (offset, spawner) = types.find_type(of, SPAWNER)?;
        let (inner, arc) = types.find(spawner, "inner")?;
        let (at, of) = self.arc(at.checked_add(offset + inner)?, arc, reader)?;
        // Newer versions of tokio have two kinds of queues.
        let Some((offset, way)) = types.find(of, "inner_impl") else {
            return self.part_of_queue(at, of, reader, budget);
        };
        let way = (at.checked_add(offset)?, way);
        if let Some((at, of)) = self.within(way, LOCKED, reader) {
            return self.part_of_queue(at, of, reader, budget);
        }
        let (at, of) = self.within(way, SHARDED, reader)?;
        let (offset, shards) = types.find(of, "shards")?;
        let Shape::Array(Some(each)) = types.get(shards).shape else {
            return None;
        };
        let size = types.get(each).size;
        let number = types.get(shards).size.checked_div(size)?;
        let mut all = Vec::new();
        for shard in 0..number.min(MOST_SHARDS) {
            let at = at.checked_add(offset + shard * size)?;
            // An empty queue may have no memory yet.
            let some = self.part_of_queue(at, each, reader, budget);
            all.extend(some.unwrap_or_default());
        }
        Some(all)
    }

    fn part_of_queue(
        &self,
        at: u64,
        of: Die,
        reader: &Reader<'_>,
        budget: Budget,
    ) -> Option<Vec<u64>> {
        let types = self.types;
        let (offset, queue) = types.find(of, "queue")?;
        let at = at.checked_add(offset)?;
        let number = |name| {
            let (offset, of) = types.find(queue, name)?;
            let (inner, _) = types.peel(of);
            reader.word(at.wrapping_add(offset + inner))
        };
        let (head, length) = (number("head")?, number("len")?);
        let (first, capacity) = (number("pointer")?, number("cap")?);
        let of = types.get(queue);
        let each = of.parameters.iter().find(|(name, _)| name == "T")?.1;
        let (raw, _) = types.find(each, "raw")?;
        let size = types.get(each).size;
        if capacity == 0 || head >= capacity {
            return None;
        }
        let place = |number: u64| {
            let slot = (head + number) % capacity;
            reader.word(
                first
                    .wrapping_add(slot.wrapping_mul(size))
                    .wrapping_add(raw),
            )
        };
        (0..length.min(capacity).min(budget.tasks))
            .map(place)
            .collect()
    }
}
