//! The tasks of a tokio process, from its memory and the types in its debug information.
//!
//! The process needs no preparation. [`Decoder`] reads through [`Memory`] (another process, a core file, the own
//! process) and follows each task's future down to its leaf. The memory may be freed, half written or hostile. So the
//! decoder is total: it trusts no value that it reads, and each loop has a bound.
//!
//! `runtime-dump pid` and the feature `decode` of runtime-probe use this crate. In the order of the data:
//! * `debug`: the types of a program;
//! * `mapped`: a file, mapped into memory;
//! * `memory`: numbers and variants from memory, within a bound of bytes;
//! * `layout`: the layout of tokio's structures;
//! * `runtimes`: runtimes and their lists of tasks;
//! * `list`: a list that a stopped thread may have been changing;
//! * `seeds`: schedulers without a thread inside;
//! * `finder`: tasks by their ids, in a running process;
//! * `roots`: futures that threads are blocked on;
//! * `plan`: the parts of a type to follow, compiled once;
//! * `chain`: from a task's future down to its leaf;
//! * `routes`: what a walk has read, for the next one of its type;
//! * `way`: to a place in memory, through pointers;
//! * `held`: guards and descriptors in an async body;
//! * `channels`: ends of channels in an async body;
//! * `collections`: ends of channels in collections;
//! * `inbox`: ends of channels in messages that were not received;
//! * `tokens`: the parents of cancellation tokens;
//! * `kept`: futures that an async body keeps and does not await;
//! * `leaf`: the details of known leaves;
//! * `pool`: blocking closures that wait for a thread;
//! * `workers`: the counters of a runtime's workers;
//! * [`thread_names`]: the names of threads;
//! * `trace`: the memory that a poll changes;
//! * [`waits`]: the waits of tasks for other tasks;
//! * `model`: the result, and [`detail_text`]: details as text;
//! * `stacks`: chains as stacks of runtime-dump's model.

mod chain;
mod channels;
mod collections;
pub mod debug;
mod decoder;
pub mod detail_text;
mod elsewhere;
mod finder;
mod held;
mod inbox;
mod kept;
mod layout;
mod leaf;
mod list;
pub mod mapped;
mod memory;
pub mod model;
pub mod numbers;
#[cfg(all(test, target_os = "linux"))]
mod own;
mod plan;
mod pool;
mod roots;
mod routes;
mod runtimes;
pub mod seeds;
pub mod stacks;
pub mod thread_names;
mod tokens;
mod trace;
pub mod waits;
mod way;
mod workers;

pub use decoder::{Budget, Decoder, Look, Process, RootFrame, ThreadView};
pub use memory::{Memory, each_chunk};
pub use runtimes::is_waiting;
