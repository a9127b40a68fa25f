//! What is alive: a record per task, and the threads that poll them.
//!
//! In reading order:
//! * [`wake_slot`]: the task's own waker behind ours;
//! * [`record`]: all that is known of one task;
//! * [`slab`]: where records live;
//! * [`threads`]: names for the threads that poll and wake.

pub(crate) mod record;
pub(crate) mod slab;
pub(crate) mod threads;
pub(crate) mod wake_slot;
