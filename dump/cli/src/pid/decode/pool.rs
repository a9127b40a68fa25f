//! Blocking closures that wait for a thread of their pool.

use super::memory::Reader;
use super::model::{Body, Chain, Detail, State, Task};
use super::{Budget, Decoder, Process};
use crate::pid::debug::index::Die;

const LOCKED: &str = "tokio::runtime::blocking::pool::LockedImpl";
const SPAWNER: &str = "tokio::runtime::blocking::pool::Spawner";

impl Decoder<'_, '_, '_> {
    /// Those in the queue of the pool of the scheduler at `at`, in their order.
    pub(super) fn queued_closures(
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
            chain.frames.push(self.closure_frame(closure));
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
                spawned_at: None,
                body: Body::Chain(chain),
            })
        });
        tasks.map_while(|task| task).collect()
    }

    /// Where the headers of the queue's tasks are.
    fn queue(&self, at: u64, of: Die, reader: &Reader<'_>, budget: Budget) -> Option<Vec<u64>> {
        let types = self.types;
        let (offset, spawner) = types.find_type(of, SPAWNER)?;
        let (inner, arc) = types.find(spawner, "inner")?;
        let (mut at, mut of) = self.arc(at.checked_add(offset + inner)?, arc, reader)?;
        // Newer versions of tokio have two ways. A queue in several parts is not read.
        if let Some((offset, way)) = types.find(of, "inner_impl") {
            (at, of) = self.within((at.checked_add(offset)?, way), LOCKED, reader)?;
        }
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
